import { describe, expect, it } from 'vitest';
import { runTxn, txnFromJson } from '../../../../gateways/kv/txn-shapes.ts';
import { AppError } from '../../../../protocol/errors.ts';
import type { TxnOutcome } from '../../../../protocol/messages/txn.ts';

/** What a transaction whose first compare fails answers. */
async function failedCompareOf(compare: unknown): Promise<unknown> {
  const raw = { compare: [compare], then: [] };
  const outcome: TxnOutcome = { succeeded: false, failedCompare: 0, revision: 1, results: [] };
  const service = { transact: async () => ({ outcome, clock: 1, repeated: false }) };
  const ctx = { deadlineMs: 1_000, traceparent: null, idempotency: null };
  const error: unknown = await runTxn(service, ctx, txnFromJson(raw), raw).catch((one) => one);
  if (!(error instanceof AppError)) throw error;
  return error.details['failedCompare'];
}

describe('a failed compare', () => {
  it('is told as it was sent', async () => {
    const sent = { key: 'k', op: '<', revision: 7 };
    expect(await failedCompareOf(sent)).toEqual({ index: 0, ...sent });
  });

  it('has the bytes that MessagePack sends as text or base64, never byte by byte', async () => {
    const text = { key: Buffer.from('käse'), value: new Uint8Array(Buffer.from('größe')) };
    expect(await failedCompareOf(text)).toEqual({ index: 0, key: 'käse', value: 'größe' });
    const bytes = { key: Buffer.from([0xff, 0xfe]), value: Buffer.alloc(60_000, 0xff) };
    const failed = await failedCompareOf(bytes);
    expect(failed).toEqual({
      index: 0,
      keyBase64: '//4=',
      base64: Buffer.alloc(60_000, 0xff).toString('base64'),
    });
    expect(JSON.stringify(failed).length).toBeLessThan(60_000 * 1.4);
  });
});
