import { expect, it } from 'vitest';
import { type PutsSeen, tornTransaction } from '../../check/all-or-nothing.ts';
import { type BankSeen, checkBank } from '../../check/bank.ts';
import { flawOfFencing, flawOfLocks, type LockSeen } from '../../check/locks.ts';
import type { Change } from '../../check/truth.ts';

const BANK = { prefix: 'b/', accounts: 3 };

function change(key: string, revision: number, value: string | null): Change {
  const ref = { tenant: 'default', space: 'kv', key };
  const kind = value === null ? 'delete' : 'put';
  return { kind, ref, vshard: 1, revision, prevRevision: 0, value, expiresAtMs: null };
}

/** Two transfers: 30 from account 0 to 1, and back. */
const HISTORY = [
  ...[change('b/0', 5, '70 t1'), change('b/1', 5, '130 t1')],
  change('other', 6, 'x'),
  ...[change('b/0', 9, null), change('b/1', 9, '100 t2')],
];

function wrongWith(reads: readonly BankSeen[], history: readonly Change[]): string | null {
  const verdict = checkBank(BANK, reads, history);
  return verdict.result === 'ok' ? null : verdict.reason;
}

it('finds nothing where money was only moved', () => {
  const reads = [{ how: 'scan', amounts: { 'b/0': 70, 'b/1': 130 }, call: 1 }];
  expect(wrongWith(reads, HISTORY)).toBeNull();
});

it('B22 a read that shows half of a transfer', () => {
  const reads = [{ how: 'scan', amounts: { 'b/0': 70, 'b/1': 100 }, call: 1 }];
  expect(wrongWith(reads, HISTORY)).toMatch(/^scan: the sum is 270, not 300/);
  const negative = [{ how: 'scan', amounts: { 'b/0': -1, 'b/1': 201 }, call: 1 }];
  expect(wrongWith(negative, HISTORY)).toMatch(/b\/0 holds -1/);
});

it('B21 a history in which money came from nowhere, also for one revision only', () => {
  expect(wrongWith([], HISTORY.slice(1))).toMatch(/^@5: the sum is 330/);
  const apart = [change('b/0', 5, '70 t1'), change('b/1', 6, '130 t1')];
  expect(wrongWith([], apart)).toMatch(/^@5: the sum is 270/);
  const below = [change('b/0', 5, '-1 t1'), change('b/1', 5, '201 t1')];
  expect(wrongWith([], below)).toMatch(/b\/0 holds -1/);
});

it('B21 transactions that are not what their clients were told', () => {
  const done: PutsSeen = { values: ['70 t1', '130 t1'], outcome: 'done', revision: 5, call: 1 };
  const lost: PutsSeen = { ...done, outcome: 'unknown', revision: 0 };
  const never = { ...lost, values: ['1 t9', '199 t9'] };
  const reasonOf = (...seen: PutsSeen[]) => tornTransaction(seen, HISTORY)?.reason ?? null;
  expect(reasonOf(done, lost, never, { ...never, outcome: 'refused' })).toBeNull();
  expect(reasonOf({ ...done, revision: 6 })).toMatch(/done @6, but/);
  expect(reasonOf({ ...done, values: ['70 t1', '1 t9'] })).toMatch(/done @5, but/);
  expect(reasonOf({ ...lost, outcome: 'refused' })).toMatch(/was refused, but/);
  expect(reasonOf({ ...lost, values: ['70 t1', '1 t9'] })).toMatch(/^a part of a transaction/);
});

it('B20 a token that is valid after a later one was given out', () => {
  const lock = (token: number, kind: LockSeen['kind'], callMs: number): LockSeen => {
    return { lock: 'l', lease: 1, token, kind, callMs, atMs: callMs + 5 };
  };
  const good = [lock(5, 'acquired', 0), lock(5, 'valid', 10), lock(9, 'acquired', 11)];
  expect(flawOfLocks([...good, lock(5, 'released', 40), lock(9, 'valid', 50)])).toBeNull();
  expect(flawOfLocks([...good, lock(5, 'valid', 16)])).toBeNull();
  expect(flawOfLocks([...good, lock(5, 'valid', 17)])?.reason).toMatch(/^token 5 of l was valid/);
  expect(flawOfLocks([...good, lock(7, 'acquired', 17)])?.reason).toMatch(/^token 7 of l/);
});

it('B20 a write under a lock that its holder had lost', () => {
  const lockOf = (key: string) => (key.startsWith('f/') ? `_locks/${key.slice(2)}` : null);
  const held = [change('_locks/l', 5, 'me'), change('f/l', 6, '5 a'), change('_locks/l', 8, null)];
  expect(flawOfFencing(held, lockOf)).toBeNull();
  const late = [...held, change('f/l', 9, '5 b')];
  expect(flawOfFencing(late, lockOf)).toMatch(/^f\/l @9 was written with token 5, .* was @0/);
  const other = [...held, change('_locks/l', 10, 'you'), change('f/l', 11, '5 b')];
  expect(flawOfFencing(other, lockOf)).toMatch(/with token 5, while _locks\/l was @10/);
});
