import { decide, isTickDue } from '../../actors/raft/decide.ts';
import type { DurableRaftEvent, RaftCommand } from '../../actors/raft/events.ts';
import { evolve } from '../../actors/raft/evolve.ts';
import { EMPTY_CONFIG, type LogPoint } from '../../actors/raft/log.ts';
import { birthOf, recoverState } from '../../actors/raft/recover.ts';
import { createRaftState, type RaftState } from '../../actors/raft/state.ts';
import { decodeEvent, encodeEvent } from '../../actors/raft/wal-codec.ts';
import { assert } from '../../protocol/assert.ts';
import { packBytes, unpackBytes } from '../../protocol/codec.ts';
import { entryPayload, type LogEntry } from '../../protocol/entry.ts';
import type { GroupConfig } from '../../protocol/membership.ts';
import {
  type RaftMessage,
  raftMessageCodec,
  type SnapshotMeta,
} from '../../protocol/messages/raft.ts';
import type { ReplicaId } from '../../protocol/types.ts';
import { type RaftRequest, RecordedOutbox } from './recorded-outbox.ts';

/**
 * Several cores with the simplest host that keeps the order of effects: a WAL that may lose what was
 * not synced, an engine that may lose what was not flushed, snapshots, and a network that is a list.
 * Who uses it decides what is delivered, lost or repeated, and when.
 */

export interface Packet {
  readonly from: ReplicaId;
  readonly to: ReplicaId;
  readonly message: RaftMessage;
}

/** The state machine: the applied commands in order. */
interface Engine {
  point: LogPoint;
  readonly applied: string[];
}

/** A snapshot on its way in. */
interface Partial {
  readonly id: string;
  readonly bytes: Uint8Array[];
  size: number;
}

export interface ClusterHooks {
  onApplied(replica: Replica, entry: LogEntry): void;
  onEvents(replica: Replica): void;
  onRequest(replica: Replica, request: RaftRequest): void;
  /** Faults aimed at this very turn, whose events are in the replica's outbox. */
  crashIn(replica: Replica): CrashPoint;
}

const BOUNDS = { bytesMax: 2 ** 20, itemsMax: 10_000, depthMax: 16 };
const NOTHING_APPLIED: LogPoint = { index: 0, term: 0, config: EMPTY_CONFIG, clockBound: 0 };

/** Where a turn may be cut short by a crash. */
export type CrashPoint = 'beforeSync' | 'afterSync' | 'none';

export class Replica {
  readonly self: ReplicaId;
  readonly cluster: Cluster;
  state: RaftState;
  out: RecordedOutbox;
  up = true;
  /** WAL records that survive a crash, and those that may not. */
  readonly synced: Uint8Array[] = [];
  unsynced: Uint8Array[] = [];
  /** What a fold of `synced` gives, kept up to date: the durable truth. */
  shadow: RaftState;
  engine: Engine = { point: NOTHING_APPLIED, applied: [] };
  flushed: Engine = { point: NOTHING_APPLIED, applied: [] };
  inbox: RaftCommand[] = [];
  sealed: { meta: SnapshotMeta; bytes: Buffer } | null = null;
  partial: Partial | null = null;
  chunkBytes = 256;
  lives = 0;

  constructor(cluster: Cluster, self: ReplicaId, founders: GroupConfig | null) {
    this.cluster = cluster;
    this.self = self;
    this.shadow = createRaftState({ self, seed: 1 });
    const birth = birthOf(founders);
    this.synced.push(encodeEvent(birth));
    evolve(this.shadow, birth);
    this.state = this.#recover();
    this.out = new RecordedOutbox(this.state);
  }

