import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createClient, type MinikvError } from '../../../client/client.ts';
import { type ModelServer, startModelServer } from '../../kit/http-start.ts';

let server: ModelServer;
beforeAll(async () => {
  server = await startModelServer();
});
afterAll(() => server.stop());

const client = () => createClient({ endpoints: server.url });

describe('transactions', () => {
  it('do one branch or the other, all of it', async () => {
    const kv = client();
    const { revision } = await kv.put('t/a', '1');
    const done = await kv.txn({
      compare: [
        { key: 't/a', revision },
        { key: 't/b', exists: false },
      ],
      success: [
        { op: 'put', key: 't/b', value: Uint8Array.of(255) },
        { op: 'get', key: 't/none' },
      ],
      failure: [{ op: 'get', key: 't/a' }],
    });
    expect(done).toMatchObject({ succeeded: true, results: [{ version: 1 }, { item: null }] });
    const other = await kv.txn({
      compare: [{ key: 't/a', value: '2' }],
      failure: [
        { op: 'get', key: 't/a' },
        { op: 'delete', key: 't/b' },
      ],
    });
    expect(other.succeeded).toBe(false);
    expect(other.results).toMatchObject([{ item: { key: 't/a' } }, { deleted: true }]);
    const failed = kv.txn({ compare: [{ key: 't/a', revision: 0 }], success: [] });
    expect(await failed.catch((error: MinikvError) => error.code)).toBe('compare_failed');
  });

  it('optimistic ones see what they wrote, and commit it at once', async () => {
    const kv = client();
    await kv.put('t/from', '10');
    const moved = await kv.transaction(async (tx) => {
      const from = Number((await tx.get('t/from'))?.text());
      tx.put('t/from', String(from - 3));
      tx.put('t/to', '3');
      tx.delete('t/gone');
      expect((await tx.get('t/to'))?.text()).toBe('3');
      expect(await tx.get('t/gone')).toBeNull();
      return from;
    });
    expect(moved).toBe(10);
    const [from, to] = [await kv.get('t/from'), await kv.get('t/to')];
    expect([from?.text(), to?.text()]).toEqual(['7', '3']);
    expect(from?.revision).toBe(to?.revision);
  });

  it('run again when somebody was first, and count exactly', async () => {
    const kv = client();
    let attempts = 0;
    const increment = () =>
      kv.transaction(async (tx) => {
        attempts++;
        const count = Number((await tx.get('t/count'))?.text() ?? 0);
        tx.put('t/count', String(count + 1));
      });
    await Promise.all(Array.from({ length: 12 }, increment));
    expect((await kv.get('t/count'))?.text()).toBe('12');
    expect(attempts).toBeGreaterThan(12);
  });

  it('run again when they throw over reads of different moments, and not otherwise', async () => {
    const kv = client();
    const move = (amount: number) =>
      kv.txn({
        success: [
          { op: 'put', key: 't/one', value: String(5 - amount) },
          { op: 'put', key: 't/two', value: String(5 + amount) },
        ],
      });
    await move(0);
    let attempts = 0;
    const sum = await kv.transaction(async (tx) => {
      const one = Number((await tx.get('t/one'))?.text());
      if (++attempts === 1) await move(3);
      const two = Number((await tx.get('t/two'))?.text());
      if (one + two !== 10) throw new Error(`the sum is ${one + two}`);
      return one + two;
    });
    expect([sum, attempts]).toEqual([10, 2]);
    const refused = kv.transaction(async (tx) => {
      attempts++;
      if (Number((await tx.get('t/one'))?.text()) < 3) throw new Error('too little');
    });
    await expect(refused).rejects.toThrow('too little');
    expect(attempts).toBe(3);
  });

  it('attach what they write to a lease, in one branch and optimistically', async () => {
    const kv = client();
    const { id } = await kv.leases.grant(60);
    await kv.txn({ success: [{ op: 'put', key: 't/leased', value: '1', lease: id }] });
    await kv.transaction(async (tx) => {
      tx.put('t/leased-too', '2', { lease: id });
    });
    expect((await kv.get('t/leased-too'))?.lease).toBe(id);
    expect(await kv.leases.revoke(id)).toEqual({ removed: 2 });
    const late = kv.transaction(async (tx) => tx.put('t/late', '3', { lease: id }));
    const refusal = await late.catch((error: MinikvError) => error);
    expect(refusal).toMatchObject({ code: 'lease_not_found', definite: true });
    expect(await kv.get('t/late')).toBeNull();
  });

  it('B20 are not run again when their fence has fallen', async () => {
    const kv = client();
    const lock = await kv.locks.acquire('t-lock');
    const guarded = (value: string) =>
      kv.transaction(
        async (tx) => {
          await tx.get('t/guarded');
          tx.put('t/guarded', value);
        },
        { compare: [lock.fence] },
      );
    await guarded('mine');
    await lock.release();
    const late = await guarded('late').catch((error: MinikvError) => error);
    expect(late).toMatchObject({ code: 'compare_failed', definite: true });
    expect((await kv.get('t/guarded'))?.text()).toBe('mine');
  });
});
