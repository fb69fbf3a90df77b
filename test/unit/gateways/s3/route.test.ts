import * as sdk from '@aws-sdk/client-s3';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Endpoint } from '../../../../gateways/s3/address.ts';
import { isBucketName } from '../../../../gateways/s3/bucket-name.ts';
import { S3Error } from '../../../../gateways/s3/errors.ts';
import type { Headers } from '../../../../gateways/s3/headers.ts';
import { engineKeyOf, keyOfEngine } from '../../../../gateways/s3/object-key.ts';
import {
  BY_HEADER,
  BY_ID,
  LIST_V2,
  NOT_OFFERED,
  OPERATIONS,
} from '../../../../gateways/s3/operations.ts';
import { type Route, routeOf } from '../../../../gateways/s3/route.ts';
import { codeOf, thrownBy } from '../../../kit/s3-error-code.ts';
import { SdkOracle } from '../../../kit/s3-sdk.ts';

const DOMAIN = 's3.example.test';
const ROOT: Endpoint = { baseDomains: [DOMAIN], pathPrefix: '' };
const UNDER_S3: Endpoint = { baseDomains: [], pathPrefix: '/s3' };

const route = (
  method: string,
  url: string,
  headers: Headers = {},
  endpoint: Endpoint = ROOT,
): Route => routeOf({ method, url, headers: { host: DOMAIN, ...headers } }, endpoint);

const refusal = (method: string, url: string, headers: Headers = {}): string =>
  codeOf(() => route(method, url, headers));

/** Values for whatever a command must be given. */
const INPUT = {
  Bucket: 'my-bucket',
  Key: 'a b/ключ+%&?=',
  UploadId: 'upload id',
  PartNumber: 7,
  VersionId: 'v1',
  CopySource: 'source/key',
  Id: 'id',
  Body: 'x',
  AnnotationName: 'n',
  RenameSource: '/x',
  ExpressionType: 'SQL',
  ObjectAttributes: ['ETag'],
};

type CommandClass = new (input: object) => object;
/** Not addressed like the others: a host of its own, or no XML over HTTP. */
const ELSEWHERE = new Set(['CreateSession', 'ListDirectoryBuckets', 'WriteGetObjectResponse']);
const commands = Object.entries(sdk)
  .filter(([name]) => name.endsWith('Command') && !name.startsWith('$'))
  .map(
    ([name, made]) => [name.slice(0, -'Command'.length), made as unknown as CommandClass] as const,
  )
  .filter(([name]) => !ELSEWHERE.has(name));

type MethodRows = Record<string, { plain: string | null; by: Record<string, string> }>;
const offered = new Set(
  Object.values(OPERATIONS as Record<string, MethodRows>).flatMap((methods) =>
    Object.values(methods).flatMap(({ plain, by }) => [plain, ...Object.values(by)]),
  ),
);
for (const name of [...Object.values(BY_HEADER), ...Object.values(BY_ID), LIST_V2])
  offered.add(name);

describe('the operation of what the SDK sends', () => {
  const oracles = {
    'path style': new SdkOracle({ endpoint: `http://${DOMAIN}`, forcePathStyle: true }),
    'virtual-host style': new SdkOracle({ endpoint: `http://${DOMAIN}`, forcePathStyle: false }),
  };
  expect(commands.length).toBeGreaterThan(100);
  for (const [style, oracle] of Object.entries(oracles)) {
    for (const [name, Command] of commands) {
      it(`${name}, ${style}`, async () => {
        const { method, url, headers } = await oracle.sent(new Command(INPUT));
        if (!offered.has(name)) {
          expect(refusal(method, url, headers)).toBe('NotImplemented');
          return;
        }
        const found = route(method, url, headers);
        expect(found.operation).toBe(name);
        expect(headers['host']?.startsWith('my-bucket.')).toBe(
          style === 'virtual-host style' && found.bucket !== '',
        );
        expect(['', INPUT.Bucket]).toContain(found.bucket);
        expect(['', INPUT.Key]).toContain(found.key);
        const takesVersion = url.includes('versionId');
        expect(found.versionId).toBe(takesVersion ? 'v1' : null);
      });
    }
  }

  it('every operation that is offered is a command, or one of the two of browsers', () => {
    const names = new Set(commands.map(([name]) => name));
    const others = [...offered].filter((name) => name !== null && !names.has(name));
    expect(others).toEqual(['PostObject', 'OptionsObject']);
  });
});

