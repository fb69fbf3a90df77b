import { LIMITS } from '../../protocol/limits.ts';
import { type Compare, isKeyed, isObjectOp, type TxnBody, type TxnOp } from '../../protocol/txn.ts';
import { tripleOf } from '../../storage/kv/keyspace.ts';

/** Triples in [start, end). */
interface TripleRange {
  readonly start: string;
  readonly end: string;
  readonly exclusive: boolean;
}

/**
 * What a part of a transaction locks: exclusively what it may write, shared what it reads or compares. Each key is
 * there once.
 */
export interface Footprint {
  readonly writes: readonly string[];
  readonly reads: readonly string[];
  readonly ranges: readonly TripleRange[];
}

/** The name under which the rule of a bucket is locked: no object's key is empty. */
export function ruleTriple(tenant: string, bucket: string): string {
  return tripleOf({ tenant, space: bucket, key: '' });
}

/** Of both branches: which one is done is decided elsewhere. */
export function footprintOf(body: TxnBody): Footprint {
  const { compares, then, otherwise } = body;
  const writes: string[] = [];
  const reads: string[] = [];
  const ranges: TripleRange[] = [];
  noteBranch(then, writes, reads, ranges);
  if (otherwise !== null) noteBranch(otherwise, writes, reads, ranges);
  for (let i = 0; i < compares.length; i++) reads.push(tripleOf((compares[i] as Compare).ref));
  if (writes.length + reads.length > 1) return distinct(writes, reads, ranges);
  return { writes, reads, ranges };
}

function noteBranch(
  ops: readonly TxnOp[],
  writes: string[],
  reads: string[],
  ranges: TripleRange[],
): void {
  for (let i = 0; i < ops.length; i++) {
    const op = ops[i] as TxnOp;
    if (op.type === 'get' || op.type === 'expect') reads.push(tripleOf(op.ref));
    else if (isKeyed(op)) {
      writes.push(tripleOf(op.ref));
      if (isObjectOp(op)) reads.push(ruleTriple(op.ref.tenant, op.ref.space));
    } else ranges.push({ ...triplesOf(op), exclusive: op.type === 'deleteRange' });
  }
}

/** Up to here a list is looked through faster than a set is made. */
const FEW_KEYS = 8;

function distinct(writes: string[], reads: string[], ranges: TripleRange[]): Footprint {
  if (writes.length + reads.length > FEW_KEYS) {
    const written = new Set(writes);
    const read = new Set(reads);
    for (const triple of written) read.delete(triple);
    return { writes: [...written], reads: [...read], ranges };
  }
  return {
    writes: writes.filter((triple, at) => writes.indexOf(triple) === at),
    reads: reads.filter((triple, at) => !writes.includes(triple) && reads.indexOf(triple) === at),
    ranges,
  };
}

function triplesOf(op: Extract<TxnOp, { start: string }>): { start: string; end: string } {
  const head = `${op.tenant}\x00${op.space}`;
  return {
    start: `${head}\x00${op.start}`,
    end: op.end === null ? `${head}\x01` : `${head}\x00${op.end}`,
  };
}

interface KeyLock {
  readonly exclusive: boolean;
  holders: number;
}

/**
 * The locks of the prepared transactions of one group. A lock is granted or refused at once, so
 * nobody ever waits for somebody who waits. A part of the replicated state: rebuilt from its rows.
 */
export class LockTable {
  readonly #keys = new Map<string, KeyLock>();
  #ranges: TripleRange[] = [];

  get isEmpty(): boolean {
    return this.#keys.size === 0 && this.#ranges.length === 0;
  }

