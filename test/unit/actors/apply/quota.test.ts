import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { GroupState, type GroupView } from '../../../../actors/apply/group-state.ts';
import { countBase, countingOf, quotaFlaw } from '../../../../actors/apply/quota-count.ts';
import { ensureHolds } from '../../../../actors/apply/quota-growth.ts';
import type { Share } from '../../../../actors/apply/quota-table.ts';
import { loadSnapshot, snapshotRows } from '../../../../actors/apply/snapshot-rows.ts';
import { stateHash } from '../../../../actors/apply/state-hash.ts';
import { amountsOf, type QuotaOrder } from '../../../../protocol/quotas.ts';
import { ABORTED, type TxnBody, type TxnId, type TxnOp } from '../../../../protocol/txn.ts';
import { decodeUsage, usageKey } from '../../../../storage/kv/usage-rows.ts';
import { AppliedGroup, del, GROUP, put, ref } from '../../../kit/applied-group.ts';
import { cursorOf, drain, MemoryState } from '../../../kit/memory-state.ts';
import { BUCKET, ObjectHistory } from '../../../kit/object-history.ts';
import { objectSteps } from '../../../kit/object-steps.ts';

const TENANT = 'tenant:t1';
const NO_BOUNDS = [null, null, null];

async function withView<T>(state: GroupState, use: (view: GroupView) => Promise<T>): Promise<T> {
  const view = state.view();
  try {
    return await use(view);
  } finally {
    await view.close();
  }
}

function order(group: AppliedGroup, scope: string, round: number, what: QuotaOrder): void {
  group.apply({ type: 'quotaOrder', scope, round, order: what });
}

function shareOf(group: AppliedGroup, scope: string): Share {
  const share = group.state.quotas.get(scope);
  if (share === null) throw new Error(`there is no share of ${scope}`);
  return share;
}

async function count(group: AppliedGroup, scope: string): Promise<void> {
  const share = shareOf(group, scope);
  const base = await withView(group.state, (view) =>
    countBase(view, countingOf(share), () => false),
  );
  group.apply({ type: 'quotaCounted', scope, since: share.since, base: base as number[] });
}

/** A share that is counted and may hold this much. */
async function allow(group: AppliedGroup, scope: string, allowed: (number | null)[]) {
  order(group, scope, 1, { type: 'lower', ceilings: NO_BOUNDS });
  await count(group, scope);
  order(group, scope, 2, { type: 'lower', ceilings: allowed });
  return shareOf(group, scope);
}

const flawOf = (group: AppliedGroup) =>
  withView(group.state, (view) => quotaFlaw(view, [...group.state.quotas.all()]));

function putOf(key: string, value: string): TxnOp {
  return { type: 'put', ref: ref(key), value: Buffer.from(value), contentType: null, ttlMs: null };
}

function prepare(group: AppliedGroup, then: TxnOp[], otherwise: TxnOp[] | null = null): TxnId {
  const id = { home: 9, term: 1, start: group.nextRevision() };
  const body: TxnBody = { compares: [], then, otherwise };
  const places = (list: readonly unknown[]) => list.map((_, i) => i);
  const part = { body, comparesAt: [], thenAt: places(then), otherwiseAt: places(otherwise ?? []) };
  const { txn } = group.apply({
    ...({ type: 'txnPrepare', revision: group.nextRevision(), epoch: 1, id } as const),
    ...{ part, indexEpoch: 0 },
  });
  expect(txn?.type).toBe('prepared');
  return id;
}

function end(group: AppliedGroup, id: TxnId, commits: boolean): void {
  const fate = commits ? { commitRevision: group.nextRevision(), succeeded: true } : ABORTED;
  group.apply({ type: 'txnResolve', ends: [{ id, fate, removed: [] }] });
}