  /** One turn over these commands, in the order of ARCHITECTURE section 5. */
  turn(commands: readonly RaftCommand[], crash: CrashPoint = 'none'): void {
    if (!this.up) return;
    const batch = this.inbox.concat(commands);
    this.inbox = [];
    const { out } = this;
    out.clear();
    for (const command of batch) this.#decide(command);
    this.cluster.hooks.onEvents(this);
    const cut = crash === 'none' ? this.cluster.hooks.crashIn(this) : crash;
    for (const event of out.durable) this.unsynced.push(encodeEvent(event));
    for (const { to, message } of out.beforeSync) this.cluster.send(this.self, to, message);
    if (cut === 'beforeSync') return this.crash();
    this.#sync();
    if (cut === 'afterSync') return this.crash();
    for (const { to, message } of out.afterSync) this.cluster.send(this.self, to, message);
    for (const request of out.requests) this.#serve(request);
    this.#apply();
    const { lastIndex: index, lastTerm: term } = this.state.log;
    if (index > this.state.syncedIndex) this.inbox.push({ type: 'LogSynced', index, term });
  }

  /** A host leaves out ticks that are not due, so such a tick must change nothing, in any state. */
  #decide(command: RaftCommand): void {
    const { out, state } = this;
    const { nowMs } = this.cluster;
    const isIdle = command.type === 'Tick' && !isTickDue(state, nowMs);
    const before = out.counts();
    decide(state, command, nowMs, out);
    // A leader without peers only notes when it would have to be heard again.
    const noted = state.leader?.peers.size === 0 ? 1 : 0;
    assert(!isIdle || out.counts() - before <= noted, 'a tick that was not due did something');
  }

  /** Loses memory, what was not synced from `keep` on, and the engine's unflushed part. */
  crash(keep = 0): void {
    this.up = false;
    for (const record of this.unsynced.splice(0, keep)) this.#keep(record);
    this.unsynced = [];
    this.inbox = [];
    this.sealed = null;
    this.engine = { point: this.flushed.point, applied: this.flushed.applied.slice() };
  }

  start(): void {
    this.up = true;
    this.lives++;
    this.state = this.#recover();
    this.out = new RecordedOutbox(this.state);
  }

  flush(): void {
    this.flushed = { point: this.engine.point, applied: this.engine.applied.slice() };
    const { index } = this.engine.point;
    this.inbox.push({ type: 'Applied', appliedIndex: index, flushedIndex: index });
  }

  /** Compacts regardless of bytes, as a log of large entries would be: `retain` entries stay. */
  compact(retain: number): void {
    const { log, flushedIndex } = this.state;
    const index = Math.min(flushedIndex, log.lastIndex - retain);
    if (index <= log.baseIndex || this.state.leader?.snapshotRequested === true) return;
    const { term: baseTerm, config: baseConfig, clockBound } = log.pointAt(index);
    this.out.clear();
    this.out.emit({ type: 'LogCompacted', baseIndex: index, baseTerm, baseConfig, clockBound });
    for (const event of this.out.durable) this.unsynced.push(encodeEvent(event));
    this.#sync();
  }

  #recover(): RaftState {
    const events: DurableRaftEvent[] = this.synced.map((record) => decodeEvent(record));
    const seed = this.cluster.drawSeed();
    const { state, repair } = recoverState({ self: this.self, seed }, events, this.engine.point);
    for (const event of repair) this.#keep(encodeEvent(event));
    return state;
  }

  #keep(record: Uint8Array): void {
    this.synced.push(record);
    evolve(this.shadow, decodeEvent(record));
  }

  #sync(): void {
    for (const record of this.unsynced) this.#keep(record);
    this.unsynced = [];
  }

  #apply(): void {
    const { log, commitIndex } = this.state;
    if (this.state.receiving?.step === 'installing') return;
    let { index } = this.engine.point;
    while (index < commitIndex) {
      index++;
      const entry = log.entryAt(index);
      if (entry === undefined) throw new Error(`entry ${index} left the log before it was applied`);
      this.engine.applied.push(
        `${index}.${entry.term}:${Buffer.from(entryPayload(entry)).toString('hex')}`,
      );
      this.engine.point = log.pointAt(index);
      this.cluster.hooks.onApplied(this, entry);
    }
    if (index > this.state.appliedIndex) {
      const flushedIndex = this.flushed.point.index;
      this.inbox.push({ type: 'Applied', appliedIndex: index, flushedIndex });
    }
  }

  #serve(request: RaftRequest): void {
    switch (request.type) {
      case 'requestSnapshot':
        return this.#seal();
      case 'sendChunk': {
        const { to, chunk } = request;
        const { meta, offset, term, nonce } = chunk;
        if (this.sealed === null || this.sealed.meta.snapshotId !== meta.snapshotId) {
          this.inbox.push({ type: 'SnapshotFailed', snapshotId: meta.snapshotId });
          return;
        }
        const data = this.sealed.bytes.subarray(offset, offset + this.chunkBytes);
        this.cluster.send(this.self, to, {
          type: 'InstallSnapshot',
          term,
          meta,
          offset,
          data,
          nonce,
        });
        return;
      }
      case 'storeChunk':
        return this.#store(request.meta, request.offset, request.data);
      case 'installSnapshot':
        return this.#install(request.meta);
      default:
        this.cluster.hooks.onRequest(this, request);
    }
  }

  #seal(): void {
    const { point, applied } = this.engine;
    const bytes = Buffer.from(JSON.stringify(applied));
    const meta: SnapshotMeta = {
      snapshotId: `${this.self}/${this.lives}/${point.index}`,
      lastIncludedIndex: point.index,
      lastIncludedTerm: point.term,
      config: point.config,
      clockBound: point.clockBound,
      totalBytes: bytes.length,
    };
    this.sealed = { meta, bytes };
    this.inbox.push({ type: 'SnapshotReady', meta });
  }

  #store({ snapshotId }: SnapshotMeta, offset: number, data: Uint8Array): void {
    const held = this.partial?.id === snapshotId ? this.partial : null;
    const partial: Partial = held ?? { id: snapshotId, bytes: [], size: 0 };
    this.partial = partial;
    if (offset === partial.size) {
      partial.bytes.push(Buffer.from(data));
      partial.size += data.length;
    }
    this.inbox.push({ type: 'ChunkStored', snapshotId, nextOffset: partial.size });
  }

  #install(meta: SnapshotMeta): void {
    const pieces: Uint8Array[] = this.partial === null ? [] : this.partial.bytes;
    const text = Buffer.concat(pieces).toString();
    this.partial = null;
    const { lastIncludedIndex: index, lastIncludedTerm: term, config, clockBound } = meta;
    this.engine = { point: { index, term, config, clockBound }, applied: JSON.parse(text) };
    this.flushed = { point: this.engine.point, applied: this.engine.applied.slice() };
    this.inbox.push({ type: 'SnapshotInstalled', meta });
  }
}