  /** Whether this key may be written: nobody reads or writes it. */
  isFree(triple: string): boolean {
    if (this.#keys.has(triple)) return false;
    for (const range of this.#ranges) if (covers(range, triple)) return false;
    return true;
  }

  /** Whether this key may be read: nobody has a write of it prepared. */
  isReadable(triple: string): boolean {
    if (this.#keys.get(triple)?.exclusive === true) return false;
    for (const range of this.#ranges) if (range.exclusive && covers(range, triple)) return false;
    return true;
  }

  admits({ writes, reads, ranges }: Footprint): boolean {
    if (this.isEmpty) return true;
    for (const triple of writes) if (!this.isFree(triple)) return false;
    for (const triple of reads) if (!this.isReadable(triple)) return false;
    return ranges.length === 0 || this.#admitsRanges(ranges);
  }

  /** Many ranges beside many locks: each lock looks for its place among the ranges. */
  #admitsRanges(ranges: readonly TripleRange[]): boolean {
    const all = new Intervals(ranges);
    const exclusive = new Intervals(ranges.filter((range) => range.exclusive));
    for (const [triple, lock] of this.#keys) {
      if ((lock.exclusive ? all : exclusive).covers(triple)) return false;
    }
    for (const held of this.#ranges) {
      if ((held.exclusive ? all : exclusive).overlaps(held)) return false;
    }
    return true;
  }

  /** Whether so many locks more are not too many: each one that is asked for later is compared with them. */
  hasRoom({ writes, reads, ranges }: Footprint): boolean {
    const keys = this.#keys.size + writes.length + reads.length;
    const isFew = keys <= LIMITS.txnLockedKeysMax;
    return isFew && this.#ranges.length + ranges.length <= LIMITS.txnLockedRangesMax;
  }

  /** The caller has asked whether it is admitted. */
  add({ writes, reads, ranges }: Footprint): void {
    for (const triple of writes) this.#keys.set(triple, { exclusive: true, holders: 1 });
    for (const triple of reads) {
      const lock = this.#keys.get(triple);
      if (lock === undefined) this.#keys.set(triple, { exclusive: false, holders: 1 });
      else lock.holders++;
    }
    for (const range of ranges) this.#ranges.push(range);
  }

  remove({ writes, reads, ranges }: Footprint): void {
    for (const triple of writes) this.#keys.delete(triple);
    for (const triple of reads) {
      const lock = this.#keys.get(triple);
      if (lock !== undefined && --lock.holders === 0) this.#keys.delete(triple);
    }
    if (ranges.length > 0) this.#ranges = this.#ranges.filter((range) => !ranges.includes(range));
  }
}

/** The union of ranges: apart from each other, in order. */
class Intervals {
  readonly #starts: string[] = [];
  readonly #ends: string[] = [];

  constructor(ranges: readonly TripleRange[]) {
    const sorted = [...ranges].sort((a, b) => (a.start < b.start ? -1 : 1));
    for (const { start, end } of sorted) {
      if (start >= end) continue;
      const last = this.#ends.length - 1;
      const lastEnd = this.#ends[last];
      if (lastEnd === undefined || start > lastEnd) {
        this.#starts.push(start);
        this.#ends.push(end);
      } else if (end > lastEnd) this.#ends[last] = end;
    }
  }

  /** How many of them begin at or before `triple`. */
  #countFrom(triple: string): number {
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#starts[middle] as string) <= triple) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  covers(triple: string): boolean {
    const count = this.#countFrom(triple);
    return count > 0 && triple < (this.#ends[count - 1] as string);
  }

  overlaps({ start, end }: TripleRange): boolean {
    if (start >= end) return false;
    if (this.covers(start)) return true;
    const next = this.#starts[this.#countFrom(start)];
    return next !== undefined && next < end;
  }
}

/** Tells whether a part has locked a key, in whatever way. */
export function touchedBy({ writes, reads, ranges }: Footprint): (triple: string) => boolean {
  const keys = new Set([...writes, ...reads]);
  return (triple) => keys.has(triple) || ranges.some((range) => covers(range, triple));
}

function covers(range: TripleRange, triple: string): boolean {
  return triple >= range.start && triple < range.end;
}
