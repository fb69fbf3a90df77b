import { assert } from '../../protocol/assert.ts';
import { decodeConfig, encodeConfig, type GroupConfig } from '../../protocol/membership.ts';
import { Slab } from '../../protocol/slab.ts';
import type { GroupId, Revision, VshardId } from '../../protocol/types.ts';
import { VSHARD_COUNT } from '../../protocol/vshard.ts';
import {
  generationPrefix,
  metaKey,
  PREFIX_LENGTH,
  preparedKey,
} from '../../storage/kv/keyspace.ts';
import { decodeCounts, encodeCounts } from '../../storage/kv/rows.ts';
import type {
  EngineCursor,
  EngineRange,
  EngineWrite,
  StateStore,
  StateView,
} from '../../storage/ports.ts';
import { readPointer } from './generation-pointer.ts';
import {
  decodeIndexes,
  encodeIndexes,
  type GroupIndex,
  type GroupIndexes,
  groupIndexes,
  NO_INDEXES,
} from './index-codec.ts';
import { OutboxMark } from './outbox-mark.ts';
import { QuotaTable } from './quota-table.ts';
import { RowCache } from './row-cache.ts';
import { RowGaps } from './row-gaps.ts';
import { RowWarmer } from './row-warmer.ts';
import { TxnTable } from './txn-table.ts';
import { isWeighed, UsageTable } from './usage.ts';

/** Of each generation of the cache of current rows: some ten thousand keys per group. */
const CACHE_BYTES_MAX = 4 * 1024 * 1024;
/** So many rows that were in memory when they were asked for end the reading ahead. */
const WARM_ROWS = 1_000;
/** About 300 bytes each. */
const GAPS_MAX = 16_384;
const CURRENT_KIND = 'c'.charCodeAt(0);

/**
 * The applied state of one group, in one generation of its rows. The counters are cached here and
 * written to the group's meta row in the same batch as the data they count (FAULTS B17):
 *
 *   G1  the meta row and the rows of an entry reach the store in one write;
 *   G2  every current row's revision is at or below `clock`, and `floor` never passes `clock`;
 *   G3  a superseded version is in history under its own revision, a removal as a tombstone under
 *       the removal's, and the feed row that superseded it names it as prevRevision.
 *
 * One owner writes: the apply functions. After a throw the state is unusable and must be reopened.
 */
export class GroupState {
  readonly store: StateStore;
  readonly group: GroupId;
  readonly generation: number;
  /** Row-key prefix of this group and generation. */
  readonly prefix: string;
  /** Index and term of the last applied entry; 0 before the first. */
  appliedIndex = 0;
  appliedTerm = 0;
  /** Highest revision of any applied command. */
  clock: Revision = 0;
  /** Highest clockBound of any applied entry: what a snapshot of this state must promise. */
  clockBound: Revision = 0;
  /** Oldest readable revision; the feed can be resumed after positions at or above it. */
  floor: Revision = 0;
  /** Change events so far: the last event's sequence. */
  sequence = 0;
  /** Current rows, including those that have expired and were not removed yet. */
  keyCount = 0;
  /** Shard-map epoch of the last `own`. */
  epoch = 0;
  /** The last configuration entry that was applied. */
  config: GroupConfig | null = null;
  /**
   * Per vshard the epoch since which this group owns it without a break, plus 1; 0 is not owned.
   * Replaced, never written in place: views share it.
   */
  ownedSince: Readonly<Float64Array> = new Float64Array(VSHARD_COUNT);
  /** Secondary indexes it keeps. Replaced, never written in place: views share it. */
  indexes: GroupIndexes = NO_INDEXES;
  /** Local, not replicated: feed rows below this revision are already gone (see gc.ts). */
  collectedTo: Revision = 0;

  /** Transactions over several groups that are prepared here, and their locks. */
  readonly txns = new TxnTable();
  /** Local, not replicated: whether there may be reservations to be ended (see txn/releases.ts). */
  mayOwe = true;
  /** Local, not replicated: no expiry row comes due before this (Unix ms); 0 when that is not known. */
  expiryFromMs = 0;

  /**
   * Where its versions have their bytes. A group's rows stay in its cache for about as many of its own
   * writes; beside another group's they would keep that one's in memory.
   */
  readonly slab = new Slab();

  /** Local, not replicated. */
  readonly outbox = new OutboxMark();

  /** Local, not replicated: where listings found no row. */
  readonly gaps = new RowGaps(GAPS_MAX);

  /** Shares of quotas, likewise (S1 to S3). */
  readonly quotas: QuotaTable;

  /** What is stored, in the open batch too (Q1 to Q3). */
  readonly usage: UsageTable;