describe('what a share uses', () => {
  test('is what was there and what came, whenever it was counted', async () => {
    const group = new AppliedGroup();
    group.write([put('k1', 'value'), put('k2', 'v'), put('other', 'x', { tenant: 't2' })]);
    order(group, TENANT, 1, { type: 'lower', ceilings: [1, 1, 1] });
    expect(shareOf(group, TENANT)).toMatchObject({ isCounted: false, allowed: null });
    // Nothing is in force before it is counted: neither for what is added nor for what goes.
    group.write([put('k3', 'longer than one byte'), del('k1')]);
    expect(shareOf(group, TENANT).used).toEqual([22 - 7, 0, 0]);
    await count(group, TENANT);
    expect(shareOf(group, TENANT)).toMatchObject({ used: [25, 2, 0], isCounted: true });
    expect(await flawOf(group)).toBeNull();
    // Counted twice, by two leaders: the second one changes nothing.
    group.apply({ type: 'quotaCounted', scope: TENANT, since: 1, base: [7, 7, 7] });
    expect(shareOf(group, TENANT).used).toEqual([25, 2, 0]);
  });

  test('of a prefix is its keys only', async () => {
    const group = new AppliedGroup();
    group.write([put('a/1', 'v'), put('a/2', 'v'), put('b', 'v'), put('a', 'v')]);
    order(group, 'prefix:t1/a/', 1, { type: 'lower', ceilings: NO_BOUNDS });
    group.write([put('a/3', 'v'), put('b', 'vvvv')]);
    await count(group, 'prefix:t1/a/');
    expect(shareOf(group, 'prefix:t1/a/').used).toEqual([12, 3, 0]);
    expect(await flawOf(group)).toBeNull();
  });

  test('survives a crash behind any batch, and a snapshot', async () => {
    const group = new AppliedGroup();
    group.write([put('k1', 'value')]);
    await allow(group, TENANT, [40, 3, null]);
    await allow(group, 'prefix:t1/k', [30, null, null]);
    group.write([put('k2', 'v')]);
    const id = prepare(group, [putOf('k3', 'abc')]);
    const hash = await stateHash(group.state);
    for (let batches = 1; batches <= group.store.batches.length; batches++) {
      const left = GroupState.open(MemoryState.afterCrash(group.store, batches), GROUP);
      expect(await withView(left, (view) => quotaFlaw(view, [...left.quotas.all()]))).toBeNull();
    }
    const rows = await withView(group.state, (view) => drain(snapshotRows(view), 7));
    const loaded = new MemoryState();
    await loadSnapshot(loaded, GROUP, cursorOf(rows));
    const state = GroupState.open(loaded, GROUP);
    expect(await stateHash(state)).toBe(hash);
    ensureHolds(state);
    expect(state.quotas.get(TENANT)).toMatchObject({ used: [10, 2, 0], held: [5, 1, 0] });
    end(group, id, true);
    expect(shareOf(group, TENANT)).toMatchObject({ used: [15, 3, 0], held: [0, 0, 0] });
  });
});

describe('an order', () => {
  test('of an earlier round changes nothing; a raise is of the round that lowered last', async () => {
    const group = new AppliedGroup();
    const share = await allow(group, TENANT, [10, null, null]);
    order(group, TENANT, 1, { type: 'lower', ceilings: [1, null, null] });
    order(group, TENANT, 1, { type: 'raise', allowed: [99, null, null] });
    order(group, TENANT, 3, { type: 'raise', allowed: [99, null, null] });
    expect(share).toMatchObject({ round: 2, allowed: [10, null, null] });
    order(group, TENANT, 3, { type: 'lower', ceilings: [20, 5, null] });
    expect(share).toMatchObject({ round: 3, allowed: [10, 5, null] });
    order(group, TENANT, 3, { type: 'raise', allowed: [20, 5, null] });
    expect(share.allowed).toEqual([20, 5, null]);
  });

  test('that removes a share keeps late orders from beginning it again', async () => {
    const group = new AppliedGroup();
    await allow(group, TENANT, [0, null, null]);
    expect(group.write([put('k', 'v')]).rejection).toBe('no_room');
    order(group, TENANT, 5, { type: 'remove' });
    expect(group.write([put('k', 'v')]).rejection).toBeNull();
    order(group, TENANT, 4, { type: 'lower', ceilings: [0, null, null] });
    expect(group.state.quotas.size).toBe(0);
    order(group, TENANT, 6, { type: 'lower', ceilings: [0, null, null] });
    expect(shareOf(group, TENANT)).toMatchObject({ since: 6, isCounted: false, used: [0, 0, 0] });
  });
});

describe('a write without room', () => {
  test('is not done and not remembered; what shrinks is', async () => {
    const group = new AppliedGroup();
    group.write([put('k1', 'value')]);
    await allow(group, TENANT, [8, null, null]);
    const request = { key: 'once', hash: 1 };
    expect(group.write([put('k2', 'v')], request).rejection).toBe('no_room');
    expect(group.write([put('k1', 'valu')]).results[0]?.type).toBe('put');
    expect(group.write([put('k1', 'values')]).results[0]?.type).toBe('put');
    expect(group.write([put('k1', 'valuess')]).rejection).toBe('no_room');
    const exists = { type: 'revision', revision: 1 } as const;
    // Its condition does not hold: it would add nothing.
    const failed = group.write([put('k2', 'v', { condition: exists })]);
    expect(failed.results[0]?.type).toBe('precondition_failed');
    expect(group.write([del('k1')]).results[0]).toMatchObject({ deleted: true });
    const done = group.write([put('k2', 'v')], request);
    expect(done).toMatchObject({ repeated: false, results: [{ type: 'put' }] });
  });

  test('counts operations of one command in their order; the last attempt refuses each alone', async () => {
    const group = new AppliedGroup();
    await allow(group, TENANT, [6, null, null]);
    const ops = [put('a', '12'), put('b', '12345'), put('a', '1'), del('b'), put('c', '123')];
    expect(group.write(ops).rejection).toBe('no_room');
    const revision = group.nextRevision();
    const rest = { idempotency: null, traceparent: null, isLast: true };
    const { results } = group.apply({ type: 'write', revision, epoch: 1, ops, ...rest });
    expect(results.map(({ type }) => type)).toEqual(['put', 'failed', 'put', 'deleted', 'put']);
    expect(results[1]).toMatchObject({ code: 'quota_exceeded' });
    expect(shareOf(group, TENANT).used).toEqual([6, 2, 0]);
    // What one operation takes away, the next may use.
    expect(group.write([del('c'), put('d', '123')]).results[1]?.type).toBe('put');
    expect(group.write([put('d', '1'), put('e', '1')]).results[1]?.type).toBe('put');
    // Over the quota, each operation by itself may not grow: not by what others of the command take away.
    order(group, TENANT, 3, { type: 'lower', ceilings: [0, null, null] });
    expect(group.write([del('a'), put('f', '1')]).rejection).toBe('no_room');
    expect(group.write([del('a')]).rejection).toBeNull();
  });

  test('of a transaction is a conflict, counted as a whole', async () => {
    const group = new AppliedGroup();
    group.write([put('k1', 'value')]);
    await allow(group, TENANT, [8, null, null]);
    const txn = (then: TxnOp[]) => {
      const body = { compares: [], then, otherwise: null };
      const rest = { epoch: 1, body, idempotency: null, traceparent: null };
      return group.apply({ type: 'txn', revision: group.nextRevision(), ...rest }).txn;
    };
    expect(txn([putOf('k2', 'v')])?.type).toBe('conflict');
    const swapped = txn([putOf('k2', '12345'), { type: 'delete', ref: ref('k1') }]);
    expect(swapped).toMatchObject({ type: 'done', outcome: { succeeded: true } });
    expect(shareOf(group, TENANT).used).toEqual([7, 1, 0]);
  });
});

