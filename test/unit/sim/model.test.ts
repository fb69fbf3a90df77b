import { describe, expect, it } from 'vitest';
import type { Command, WriteOp } from '../../../protocol/commands.ts';
import { makeEntry } from '../../../protocol/entry.ts';
import type { IndexDefinition } from '../../../protocol/indexes.ts';
import { LIMITS } from '../../../protocol/limits.ts';
import { REVISIONS_PER_MS } from '../../../protocol/revision.ts';
import type { TxnBody, TxnOp } from '../../../protocol/txn.ts';
import type { GroupId } from '../../../protocol/types.ts';
import { DEFAULT_TENANT, KV_SPACE } from '../../../protocol/vshard.ts';
import { StoreModel } from '../../sim/model.ts';

const ref = { tenant: DEFAULT_TENANT, space: KV_SPACE, key: 'k' };
const ALL = Array.from({ length: 256 }, (_, v) => v);

function modelOf() {
  const model = new StoreModel();
  let index = 0;
  const apply = (command: Command): void => {
    const entry = makeEntry(
      { index: ++index, term: 1, kind: 'command', clockBound: 0 },
      new Uint8Array(0),
    );
    model.apply(1 as GroupId, { entry, command, committedInTerm: 1 });
  };
  const write = (revision: number, op: WriteOp, key: string | null = null): void => {
    const idempotency = key === null ? null : { key, requestHash: new Uint8Array(32) };
    apply({ type: 'write', revision, epoch: 1, ops: [op], idempotency, traceparent: null });
  };
  const put = (revision: number, value: string, more: Partial<WriteOp> = {}, key?: string): void =>
    write(
      revision,
      {
        type: 'put',
        ref,
        value: Buffer.from(value),
        contentType: null,
        ttlMs: null,
        condition: null,
        ...more,
      } as WriteOp,
      key,
    );
  return { model, apply, write, put };
}

describe('the model of the store', () => {
  it('changes nothing in vshards the group does not own', () => {
    const { model, apply, put } = modelOf();
    put(10, 'a');
    expect(model.changes).toEqual([]);
    apply({ type: 'own', epoch: 1, vshards: ALL });
    put(20, 'b');
    expect(model.changes.map((c) => c.value)).toEqual(['b']);
  });

  it('checks conditions against the revision of the moment', () => {
    const { model, apply, put, write } = modelOf();
    apply({ type: 'own', epoch: 1, vshards: ALL });
    put(10, 'a', { condition: { type: 'exists' } });
    put(20, 'b', { condition: { type: 'absent' } });
    put(30, 'c', { condition: { type: 'revision', revision: 10 } });
    put(40, 'd', { condition: { type: 'revision', revision: 20 } });
    write(50, { type: 'delete', ref, condition: { type: 'revision', revision: 20 } });
    write(60, { type: 'delete', ref, condition: null });
    write(70, { type: 'delete', ref, condition: null });
    expect(model.changes.map((c) => [c.kind, c.revision, c.prevRevision])).toEqual([
      ['put', 20, 0],
      ['put', 40, 20],
      ['delete', 60, 40],
    ]);
  });

  it('applies a request once, whatever follows under its key', () => {
    const { model, apply, put } = modelOf();
    apply({ type: 'own', epoch: 1, vshards: ALL });
    put(10, 'a', {}, 'once');
    put(20, 'a', {}, 'once');
    expect(model.effects.get('a')).toHaveLength(1);
  });

  it('takes an expired key for absent and removes it only when it still has its revision', () => {
    const { model, apply, put } = modelOf();
    apply({ type: 'own', epoch: 1, vshards: ALL });
    const ms = REVISIONS_PER_MS;
    put(1 * ms, 'a', { ttlMs: 10 });
    put(5 * ms, 'too early', { condition: { type: 'absent' } });
    put(11 * ms, 'b', { condition: { type: 'absent' }, ttlMs: 10 });
    apply({ type: 'expire', revision: 30 * ms, keys: [{ ref, revision: 1 * ms }] });
    apply({ type: 'expire', revision: 31 * ms, keys: [{ ref, revision: 11 * ms }] });
    expect(model.changes.map((c) => [c.kind, c.revision / ms, c.prevRevision / ms])).toEqual([
      ['put', 1, 0],
      ['put', 11, 1],
      ['expire', 31, 11],
    ]);
  });
});

