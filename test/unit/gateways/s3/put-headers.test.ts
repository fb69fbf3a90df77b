import * as sdk from '@aws-sdk/client-s3';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GROUPS } from '../../../../gateways/s3/acl.ts';
import { aclOf } from '../../../../gateways/s3/acl-headers.ts';
import type { Headers } from '../../../../gateways/s3/headers.ts';
import {
  decodedWords,
  encodedWord,
  metadataHeaders,
  userMetadataOf,
} from '../../../../gateways/s3/metadata.ts';
import { bypassesGovernance, lockOf } from '../../../../gateways/s3/object-lock-headers.ts';
import { putHeadersOf } from '../../../../gateways/s3/put-headers.ts';
import { tagsOfHeader } from '../../../../gateways/s3/tagging.ts';
import { codeOf, thrownBy } from '../../../kit/s3-error-code.ts';
import { SdkOracle } from '../../../kit/s3-sdk.ts';

const nowMs = Date.parse('2026-11-23T12:00:00Z');
const put = (headers: Headers) => putHeadersOf(headers, nowMs);
const refusal = (headers: Headers) => codeOf(() => put(headers));

describe('the headers of a put', () => {
  it('are what S3 gives an object that says nothing', () => {
    expect(put({})).toEqual({
      content: {
        contentType: 'binary/octet-stream',
        cacheControl: null,
        contentDisposition: null,
        contentEncoding: null,
        contentLanguage: null,
        expires: null,
        websiteRedirectLocation: null,
      },
      metadata: new Map(),
      storageClass: 'STANDARD',
      tags: [],
      acl: null,
      lock: null,
      encryption: null,
      ttlSeconds: null,
    });
  });

  it('as the SDK sends all of them', async () => {
    const { headers } = await new SdkOracle().sent(
      new sdk.PutObjectCommand({
        Bucket: 'b',
        Key: 'k',
        Body: 'x',
        ContentType: 'text/plain',
        CacheControl: 'no-cache',
        ContentDisposition: 'attachment; filename="a"',
        ContentEncoding: 'gzip',
        ContentLanguage: 'de',
        Expires: new Date(nowMs),
        WebsiteRedirectLocation: '/other',
        Metadata: { One: '1', two: 'b c' },
        StorageClass: 'STANDARD_IA',
        Tagging: 'a=b%20c&d=',
        ACL: 'public-read',
        ObjectLockMode: 'GOVERNANCE',
        ObjectLockRetainUntilDate: new Date('2027-01-01T00:00:00Z'),
        ObjectLockLegalHoldStatus: 'ON',
        ServerSideEncryption: 'aws:kms',
        SSEKMSKeyId: 'key-1',
        BucketKeyEnabled: true,
      }),
    );
    expect(put(headers)).toEqual({
      content: {
        contentType: 'text/plain',
        cacheControl: 'no-cache',
        contentDisposition: 'attachment; filename="a"',
        contentEncoding: 'gzip',
        contentLanguage: 'de',
        expires: 'Mon, 23 Nov 2026 12:00:00 GMT',
        websiteRedirectLocation: '/other',
      },
      metadata: new Map([
        ['one', '1'],
        ['two', 'b c'],
      ]),
      storageClass: 'STANDARD_IA',
      tags: [
        { key: 'a', value: 'b c' },
        { key: 'd', value: '' },
      ],
      acl: { type: 'canned', acl: 'public-read' },
      lock: {
        retention: { mode: 'GOVERNANCE', retainUntilMs: Date.parse('2027-01-01T00:00:00Z') },
        legalHold: 'ON',
      },
      encryption: {
        type: 'SSE-KMS',
        algorithm: 'aws:kms',
        keyId: 'key-1',
        context: null,
        bucketKeyEnabled: true,
      },
      ttlSeconds: null,
    });
  });

  it('aws-chunked is of the transfer, not of the object', () => {
    const coded = (header: string) => put({ 'content-encoding': header }).content.contentEncoding;
    expect(coded('aws-chunked')).toBeNull();
    expect(coded('aws-chunked,gzip')).toBe('gzip');
    expect(coded('gzip, AWS-Chunked, br')).toBe('gzip,br');
  });

  it('that S3 refuses are refused', () => {
    expect(refusal({ 'x-amz-storage-class': 'GLACIER' })).toBe('InvalidStorageClass');
    expect(refusal({ 'x-amz-storage-class': 'standard' })).toBe('InvalidStorageClass');
    expect(refusal({ 'x-amz-website-redirect-location': 'ftp://x' })).toBe(
      'InvalidRedirectLocation',
    );
    expect(refusal({ 'x-amz-write-offset-bytes': '0' })).toBe('NotImplemented');
    expect(refusal({ 'x-amz-rename-source': '/k' })).toBe('NotImplemented');
  });

  it('X-Minikv-TTL is seconds', () => {
    expect(put({ 'x-minikv-ttl': '60' }).ttlSeconds).toBe(60);
    for (const ttl of ['0', '-1', '1.5', 'x', '9999999999', '99999999999']) {
      expect(refusal({ 'x-minikv-ttl': ttl })).toBe('InvalidArgument');
    }
  });
});

