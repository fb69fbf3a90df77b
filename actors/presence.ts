import type { ChunksHeld } from '../protocol/messages/node.ts';
import type { NodeId, ReplicaId } from '../protocol/types.ts';
import { nodeOf } from '../protocol/types.ts';
import type { Hello } from './formation.ts';

const GONE_MS = 60_000;
/** As long as an incarnation was heard this lately, no other one takes its node's name. */
const LIVING_MS = 3_000;

/** A node that said hello within the last minute. */
export interface SeenNode {
  readonly nodeId: NodeId;
  readonly replica: ReplicaId;
  readonly httpUrl: string;
  readonly roles: readonly string[];
  readonly version: string;
  /** 'ok', or what troubles its disk. */
  readonly disk: Hello['disk'];
  /** What its replicas say of their chunks. */
  readonly chunks: readonly ChunksHeld[];
  readonly seenAtMs: number;
}

/** Who is there, by their hellos. Pure: times come in as values. */
export class Presence {
  readonly #nodes = new Map<NodeId, SeenNode>();
  /** When each incarnation was last heard. */
  readonly #heardMs = new Map<ReplicaId, number>();

  /**
   * A formed node of this cluster said hello. Gives another incarnation that lives under the same name;
   * null when there is none, as far as it is known.
   */
  note(from: ReplicaId, hello: Hello, nowMs: number): ReplicaId | null {
    const nodeId = nodeOf(from);
    const before = this.#nodes.get(nodeId)?.replica ?? from;
    this.#heardMs.set(from, nowMs);
    if (before !== from && this.isLiving(before, nowMs)) return null;
    this.#nodes.set(nodeId, {
      nodeId,
      replica: from,
      httpUrl: hello.httpUrl,
      roles: hello.roles,
      version: hello.version,
      disk: hello.disk,
      chunks: hello.chunks ?? [],
      seenAtMs: nowMs,
    });
    return this.living(nowMs).find((other) => other !== from && nodeOf(other) === nodeId) ?? null;
  }

  get(nodeId: NodeId): SeenNode | null {
    return this.#nodes.get(nodeId) ?? null;
  }

  /** Whether another incarnation lives under the name of this one. */
  isTaken(replica: ReplicaId, nowMs: number): boolean {
    const holder = this.#nodes.get(nodeOf(replica))?.replica ?? replica;
    return holder !== replica && this.isLiving(holder, nowMs);
  }

  /** Whether this very incarnation was heard lately. */
  isLiving(replica: ReplicaId, nowMs: number): boolean {
    return nowMs - (this.#heardMs.get(replica) ?? Number.NEGATIVE_INFINITY) <= LIVING_MS;
  }

  /** All incarnations heard lately: more than one of a node when two processes run under its name. */
  living(nowMs: number): ReplicaId[] {
    return [...this.#heardMs.keys()].filter((replica) => this.isLiving(replica, nowMs));
  }

  /** By node id; those silent for a minute are forgotten. */
  list(nowMs: number): SeenNode[] {
    for (const [nodeId, seen] of this.#nodes) {
      if (nowMs - seen.seenAtMs > GONE_MS) this.#nodes.delete(nodeId);
    }
    for (const replica of this.#heardMs.keys()) {
      if (!this.isLiving(replica, nowMs)) this.#heardMs.delete(replica);
    }
    return [...this.#nodes.values()].sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
  }
}
