import { assert } from '../../protocol/assert.ts';
import { type EntryKind, entryPayload, type LogEntry } from '../../protocol/entry.ts';
import { decodeConfig, type GroupConfig } from '../../protocol/membership.ts';
import { Slab } from '../../protocol/slab.ts';
import type { Revision } from '../../protocol/types.ts';

/** A point of the log that the engine or a snapshot stands for: everything up to it is committed. */
export interface LogPoint {
  readonly index: number;
  readonly term: number;
  readonly config: GroupConfig;
  /** Highest clockBound of the entries up to `index`. */
  readonly clockBound: Revision;
}

export const EMPTY_CONFIG: GroupConfig = { voters: [], votersOld: null, learners: [] };

/** What a decider may ask of the log. */
export interface RaftLogView {
  /** The last compacted entry (0 when nothing was); its term and what was in force there. */
  readonly baseIndex: number;
  readonly baseTerm: number;
  readonly lastIndex: number;
  readonly lastTerm: number;
  /** Highest clockBound of the whole log, compacted part included. */
  readonly clockBound: Revision;
  /** Bytes of the entries held. */
  readonly bytes: number;
  /** The latest configuration, committed or not: it is in force as soon as it is in the log (§6). */
  readonly config: GroupConfig;
  /** Index of the entry that holds `config`, or baseIndex. */
  readonly configIndex: number;
  /** Where entries that this log is to keep have their bytes: they go about when they came. */
  readonly slab: Slab;
  /** Term of the entry at `index`, or undefined when it is outside [baseIndex, lastIndex]. */
  termAt(index: number): number | undefined;
  entryAt(index: number): LogEntry | undefined;
  /** Entries from `first` on: at most countMax, and at most bytesMax but always one. O(result). */
  entriesFrom(first: number, countMax: number, bytesMax: number): LogEntry[];
  /** Bytes of the entries after `index`. O(1). */
  bytesAfter(index: number): number;
  /** What is true at `index`, which must be in [baseIndex, lastIndex]. */
  pointAt(index: number): LogPoint;
  /** First index held of the term at `index` (§5.3 back-up). O(log n). */
  firstIndexOfTermAt(index: number): number;
  /** Highest index at or below `index` with this term, or 0 (§5.3 back-up). O(log n). */
  lastIndexOfTerm(term: number, index: number): number;
}

/**
 * The entries after a base, in memory. Pushes in place; only evolve() calls its mutators. Three
 * arrays run in step so that truncation never recomputes: entry i stands for baseIndex + 1 + i.
 */
export class RaftLog implements RaftLogView {
  readonly slab = new Slab();
  #base: LogPoint = { index: 0, term: 0, config: EMPTY_CONFIG, clockBound: 0 };
  #baseEnd = 0;
  /**
   * The entries, without an object for each: some hundred thousand are held between two checkpoints, and the
   * collector would look at every one of them, and at its buffer, again and again.
   */
  readonly #terms: number[] = [];
  readonly #kinds: EntryKind[] = [];
  readonly #ownBounds: Revision[] = [];
  readonly #buffers: ArrayBufferLike[] = [];
  readonly #offsets: number[] = [];
  /** Bytes ever appended up to and with the entry; only differences mean something. */
  readonly #ends: number[] = [];
  readonly #clockBounds: number[] = [];
  /** Configurations after the base, in log order. */
  readonly #configs: { readonly index: number; readonly config: GroupConfig }[] = [];

  get baseIndex(): number {
    return this.#base.index;
  }

  get baseTerm(): number {
    return this.#base.term;
  }

  get lastIndex(): number {
    return this.#base.index + this.#terms.length;
  }

  get lastTerm(): number {
    return this.#terms[this.#terms.length - 1] ?? this.#base.term;
  }

  get clockBound(): Revision {
    return this.#clockBounds[this.#clockBounds.length - 1] ?? this.#base.clockBound;
  }

  get bytes(): number {
    return this.#endAt(this.lastIndex) - this.#baseEnd;
  }

  get config(): GroupConfig {
    return this.#configs[this.#configs.length - 1]?.config ?? this.#base.config;
  }

  get configIndex(): number {
    return this.#configs[this.#configs.length - 1]?.index ?? this.#base.index;
  }