describe('addresses', () => {
  it('path style, under a prefix or not', () => {
    expect(route('GET', '/')).toMatchObject({ operation: 'ListBuckets', bucket: '', key: '' });
    for (const url of ['/bucket', '/bucket/']) {
      expect(route('GET', url)).toMatchObject({ operation: 'ListObjects', bucket: 'bucket' });
    }
    expect(route('GET', '/bucket//a/')).toMatchObject({ operation: 'GetObject', key: '/a/' });
    for (const url of ['/s3', '/s3/']) {
      expect(route('GET', url, {}, UNDER_S3).operation).toBe('ListBuckets');
    }
    expect(route('PUT', '/s3/demo/bucket/key', {}, UNDER_S3)).toMatchObject({
      operation: 'PutObject',
      bucket: 'demo',
      key: 'bucket/key',
    });
    for (const url of ['/', '/s3x/b', '/v1/kv', '*', 'http://x/s3/b', '']) {
      expect(codeOf(() => route('GET', url, {}, UNDER_S3))).toBe('InvalidURI');
    }
  });

  it('virtual-host style, with dots, a port, capitals and a dot at the end', () => {
    for (const host of [`a.b.c.${DOMAIN}`, `A.b.C.${DOMAIN}:9000`, `a.b.c.${DOMAIN}.`]) {
      expect(route('GET', '/k/l', { host })).toMatchObject({ bucket: 'a.b.c', key: 'k/l' });
      expect(route('GET', '/', { host })).toMatchObject({ operation: 'ListObjects', key: '' });
    }
    for (const host of [DOMAIN, `${DOMAIN}:9000`, '127.0.0.1:9000', '[::1]:9000', `x${DOMAIN}`]) {
      expect(route('GET', '/bucket/k', { host })).toMatchObject({ bucket: 'bucket', key: 'k' });
    }
    const host = `a_b.${DOMAIN}`;
    expect(refusal('GET', '/', { host })).toBe('InvalidBucketName');
    const prefixed = { ...UNDER_S3, baseDomains: [DOMAIN] };
    expect(route('GET', '/s3/k', { host: `bucket.${DOMAIN}` }, prefixed)).toMatchObject({
      bucket: 'bucket',
      key: 'k',
    });
  });

  it('I15 a key is decoded once and never normalised', () => {
    const keyOf = (raw: string) => route('GET', `/bucket/${raw}`).key;
    expect(keyOf('../a')).toBe('../a');
    expect(keyOf('%2e%2e%2Fa')).toBe('../a');
    expect(keyOf('%252e')).toBe('%2e');
    expect(keyOf('a//b/./')).toBe('a//b/./');
    expect(keyOf('a+b\\c')).toBe('a+b\\c');
    expect(keyOf('%E2%82%AC')).toBe('€');
    expect(keyOf('\u00e2\u0082\u00ac')).toBe('€');
    expect(keyOf('%00%0D%0A%7F')).toBe('\0\r\n\x7f');
    expect(keyOf('%EF%BB%BFx')).toBe('\ufeffx');
  });

  it('I17 escapes that are malformed and bytes that are no UTF-8 are InvalidURI', () => {
    for (const raw of ['%', '%1', '%zz', '%FF', '%C0%AF', '%ED%A0%80', '\u00ff', '%u0041']) {
      expect(refusal('GET', `/bucket/${raw}`)).toBe('InvalidURI');
      expect(refusal('GET', `/bucket?prefix=${raw}`)).toBe('InvalidURI');
    }
    expect(refusal('GET', '/%ff/key')).toBe('InvalidURI');
  });

  it('I03 a key of 1024 bytes is the longest', () => {
    expect(route('GET', `/bucket/${'k'.repeat(1024)}`).key).toHaveLength(1024);
    expect(route('GET', `/bucket/${'%E2%82%AC'.repeat(341)}k`).key).toHaveLength(342);
    for (const raw of ['k'.repeat(1025), `${'%E2%82%AC'.repeat(341)}kk`]) {
      expect(thrownBy(() => route('GET', `/bucket/${raw}`))).toMatchObject({
        code: 'KeyTooLongError',
        status: 400,
        extra: { Size: 1025, MaxSizeAllowed: 1024 },
      });
    }
  });

  it('keys of the engine and of S3 are each other', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (key) => {
        expect(keyOfEngine(engineKeyOf(key))).toBe(key);
        expect(engineKeyOf(key)).toHaveLength(Buffer.byteLength(key));
      }),
    );
    expect(keyOfEngine('\xff')).toBeNull();
  });
});