/** UTF-8 as a header carries it: one char per byte. */
const asUtf8 = (text: string) => Buffer.from(text, 'utf8').toString('latin1');

describe('user metadata', () => {
  it('is the headers with the prefix, in order', () => {
    const metadata = userMetadataOf({ host: 'x', 'x-amz-meta-b': '2', 'x-amz-meta-a': '' });
    expect([...metadata]).toEqual([
      ['b', '2'],
      ['a', ''],
    ]);
    expect(metadataHeaders(metadata)).toEqual([
      ['x-amz-meta-b', '2'],
      ['x-amz-meta-a', ''],
    ]);
  });

  it('I20 names like __proto__ are names', () => {
    const headers = JSON.parse('{"x-amz-meta-__proto__":"1","x-amz-meta-constructor":"2"}');
    expect([...userMetadataOf(headers).keys()]).toEqual(['__proto__', 'constructor']);
  });

  it('has 2 KiB, names and values together', () => {
    expect(codeOf(() => userMetadataOf({ 'x-amz-meta-ab': 'v'.repeat(2046) }))).toBe('none');
    expect(thrownBy(() => userMetadataOf({ 'x-amz-meta-ab': 'v'.repeat(2047) }))).toMatchObject({
      code: 'MetadataTooLarge',
      extra: { Size: 2049, MaxSizeAllowed: 2048 },
    });
    const many = Object.fromEntries(
      Array.from({ length: 700 }, (_, n) => [`x-amz-meta-${n}`, 'v']),
    );
    expect(codeOf(() => userMetadataOf(many))).toBe('MetadataTooLarge');
  });

  it('that is not ASCII goes back byte for byte, whether it came so or as a word of RFC 2047', () => {
    const raw = asUtf8('ÄMÄZÕÑ S3');
    const word = `=?UTF-8?B?${Buffer.from('ÄMÄZÕÑ S3').toString('base64')}?=`;
    for (const sent of [raw, word]) {
      const metadata = userMetadataOf({ 'x-amz-meta-nonascii': sent });
      expect(metadataHeaders(metadata)).toEqual([['x-amz-meta-nonascii', raw]]);
    }
    expect(encodedWord('AMAZON S3')).toBe('AMAZON S3');
  });

  it('words of RFC 2047 are decoded', () => {
    expect(decodedWords('=?UTF-8?B?4oKs?=')).toBe(asUtf8('€'));
    expect(decodedWords('=?utf-8?q?=E2=82=AC_x?=')).toBe(asUtf8('€ x'));
    expect(decodedWords('=?ISO-8859-1?Q?a=E4?=')).toBe(asUtf8('aä'));
    expect(decodedWords('a =?UTF-8?B?4oKs?= b')).toBe(asUtf8('a € b'));
    expect(decodedWords('=?UTF-8?B?4oKs?=  =?UTF-8?B?4oKs?=')).toBe(asUtf8('€€'));
    for (const word of [
      '=?UTF-8?B?/w==?=',
      '=?KOI8-R?B?4oKs?=',
      '=?UTF-8?X?a?=',
      '=?UTF-8?Q?=zz?=',
    ]) {
      expect(decodedWords(word)).toBe(word);
    }
    expect(decodedWords('=?UTF-8?B?4oKs')).toBe('=?UTF-8?B?4oKs');
  });

  it('any text comes back from the header that shows it', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc
        .array(fc.constantFrom('=?', '?=', 'UTF-8', '?B?', 'eA==', ' ', 'ä'))
        .map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(text.map(asUtf8), (value) => {
        const header = encodedWord(value);
        expect(header).toMatch(/^[\x20-\x7e\x80-\xff]*$/);
        expect(header).toBe(header.replace(/^[ \t]|[ \t]$/g, ''));
        expect(decodedWords(header)).toBe(value);
      }),
    );
  });
});