  #writes: EngineWrite[] = [];
  #stagedBytes = 0;
  #indexesChanged = false;
  /** Rows of this batch, current ones apart, that a later op of it may read; null is a deleted row. */
  readonly #staged = new Map<string, Uint8Array | null>();
  readonly #current = new RowCache(CACHE_BYTES_MAX);
  readonly #warmer: RowWarmer;
  /** Above 0 since apply had to wait for a row, for as many more: while it is, what is proposed is read ahead. */
  #coldRows = 0;

  private constructor(store: StateStore, group: GroupId, generation: number) {
    this.store = store;
    this.group = group;
    this.generation = generation;
    this.prefix = generationPrefix(group, generation);
    this.#warmer = new RowWarmer(store, this.#current);
    this.quotas = new QuotaTable(store, this.prefix);
    this.usage = new UsageTable(store, this.prefix, this.quotas);
  }

  /** Reads the group's meta rows; a group without any is empty. It has been counted (usage-count.ts). Throws DecodeError. */
  static open(store: StateStore, group: GroupId): GroupState {
    const state = new GroupState(store, group, readPointer(store, group).current);
    const applied = store.get(metaKey(state.prefix, 'applied'));
    if (applied !== null) loadApplied(state, applied);
    const owned = store.get(metaKey(state.prefix, 'owned'));
    if (owned !== null) state.ownedSince = Float64Array.from(decodeCounts(owned, VSHARD_COUNT));
    const config = store.get(metaKey(state.prefix, 'config'));
    if (config !== null) state.config = decodeConfig(config);
    const indexes = store.get(metaKey(state.prefix, 'indexes'));
    if (indexes !== null) state.indexes = decodeIndexes(indexes);
    const slots = store.get(metaKey(state.prefix, 'slots'));
    const slotCount = slots === null ? 0 : (decodeCounts(slots, 1)[0] as number);
    for (let i = 0; i < slotCount; i++) {
      state.txns.load(store.get(preparedKey(state.prefix, i)));
    }
    state.txns.decided(state.clock);
    return state;
  }

  /** Vshards owned now, ascending. */
  get owned(): VshardId[] {
    const out: VshardId[] = [];
    for (let v = 0; v < VSHARD_COUNT; v++) if (this.ownedSince[v] !== 0) out.push(v as VshardId);
    return out;
  }

  /** Owned, and without a break since the map of `epoch`. */
  isOwned(vshard: number, epoch: number): boolean {
    const since = this.ownedSince[vshard];
    return since !== undefined && since !== 0 && epoch >= since - 1;
  }

  /** A row as this batch has left it. For what stageRow wrote: others are never staged for reading. */
  row(key: string): Uint8Array | null {
    if (!isCurrent(key)) return this.#staged.get(key) ?? this.#unstaged(key);
    const known = this.#known(key);
    if (known !== undefined) {
      if (this.#coldRows > 0) this.#coldRows--;
      return known;
    }
    const row = this.store.get(key);
    this.#keep(key, row);
    this.#coldRows = WARM_ROWS;
    return row;
  }

  /** A current row that is not kept in memory: for work that passes by each row once. */
  glance(key: string): Uint8Array | null {
    const known = this.#current.get(key);
    return known === undefined ? this.store.get(key) : known;
  }

  /** Whether a current row can be had without the disk. */
  isWarm(key: string): boolean {
    return this.#known(key) !== undefined;
  }

  /**
   * Brings a current row into memory, off the main thread. False: it is there, or cannot be read ahead now;
   * otherwise `done` is called soon.
   */
  warm(key: string, done: (() => void) | null): boolean {
    if (this.isWarm(key)) return false;
    if (this.#coldRows > 0) this.#coldRows = WARM_ROWS;
    return this.#warmer.begin(key, done);
  }

  /** Whether reading ahead is worth its price: some row of late was not in memory. */
  get isCold(): boolean {
    return this.#coldRows > 0;
  }

  #known(key: string): Uint8Array | null | undefined {
    const cached = this.#current.get(key);
    if (cached !== undefined) return cached;
    const row = this.store.peek(key);
    if (row !== undefined) this.#keep(key, row);
    return row;
  }

  #keep(key: string, row: Uint8Array | null): void {
    this.#current.set(key, row);
    // Not inside a batch, whose own rows must be found; that ends with a trim.
    if (this.#writes.length === 0) this.#current.trim();
  }

  #unstaged(key: string): Uint8Array | null {
    return this.#staged.has(key) ? null : this.store.get(key);
  }

  /** Adds a row to the batch that a later op of it may read: kinds c, i, r, t, M, v, u, d and those of objects; null deletes. */
  stageRow(key: string, value: Uint8Array | null): void {
    if (isWeighed(key)) this.usage.change(key, this.row(key), value);
    if (isCurrent(key)) {
      this.#current.set(key, value);
      this.#warmer.written(key);
      this.gaps.written(key);
    } else this.#staged.set(key, value);
    this.#write(key, value);
  }

