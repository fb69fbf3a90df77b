import { describe, expect, it } from 'vitest';
import { requestBytes } from '../../../../actors/replica/message-bytes.ts';
import { runBatch } from '../../../../actors/router/batch.ts';
import { initialShardMap } from '../../../../actors/router/shard-map.ts';
import { AnswerBudget } from '../../../../protocol/answer-budget.ts';
import type { WriteOp } from '../../../../protocol/commands.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import type { ReplyBody, RequestBody } from '../../../../protocol/messages/request.ts';
import type { BatchOp, BatchResult, RequestContext } from '../../../../protocol/service.ts';
import type { GroupId, NodeId } from '../../../../protocol/types.ts';
import { vshardOf } from '../../../../protocol/vshard.ts';
import { put, ref } from '../../../kit/applied-group.ts';
import { itemAt } from '../../../kit/change-events.ts';
import { FakeReach, rejected } from '../../../kit/fake-reach.ts';

const MAP = initialShardMap(2);
const CTX: RequestContext = { deadlineMs: 5_000, traceparent: null, idempotency: null };
const groupOf = (key: string) => MAP.groups[vshardOf(ref(key))] as GroupId;
const write = (op: WriteOp): BatchOp => ({ kind: 'write', op });

/** Every group is led by n2 and does what it is asked. */
function working(): FakeReach {
  const reach = new FakeReach();
  for (const group of [1, 2]) reach.leaders.set(group as GroupId, 'n2' as NodeId);
  reach.answer = ({ group, body }) => answer(group, body);
  return reach;
}

function answer(group: GroupId, body: RequestBody): ReplyBody {
  if (body.type === 'Read') {
    return { type: 'Items', items: body.keys.map((key) => itemAt(key, 1)), clock: 500 + group };
  }
  const ops = body.type === 'Write' ? body.ops : [];
  const results = ops.map((_, i) => ({
    ...{ type: 'put' as const, revision: group * 100 + i, createRevision: 1, version: 1 },
  }));
  return { type: 'Written', results, clock: group * 1000, repeated: false };
}

async function run(
  reach: FakeReach,
  ops: BatchOp[],
  ctx = CTX,
  budget = new AnswerBudget({ bytesMax: LIMITS.batchAnswerBytesMax }),
) {
  const source = { clock: reach.clock, map: () => MAP, refreshMap: async () => {} };
  const done = await reach.outcome(runBatch(reach.calls, source, ctx, ops, budget));
  return done as { results: BatchResult[]; clock: number };
}