describe('the tagging header', () => {
  it('is a query of at most ten tags', () => {
    expect(tagsOfHeader('a=1&b=x%20y+z&c')).toEqual([
      { key: 'a', value: '1' },
      { key: 'b', value: 'x y z' },
      { key: 'c', value: '' },
    ]);
    const many = Array.from({ length: 11 }, (_, n) => `k${n}=v`).join('&');
    expect(codeOf(() => tagsOfHeader(many))).toBe('InvalidTag');
    expect(codeOf(() => tagsOfHeader('a=1&a=2'))).toBe('InvalidArgument');
    expect(codeOf(() => tagsOfHeader('=1'))).toBe('InvalidTag');
    expect(codeOf(() => tagsOfHeader('a=%zz'))).toBe('InvalidArgument');
    expect(codeOf(() => tagsOfHeader('a=%ff'))).toBe('InvalidArgument');
  });
});

describe('ACL headers', () => {
  it('a canned one, or grants', () => {
    expect(aclOf({})).toBeNull();
    expect(aclOf({ 'x-amz-acl': 'bucket-owner-full-control' })).toEqual({
      type: 'canned',
      acl: 'bucket-owner-full-control',
    });
    expect(
      aclOf({
        'x-amz-grant-read': `uri="${GROUPS.allUsers}", id=abc`,
        'x-amz-grant-write-acp': 'ID="d", emailAddress="a@b"',
      }),
    ).toEqual({
      type: 'grants',
      grants: [
        { grantee: { type: 'Group', uri: GROUPS.allUsers }, permission: 'READ' },
        { grantee: { type: 'CanonicalUser', id: 'abc', displayName: null }, permission: 'READ' },
        { grantee: { type: 'CanonicalUser', id: 'd', displayName: null }, permission: 'WRITE_ACP' },
        {
          grantee: { type: 'AmazonCustomerByEmail', emailAddress: 'a@b' },
          permission: 'WRITE_ACP',
        },
      ],
    });
  });

  it('that cannot be followed are refused', () => {
    const acl = (headers: Headers) => codeOf(() => aclOf(headers));
    expect(acl({ 'x-amz-acl': 'public' })).toBe('InvalidArgument');
    expect(acl({ 'x-amz-acl': 'private', 'x-amz-grant-read': 'id=a' })).toBe('InvalidRequest');
    expect(acl({ 'x-amz-grant-read': 'everybody' })).toBe('InvalidArgument');
    expect(acl({ 'x-amz-grant-read': 'id="a" id="b"' })).toBe('InvalidArgument');
    expect(acl({ 'x-amz-grant-read': 'uri="http://x"' })).toBe('InvalidArgument');
    expect(acl({ 'x-amz-grant-read': 'id=""' })).toBe('InvalidArgument');
  });
});

describe('object lock headers', () => {
  const MODE = 'x-amz-object-lock-mode';
  const UNTIL = 'x-amz-object-lock-retain-until-date';
  const HOLD = 'x-amz-object-lock-legal-hold';
  const lock = (headers: Headers) => codeOf(() => lockOf(headers, nowMs));

  it('a retention, a legal hold, or both', () => {
    expect(lockOf({}, nowMs)).toBeNull();
    expect(lockOf({ [HOLD]: 'OFF' }, nowMs)).toEqual({ retention: null, legalHold: 'OFF' });
    expect(
      lockOf({ [MODE]: 'COMPLIANCE', [UNTIL]: '2026-11-23T13:00:00+01:00' }, nowMs - 1),
    ).toEqual({
      retention: { mode: 'COMPLIANCE', retainUntilMs: nowMs },
      legalHold: null,
    });
    expect(bypassesGovernance({ 'x-amz-bypass-governance-retention': 'True' })).toBe(true);
    expect(bypassesGovernance({})).toBe(false);
  });

  it('that are not complete, not dates or over are refused', () => {
    for (const headers of [
      { [MODE]: 'COMPLIANCE' },
      { [UNTIL]: '2027-01-01T00:00:00Z' },
      { [MODE]: 'FOREVER', [UNTIL]: '2027-01-01T00:00:00Z' },
      { [MODE]: 'COMPLIANCE', [UNTIL]: 'tomorrow' },
      { [MODE]: 'COMPLIANCE', [UNTIL]: '2027-02-30T00:00:00Z' },
      { [MODE]: 'COMPLIANCE', [UNTIL]: '2026-11-23T12:00:00Z' },
      { [HOLD]: 'MAYBE' },
    ]) {
      expect(lock(headers)).toBe('InvalidArgument');
    }
  });
});
