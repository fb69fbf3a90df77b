import { describe, expect, it } from 'vitest';
import { ABORTED, type TxnBody, type TxnId, type TxnOp } from '../../../../protocol/txn.ts';
import { AppliedGroup, GROUP, put, ref } from '../../../kit/applied-group.ts';

const TTL_MS = 50;
const OTHER = 9;

const GET: TxnOp = { type: 'get', ref: ref('a') };
const RANGE: TxnOp = {
  ...{ type: 'range', tenant: 't1', space: 'kv', start: 'a', end: 'b' },
  ...{ reverse: false, limit: 9, values: true },
};

function bodyOf(more: Partial<TxnBody>): TxnBody {
  return { compares: [], then: [], otherwise: null, ...more };
}

class Group extends AppliedGroup {
  constructor() {
    super();
    this.write([put('a', '1', { ttlMs: TTL_MS })]);
  }

  #nextId(home: number): TxnId {
    return { home, term: 1, start: this.nextRevision() };
  }

  prepare(body: TxnBody): { id: TxnId; type: string | undefined } {
    const id = this.#nextId(OTHER);
    const at = (list: readonly unknown[] | null) => (list ?? []).map((_, i) => i);
    const places = { comparesAt: at(body.compares), thenAt: at(body.then), otherwiseAt: [] };
    const revision = this.nextRevision();
    const part = { body, ...places };
    const command = { type: 'txnPrepare', revision, epoch: 1, id, part, indexEpoch: 0 } as const;
    return { id, type: this.apply(command).txn?.type };
  }

  /** In one entry. */
  txn(body: TxnBody) {
    const rest = { epoch: 1, idempotency: null, traceparent: null };
    return this.apply({ type: 'txn', revision: this.nextRevision(), body, ...rest }).txn;
  }

  /** The part of the home group, with the decision. */
  commit(body: TxnBody) {
    const part = { body, comparesAt: [0], thenAt: [0], otherwiseAt: [] };
    const id = this.#nextId(GROUP);
    const rest = { participants: [OTHER], failedCompare: null, thenBytes: 0, otherwiseBytes: 0 };
    const revision = this.nextRevision();
    return this.apply({ type: 'txnCommit', revision, epoch: 1, id, part, ...rest }).txn;
  }

  abort(id: TxnId): void {
    this.apply({ type: 'txnResolve', ends: [{ id, fate: ABORTED, removed: [] }] });
  }
}

const COMPARED = bodyOf({
  compares: [{ ref: ref('a'), relation: '=', target: { type: 'exists', exists: false } }],
  then: [{ type: 'put', ref: ref('b'), value: Buffer.from('1'), contentType: null, ttlMs: null }],
});
const READ = bodyOf({ then: [GET] });

describe('B21 the end of a key that a prepared transaction has read', () => {
  it.each([
    ['a key', READ],
    ['a range', bodyOf({ then: [RANGE] })],
    ['a compare', bodyOf({ compares: COMPARED.compares, otherwise: [GET] })],
  ])('is shown to no other transaction before that one is over: %s', (_, held) => {
    for (const body of [READ, COMPARED]) {
      const group = new Group();
      const { id, type } = group.prepare(held);
      expect(type).toBe('prepared');
      group.wallMs += TTL_MS;
      expect(group.txn(body)).toEqual({ type: 'conflict' });
      expect(group.commit(body)).toEqual({ type: 'conflict' });
      expect(group.prepare(body).type).toBe('conflict');
      group.abort(id);
      expect(group.txn(body)).toMatchObject({ type: 'done', outcome: { succeeded: true } });
      expect(group.commit(body)).toMatchObject({ type: 'committed', failedCompare: null });
    }
  });

  it('is no obstacle while the key is alive for both, nor when both have seen the end', () => {
    const group = new Group();
    group.prepare(READ);
    const alive = { results: [{ type: 'got', item: { version: 1 } }] };
    expect(group.txn(READ)).toMatchObject({ type: 'done', outcome: alive });
    expect(group.prepare(READ).type).toBe('prepared');
    const late = new Group();
    late.wallMs += TTL_MS;
    late.prepare(READ);
    expect(late.prepare(READ).type).toBe('prepared');
    const gone = { results: [{ type: 'got', item: null }] };
    expect(late.txn(READ)).toMatchObject({ type: 'done', outcome: gone });
  });

  it('does not hold up what reads other keys', () => {
    const group = new Group();
    group.write([put('c', '1', { ttlMs: TTL_MS })]);
    group.prepare(READ);
    group.wallMs += TTL_MS;
    const other = bodyOf({ then: [{ type: 'get', ref: ref('c') }] });
    const gone = { results: [{ type: 'got', item: null }] };
    expect(group.txn(other)).toMatchObject({ type: 'done', outcome: gone });
  });
});
