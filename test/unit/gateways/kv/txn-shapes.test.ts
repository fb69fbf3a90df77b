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

describe('objects in transactions', () => {
  const bodyOf = (raw: object) => txnFromJson(raw);
  const object = { bucket: 'papers', key: 'a/ö' };
  const ref = { tenant: 'default', space: 'papers', key: 'a/\xc3\xb6' };

  it('are compared by ETag, with quotes or without, by version, revision and existence', () => {
    const compare = [
      { object, etag: '"abc"' },
      { object, etag: 'abc', op: '!=' },
      { object, versionId: 'null' },
      { object, revision: 7, op: '>' },
      { object, exists: false },
    ];
    expect(bodyOf({ compare }).compares).toEqual([
      { ref, relation: '=', target: { type: 'etag', etag: 'abc' } },
      { ref, relation: '!=', target: { type: 'etag', etag: 'abc' } },
      { ref, relation: '=', target: { type: 'versionId', versionId: 'null' } },
      { ref, relation: '>', target: { type: 'revision', revision: 7 } },
      { ref, relation: '=', target: { type: 'exists', exists: false } },
    ]);
  });

  it('are read, deleted and tagged', () => {
    const { then } = bodyOf({
      then: [
        { op: 'headObject', ...object },
        { op: 'deleteObject', ...object, versionId: 'null' },
        { op: 'putObjectTags', ...object, tags: { state: 'new' } },
      ],
    });
    const tags = [{ name: 'state', value: 'new' }];
    expect(then).toEqual([
      { type: 'get', ref },
      { type: 'deleteObject', ref, bucket: 0, versionId: 'null' },
      { type: 'tagObject', ref, bucket: 0, versionId: null, tags },
    ]);
  });

  it('what S3 would not take is refused and named', () => {
    const eleven = Object.fromEntries(Array.from({ length: 11 }, (_, i) => [`t${i}`, '']));
    const rows: [object, RegExp][] = [
      [{ compare: [{ object, etag: 'a', exists: true }] }, /exactly one of etag/],
      [{ compare: [{ object }] }, /exactly one of etag/],
      [{ compare: [{ object, etag: 'a', op: '<' }] }, /only = and !=/],
      [{ compare: [{ object, value: 'a' }] }, /no field "value"/],
      [{ compare: [{ object: { ...object, bucket: 'kv' }, exists: true }] }, /name of a bucket/],
      [{ compare: [{ object: 'papers/a', exists: true }] }, /must be an object/],
      [{ then: [{ op: 'deleteObject', ...object, bucket: '_locks' }] }, /name of a bucket/],
      [{ then: [{ op: 'deleteObject', ...object, key: '' }] }, /key of an object/],
      [{ then: [{ op: 'deleteObject', ...object, key: '\ud800' }] }, /key of an object/],
      [{ then: [{ op: 'deleteObject', ...object, key: 'x'.repeat(1025) }] }, /1024/],
      [{ then: [{ op: 'deleteObject', ...object, versionId: 'v1' }] }, /versionId/],
      [{ then: [{ op: 'deleteObject', ...object, bypass: true }] }, /no field "bypass"/],
      [{ then: [{ op: 'putObjectTags', ...object }] }, /tags must be an object/],
      [{ then: [{ op: 'putObjectTags', ...object, tags: eleven }] }, /at most 10 tags/],
      [{ then: [{ op: 'putObjectTags', ...object, tags: { 'aws:a': '' } }] }, /aws:/],
      [{ then: [{ op: 'putObjectTags', ...object, tags: { a: '<' } }] }, /cannot have this value/],
      [{ then: [{ op: 'putObjectTags', ...object, tags: { '': 'a' } }] }, /cannot be called/],
    ];
    for (const [raw, message] of rows) expect(() => bodyOf(raw), String(message)).toThrow(message);
  });
});
