import { assert } from '../../protocol/assert.ts';
import { DecodeError } from '../../protocol/codec.ts';
import { weighRecord } from '../../protocol/objects.ts';
import { amountsOf } from '../../protocol/quotas.ts';
import { USAGE_FIELDS, type Usage } from '../../protocol/usage.ts';
import { KV_SPACE } from '../../protocol/vshard.ts';
import { BODY_OFFSET, PREFIX_LENGTH } from '../../storage/kv/keyspace.ts';
import { partOfKey } from '../../storage/kv/object-keys.ts';
import { decodeCounts, encodeCounts, valueOffset } from '../../storage/kv/rows.ts';
import {
  decodeWholeUsage,
  encodeWholeUsage,
  usageKey,
  usageOfCounts,
  WHOLE_GROUP,
} from '../../storage/kv/usage-rows.ts';
import type { StateStore } from '../../storage/ports.ts';
import { decodeRow, partRowCodec } from './object-codec.ts';
import type { QuotaTable } from './quota-table.ts';

/**
 * What is stored under each name (ADR 0042).
 *
 *   Q1  What a row weighs is a function of its key and its bytes, and a usage row is the sum over the rows of its scope.
 *   Q2  Rows that weigh something are changed in one place, GroupState.stageRow, which takes off what the old one
 *       weighed and adds what the new one does: no command can forget it.
 *   Q3  Usage rows reach the store in the batch of the change, like the applied row (G1). So they are what a scan of the
 *       same replica finds, at every applied index, and after a crash or a snapshot.
 */

/** Raised when rows weigh something else: states that were counted otherwise are counted anew when they are opened. */
export const USAGE_FORMAT = 1;

const CURRENT = 'c'.charCodeAt(0);
const VERSION = 'n'.charCodeAt(0);
const UPLOAD = 'w'.charCodeAt(0);
const PART = 'q'.charCodeAt(0);
const KEYS_SUFFIX = `\x00${KV_SPACE}`;

/** Counts in the order of USAGE_FIELDS. */
export type Tally = Float64Array;

const at = (field: keyof Usage): number => USAGE_FIELDS.indexOf(field);
const [KEYS, KEY_BYTES] = [at('keys'), at('keyBytes')];
const [OBJECTS, OBJECT_BYTES] = [at('objects'), at('objectBytes')];
const [VERSIONS, VERSION_BYTES, MARKERS] = [at('versions'), at('versionBytes'), at('markers')];
const [UPLOADS, PARTS, PART_BYTES] = [at('uploads'), at('parts'), at('partBytes')];

export function usageOf(tally: Readonly<Tally>): Usage {
  return usageOfCounts(tally);
}

export function newTally(): Tally {
  return new Float64Array(USAGE_FIELDS.length);
}

/** Whether rows of this key's kind weigh anything. */
export function isWeighed(key: string): boolean {
  const kind = key.charCodeAt(PREFIX_LENGTH);
  return kind === CURRENT || kind === VERSION || kind === UPLOAD || kind === PART;
}

/** Tenant, NUL and space of a row that weighs something. */
export function scopeOfRow(key: string): string {
  return key.slice(BODY_OFFSET, key.indexOf('\x00', key.indexOf('\x00', BODY_OFFSET) + 1));
}

function isOfScope(key: string, scope: string): boolean {
  return key.startsWith(scope, BODY_OFFSET) && key.charCodeAt(BODY_OFFSET + scope.length) === 0;
}

/** Adds what a row weighs to `tally`, `times` 1, or takes it off, -1. Throws DecodeError. */
export function weigh(
  tally: Tally,
  scope: string,
  key: string,
  row: Uint8Array,
  times: 1 | -1,
): void {
  switch (key.charCodeAt(PREFIX_LENGTH)) {
    case CURRENT:
      return weighCurrent(tally, scope, key, row, times);
    case VERSION: {
      const { isMarker, size } = weighRecord(row.subarray(valueOffset(row)));
      add(tally, isMarker ? MARKERS : VERSIONS, times);
      return add(tally, VERSION_BYTES, times * size);
    }
    case UPLOAD:
      return add(tally, UPLOADS, times);
    case PART:
      // Number 0 says which parts there are.
      if (partOfKey(key) === 0) return;
      add(tally, PARTS, times);
      return add(tally, PART_BYTES, times * decodeRow(partRowCodec, row).piece.size);
    default:
      assert(false, 'a row of this kind weighs nothing');
  }
}

