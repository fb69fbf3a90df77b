import { describe, expect, it } from 'vitest';
import { gcStep } from '../../../../actors/apply/gc.ts';
import { readLatest } from '../../../../actors/apply/read.ts';
import { reservationRef } from '../../../../actors/apply/reservations.ts';
import { readDecision } from '../../../../actors/apply/txn.ts';
import type { Condition } from '../../../../protocol/conditions.ts';
import { encodeString } from '../../../../protocol/index-encoding.ts';
import type { IndexDefinition } from '../../../../protocol/indexes.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import {
  ABORTED,
  type Compare,
  type TxnBody,
  type TxnId,
  type TxnOp,
} from '../../../../protocol/txn.ts';
import { AppliedGroup, GROUP, put, ref } from '../../../kit/applied-group.ts';

const OTHER = 9;

function putOf(key: string, value: string): TxnOp {
  return { type: 'put', ref: ref(key), value: Buffer.from(value), contentType: null, ttlMs: null };
}

function exists(key: string, wanted: boolean): Compare {
  return { ref: ref(key), relation: '=', target: { type: 'exists', exists: wanted } };
}

function begun(group: AppliedGroup): TxnId {
  return { home: GROUP, term: 1, start: group.nextRevision() };
}

function partOf(more: Partial<TxnBody>) {
  const body = { compares: [], then: [], otherwise: null, ...more };
  const places = (list: readonly unknown[] | null) => (list ?? []).map((_, i) => 10 + i);
  return {
    ...{ body, comparesAt: places(body.compares), thenAt: places(body.then) },
    otherwiseAt: places(body.otherwise),
  };
}

/** The commit of a transaction whose other participant has prepared. */
function commit(
  group: AppliedGroup,
  id: TxnId,
  body: Partial<TxnBody>,
  more: { epoch?: number; failedCompare?: number | null; thenBytes?: number } = {},
) {
  const { epoch = group.state.epoch, failedCompare = null, thenBytes = 0 } = more;
  return group.apply({
    ...({ type: 'txnCommit', revision: group.nextRevision(), epoch, id } as const),
    ...{ part: partOf(body), participants: [OTHER], failedCompare, thenBytes, otherwiseBytes: 0 },
  });
}

function textAt(group: AppliedGroup, key: string): string | null {
  const item = readLatest(group.state, ref(key), null);
  return item === null ? null : Buffer.from(item.value).toString();
}