describe('a batch', () => {
  it('goes to each group in one part, and gives results in the order of the request', async () => {
    const reach = working();
    const keys = Array.from({ length: 20 }, (_, i) => `k${i}`);
    const { results, clock } = await run(
      reach,
      keys.map((key) => write(put(key, '1'))),
    );
    expect(reach.asked.map(({ group }) => group).sort()).toEqual([1, 2]);
    const seen = new Map<number, number>();
    for (let i = 0; i < keys.length; i++) {
      const group = groupOf(keys[i] as string);
      const at = seen.get(group) ?? 0;
      seen.set(group, at + 1);
      expect(results[i]).toMatchObject({ kind: 'write', result: { revision: group * 100 + at } });
    }
    expect(clock).toBe(2000);
  });

  it('is cut so that each part fits one entry', async () => {
    const reach = working();
    const large = 'x'.repeat(LIMITS.entryBytesMax / 5);
    const key = 'same';
    await run(
      reach,
      Array.from({ length: 5 }, () => write(put(key, large))),
    );
    const sizes = reach.asked.map(({ body }) => body.type === 'Write' && body.ops.length);
    expect(sizes).toEqual([2, 2, 1]);
    const small = working();
    await run(
      small,
      Array.from({ length: 1_500 }, () => write(put(key, ''))),
    );
    expect(small.asked.map(({ body }) => body.type === 'Write' && body.ops.length)).toEqual([
      1_024, 476,
    ]);
  });

  it('gives each part an idempotency key of its own, the same ones when it is repeated', async () => {
    const idempotency = { key: 'K', requestHash: new Uint8Array(32) };
    const ops = ['a', 'b', 'c', 'd'].map((key) => write(put(key, '1')));
    const keysOf = async () => {
      const reach = working();
      await run(reach, ops, { ...CTX, idempotency });
      return reach.asked.map(({ group, body }) => [
        group,
        body.type === 'Write' && body.idempotency?.key,
      ]);
    };
    const first = await keysOf();
    expect(first.map(([, key]) => key)).toEqual(['K\x000', 'K\x001']);
    expect(await keysOf()).toEqual(first);
  });

  it('asks a group for its reads when its writes are answered, and not another one', async () => {
    const reach = working();
    const far = ['b', 'c', 'd', 'e'].find((key) => groupOf(key) !== groupOf('a')) as string;
    const get = (key: string): BatchOp => ({ kind: 'get', ref: ref(key) });
    await run(reach, [get('a'), write(put('a', '1')), get(far)]);
    const asked = reach.asked.map(({ group, body }) => [group, body.type]);
    const [near, other] = [groupOf('a'), groupOf(far)];
    expect(asked).toEqual([
      [near, 'Write'],
      [other, 'Read'],
      [near, 'Read'],
    ]);
  });

  it('reads beside its writes, and asks on when a reply has not all items', async () => {
    const reach = working();
    const keys = ['a', 'b', 'c', 'd', 'e'].filter((key) => groupOf(key) === groupOf('a'));
    reach.answer = ({ group, body }) => {
      const reply = answer(group, body);
      return reply.type === 'Items' ? { ...reply, items: reply.items.slice(0, 1) } : reply;
    };
    const ops = keys.map((key): BatchOp => ({ kind: 'get', ref: ref(key) }));
    const { results } = await run(reach, [...ops, write(put('a', '1'))]);
    expect(reach.asked.filter(({ body }) => body.type === 'Read')).toHaveLength(keys.length);
    const read = results.slice(0, -1).map((r) => r.kind === 'get' && r.item?.ref.key);
    expect(read).toEqual(keys);
    expect(results.at(-1)).toMatchObject({ kind: 'write' });
  });

  it('tells a failure per item, with whether it is definite', async () => {
    const reach = working();
    const bad = groupOf('a');
    reach.answer = ({ group, body }) => {
      if (group !== bad) return answer(group, body);
      return body.type === 'Read' ? rejected('clock_skew') : 'silence';
    };
    const keys = Array.from({ length: 8 }, (_, i) => `k${i}`);
    const ops = keys.flatMap((key): BatchOp[] => [
      write(put(key, '1')),
      { kind: 'get', ref: ref(key) },
    ]);
    const { results } = await run(reach, ops);
    for (let i = 0; i < keys.length; i++) {
      const [wrote, read] = [results[i * 2], results[i * 2 + 1]];
      if (groupOf(keys[i] as string) === bad) {
        expect(wrote).toMatchObject({ kind: 'error', code: 'outcome_unknown', definite: false });
        // It waited for the write in vain.
        expect(read).toMatchObject({ kind: 'error', code: 'deadline_exceeded', definite: true });
      } else expect([wrote?.kind, read?.kind]).toEqual(['write', 'get']);
    }
    const reads = await run(
      reach,
      keys.map((key): BatchOp => ({ kind: 'get', ref: ref(key) })),
    );
    for (const [i, key] of keys.entries()) {
      const skewed = { kind: 'error', code: 'clock_skew', definite: true };
      expect(reads.results[i]).toMatchObject(groupOf(key) === bad ? skewed : { kind: 'get' });
    }
  });

  it('says of a moved key that nothing happened', async () => {
    const reach = working();
    reach.answer = () => ({
      ...{ type: 'Written', clock: 1, repeated: false },
      results: [{ type: 'wrong_shard', epoch: 2 }],
    });
    const { results } = await run(reach, [write(put('a', '1'))]);
    expect(results).toMatchObject([{ kind: 'error', code: 'wrong_shard', definite: true }]);
  });

  it('does what has moved at its new group, by a newer map, and keeps the order of the rest', async () => {
    const reach = working();
    const moved = { ...MAP, epoch: 2, groups: MAP.groups.map(() => 2 as GroupId) };
    let map = MAP;
    const asked: number[] = [];
    const source = {
      clock: reach.clock,
      map: () => map,
      refreshMap: async (epoch: number) => {
        asked.push(epoch);
        map = moved;
      },
    };
    reach.answer = ({ group, body }) => {
      if (group === 2 || body.type !== 'Write') return answer(group, body);
      const results = body.ops.map(() => ({ type: 'wrong_shard' as const, epoch: 2 }));
      return { type: 'Written', results, clock: 1, repeated: false };
    };
    const keys = Array.from({ length: 12 }, (_, i) => `k${i}`);
    const ctx = { ...CTX, idempotency: { key: 'once', requestHash: new Uint8Array(32) } };
    const ops = keys.map((key) => write(put(key, '1')));
    const done = await reach.outcome(runBatch(reach.calls, source, ctx, ops, new AnswerBudget({})));
    const { results } = done as { results: BatchResult[] };
    expect(asked).toEqual([2]);
    expect(results.map(({ kind }) => kind)).toEqual(keys.map(() => 'write'));
    const parts = reach.asked.flatMap(({ group, body }) =>
      body.type === 'Write'
        ? [{ group, key: body.idempotency?.key, keys: body.ops.map((op) => op.ref.key) }]
        : [],
    );
    const last = parts[2];
    expect(last).toMatchObject({ group: 2, keys: keys.filter((key) => groupOf(key) === 1) });
    expect(new Set(parts.map(({ key }) => key)).size).toBe(3);
  });

  it('stops reading when its answer is large enough, and says so of each get that is left', async () => {
    const reach = working();
    const value = new Uint8Array(100_000);
    reach.answer = ({ group, body }) => {
      const reply = answer(group, body);
      if (reply.type !== 'Items') return reply;
      return { ...reply, items: reply.items.slice(0, 5).map((item) => ({ ...item!, value })) };
    };
    const gets = Array.from({ length: 2_000 }, (): BatchOp => ({ kind: 'get', ref: ref('a') }));
    const budget = new AnswerBudget({ bytesMax: 1_000_000 });
    const { results } = await run(reach, [...gets, write(put('a', '1'))], CTX, budget);
    expect(results.filter(({ kind }) => kind === 'get')).toHaveLength(9);
    expect(results[9]).toMatchObject({ kind: 'error', code: 'too_large', definite: true });
    expect(results[1_999]).toEqual(results[9]);
    expect(results[2_000]).toMatchObject({ kind: 'write' });
    expect(reach.asked.filter(({ body }) => body.type === 'Read')).toHaveLength(2);
  });

  it('cuts its reads so that each fits one message', async () => {
    const reach = working();
    const pad = 'p'.repeat(LIMITS.keyBytesMax - 8);
    const keys = Array.from({ length: 600 }, (_, i) => pad + i);
    const { results } = await run(
      reach,
      keys.map((key): BatchOp => ({ kind: 'get', ref: ref(key) })),
    );
    expect(results.map((one) => one.kind === 'get' && one.item?.ref.key)).toEqual(keys);
    for (const { body } of reach.asked) {
      expect(requestBytes(body)).toBeLessThan(LIMITS.busPayloadBytesMax * 0.6);
    }
  });

  it('takes away few values with one entry: a delete is short, what it deletes may not be', async () => {
    const reach = working();
    const all = Array.from({ length: 1_000 }, (_, i) => `k${i}`);
    const keys = all.filter((key) => groupOf(key) === 1).slice(0, 300);
    await run(
      reach,
      keys.map((key) => write({ type: 'delete', ref: ref(key), condition: null })),
    );
    const counts = reach.asked.map(({ body }) => (body.type === 'Write' ? body.ops.length : 0));
    expect(counts.reduce((sum, count) => sum + count)).toBe(300);
    expect(Math.max(...counts) * LIMITS.valueBytesMax).toBeLessThan(100 * 1024 * 1024);
  });

  it('ends with its deadline however many parts it has', async () => {
    const reach = working();
    reach.answer = () => 'silence';
    const large = 'x'.repeat(LIMITS.entryBytesMax / 3);
    const startMs = reach.clock.monotonicMs();
    const { results } = await run(
      reach,
      Array.from({ length: 6 }, () => write(put('same', large))),
    );
    expect(reach.clock.monotonicMs() - startMs).toBeLessThan(CTX.deadlineMs * 1.1);
    const [first] = results;
    expect(first).toMatchObject({ code: 'outcome_unknown', definite: false });
    expect(results.slice(2).map((one) => one.kind === 'error' && one.definite)).toEqual(
      Array.from({ length: 4 }, () => true),
    );
  });

  it('of nothing asks nobody', async () => {
    const reach = working();
    expect(await run(reach, [])).toEqual({ results: [], clock: 0 });
    expect(reach.asked).toEqual([]);
  });
});