function weighCurrent(
  tally: Tally,
  scope: string,
  key: string,
  row: Uint8Array,
  times: number,
): void {
  const valueAt = valueOffset(row);
  const size = scope.endsWith(KEYS_SUFFIX) ? null : sizeOfObject(row.subarray(valueAt));
  if (size !== null) {
    add(tally, OBJECTS, times);
    return add(tally, OBJECT_BYTES, times * size);
  }
  const nameBytes = key.length - BODY_OFFSET - scope.length - 1;
  add(tally, KEYS, times);
  add(tally, KEY_BYTES, times * (nameBytes + row.length - valueAt));
}

/** Null for what is no object: a key of a space that is no bucket. */
function sizeOfObject(value: Uint8Array): number | null {
  try {
    return weighRecord(value).size;
  } catch (error) {
    if (error instanceof DecodeError) return null;
    throw error;
  }
}

function add(tally: Tally, field: number, count: number): void {
  tally[field] = (tally[field] as number) + count;
}

/** Scopes whose counts are kept in memory from one batch to the next. */
const SCOPES_KEPT = 4_096;

/** The usage rows of one group, as the open batch has left them. Their one owner is its GroupState. */
export class UsageTable {
  readonly #store: StateStore;
  readonly #prefix: string;
  readonly #tallies = new Map<string, Tally>();
  readonly #changed = new Set<string>();
  /** Of the row that was changed last: the next one is likely to be of it too. */
  #scope = WHOLE_GROUP;
  /** Reused. */
  readonly #change = newTally();
  /** Local, not replicated: rises with each change. */
  changes = 0;

  readonly #quotas: QuotaTable;

  constructor(store: StateStore, prefix: string, quotas: QuotaTable) {
    this.#quotas = quotas;
    this.#store = store;
    this.#prefix = prefix;
  }

  /** Of the whole group, the open batch included. Not to be written. */
  get whole(): Readonly<Tally> {
    return this.of(WHOLE_GROUP);
  }

  /** Of one scope, likewise. */
  of(scope: string): Tally {
    const known = this.#tallies.get(scope);
    if (known !== undefined) return known;
    const row = this.#store.get(usageKey(this.#prefix, scope));
    const tally = row === null ? newTally() : tallyOf(scope, row);
    this.#tallies.set(scope, tally);
    return tally;
  }

  /** A row that weighs something is replaced; null: there was none, or will be none. */
  change(key: string, before: Uint8Array | null, after: Uint8Array | null): void {
    if (!isOfScope(key, this.#scope)) this.#scope = scopeOfRow(key);
    const scope = this.#scope;
    const change = this.#change.fill(0);
    if (before !== null) weigh(change, scope, key, before, -1);
    if (after !== null) weigh(change, scope, key, after, 1);
    if (isEmpty(change)) return;
    this.changes++;
    this.#add(scope, change);
    this.#add(WHOLE_GROUP, change);
    if (this.#quotas.size > 0) this.#quotas.changed(scope, key, amountsOf(usageOf(change)));
  }

  #add(scope: string, change: Tally): void {
    const tally = this.of(scope);
    for (let i = 0; i < change.length; i++) add(tally, i, change[i] as number);
    this.#changed.add(scope);
  }

  /** Whether the rows were counted at this applied index, as they are counted now. Throws DecodeError. */
  isCountedAt(appliedIndex: number): boolean {
    return isCountedAt(this.#store.get(usageKey(this.#prefix, WHOLE_GROUP)), appliedIndex);
  }

  /** Hands over the rows that a batch up to this entry has changed; null: nothing is left there. */
  flush(appliedIndex: number, stage: (key: string, row: Uint8Array | null) => void): void {
    const counts = Array.from(this.whole);
    const whole = encodeWholeUsage({ counts, format: USAGE_FORMAT, appliedIndex });
    stage(usageKey(this.#prefix, WHOLE_GROUP), whole);
    for (const scope of this.#changed) {
      if (scope === WHOLE_GROUP) continue;
      const tally = this.of(scope);
      stage(usageKey(this.#prefix, scope), isEmpty(tally) ? null : encodeCounts(tally));
    }
    this.#changed.clear();
    if (this.#tallies.size > SCOPES_KEPT) this.#tallies.clear();
  }
}

function tallyOf(scope: string, row: Uint8Array): Tally {
  const isWhole = scope === WHOLE_GROUP;
  const counts = isWhole ? decodeWholeUsage(row).counts : decodeCounts(row, USAGE_FIELDS.length);
  return Float64Array.from(counts);
}

/** Whether a row of the whole group, null where there is none, was counted as of this applied index. Throws DecodeError. */
export function isCountedAt(row: Uint8Array | null, appliedIndex: number): boolean {
  if (row === null) return false;
  const whole = decodeWholeUsage(row);
  return whole.format === USAGE_FORMAT && whole.appliedIndex === appliedIndex;
}

export function isEmpty(tally: Readonly<Tally>): boolean {
  for (let i = 0; i < tally.length; i++) if (tally[i] !== 0) return false;
  return true;
}