describe('a commit with the part of the home group', () => {
  it('does its part at its revision, and is kept until the others know', () => {
    const group = new AppliedGroup();
    group.write([put('a', 'old')]);
    const id = begun(group);
    const then = [putOf('a', 'new'), { type: 'get', ref: ref('a') } as const];
    const { txn, events, clock } = commit(group, id, { compares: [exists('a', true)], then });
    const fate = { commitRevision: clock, succeeded: true };
    expect(txn).toMatchObject({ type: 'committed', fate, failedCompare: null });
    expect(txn?.type === 'committed' && txn.results).toMatchObject([
      { type: 'put', version: 2 },
      { type: 'got', item: { value: Buffer.from('old') } },
    ]);
    expect(events.map((event) => event.revision)).toEqual([clock]);
    expect(textAt(group, 'a')).toBe('new');
    expect(readDecision(group.state, id)).toEqual({ id, fate, pending: [OTHER] });
    expect(group.rowsOf('u')).toHaveLength(1);
    group.apply({ type: 'txnForget', ids: [id] });
    expect(group.rowsOf('u')).toEqual([]);
    expect(readDecision(group.state, id)?.fate).toEqual(fate);
  });

  it('is kept for as long as one of the others is silent, all else for a while', async () => {
    const group = new AppliedGroup();
    const id = begun(group);
    const fate = { commitRevision: commit(group, id, { then: [putOf('a', 'new')] }).clock };
    group.wallMs += LIMITS.txnMemoryMs + 1_000;
    group.write([put('b', 'later')]);
    await gcStep(group.state, 100);
    expect([group.rowsOf('u').length, group.rowsOf('d')]).toEqual([1, []]);
    expect(readDecision(group.state, id)?.fate).toMatchObject(fate);
    group.apply({ type: 'txnForget', ids: [id] });
    expect([group.rowsOf('u'), readDecision(group.state, id)]).toEqual([[], null]);
  });

  it('does the other branch when a compare fails, its own or one of the others', () => {
    const group = new AppliedGroup();
    const body = {
      ...{ compares: [exists('a', true)], then: [putOf('a', 'then')] },
      otherwise: [putOf('b', 'else')],
    };
    const own = commit(group, begun(group), body);
    expect(own.txn).toMatchObject({ fate: { succeeded: false }, failedCompare: 10 });
    expect([textAt(group, 'a'), textAt(group, 'b')]).toEqual([null, 'else']);
    group.write([put('a', 'there')]);
    const theirs = commit(group, begun(group), body, { failedCompare: 3 });
    expect(theirs.txn).toMatchObject({ fate: { succeeded: false }, failedCompare: null });
    expect(textAt(group, 'a')).toBe('there');
  });

  it('T1 changes nothing when an abort came first, and nothing comes after a commit', () => {
    const group = new AppliedGroup();
    const abort = (id: TxnId) =>
      group.apply({
        ...{ type: 'txnDecide', id, fate: ABORTED, participants: [], request: null, removed: [] },
      });
    const aborted = begun(group);
    abort(aborted);
    const late = commit(group, aborted, { then: [putOf('a', 'late')] });
    expect(late.txn).toEqual({ type: 'ended', fate: ABORTED, outcome: null });
    expect([late.events, textAt(group, 'a')]).toEqual([[], null]);
    const committed = begun(group);
    const { clock } = commit(group, committed, { then: [putOf('a', 'once')] });
    const fate = { commitRevision: clock, succeeded: true };
    expect(abort(committed).txn).toEqual({ type: 'ended', fate, outcome: null });
    const twice = commit(group, committed, { then: [putOf('a', 'twice')] });
    expect(twice.txn).toEqual({ type: 'ended', fate, outcome: null });
    expect(textAt(group, 'a')).toBe('once');
  });

  it('T2 is refused by a lock, and what is refused is an abort from then on', () => {
    const group = new AppliedGroup();
    const holder = { home: OTHER, term: 1, start: group.nextRevision() };
    const { epoch } = group.state;
    const prepare = { type: 'txnPrepare', epoch, id: holder } as const;
    const read = partOf({ then: [{ type: 'get', ref: ref('a') }] });
    group.apply({ ...prepare, revision: group.nextRevision(), part: read, indexEpoch: 0 });
    const id = begun(group);
    const { txn, events } = commit(group, id, { then: [putOf('a', '1'), putOf('b', '1')] });
    expect([txn, events]).toEqual([{ type: 'conflict' }, []]);
    expect(readDecision(group.state, id)?.fate).toEqual(ABORTED);
    expect(textAt(group, 'b')).toBeNull();
    // A shared lock lets readers through.
    const reading = commit(group, begun(group), { then: [{ type: 'get', ref: ref('a') }] });
    expect(reading.txn).toMatchObject({ type: 'committed' });
  });

  it('T3 is refused when it began too long ago for a decision to be remembered', () => {
    const group = new AppliedGroup();
    const id = begun(group);
    group.wallMs += LIMITS.txnMemoryMs;
    expect(commit(group, id, { then: [putOf('a', 'late')] }).txn).toEqual({ type: 'over' });
    expect(textAt(group, 'a')).toBeNull();
  });

  it('does nothing of it otherwise: a failed compare alone, another map, leases, too many bytes', () => {
    const group = new AppliedGroup();
    group.write([put('large', 'x'.repeat(1_000))]);
    const compares = [exists('b', false), exists('a', true)];
    const writes = [putOf('b', 'never')];
    const refused = (more: Partial<TxnBody>, rest = {}) => {
      const { txn, events } = commit(group, begun(group), { then: writes, ...more }, rest);
      expect([events, textAt(group, 'b')]).toEqual([[], null]);
      return txn;
    };
    expect(refused({ compares })).toEqual({ type: 'compareFailed', at: 11 });
    expect(refused({}, { epoch: 0 })).toEqual({ type: 'wrongShard', epoch: group.state.epoch });
    const attach = { lease: 7, until: 1 };
    const stale = refused({ then: [{ ...(putOf('b', 'v') as object), attach } as TxnOp] });
    expect(stale).toEqual({ type: 'leaseStale', revision: group.state.clock });
    const then: TxnOp[] = [...writes, { type: 'get', ref: ref('large') }];
    const thenBytes = LIMITS.txnResultBytesMax - 500;
    expect(refused({ then }, { thenBytes })).toEqual({ type: 'tooLarge' });
  });
});