  /** Adds a row that nothing in this batch reads back, and that weighs nothing. */
  stage(key: string, value: Uint8Array | null): void {
    if (isWeighed(key)) assert(false, 'a row that is counted was staged without being counted');
    this.#write(key, value);
  }

  #write(key: string, value: Uint8Array | null): void {
    this.#writes.push({ key, value });
    if (value !== null) this.#stagedBytes += value.length;
  }

  /** Of the values in this batch so far. */
  get stagedBytes(): number {
    return this.#stagedBytes;
  }

  stageOwned(epoch: number, ownedSince: Float64Array): void {
    this.epoch = epoch;
    this.ownedSince = ownedSince;
    this.stage(metaKey(this.prefix, 'owned'), encodeCounts(ownedSince));
  }

  stageConfig(config: GroupConfig): void {
    this.config = config;
    this.stage(metaKey(this.prefix, 'config'), encodeConfig(config));
  }

  /** Their row is written once, with the batch. */
  replaceIndexes(indexes: GroupIndexes): void {
    this.indexes = indexes;
    this.#indexesChanged = true;
  }

  /** Replaces the index of the same id. */
  replaceIndex(index: GroupIndex): void {
    const { id } = index.definition;
    const list = this.indexes.list.map((one) => (one.definition.id === id ? index : one));
    this.replaceIndexes(groupIndexes(this.indexes.epoch, list));
  }

  /** Writes the batch with the meta row, as one (G1). Nothing of it was visible before. */
  commitBatch(): void {
    this.usage.flush(this.appliedIndex, (key, row) => this.stage(key, row));
    this.quotas.flush((key, row) => this.stage(key, row));
    this.stage(metaKey(this.prefix, 'applied'), encodeApplied(this));
    if (this.#indexesChanged) {
      this.#indexesChanged = false;
      this.stage(metaKey(this.prefix, 'indexes'), encodeIndexes(this.indexes));
    }
    const writes = this.#writes;
    this.#writes = [];
    this.#stagedBytes = 0;
    if (this.#staged.size > 0) this.#staged.clear();
    this.store.write(writes);
    this.#current.trim();
  }

  /** The state of this moment, for reads that wait. Must be closed. */
  view(): GroupView {
    assert(this.#writes.length === 0, 'a view was taken inside an apply batch');
    return new GroupView(this, this.store.view());
  }
}

function isCurrent(key: string): boolean {
  return key.charCodeAt(PREFIX_LENGTH) === CURRENT_KIND;
}

/** A frozen moment of one group: rows and the counters that belong to them. */
export class GroupView {
  readonly group: GroupId;
  readonly prefix: string;
  readonly appliedIndex: number;
  readonly appliedTerm: number;
  readonly clock: Revision;
  readonly clockBound: Revision;
  readonly floor: Revision;
  readonly epoch: number;
  readonly config: GroupConfig | null;
  readonly ownedSince: Readonly<Float64Array>;
  readonly indexes: GroupIndexes;
  /** Of the group as it is now, and how many writes of this view they count. */
  readonly gaps: RowGaps;
  readonly writes: number;
  readonly #rows: StateView;

  constructor(state: GroupState, rows: StateView) {
    this.group = state.group;
    this.prefix = state.prefix;
    this.appliedIndex = state.appliedIndex;
    this.appliedTerm = state.appliedTerm;
    this.clock = state.clock;
    this.clockBound = state.clockBound;
    this.floor = state.floor;
    this.epoch = state.epoch;
    this.config = state.config;
    this.ownedSince = state.ownedSince;
    this.indexes = state.indexes;
    this.gaps = state.gaps;
    this.writes = state.gaps.writes;
    this.#rows = rows;
  }

  get(key: string): Uint8Array | null {
    return this.#rows.get(key);
  }

  cursor(range: EngineRange): EngineCursor {
    return this.#rows.cursor(range);
  }

  close(): Promise<void> {
    return this.#rows.close();
  }
}

/** The applied row, which the state's hash begins with; loadApplied reads it. */
export function encodeApplied(state: GroupState): Uint8Array {
  return encodeCounts([
    state.appliedIndex,
    state.appliedTerm,
    state.clock,
    state.clockBound,
    state.floor,
    state.sequence,
    state.keyCount,
    state.epoch,
  ]);
}

function loadApplied(state: GroupState, row: Uint8Array): void {
  const fields = decodeCounts(row, 8) as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  [state.appliedIndex, state.appliedTerm, state.clock, state.clockBound] = fields;
  [, , , , state.floor, state.sequence, state.keyCount, state.epoch] = fields;
  assert(state.usage.isCountedAt(state.appliedIndex), 'the rows of this group were not counted');
}