describe('bucket names', () => {
  it('that are valid', () => {
    for (const name of [
      'abc',
      '1.2',
      'a-b',
      'my.bucket-1',
      '192.168.5',
      '1.2.3.4.5',
      'a'.repeat(63),
    ]) {
      expect(isBucketName(name), name).toBe(true);
    }
  });

  it('that are not: InvalidBucketName', () => {
    const names = [
      ...['', 'ab', 'a'.repeat(64), 'Abc', 'a_b', 'a b', '-abc', 'abc-', '.abc', 'abc.', 'a..b'],
      ...['a.-b', 'a-.b', '192.168.5.4', 'xn--abc', 'sthree-abc', 'amzn-s3-demo-x', 'abc-s3alias'],
      ...['abc--ol-s3', 'abc.mrap', 'abc--x-s3', 'abc--table-s3', 'bücket', 'abc\n', '__proto__'],
    ];
    for (const name of names) {
      expect(isBucketName(name), name).toBe(false);
      if (name === '') continue;
      const url = `/${encodeURIComponent(name)}`;
      expect(thrownBy(() => route('PUT', url))).toMatchObject({
        code: 'InvalidBucketName',
        extra: { BucketName: name },
      });
    }
    expect(refusal('GET', '//key')).toBe('InvalidBucketName');
  });
});

