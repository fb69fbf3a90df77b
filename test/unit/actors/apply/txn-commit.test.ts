import { describe, expect, it } from 'vitest';
import { readLatest } from '../../../../actors/apply/read.ts';
import { readDecision } from '../../../../actors/apply/txn.ts';
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
    expect(readDecision(group.state, id)).toEqual({ id, fate, pending: [] });
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
    group.apply({ ...prepare, revision: group.nextRevision(), part: read });
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