describe('a commit beside a unique index', () => {
  const MAIL: IndexDefinition = {
    ...{ id: 7, name: 'mail', tenant: 't1', space: 'kv', prefix: 'u/', kind: 'fields' },
    ...{ fields: [{ path: '/m', steps: ['m'], type: 'string' }], sparse: false, unique: true },
  };
  const json = (m: unknown) => JSON.stringify({ m });

  it('U1 is refused with a put that begins an entry, whenever the index was defined, and only then', () => {
    const group = new AppliedGroup();
    group.write([put('u/1', json('a'))]);
    const id = begun(group);
    group.apply({ type: 'indexes', epoch: 1, indexes: [MAIL] });
    const { txn, events } = commit(group, id, {
      then: [putOf('v/1', json('b')), putOf('u/2', json('b'))],
    });
    expect([txn, events]).toEqual([{ type: 'unclaimed' }, []]);
    expect(readDecision(group.state, id)?.fate).toEqual(ABORTED);
    expect([textAt(group, 'v/1'), textAt(group, 'u/2')]).toEqual([null, null]);
    const free = [putOf('v/1', json('b')), putOf('u/1', json('a')), putOf('u/2', json(null))];
    expect(commit(group, begun(group), { then: free }).txn).toMatchObject({ type: 'committed' });
    // Only the branch that is done counts.
    const branches = { then: [putOf('u/2', json('b'))], otherwise: [putOf('v/1', 'else')] };
    const other = commit(group, begun(group), branches, { failedCompare: 0 });
    expect(other.txn).toMatchObject({ type: 'committed' });
    expect(textAt(group, 'v/1')).toBe('else');
  });

  it('U2 leaves what it owes where it ends an entry', () => {
    const group = new AppliedGroup();
    group.write([put('u/1', json('a')), put('u/2', json('b'))]);
    group.apply({ type: 'indexes', epoch: 1, indexes: [MAIL] });
    group.apply({
      ...{ type: 'indexFill', id: 7, from: 'u/', next: null },
      keys: ['u/1', 'u/2'],
    });
    const then: TxnOp[] = [putOf('u/1', json(null)), { type: 'delete', ref: ref('u/2') }];
    expect(group.rowsOf('o')).toHaveLength(0);
    expect(commit(group, begun(group), { then }).txn).toMatchObject({ type: 'committed' });
    expect(group.rowsOf('o')).toHaveLength(2);
  });

  it('does nothing of what unique indexes add: that is judged by a prepare', () => {
    const group = new AppliedGroup();
    group.apply({ type: 'indexes', epoch: 1, indexes: [MAIL] });
    const claim = { type: 'claim', holder: 'u/1', over: null } as const;
    const absent = { type: 'expect', condition: { type: 'absent' }, owed: null } as const;
    const added: TxnOp[] = [
      { ...claim, ref: reservationRef(7, encodeString('a')) },
      { type: 'release', ref: reservationRef(7, encodeString('a')), holder: 'u/1' },
      { ...absent, ref: ref('u/1') },
    ];
    for (const op of added) {
      const { txn } = commit(group, begun(group), { then: [putOf('v/1', 'never'), op] });
      expect(txn?.type).toBe('wrongShard');
      expect([textAt(group, 'v/1'), group.rowsOf('r')]).toEqual([null, []]);
    }
  });
});

describe('a transaction of one entry', () => {
  it('does nothing where a key is not as it is expected to be, and says which', () => {
    const group = new AppliedGroup();
    group.write([put('a', 'old')]);
    const run = (condition: Condition) => {
      const expected: TxnOp = { type: 'expect', ref: ref('a'), condition, owed: null };
      const body = { compares: [], then: [putOf('b', 'new'), expected], otherwise: null };
      const revision = group.nextRevision();
      const rest = { epoch: group.state.epoch, idempotency: null, traceparent: null };
      const { txn } = group.apply({ type: 'txn', revision, body, ...rest });
      return txn?.type === 'done' ? txn.outcome : null;
    };
    const { revision } = readLatest(group.state, ref('a'), null) as { revision: number };
    const refused = { type: 'operation', at: 1, revision };
    expect(run({ type: 'absent' })).toMatchObject({ succeeded: false, results: [], refused });
    expect(run({ type: 'revision', revision: 1 })?.refused).toEqual(refused);
    expect(textAt(group, 'b')).toBeNull();
    const done = run({ type: 'revision', revision });
    expect(done).toMatchObject({ succeeded: true, results: [{ type: 'put' }, { type: 'held' }] });
    expect(textAt(group, 'b')).toBe('new');
  });
});
