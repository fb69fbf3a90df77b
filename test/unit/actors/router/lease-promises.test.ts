import { describe, expect, it } from 'vitest';
import { runBatch } from '../../../../actors/router/batch.ts';
import { RoutedKvService } from '../../../../actors/router/kv-service.ts';
import { initialShardMap } from '../../../../actors/router/shard-map.ts';
import { AnswerBudget } from '../../../../protocol/answer-budget.ts';
import type { PutOp } from '../../../../protocol/commands.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import type { ReplyBody, RequestBody } from '../../../../protocol/messages/request.ts';
import type { BatchOp, RequestContext } from '../../../../protocol/service.ts';
import type { TxnBody, TxnOp } from '../../../../protocol/txn.ts';
import type { GroupId, NodeId } from '../../../../protocol/types.ts';
import { put } from '../../../kit/applied-group.ts';
import { type Answer, FakeReach, rejected } from '../../../kit/fake-reach.ts';

const MAP = initialShardMap(1);
const CTX: RequestContext = { deadlineMs: 5_000, traceparent: null, idempotency: null };
const KEYED = { ...CTX, idempotency: { key: 'k', requestHash: new Uint8Array(32) } };
const attach = (key: string, lease = 7): PutOp => ({
  ...(put(key, 'v') as PutOp),
  attach: { lease, until: 0 },
});
const promise = (until: number): ReplyBody => ({
  ...{ type: 'Lease', until, clock: 1 },
  lease: { lease: 7, ttlMs: 1_000, remainingMs: 1_000, grantRevision: 1 },
});
const written = (results: Extract<ReplyBody, { type: 'Written' }>['results']): ReplyBody => ({
  ...{ type: 'Written', results, clock: 1, repeated: false },
});
const done = (): ReplyBody => ({
  ...{ type: 'TxnDone', clock: 1, repeated: false },
  outcome: { succeeded: true, failedCompare: null, revision: 5, results: [] },
});
const PUT = { type: 'put' as const, revision: 5, createRevision: 5, version: 1 };

/** One group on n2, which says in turn what it was told to. */
function world(lease: ReplyBody[], writes: ReplyBody[]) {
  const reach = new FakeReach();
  reach.leaders.set(1 as GroupId, 'n2' as NodeId);
  reach.answer = ({ body }) => {
    const next = body.type === 'LeaseCheck' ? lease.shift() : writes.shift();
    if (next === undefined) throw new Error(`nothing to say to ${body.type}`);
    return next;
  };
  const source = { clock: reach.clock, map: () => MAP, refreshMap: async () => {} };
  const service = new RoutedKvService(reach.calls, source as never, 'n1.1');
  const bodies = () => reach.asked.map(({ body }) => body);
  const untils = () =>
    bodies().flatMap((body: RequestBody) =>
      body.type === 'Write'
        ? [body.ops.map((op) => (op.type === 'put' ? op.attach?.until : 0))]
        : [],
    );
  return { reach, service, source, untils };
}

describe('a put that attaches to a lease', () => {
  it('asks the home of the lease first, and travels with its promise', async () => {
    const { reach, service, untils } = world([promise(900)], [written([PUT])]);
    expect(await reach.outcome(service.put(CTX, attach('a')))).toMatchObject({ result: PUT });
    expect(reach.asked.map(({ body }) => body.type)).toEqual(['LeaseCheck', 'Write']);
    expect(untils()).toEqual([[900]]);
  });

  it('asks anew when the promise had run out', async () => {
    const stale = written([{ type: 'lease_stale', revision: 901 }]);
    const { reach, service, untils } = world([promise(900), promise(990)], [stale, written([PUT])]);
    expect(await reach.outcome(service.put(CTX, attach('a')))).toMatchObject({ result: PUT });
    expect(untils()).toEqual([[900], [990]]);
  });

  it('is not sent when the lease is gone', async () => {
    const { reach, service } = world([rejected('lease_not_found')], []);
    expect(await reach.outcome(service.put(CTX, attach('a')))).toMatchObject({
      ...{ code: 'lease_not_found', definite: true },
    });
  });

  it('B09 is sent all the same with an idempotency key: it may have been done before', async () => {
    const { reach, service, untils } = world([rejected('lease_not_found')], [written([PUT])]);
    expect(await reach.outcome(service.put(KEYED, attach('a')))).toMatchObject({ result: PUT });
    expect(untils()).toEqual([[0]]);
  });

  it('is unknown where a write was not answered, whatever the lease says later', async () => {
    const { reach, service } = world(
      [promise(900)],
      [rejected('outcome_unknown', { definite: false })],
    );
    expect(await reach.outcome(service.put(CTX, attach('a')))).toMatchObject({
      ...{ code: 'outcome_unknown', definite: false },
    });
  });
});

describe('a batch with attached puts', () => {
  it('asks once for each lease, and sends the same part again under newer promises', async () => {
    const stale = { type: 'lease_stale' as const, revision: 901 };
    const { reach, source, untils } = world(
      [promise(900), rejected('lease_not_found'), promise(990), rejected('lease_not_found')],
      [written([stale, stale, stale]), written([PUT, { type: 'lease_stale', revision: 0 }, PUT])],
    );
    const ops: BatchOp[] = [attach('a'), attach('b', 8), put('c', 'plain')].map((op) => ({
      ...{ kind: 'write', op },
    }));
    const budget = new AnswerBudget({ bytesMax: LIMITS.batchAnswerBytesMax });
    const done = await reach.outcome(runBatch(reach.calls, source, KEYED, ops, budget));
    expect(done).toMatchObject({
      results: [{ result: PUT }, { result: { type: 'lease_stale' } }, { result: PUT }],
    });
    expect(untils()).toEqual([
      [900, 0, undefined],
      [990, 0, undefined],
    ]);
    const keys = reach.asked.flatMap(({ body }) =>
      body.type === 'Write' ? [body.idempotency?.key] : [],
    );
    expect(new Set(keys).size).toBe(1);
  });
});

