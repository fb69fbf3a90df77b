import type { NodeConfig } from '../protocol/config.ts';
import type { Message, MessageOf, Routed } from '../protocol/envelope.ts';
import { LIMITS } from '../protocol/limits.ts';
import type { Formation } from '../protocol/messages/node.ts';
import { type RaftMessage, raftMessages } from '../protocol/messages/raft.ts';
import type { ReplyBody } from '../protocol/messages/request.ts';
import type { ReadAnswer } from '../protocol/service.ts';
import type { Lane } from '../protocol/subjects.ts';
import {
  type GroupId,
  META_GROUP,
  type NodeId,
  nodeOf,
  type ReplicaId,
} from '../protocol/types.ts';
import type { KeyRef } from '../protocol/vshard.ts';
import type { StateStore } from '../storage/ports.ts';
import { currentKeyOf } from './apply/read.ts';
import { emptyReplica, type RecoveredReplica } from './boot.ts';
import { BackgroundPace } from './kit/pace.ts';
import type { Ports } from './kit/ports.ts';
import type { PostOffice } from './kit/post-office.ts';
import type { TurnLoop } from './kit/turn-loop.ts';
import type { ReplicaInspection } from './node-port.ts';
import { isSoleVoter } from './raft/read-index.ts';
import type { ReplicaHost } from './replica/host.ts';
import { InspectedReplica } from './replica/inspect.ts';
import { readNow } from './replica/read-now.ts';
import { Replica } from './replica/replica.ts';
import type { GroupReach } from './txn/coordinator.ts';

/** With more than this in memtables the engine has trouble enough without work in the background. */
const BACKGROUND_PENDING_BYTES_MAX = LIMITS.memtableBytesMax / 4;

/** What the replicas of one node share. */
export interface ReplicaSetParts {
  readonly config: NodeConfig;
  readonly ports: Ports;
  readonly formation: Formation;
  readonly self: ReplicaId;
  readonly store: StateStore;
  readonly post: PostOffice;
  readonly loop: TurnLoop;
  /** Writes down that this node has a log now; at once when it did so before. */
  born(): Promise<void>;
  clockTrusted(): boolean;
  reach(): GroupReach | null;
  onLeader(group: GroupId, leader: NodeId): void;
  /** Another replica misses this leader. */
  onDoubt(leader: NodeId | null): void;
}

/**
 * The replicas on this node: supervises them, and hands each message to its addressee. A broken
 * invariant ends the process (ADR 0018): all replicas share one WAL and one state store.
 */
export class ReplicaSet implements ReplicaHost {
  readonly config: NodeConfig;
  readonly ports: Ports;
  readonly formation: Formation;
  readonly pace: BackgroundPace;
  readonly #parts: ReplicaSetParts;
  readonly #replicas = new Map<GroupId, Replica>();
  readonly #inspections: ReplicaInspection[] = [];
  /** Groups whose replica is being made. */
  readonly #joining = new Set<GroupId>();
  #stopped = false;

  constructor(parts: ReplicaSetParts) {
    this.#parts = parts;
    this.config = parts.config;
    this.ports = parts.ports;
    this.formation = parts.formation;
    const isBehind = () => parts.store.pendingBytes() > BACKGROUND_PENDING_BYTES_MAX;
    this.pace = new BackgroundPace(parts.ports.clock, isBehind);
  }

