import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { copyHeadersOf, copySourceOf } from '../../../../gateways/s3/copy-headers.ts';
import {
  copySourceCustomerKeyOf,
  customerKeyOf,
  encryptionOf,
} from '../../../../gateways/s3/encryption-headers.ts';
import type { Headers } from '../../../../gateways/s3/headers.ts';
import { responseOverrides } from '../../../../gateways/s3/response-overrides.ts';
import { codeOf, thrownBy } from '../../../kit/s3-error-code.ts';

const nowMs = Date.parse('2026-11-23T12:00:00Z');

describe('encryption headers', () => {
  const SSE = 'x-amz-server-side-encryption';
  const key = Buffer.alloc(32, 7);
  const customer = (before: string, more: Headers = {}): Headers => ({
    [`${before}-customer-algorithm`]: 'AES256',
    [`${before}-customer-key`]: key.toString('base64'),
    [`${before}-customer-key-md5`]: createHash('md5').update(key).digest('base64'),
    ...more,
  });
  const sse = (headers: Headers) => codeOf(() => encryptionOf(headers));

  it('with keys of ours, of the key service, of the customer', () => {
    expect(encryptionOf({})).toBeNull();
    expect(encryptionOf({ [SSE]: 'AES256' })).toEqual({ type: 'SSE-S3' });
    const context = Buffer.from('{"a":"b"}').toString('base64');
    expect(encryptionOf({ [SSE]: 'aws:kms:dsse', [`${SSE}-context`]: context })).toEqual({
      type: 'SSE-KMS',
      algorithm: 'aws:kms:dsse',
      keyId: null,
      context,
      bucketKeyEnabled: null,
    });
    const found = encryptionOf(customer(SSE));
    expect(found?.type === 'SSE-C' && Buffer.compare(found.customerKey.key, key)).toBe(0);
    expect(customerKeyOf({})).toBeNull();
    expect(
      copySourceCustomerKeyOf(customer(`x-amz-copy-source-server-side-encryption`))?.key,
    ).toEqual(key);
    expect(copySourceCustomerKeyOf(customer(SSE))).toBeNull();
  });

  it('that are wrong are refused, and the key is not shown', () => {
    expect(sse({ [SSE]: 'rot13' })).toBe('InvalidArgument');
    expect(sse({ [`${SSE}-aws-kms-key-id`]: 'k' })).toBe('InvalidArgument');
    expect(sse({ [SSE]: 'AES256', [`${SSE}-aws-kms-key-id`]: 'k' })).toBe('InvalidArgument');
    for (const context of [
      '{}',
      Buffer.from('[]').toString('base64'),
      'e30',
      'eyJhIjoxfQ==',
      'AAAA',
    ]) {
      expect(sse({ [SSE]: 'aws:kms', [`${SSE}-context`]: context })).toBe('InvalidArgument');
    }
    expect(sse(customer(SSE, { [SSE]: 'AES256' }))).toBe('InvalidArgument');
    expect(sse(customer(SSE, { [`${SSE}-customer-algorithm`]: 'AES128' }))).toBe(
      'InvalidEncryptionAlgorithmError',
    );
    for (const part of ['algorithm', 'key', 'key-md5']) {
      expect(sse(customer(SSE, { [`${SSE}-customer-${part}`]: '' }))).toBe('InvalidArgument');
    }
    const short = customer(SSE, { [`${SSE}-customer-key`]: Buffer.alloc(31).toString('base64') });
    expect(sse(short)).toBe('InvalidArgument');
    const other = customer(SSE, { [`${SSE}-customer-key-md5`]: 'AAAAAAAAAAAAAAAAAAAAAA==' });
    const error = thrownBy(() => encryptionOf(other));
    expect(error?.code).toBe('InvalidArgument');
    expect(JSON.stringify(error?.extra) + error?.message).not.toContain(key.toString('base64'));
  });
});

describe('the headers of a copy', () => {
  it('its source', () => {
    expect(copySourceOf('bucket/a/b')).toEqual({ bucket: 'bucket', key: 'a/b', versionId: null });
    expect(copySourceOf('/bucket/a%20b%2B+%3F?versionId=null')).toEqual({
      bucket: 'bucket',
      key: 'a b++?',
      versionId: 'null',
    });
    expect(copySourceOf('bucket%2Fkey').key).toBe('key');
    expect(copySourceOf('bucket//key').key).toBe('/key');
    expect(copySourceOf('bucket/\u00e2\u0082\u00ac').key).toBe('€');
    const source = (header: string) => codeOf(() => copySourceOf(header));
    for (const header of [
      '',
      '/',
      'bucket',
      'bucket/',
      '/bucket/',
      'b/%zz',
      'b/%ff',
      'bucket/k?versionId=',
    ]) {
      expect(source(header)).toBe('InvalidArgument');
    }
    expect(source('B_/key')).toBe('InvalidBucketName');
    expect(source(`bucket/${'k'.repeat(1025)}`)).toBe('KeyTooLongError');
  });

  it('directives and conditions', () => {
    const copy = copyHeadersOf(
      {
        'x-amz-copy-source': '/bucket/key',
        'x-amz-metadata-directive': 'REPLACE',
        'x-amz-copy-source-if-match': '"e"',
      },
      nowMs,
    );
    expect(copy).toMatchObject({
      source: { bucket: 'bucket', key: 'key' },
      metadataDirective: 'REPLACE',
      taggingDirective: 'COPY',
      conditions: { ifMatch: [{ eTag: 'e', isWeak: false }], ifNoneMatch: null },
      customerKey: null,
    });
    for (const name of ['metadata', 'tagging']) {
      const headers = { 'x-amz-copy-source': '/bucket/key', [`x-amz-${name}-directive`]: 'MERGE' };
      expect(codeOf(() => copyHeadersOf(headers, nowMs))).toBe('InvalidArgument');
    }
  });
});

describe('headers of the answer that the request chooses', () => {
  const overrides = (query: Record<string, string>, isAnonymous = false) =>
    responseOverrides(new Map(Object.entries(query)), isAnonymous);

  it('are six', () => {
    expect([
      ...overrides({
        'response-content-type': 'text/plain; charset=utf-8',
        'response-content-disposition': 'attachment; filename="ä"',
        'response-expires': '',
        prefix: 'x',
      }),
    ]).toEqual([
      ['content-disposition', 'attachment; filename="ä"'],
      ['content-type', 'text/plain; charset=utf-8'],
      ['expires', ''],
    ]);
  });

  it('are not for those who do not sign, and split no answer', () => {
    const query = { 'response-content-type': 'text/html' };
    expect(codeOf(() => overrides(query, true))).toBe('InvalidRequest');
    expect(codeOf(() => overrides({}, true))).toBe('none');
    for (const value of ['a\r\nset-cookie: x', 'a\0', '€', '\x7f']) {
      expect(codeOf(() => overrides({ 'response-content-type': value }))).toBe('InvalidArgument');
    }
  });
});
