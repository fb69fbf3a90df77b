import { describe, expect, it } from 'vitest';
import { AppError } from '../../../protocol/errors.ts';
import type { RequestContext } from '../../../protocol/service.ts';
import type { TxnOpOf } from '../../../protocol/txn.ts';
import { put, ref } from '../../kit/applied-group.ts';
import { MemoryCluster } from '../../kit/memory-cluster.ts';

const CTX: RequestContext = { deadlineMs: 3_000, traceparent: null, idempotency: null };
const LATEST = { consistency: 'linearizable' as const, revision: null };

describe('an answer that no message can hold', () => {
  it('is refused at once: a read for certain, a write is perhaps done', async () => {
    const cluster = new MemoryCluster('n1 n2 n3', { groupCount: 1 });
    await cluster.start();
    const value = 'x'.repeat(100_000);
    const large = put('a', value) as TxnOpOf<'put'>;
    await cluster.time.until(cluster.node('n1').service.put(CTX, { ...large, condition: null }));
    cluster.narrow(64 * 1024);
    const get = { type: 'get', ref: ref('a') } as const;
    const then = [get, put('b', '1') as TxnOpOf<'put'>];
    const told: unknown[] = [];
    for (const node of ['n1', 'n2', 'n3']) {
      const { service } = cluster.node(node);
      const read = service.get(CTX, ref('a'), LATEST);
      const written = service.transact(CTX, { compares: [], then, otherwise: null });
      const startMs = cluster.time.scheduler.nowMs();
      for (const work of [read, written]) {
        const refusal = await cluster.time.until(
          work.then(
            () => null,
            (error: unknown) => error,
          ),
        );
        if (refusal instanceof AppError) told.push([refusal.code, refusal.definite]);
      }
      expect(cluster.time.scheduler.nowMs() - startMs).toBeLessThan(500);
    }
    // The leader's own node needs no message.
    const refused = [
      ['too_large', true],
      ['outcome_unknown', false],
    ];
    expect(told).toEqual([...refused, ...refused]);
    expect(cluster.fatals).toEqual([]);
  });
});