describe('operations', () => {
  it('told apart by a header or a value', () => {
    const copy = { 'x-amz-copy-source': '/b/k' };
    expect(route('PUT', '/bucket/k', copy).operation).toBe('CopyObject');
    const part = '/bucket/k?partNumber=1&uploadId=u';
    expect(route('PUT', part).operation).toBe('UploadPart');
    expect(route('PUT', part, copy).operation).toBe('UploadPartCopy');
    expect(route('PUT', '/bucket/k?acl', copy).operation).toBe('PutObjectAcl');
    expect(route('GET', '/bucket?list-type=2').operation).toBe('ListObjectsV2');
    expect(route('GET', '/bucket?list-type=1').operation).toBe('ListObjects');
    expect(refusal('GET', '/bucket?list-type=3')).toBe('InvalidArgument');
    const form = { 'content-type': 'multipart/form-data; boundary=x' };
    expect(route('POST', '/bucket', form).operation).toBe('PostObject');
    expect(refusal('POST', '/bucket')).toBe('RequestIsNotMultiPartContent');
    expect(refusal('POST', '/bucket', { 'content-type': 'multipart/form-datax' })).toBe(
      'RequestIsNotMultiPartContent',
    );
    expect(route('OPTIONS', '/bucket/k').operation).toBe('OptionsObject');
    expect(route('GET', '/bucket/k?partNumber=2').operation).toBe('GetObject');
  });

  it('the query is decoded, and a plus in it is a space', () => {
    const { query } = route('GET', '/bucket?prefix=a+b%2Bc&&delimiter=%2F&x=');
    expect([...query]).toEqual([
      ['prefix', 'a b+c'],
      ['delimiter', '/'],
      ['x', ''],
    ]);
    const hostile = route('GET', '/bucket?__proto__=1&constructor=2');
    expect(hostile.query.get('__proto__')).toBe('1');
    expect(hostile.operation).toBe('ListObjects');
  });

  it('versions are of objects', () => {
    expect(route('GET', '/bucket/k?versionId=null').versionId).toBe('null');
    expect(route('GET', '/bucket?versionId=x').versionId).toBeNull();
    expect(refusal('GET', '/bucket/k?versionId=')).toBe('InvalidArgument');
  });

  it('that contradict each other are refused', () => {
    expect(thrownBy(() => route('GET', '/bucket?acl&policy'))).toMatchObject({
      code: 'InvalidArgument',
      message: 'Conflicting query string parameters: acl, policy',
    });
    expect(refusal('GET', '/bucket?prefix=a&prefix=b')).toBe('InvalidArgument');
    expect(refusal('PUT', '/bucket/k?partNumber=1')).toBe('InvalidArgument');
    expect(refusal('PUT', '/bucket/k?uploadId=u')).toBe('InvalidArgument');
  });

  it('that there are not: MethodNotAllowed', () => {
    const cases = ['POST /', 'HEAD /', 'PATCH /bucket', 'POST /bucket/k', 'GET /bucket?delete'];
    const more = [
      'PUT /bucket?location',
      'TRACE /bucket/k',
      'DELETE /bucket/k?acl',
      'constructor /',
    ];
    for (const line of [...cases, ...more]) {
      const [method, url] = line.split(' ') as [string, string];
      expect(refusal(method, url), line).toBe('MethodNotAllowed');
    }
    expect(thrownBy(() => route('PATCH', '/bucket/k'))).toMatchObject({
      status: 405,
      extra: { Method: 'PATCH', ResourceType: 'OBJECT' },
    });
  });

  it('that S3 has and we have not: NotImplemented', () => {
    for (const level of ['bucket', 'object'] as const) {
      for (const name of NOT_OFFERED[level]) {
        const url = level === 'bucket' ? `/bucket?${name}` : `/bucket/k?${name}`;
        for (const method of ['GET', 'PUT', 'POST', 'DELETE']) {
          expect(thrownBy(() => route(method, url))?.status, `${method} ${url}`).toBe(501);
        }
      }
    }
  });
});

describe('totality', () => {
  const words = fc.constantFrom(
    'acl',
    'uploads',
    'uploadId',
    'partNumber',
    'delete',
    'list-type',
    '2',
  );
  const pieces = fc.array(
    fc.oneof(
      fc.constantFrom(
        '/',
        'bucket',
        '?',
        '&',
        '=',
        '%',
        '%2F',
        '%FF',
        '..',
        '+',
        '__proto__',
        '\0',
      ),
      words,
      fc.string({ unit: 'binary', maxLength: 4 }),
    ),
    { maxLength: 12 },
  );

  it('nothing but S3Error is thrown, whatever the request is', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('GET', 'PUT', 'POST', 'HEAD', 'DELETE', 'OPTIONS', 'x', '__proto__'),
        pieces,
        fc.oneof(fc.constant(`bucket.${DOMAIN}`), fc.string()),
        fc.constantFrom(ROOT, UNDER_S3),
        (method, url, host, endpoint) => {
          try {
            const found = route(method, `/${url.join('')}`, { host }, endpoint);
            expect(offered.has(found.operation)).toBe(true);
            expect(found.key === '' || found.bucket !== '').toBe(true);
          } catch (error) {
            expect(error).toBeInstanceOf(S3Error);
          }
        },
      ),
      { numRuns: 3000 },
    );
  });
});