describe('a prepared transaction', () => {
  test('holds room for the larger branch until its end, also through a restart', async () => {
    const group = new AppliedGroup();
    await allow(group, TENANT, [12, null, null]);
    const id = prepare(group, [putOf('a', '123')], [putOf('a', '1'), putOf('b', '1234')]);
    ensureHolds(group.state);
    expect(shareOf(group, TENANT).held).toEqual([7, 2, 0]);
    expect(group.write([put('c', '12345')]).rejection).toBe('no_room');
    const again = new AppliedGroup(group.store);
    expect(again.write([put('c', '12345')]).rejection).toBe('no_room');
    expect(again.write([put('c', '1234')]).rejection).toBeNull();
    // An allowance that was lowered below what is held does not stop it.
    order(again, TENANT, 3, { type: 'lower', ceilings: [0, null, null] });
    end(again, id, true);
    expect(shareOf(again, TENANT)).toMatchObject({ used: [9, 2, 0], held: [0, 0, 0] });
    expect(await flawOf(again)).toBeNull();
  });

  test('does not count on the end of what may expire before', async () => {
    const group = new AppliedGroup();
    group.write([put('old', '1234', { ttlMs: 1_000 }), put('kept', '1')]);
    await allow(group, TENANT, [12, null, null]);
    const { id, share } = {
      id: prepare(group, [{ type: 'delete', ref: ref('kept') }, putOf('new', '1')]),
      share: shareOf(group, TENANT),
    };
    expect(share.held).toEqual([0, 0, 0]);
    end(group, id, false);
    group.wallMs += 2_000;
    const body = [{ type: 'delete', ref: ref('old') } as const, putOf('new', '1234')];
    const part = { body: { compares: [], then: body, otherwise: null }, comparesAt: [] };
    const { txn } = group.apply({
      ...({ type: 'txnPrepare', revision: group.nextRevision(), epoch: 1, indexEpoch: 0 } as const),
      id: { home: 9, term: 1, start: group.state.clock },
      part: { ...part, thenAt: [0, 1], otherwiseAt: [] },
    });
    expect(txn?.type).toBe('conflict');
  });
});

describe('objects', () => {
  test('keep to the share of their bucket, and whatever does not grow is done', async () => {
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(objectSteps(40), fc.nat(30), fc.nat(6), async (steps, bytes, objects) => {
        const history = new ObjectHistory();
        const { group } = history;
        const scope = `bucket:${BUCKET.space}`;
        const ceilings = [bytes, null, objects];
        order(group, scope, 1, { type: 'lower', ceilings });
        for (const step of steps) {
          const before = [...shareOf(group, scope).used];
          const { applied } = await history.take(step);
          const now = shareOf(group, scope).used;
          for (const kind of [0, 2]) {
            const most = Math.max(ceilings[kind] as number, before[kind] as number);
            expect(now[kind]).toBeLessThanOrEqual(most);
          }
          const key = usageKey(group.state.prefix, `${BUCKET.tenant}\x00${BUCKET.space}`);
          const row = group.store.get(key);
          expect([...now]).toEqual(row === null ? [0, 0, 0] : amountsOf(decodeUsage(row)));
          if (applied?.object?.type !== 'no_room') continue;
          refused++;
          expect(now).toEqual(before);
          expect(['put', 'part', 'complete', 'again']).toContain(step.type);
        }
      }),
      { numRuns: 200 },
    );
    expect(refused).toBeGreaterThan(20);
  });
});