  add(recovered: RecoveredReplica): Replica {
    const { group, raft, state, records } = recovered;
    const replica = new Replica(this, group, this.#parts.self, raft, state, records);
    this.#replicas.set(group, replica);
    this.#inspections.push(new InspectedReplica(replica));
    this.#parts.loop.add(replica);
    replica.start();
    return replica;
  }

  get(group: GroupId): Replica | null {
    return this.#replicas.get(group) ?? null;
  }

  all(): Replica[] {
    return [...this.#replicas.values()];
  }

  /** A view of each replica, for whoever watches from outside. */
  inspections(): readonly ReplicaInspection[] {
    return this.#inspections;
  }

  tick(): void {
    for (const replica of this.#replicas.values()) replica.tick();
  }

  /** A message between replicas. One for another life of this node is counted and dropped. */
  onMessage(from: ReplicaId, routed: Routed): void {
    const { group, to, message } = routed;
    if (to !== this.#parts.self) {
      this.ports.telemetry.count('envelopes_refused', 1, { reason: 'another life' });
      return;
    }
    if (isBulk(message) && !this.ports.storage.health.takesEntries()) {
      this.ports.telemetry.count('envelopes_refused', 1, { reason: 'no room' });
      return;
    }
    const replica = this.get(group) ?? this.#join(group, message);
    if (replica === null) return;
    if (message.type === 'AppendEntries' && message.entries.length > 0 && replica.isBehind()) {
      this.ports.telemetry.count('envelopes_refused', 1, { reason: 'behind' });
      return;
    }
    // Somebody misses the leader: find out whether it is there, so as not to refuse the vote for long.
    if (message.type === 'PreVote') this.#parts.onDoubt(replica.leaderNode());
    if (message.type === 'ClosedRevision') replica.onClosedRevision(message);
    else if (isRaft(message)) replica.onMessage(from, message);
  }

  /** Whether this node votes in some group. */
  isVoter(): boolean {
    const { self } = this.#parts;
    return this.all().some(({ raft }) => raft.log.config.voters.includes(self));
  }

  /** Nodes that lead a group of this node's, this one excluded. */
  leaderNodes(): Set<NodeId> {
    const nodes = new Set<NodeId>();
    for (const replica of this.#replicas.values()) {
      const leader = replica.leaderNode();
      if (leader !== null && !replica.isLeader()) nodes.add(leader);
    }
    return nodes;
  }

  /** The bus says that nobody listens for the node: what it led needs other leaders. */
  nodeGone(node: NodeId): void {
    for (const replica of this.#replicas.values()) {
      const leader = replica.raft.leaderId;
      if (leader !== null && !replica.isLeader() && nodeOf(leader) === node) {
        replica.command({ type: 'LeaderGone', leader, order: replica.group });
      }
    }
  }

  onRequest(
    group: GroupId,
    request: MessageOf<'Request'>,
    bytes: number,
    reply: (body: ReplyBody) => void,
  ): void {
    const replica = this.get(group);
    if (replica === null) {
      const message = 'no replica of this group is here';
      return reply({
        type: 'Rejected',
        code: 'not_leader',
        definite: true,
        message,
        leader: null,
        hint: 0,
      });
    }
    replica.onRequest(request, bytes, reply);
  }

  /** A linearizable answer of this very moment; null where the request has to take its turn. */
  readNow(group: GroupId, ref: KeyRef, mayBlock: boolean): ReadAnswer | null {
    const replica = this.get(group);
    if (replica === null || this.#stopped) return null;
    this.pace.request();
    try {
      return readNow(replica, replica.raft, ref, mayBlock);
    } catch (error) {
      this.onBroken(replica, error);
      return null;
    }
  }

  /** Brings the key's row into memory. False: it is, or is not to be had here; else `done` follows. */
  warm(group: GroupId, ref: KeyRef, done: () => void): boolean {
    const replica = this.get(group);
    if (replica === null || this.#stopped || !isSoleVoter(replica.raft)) return false;
    return replica.state.warm(currentKeyOf(replica.state, ref), done);
  }

  stop(): void {
    this.#stopped = true;
    this.pace.stop();
    for (const replica of this.#replicas.values()) replica.stop();
  }

  /**
   * A leader has put a replica of its group on this node: it begins empty, as a learner. This message
   * is dropped; the leader's next one finds it.
   */
  #join(group: GroupId, message: Message): null {
    const wanted = message.type === 'AppendEntries' || message.type === 'InstallSnapshot';
    const known = group >= META_GROUP && group <= this.formation.groupCount;
    if (!wanted || !known || this.#stopped || this.#joining.has(group)) return null;
    this.#joining.add(group);
    this.ports.telemetry.log('info', 'a replica joins', { group });
    this.#parts.born().then(
      () => {
        this.#joining.delete(group);
        if (this.#stopped || this.#replicas.has(group)) return;
        this.add(emptyReplica(this.ports, this.#parts.self, group, this.#parts.store));
      },
      (error: unknown) => this.ports.fatal('the identity could not be saved', error),
    );
    return null;
  }

  // ReplicaHost.

  post(group: GroupId, to: ReplicaId, lane: Lane, message: Message, bytes: number): void {
    this.#parts.post.post(nodeOf(to), lane, { group, to, message }, bytes);
    this.#parts.loop.mail();
  }

  clockTrusted(): boolean {
    return this.#parts.clockTrusted();
  }

  reach(): GroupReach | null {
    return this.#parts.reach();
  }

  hear(replica: Replica): void {
    this.#parts.loop.hear(replica);
  }

  onLeader(group: GroupId, leader: NodeId): void {
    this.#parts.onLeader(group, leader);
  }

  wake(replica: Replica): void {
    this.#parts.loop.wake(replica);
  }

  /** Memory cannot be trusted any more: the process ends, and a restart replays the WAL. */
  onBroken(replica: Replica, error: unknown): void {
    this.#parts.loop.remove(replica);
    this.ports.telemetry.log('error', 'a replica broke an invariant', {
      group: replica.group,
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
    this.ports.fatal(`the replica of group ${replica.group} broke an invariant`, error);
  }
}

function isRaft(message: Message): message is RaftMessage {
  return Object.hasOwn(raftMessages, message.type);
}

/** What a replica would have to write down at length. */
function isBulk(message: Message): boolean {
  if (message.type === 'InstallSnapshot') return true;
  return message.type === 'AppendEntries' && message.entries.length > 0;
}