  termAt(index: number): number | undefined {
    if (index === this.#base.index) return this.#base.term;
    return this.#terms[index - this.#base.index - 1];
  }

  entryAt(index: number): LogEntry | undefined {
    const at = index - this.#base.index - 1;
    const term = this.#terms[at];
    if (term === undefined) return undefined;
    const end = this.#ends[at] as number;
    const length = end - (at === 0 ? this.#baseEnd : (this.#ends[at - 1] as number));
    const bytes = Buffer.from(this.#buffers[at] as ArrayBuffer, this.#offsets[at], length);
    const kind = this.#kinds[at] as EntryKind;
    return { index, term, kind, clockBound: this.#ownBounds[at] as Revision, bytes };
  }

  entriesFrom(first: number, countMax: number, bytesMax: number): LogEntry[] {
    assert(first > this.#base.index, 'the entry has left the log');
    const entries: LogEntry[] = [];
    let bytes = 0;
    for (let index = first; index <= this.lastIndex && entries.length < countMax; index++) {
      const entry = this.entryAt(index) as LogEntry;
      bytes += entry.bytes.length;
      if (bytes > bytesMax && entries.length > 0) break;
      entries.push(entry);
    }
    return entries;
  }

  bytesAfter(index: number): number {
    return this.#endAt(this.lastIndex) - this.#endAt(index);
  }

  pointAt(index: number): LogPoint {
    if (index === this.#base.index) return this.#base;
    const at = index - this.#base.index - 1;
    const term = this.#terms[at];
    const clockBound = this.#clockBounds[at];
    assert(term !== undefined && clockBound !== undefined, 'the point is outside the log');
    return { index, term, config: this.#configAt(index), clockBound };
  }

  firstIndexOfTermAt(index: number): number {
    const term = this.termAt(index);
    assert(term !== undefined, 'the index is outside the log');
    return this.#base.index + 1 + this.#countBelow(term);
  }

  lastIndexOfTerm(term: number, index: number): number {
    const found = Math.min(this.#base.index + this.#countBelow(term + 1), index);
    return this.termAt(found) === term ? found : 0;
  }

  /**
   * Follows prevLogIndex with these entries (§5.3, receiver rules 3 and 4). An entry that is
   * already there stays, so that a repeated or older record never shortens the log.
   */
  replaceAfter(prevLogIndex: number, entries: readonly LogEntry[]): void {
    assert(prevLogIndex >= this.#base.index, 'entries would follow a compacted one');
    assert(prevLogIndex <= this.lastIndex, 'entries would leave a gap');
    let next = prevLogIndex + 1;
    for (const entry of entries) {
      assert(entry.index === next, 'entries are not consecutive');
      next++;
      const term = this.termAt(entry.index);
      if (term === entry.term) continue;
      if (term !== undefined) this.#truncateAfter(entry.index - 1);
      this.#push(entry);
    }
  }

  /** Everything up to the point leaves the log; a suffix that matches the point stays. */
  restart(point: LogPoint): void {
    if (this.termAt(point.index) !== point.term) {
      this.#cut(0);
      this.#configs.length = 0;
      this.#base = point;
      return;
    }
    const drop = point.index - this.#base.index;
    this.#baseEnd = this.#endAt(point.index);
    for (const column of this.#columns()) column.splice(0, drop);
    let configs = 0;
    while ((this.#configs[configs]?.index ?? Number.POSITIVE_INFINITY) <= point.index) configs++;
    this.#configs.splice(0, configs);
    this.#base = point;
  }

  #push(entry: LogEntry): void {
    if (entry.kind === 'config') {
      this.#configs.push({ index: entry.index, config: decodeConfig(entryPayload(entry)) });
    }
    this.#ends.push(this.#endAt(this.lastIndex) + entry.bytes.length);
    this.#clockBounds.push(Math.max(this.clockBound, entry.clockBound));
    this.#terms.push(entry.term);
    this.#kinds.push(entry.kind);
    this.#ownBounds.push(entry.clockBound);
    this.#buffers.push(entry.bytes.buffer);
    this.#offsets.push(entry.bytes.byteOffset);
  }

  /** All that have one item for each entry. */
  #columns(): unknown[][] {
    return [
      this.#terms,
      this.#kinds,
      this.#ownBounds,
      this.#clockBounds,
      this.#buffers,
      this.#offsets,
      this.#ends,
    ];
  }

  #cut(count: number): void {
    for (const column of this.#columns()) column.length = count;
  }

  #truncateAfter(index: number): void {
    const keep = index - this.#base.index;
    this.#cut(keep);
    while (this.#configs.length > 0 && this.configIndex > index) this.#configs.pop();
  }

  #endAt(index: number): number {
    return this.#ends[index - this.#base.index - 1] ?? this.#baseEnd;
  }

  #configAt(index: number): GroupConfig {
    for (let i = this.#configs.length - 1; i >= 0; i--) {
      const held = this.#configs[i]!;
      if (held.index <= index) return held.config;
    }
    return this.#base.config;
  }

  /** Entries held with a term below `term`. Terms never fall along a log, so this is a bisection. */
  #countBelow(term: number): number {
    let low = 0;
    let high = this.#terms.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#terms[middle] as number) < term) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