export class Cluster {
  nowMs = 1000;
  readonly replicas = new Map<ReplicaId, Replica>();
  network: Packet[] = [];
  hooks: ClusterHooks = {
    onApplied() {},
    onEvents() {},
    onRequest() {},
    crashIn: () => 'none',
  };
  readonly drawSeed: () => number;

  constructor(drawSeed: () => number) {
    this.drawSeed = drawSeed;
  }

  /** A founding member, or (null) an empty replica that waits to be added. */
  add(self: ReplicaId, founders: GroupConfig | null): Replica {
    const replica = new Replica(this, self, founders);
    this.replicas.set(self, replica);
    return replica;
  }

  at(self: ReplicaId): Replica {
    const replica = this.replicas.get(self);
    if (replica === undefined) throw new Error(`there is no replica ${self}`);
    return replica;
  }

  /** Encodes and decodes, as the bus would. */
  send(from: ReplicaId, to: ReplicaId, message: RaftMessage): void {
    const bytes = packBytes(raftMessageCodec.pack(message));
    this.network.push({ from, to, message: raftMessageCodec.unpack(unpackBytes(bytes, BOUNDS)) });
  }

  deliver({ from, to, message }: Packet, crash: CrashPoint = 'none'): void {
    this.replicas.get(to)?.turn([{ type: 'Message', from, message }], crash);
  }

  /** The leader with the highest term among those that are up. */
  leader(): Replica | null {
    let found: Replica | null = null;
    for (const replica of this.replicas.values()) {
      if (!replica.up || replica.state.role !== 'leader') continue;
      if (found === null || replica.state.currentTerm > found.state.currentTerm) found = replica;
    }
    return found;
  }
}