describe('a transaction with puts that attach', () => {
  const txnPut = (key: string, lease: number | null): TxnOp => {
    const { ref, value } = attach(key);
    const attached = lease === null ? null : { lease, until: 0 };
    return { type: 'put', ref, value, contentType: null, ttlMs: null, attach: attached };
  };
  const body = (then: TxnOp[], otherwise: TxnOp[] | null = null): TxnBody => ({
    ...{ compares: [], then, otherwise },
  });
  const untilsOf = (reach: FakeReach) =>
    reach.asked.flatMap(({ body: asked }) => {
      if (asked.type !== 'Txn') return [];
      const ops = [...asked.body.then, ...(asked.body.otherwise ?? [])];
      return [ops.map((op) => (op.type === 'put' ? op.attach?.until : undefined))];
    });

  it('asks once for each lease of either branch, and for none where there is none', async () => {
    const { reach, service } = world([promise(900), rejected('lease_not_found')], [done(), done()]);
    const then = [txnPut('a', 7), txnPut('b', null), txnPut('c', 7)];
    await reach.outcome(service.transact(CTX, body(then, [txnPut('d', 8)])));
    expect(untilsOf(reach)).toEqual([[900, undefined, 900, 0]]);
    await reach.outcome(service.transact(CTX, body([txnPut('b', null)])));
    expect(reach.asked.filter(({ body: asked }) => asked.type === 'LeaseCheck')).toHaveLength(2);
  });

  it('asks anew when a promise had run out, and not for ever', async () => {
    const over = { ...rejected('conflict'), hint: 901 } as ReplyBody;
    const again = world([promise(900), promise(990)], [over, done()]);
    const asked = again.service.transact(CTX, body([txnPut('a', 7)]));
    expect(await again.reach.outcome(asked)).toMatchObject({ outcome: { revision: 5 } });
    expect(untilsOf(again.reach)).toEqual([[900], [990]]);
    const never = world(
      Array.from({ length: 9 }, () => promise(900)),
      Array.from({ length: 9 }, () => over),
    );
    const refused = never.service.transact(CTX, body([txnPut('a', 7)]));
    expect(await never.reach.outcome(refused)).toMatchObject({ code: 'conflict', definite: true });
    expect(untilsOf(never.reach)).toHaveLength(5);
  });

  it('is not sent again for a conflict of another kind, nor when its outcome is unknown', async () => {
    for (const code of ['conflict', 'outcome_unknown'] as const) {
      const { reach, service } = world(
        [promise(900)],
        [rejected(code, { definite: code === 'conflict' })],
      );
      const asked = service.transact(CTX, body([txnPut('a', 7)]));
      expect(await reach.outcome(asked)).toMatchObject({ code });
    }
  });
});

/** Two groups on n2; a revoke's sweep of group 2 gets what `swept` says. */
function revokeWorld(swept: (atMs: number) => Answer) {
  const reach = new FakeReach();
  const map = initialShardMap(2);
  for (const group of [1, 2]) reach.leaders.set(group as GroupId, 'n2' as NodeId);
  reach.noteLeader = () => {};
  reach.answer = ({ group, body }) => {
    if (body.type === 'LeaseRevoke') return { type: 'Done', revision: 9 };
    return group === 2 ? swept(reach.clock.nowMs) : all(3);
  };
  const source = { clock: reach.clock, map: () => map, refreshMap: async () => {} };
  const { leases } = new RoutedKvService(reach.calls, source as never, 'n1.1');
  return { reach, startMs: reach.clock.nowMs, leases };
}

const all = (removed: number): ReplyBody => ({ type: 'Swept', removed, isAll: true, clock: 1 });
const OPEN: ReplyBody = { type: 'Swept', removed: 0, isAll: false, clock: 1 };

describe('a revoke', () => {
  it('waits for what is prepared, and is complete when that has ended', async () => {
    const { reach, leases, startMs } = revokeWorld((atMs) =>
      atMs < startMs + 1_500 ? OPEN : all(2),
    );
    const revoked = await reach.outcome(leases.revoke(CTX, 7));
    expect(revoked).toEqual({ revision: 9, removed: 5, isSwept: true });
    expect(reach.clock.nowMs - startMs).toBeGreaterThanOrEqual(1_500);
  });

  it('is not complete when something stays prepared for longer than it waits', async () => {
    const { reach, leases, startMs } = revokeWorld(() => OPEN);
    const revoked = await reach.outcome(leases.revoke(CTX, 7));
    expect(revoked).toEqual({ revision: 9, removed: 3, isSwept: false });
    expect(reach.clock.nowMs - startMs).toBeGreaterThanOrEqual(2_000);
    expect(reach.clock.nowMs - startMs).toBeLessThan(2_500);
  });

  it('is not complete when a group does not answer in its time, and answers then', async () => {
    const { reach, leases, startMs } = revokeWorld(() => 'silence');
    const revoked = await reach.outcome(leases.revoke({ ...CTX, deadlineMs: 1_000 }, 7));
    expect(revoked).toEqual({ revision: 9, removed: 3, isSwept: false });
    expect(reach.clock.nowMs - startMs).toBeLessThan(1_100);
  });
});