describe('the model of transactions', () => {
  const RANGE = { tenant: DEFAULT_TENANT, space: KV_SPACE, start: 'k', end: 'l' };
  const id = { home: 1, term: 1, start: 5 };
  const other = { ...ref, key: 'z' };
  const commit = (
    start: number,
    revision: number,
    participants: number[],
    then = [putOf('k', `at ${revision}`)],
  ): Command => ({
    ...{ type: 'txnCommit', revision, epoch: 1, id: { home: 1, term: 1, start }, participants },
    ...{ failedCompare: null, thenBytes: 0, otherwiseBytes: 0 },
    part: {
      body: { compares: [], then, otherwise: null },
      ...{ comparesAt: [], thenAt: [0], otherwiseAt: [] },
    },
  });
  const prepare = (more: Partial<TxnBody>): Command => ({
    ...{ type: 'txnPrepare', revision: 10, epoch: 1, id, indexEpoch: 0 },
    part: {
      body: { compares: [], then: [], otherwise: null, ...more },
      ...{ comparesAt: [], thenAt: [], otherwiseAt: [] },
    },
  });
  const whole = (revision: number, then: TxnOp[]): Command => ({
    ...{ type: 'txn', revision, epoch: 1, idempotency: null, traceparent: null },
    body: { compares: [], then, otherwise: null },
  });
  const putOf = (key: string, text: string): TxnOp => ({
    ...{ type: 'put', ref: { ...ref, key }, value: Buffer.from(text) },
    ...{ contentType: null, ttlMs: null },
  });

  it('locks nothing for what began longer ago than ends are remembered', () => {
    const { model, apply, put } = modelOf();
    apply({ type: 'own', epoch: 1, vshards: ALL });
    const late = LIMITS.txnMemoryMs * REVISIONS_PER_MS + id.start;
    apply({ ...prepare({ then: [putOf('k', 'never')] }), revision: late } as Command);
    put(late + 1, 'free');
    expect(model.changes.map(({ value }) => value)).toEqual(['free']);
    expect(model.txns.open()).toEqual([]);
  });

  it('takes a commit with the home group part for what it is, and says what others have not prepared', () => {
    const { model, apply } = modelOf();
    apply({ type: 'own', epoch: 1, vshards: ALL });
    apply(commit(6, 20, []));
    apply(commit(6, 21, []));
    expect(model.changes.map(({ value }) => value)).toEqual(['at 20']);
    expect(model.txns.flaws).toEqual([]);
    apply(commit(22, 23, [2]));
    expect(model.txns.flaws).toEqual(['group 2 has not prepared 1.1.22']);
    const range: TxnOp = { type: 'range', ...RANGE, reverse: false, limit: 9, values: true };
    apply({ ...prepare({ then: [range] }), revision: 30 } as Command);
    apply(commit(31, 32, []));
    expect(model.changes.map(({ value }) => value)).toEqual(['at 20', 'at 23']);
    expect(model.txns.counts).toMatchObject({ committed: 2, overGroups: 2, aborted: 1 });
  });

  it('takes no commit for done that begins a value of a unique index, and none that claims one', () => {
    const { model, apply } = modelOf();
    apply({ type: 'own', epoch: 1, vshards: ALL });
    const definition: IndexDefinition = {
      ...{ id: 1, name: 'u', tenant: DEFAULT_TENANT, space: KV_SPACE, prefix: 'k', kind: 'fields' },
      ...{ sparse: false, unique: true },
      fields: [{ path: '/u', steps: ['u'], type: 'string' }],
    };
    apply({ type: 'indexes', epoch: 1, indexes: [definition] });
    apply(commit(6, 20, [], [putOf('k', '{"u":"a"}')]));
    expect(model.changes).toEqual([]);
    expect(model.txns.counts).toMatchObject({ committed: 0, aborted: 1 });
    expect(model.txns.flaws).toEqual([]);
    const claimed = { tenant: '', space: '1', key: 'a' };
    apply(commit(7, 21, [], [{ type: 'claim', ref: claimed, holder: 'k', over: null }]));
    expect(model.txns.flaws).toHaveLength(1);
  });

  it('keeps writes out of a range that is read, and everything out of one that is deleted', () => {
    const { model, apply, put } = modelOf();
    apply({ type: 'own', epoch: 1, vshards: ALL });
    const range: TxnOp = { type: 'range', ...RANGE, reverse: false, limit: 9, values: true };
    apply(prepare({ then: [range] }));
    put(20, 'locked');
    put(21, 'free', { ref: other });
    apply(whole(22, [putOf('k1', 'locked'), putOf('z', 'locked')]));
    expect(model.changes.map((c) => c.value)).toEqual(['free']);
    const decide = (of: typeof id, commitRevision: number, removed: (typeof ref)[]): void =>
      apply({
        ...{ type: 'txnDecide', id: of, request: null, participants: [], removed },
        fate: { commitRevision, succeeded: true },
      });
    decide(id, 10, []);
    apply(whole(30, [putOf('k', 'a'), putOf('z', 'b')]));
    const next = { ...id, start: 31 };
    const deletion = prepare({ then: [{ type: 'deleteRange', ...RANGE }] });
    apply({ ...deletion, id: next, revision: 32 } as Command);
    apply(whole(33, [{ type: 'get', ref }, putOf('z', 'locked')]));
    decide(next, 34, [ref]);
    expect(model.changes.slice(-1)).toMatchObject([{ kind: 'delete', revision: 34 }]);
    expect(model.txns.counts).toEqual({ committed: 3, overGroups: 0, refused: 0, aborted: 0 });
    expect(model.txns.flaws).toEqual([]);
  });
});
