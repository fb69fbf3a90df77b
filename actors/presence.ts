import type { NodeId, ReplicaId } from '../protocol/types.ts';
import { nodeOf } from '../protocol/types.ts';
import type { Hello } from './formation.ts';

const GONE_MS = 60_000;

/** A node that said hello within the last minute. */
export interface SeenNode {
  readonly nodeId: NodeId;
  readonly replica: ReplicaId;
  readonly httpUrl: string;
  readonly roles: readonly string[];
  readonly version: string;
  /** 'ok', or what troubles its disk. */
  readonly disk: Hello['disk'];
  readonly seenAtMs: number;
}

/** Who is there, by their hellos. Pure: times come in as values. */
export class Presence {
  readonly #nodes = new Map<NodeId, SeenNode>();

  /** A formed node of this cluster said hello. */
  note(from: ReplicaId, hello: Hello, nowMs: number): void {
    const nodeId = nodeOf(from);
    this.#nodes.set(nodeId, {
      nodeId,
      replica: from,
      httpUrl: hello.httpUrl,
      roles: hello.roles,
      version: hello.version,
      disk: hello.disk,
      seenAtMs: nowMs,
    });
  }

  get(nodeId: NodeId): SeenNode | null {
    return this.#nodes.get(nodeId) ?? null;
  }

  /** By node id; those silent for a minute are forgotten. */
  list(nowMs: number): SeenNode[] {
    for (const [nodeId, seen] of this.#nodes) {
      if (nowMs - seen.seenAtMs > GONE_MS) this.#nodes.delete(nodeId);
    }
    return [...this.#nodes.values()].sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
  }
}
