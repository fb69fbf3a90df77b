import { describe, expect, it } from 'vitest';
import { type Footprint, footprintOf, LockTable } from '../../../../actors/apply/txn-locks.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import { randomInt, seededRandom } from '../../../../protocol/random.ts';
import type { Compare, TxnOp } from '../../../../protocol/txn.ts';
import type { KeyRef } from '../../../../protocol/vshard.ts';
import { tripleOf } from '../../../../storage/kv/keyspace.ts';
import { ref } from '../../../kit/applied-group.ts';

const NAMES = Array.from({ length: 26 }, (_, i) => String.fromCharCode(97 + i));

function footprint(more: Partial<Footprint>): Footprint {
  return { writes: [], reads: [], ranges: [], ...more };
}

/** What the rules say, one pair of locks after another. */
function excludes(a: Footprint, b: Footprint): boolean {
  const within = (key: string, { start, end }: { start: string; end: string }): boolean =>
    start <= key && key < end;
  for (const [one, other] of [
    [a, b],
    [b, a],
  ] as const) {
    for (const key of one.writes)
      if (other.writes.includes(key) || other.reads.includes(key)) return true;
    for (const range of one.ranges) {
      for (const key of other.writes) if (within(key, range)) return true;
      for (const key of other.reads) if (range.exclusive && within(key, range)) return true;
      for (const held of other.ranges) {
        if (!range.exclusive && !held.exclusive) continue;
        if (NAMES.some((key) => within(key, range) && within(key, held))) return true;
      }
    }
  }
  return false;
}

describe('what a part locks', () => {
  it.each([2, 40])('is each of %i keys once: to write where one operation writes it', (count) => {
    const refs = Array.from({ length: count }, (_, i) => ref(`k/${i}`));
    const gets = refs.map((one): TxnOp => ({ type: 'get', ref: one }));
    const [first, last] = [refs[0] as KeyRef, refs[count - 1] as KeyRef];
    const removed: TxnOp = { type: 'delete', ref: first };
    const compares: Compare[] = [first, last].map((one) => ({
      ...{ ref: one, relation: '=', target: { type: 'exists', exists: true } },
    }));
    const body = { compares, then: [...gets, removed], otherwise: [removed, ...gets] };
    const { writes, reads, ranges } = footprintOf(body);
    expect([writes, ranges]).toEqual([[tripleOf(first)], []]);
    expect([...reads].sort()).toEqual(refs.slice(1).map(tripleOf).sort());
  });
});

describe('the lock table', () => {
  it('admits what excludes nothing that is held, keys and ranges of any number', () => {
    const random = seededRandom(1);
    const name = (): string => NAMES[randomInt(random, 0, 25)] as string;
    const some = (count: number): string[] =>
      Array.from({ length: randomInt(random, 0, count) }, name);
    const draw = (): Footprint => {
      const writes = new Set(some(2));
      const reads = new Set(some(2).filter((key) => !writes.has(key)));
      const ranges = some(3).map((start) => {
        const end = NAMES[NAMES.indexOf(start) + randomInt(random, -1, 4)] ?? '{';
        return { start, end, exclusive: random.next() < 0.3 };
      });
      return { writes: [...writes], reads: [...reads], ranges };
    };
    let admitted = 0;
    for (let round = 0; round < 400; round++) {
      const table = new LockTable();
      const held: Footprint[] = [];
      for (let i = 0; i < 8; i++) {
        const next = draw();
        const expected = !held.some((one) => excludes(one, next));
        expect(table.admits(next), JSON.stringify([held, next])).toBe(expected);
        if (!expected) continue;
        admitted++;
        table.add(next);
        held.push(next);
      }
      for (const one of held) table.remove(one);
      expect(table.isEmpty).toBe(true);
    }
    expect(admitted).toBeGreaterThan(500);
  });

  it('has room for the locks of one transaction, and for so many in all', () => {
    const table = new LockTable();
    const ranges = (from: number) =>
      Array.from({ length: LIMITS.txnOpsMax }, (_, i) => {
        return { start: `${from + i}/`, end: `${from + i}0`, exclusive: false };
      });
    const keys = (from: number) =>
      Array.from({ length: LIMITS.txnOpsMax }, (_, i) => `${from + i}`);
    const first = footprint({ ranges: ranges(0) });
    expect(table.hasRoom(first)).toBe(true);
    table.add(first);
    expect(table.hasRoom(footprint({ ranges: ranges(5_000).slice(0, 1) }))).toBe(false);
    for (let from = 0; from < LIMITS.txnLockedKeysMax; from += LIMITS.txnOpsMax) {
      const writes = keys(from);
      expect(table.hasRoom(footprint({ writes }))).toBe(true);
      table.add(footprint({ writes }));
    }
    expect(table.hasRoom(footprint({ reads: ['one more'] }))).toBe(false);
  });
});
