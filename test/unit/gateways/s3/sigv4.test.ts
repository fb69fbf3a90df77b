import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { S3Error } from '../../../../gateways/s3/errors.ts';
import type { RawRequest } from '../../../../gateways/s3/signed-request.ts';
import {
  EMPTY_SHA256,
  EXAMPLE,
  encode,
  oracle,
  presigned,
  signed,
  TEMPORARY,
  type Unsigned,
  verifierAt,
} from '../../../kit/s3-signer.ts';

const MINUTE_MS = 60_000;
const PUT: Unsigned = {
  method: 'PUT',
  path: '/a/b%20c',
  headers: { 'x-amz-acl': 'private', 'content-type': 'text/plain' },
};

async function refusal(request: RawRequest, wallMs: number = EXAMPLE.timeMs): Promise<S3Error> {
  try {
    await verifierAt(wallMs).authenticate(request);
  } catch (error) {
    if (error instanceof S3Error) return error;
    throw error;
  }
  throw new Error(`${request.method} ${request.target} was authenticated`);
}

const code = async (request: RawRequest, wallMs?: number): Promise<string> =>
  (await refusal(request, wallMs)).code;

/** The same request with other headers; null takes one away. */
function withHeaders(request: RawRequest, other: Record<string, string | null>): RawRequest {
  const headers = new Map<string, string>();
  for (let i = 0; i < request.rawHeaders.length; i += 2) {
    headers.set(request.rawHeaders[i] as string, request.rawHeaders[i + 1] as string);
  }
  for (const [name, value] of Object.entries(other)) {
    if (value === null) headers.delete(name);
    else headers.set(name, value);
  }
  return { ...request, rawHeaders: [...headers].flat() };
}

function headerOf(request: RawRequest, name: string): string {
  return request.rawHeaders[request.rawHeaders.indexOf(name) + 1] as string;
}

const replaced = (request: RawRequest, from: string | RegExp, to: string): RawRequest =>
  withHeaders(request, {
    authorization: headerOf(request, 'authorization').replace(from, to),
  });

/** %2f is %2F: the same request. */
function isOtherCaseOfEscape(target: string, at: number, char: string): boolean {
  const isDigit = /%[0-9A-Fa-f]?$/.test(target.slice(0, at));
  return isDigit && target[at]?.toLowerCase() === char.toLowerCase();
}

const text = fc.string({ unit: 'binary', maxLength: 12 });
const requests = fc.record({
  method: fc.constantFrom('GET', 'PUT', 'DELETE', 'HEAD', 'POST'),
  path: fc.array(text, { maxLength: 4 }).map((parts) => `/${parts.map(encode).join('/')}`),
  query: fc.dictionary(
    text.filter((t) => t !== '' && t !== '__proto__'),
    fc.oneof(text, fc.array(text, { minLength: 1, maxLength: 3 })),
    { maxKeys: 4, noNullPrototype: true },
  ),
  headers: fc.dictionary(
    fc.stringMatching(/^x-amz-meta-[a-z0-9]{1,8}$/),
    fc.stringMatching(/^[ -~]{0,20}$/),
    { maxKeys: 4, noNullPrototype: true },
  ),
});

describe('SigV4 in the header', () => {
  it('takes whatever the AWS SDK signs', async () => {
    await fc.assert(
      fc.asyncProperty(requests, async (request) => {
        const result = await verifierAt().authenticate(await signed(request));
        expect(result).toMatchObject({ kind: 'authenticated', by: 'header', seed: null });
      }),
      { numRuns: 300 },
    );
  });

  it('refuses a request of which any byte was changed', async () => {
    const request = await signed({ ...PUT, query: { 'list-type': '2', prefix: 'a/b' } });
    const lines = [request.method, request.target, ...request.rawHeaders];
    const places = lines.flatMap((line, at) => Array.from(line, (_, i) => [at, i] as const));
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...places),
        fc.integer({ min: 0x21, max: 0x7e }),
        async ([at, i], byte) => {
          const line = lines[at] as string;
          const char = String.fromCharCode(byte);
          const isName = at >= 2 && at % 2 === 0;
          const isSame = isName ? line[i]?.toLowerCase() === char.toLowerCase() : line[i] === char;
          fc.pre(!isSame);
          const changed = lines.slice();
          changed[at] = line.slice(0, i) + char + line.slice(i + 1);
          const [method, target, ...rawHeaders] = changed as [string, string, ...string[]];
          const isAnonymous = isName && line === 'authorization';
          const verifier = verifierAt();
          if (isAnonymous) {
            const result = await verifier.authenticate({ method, target, rawHeaders });
            expect(result.kind).toBe('anonymous');
          } else {
            await expect(verifier.authenticate({ method, target, rawHeaders })).rejects.toThrow(
              S3Error,
            );
          }
        },
      ),
      { numRuns: 1500 },
    );
  });

  it('I30 an unsigned host, a header that came twice, one more field: 403', async () => {
    const request = await signed(PUT);
    const again = (name: string, value: string): RawRequest => ({
      ...request,
      rawHeaders: [...request.rawHeaders, name, value],
    });
    expect(await code(replaced(request, ';host;', ';'))).toBe('SignatureDoesNotMatch');
    expect(await code(again('host', 'other'))).toBe('SignatureDoesNotMatch');
    expect(await code(again('X-Amz-Acl', 'public-read'))).toBe('SignatureDoesNotMatch');
    expect(await code(again('Content-Type', 'text/plain'))).toBe('SignatureDoesNotMatch');
    expect(await code({ ...request, target: `${request.target}?acl` })).toBe(
      'SignatureDoesNotMatch',
    );
    expect(await code({ ...request, method: 'GET' })).toBe('SignatureDoesNotMatch');
    expect(await code(withHeaders(request, { 'content-type': null }))).toBe(
      'SignatureDoesNotMatch',
    );
  });

  it('I30 a header of S3 that nobody signed is named', async () => {
    const request = await signed(PUT);
    const error = await refusal(withHeaders(request, { 'x-amz-copy-source': '/a/b' }));
    expect(error).toMatchObject({
      code: 'AccessDenied',
      status: 403,
      extra: { HeadersNotSigned: 'x-amz-copy-source' },
    });
  });

  it('names the region that it is, so that SDKs can ask again', async () => {
    const request = await signed(PUT);
    expect(await refusal(replaced(request, 'us-east-1', 'eu-west-1'))).toMatchObject({
      code: 'AuthorizationHeaderMalformed',
      status: 400,
      message:
        "The authorization header is malformed; the region 'eu-west-1' is wrong; expecting 'us-east-1'",
      extra: { Region: 'us-east-1' },
    });
  });

  it('refuses a header that has not the form', async () => {
    const request = await signed(PUT);
    const header = headerOf(request, 'authorization');
    const changes: [string | RegExp, string][] = [
      ['/s3/', '/iam/'],
      ['aws4_request', 'aws5_request'],
      ['/20130524/', '/20130532/'],
      ['/20130524/', '/20130523/'],
      ['/us-east-1/', '/'],
      [`${EXAMPLE.accessKeyId}/`, '/'],
      [/, SignedHeaders=[^,]*/, ''],
      [/, Signature=.*/, ''],
      [/, Signature=.*/, ', Signature='],
      [/$/, `, ${header.split(', ')[2]}`],
      ['host;', 'Host;'],
      ['host;', 'host;host;'],
      ['host;', 'host;;'],
      ['Credential=', 'credential='],
    ];
    for (const [from, to] of changes) {
      expect(await code(replaced(request, from, to)), `${from} ${to}`).toBe(
        'AuthorizationHeaderMalformed',
      );
    }
  });

  it('takes components without spaces and in another order', async () => {
    const request = await signed(PUT);
    const [credential, names, signature] = headerOf(request, 'authorization')
      .replace('AWS4-HMAC-SHA256 ', '')
      .split(', ');
    for (const header of [
      `${credential},${names},${signature}`,
      `${signature}, ${names}, ${credential}`,
    ]) {
      const again = withHeaders(request, { authorization: `AWS4-HMAC-SHA256 ${header}` });
      expect(await verifierAt().authenticate(again)).toMatchObject({ by: 'header' });
    }
  });

  it('I28 takes the same request again within the skew, and no other one', async () => {
    const request = await signed(PUT);
    const later = EXAMPLE.timeMs + 14 * MINUTE_MS;
    for (let i = 0; i < 2; i++) {
      expect(await verifierAt(later).authenticate(request)).toMatchObject({ by: 'header' });
    }
    const other = withHeaders(request, { 'x-amz-content-sha256': 'f'.repeat(64) });
    expect(await code(other, later)).toBe('SignatureDoesNotMatch');
  });

  it('I29 refuses a clock that is a quarter of an hour off, either way', async () => {
    const request = await signed(PUT);
    for (const sign of [-1, 1]) {
      const edge = EXAMPLE.timeMs + sign * 15 * MINUTE_MS;
      expect(await verifierAt(edge).authenticate(request)).toMatchObject({ by: 'header' });
      const error = await refusal(request, EXAMPLE.timeMs + sign * 16 * MINUTE_MS);
      expect(error).toMatchObject({ code: 'RequestTimeTooSkewed', status: 403 });
    }
  });

  it('refuses a date that is none, and takes Date where x-amz-date is missing', async () => {
    const request = await signed(PUT);
    for (const date of ['', 'now', '20130524T000000', '20130524T250000Z', '2013-05-24T00:00:00Z']) {
      expect(await code(withHeaders(request, { 'x-amz-date': date }))).toBe('AccessDenied');
    }
    expect(await code(withHeaders(request, { 'x-amz-date': null }))).toBe('AccessDenied');
    const dated = withHeaders(request, {
      'x-amz-date': null,
      date: 'Fri, 24 May 2013 00:00:00 GMT',
    });
    // The date is read; the signature covers the header that is gone.
    expect(await code(dated)).toBe('SignatureDoesNotMatch');
  });

  it('knows the forms of x-amz-content-sha256 and no other', async () => {
    const forms: [string, object][] = [
      [EMPTY_SHA256, { kind: 'hashed', sha256: Buffer.from(EMPTY_SHA256, 'hex') }],
      ['UNSIGNED-PAYLOAD', { kind: 'unsigned' }],
      ['STREAMING-AWS4-HMAC-SHA256-PAYLOAD', { isSigned: true, hasTrailer: false }],
      ['STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER', { isSigned: true, hasTrailer: true }],
      ['STREAMING-UNSIGNED-PAYLOAD-TRAILER', { isSigned: false, hasTrailer: true }],
    ];
    for (const [value, payload] of forms) {
      const request = await signed({ ...PUT, headers: { 'x-amz-content-sha256': value } });
      const result = await verifierAt().authenticate(request);
      expect(result).toMatchObject({ payload });
      if (result.kind !== 'authenticated') throw new Error('anonymous');
      expect(result.seed !== null).toBe(value.startsWith('STREAMING-AWS4'));
    }
    for (const value of ['x', 'STREAMING-UNSIGNED-PAYLOAD', `${EMPTY_SHA256}0`]) {
      const request = await signed({ ...PUT, headers: { 'x-amz-content-sha256': value } });
      expect(await code(request)).toBe('InvalidArgument');
    }
    const without = withHeaders(await signed(PUT), { 'x-amz-content-sha256': null });
    expect(await refusal(without)).toMatchObject({ code: 'InvalidRequest', status: 400 });
  });

  it('takes a token only with its key, and its key only with it', async () => {
    const request = await signed(PUT, oracle(TEMPORARY));
    expect(await verifierAt().authenticate(request)).toMatchObject({
      accessKeyId: TEMPORARY.accessKeyId,
    });
    const { sessionToken: _, ...bare } = TEMPORARY;
    expect(await code(await signed(PUT, oracle(bare)))).toBe('InvalidAccessKeyId');
    const other = await signed(PUT, oracle({ ...TEMPORARY, sessionToken: 'other' }));
    expect(await code(other)).toBe('InvalidToken');
    const stray = await signed(PUT, oracle({ ...EXAMPLE, sessionToken: 'any' }));
    expect(await code(stray)).toBe('InvalidToken');
    const expired = verifierAt(EXAMPLE.timeMs, EXAMPLE.timeMs).authenticate(request);
    await expect(expired).rejects.toMatchObject({ code: 'ExpiredToken' });
  });

  it('refuses an unknown key, and a wrong secret', async () => {
    const unknown = await signed(PUT, oracle({ ...EXAMPLE, accessKeyId: 'AKIAUNKNOWN' }));
    expect(await refusal(unknown)).toMatchObject({ code: 'InvalidAccessKeyId', status: 403 });
    const wrong = await signed(PUT, oracle({ ...EXAMPLE, secretAccessKey: 'x' }));
    expect(await refusal(wrong)).toMatchObject({
      code: 'SignatureDoesNotMatch',
      status: 403,
      extra: { AWSAccessKeyId: EXAMPLE.accessKeyId },
    });
  });
});

describe('SigV4 in the URL', () => {
  it('takes whatever the AWS SDK presigns', async () => {
    await fc.assert(
      fc.asyncProperty(requests, async (request) => {
        const result = await verifierAt().authenticate(await presigned(request));
        expect(result).toMatchObject({ by: 'query', payload: { kind: 'unsigned' }, seed: null });
      }),
      { numRuns: 300 },
    );
  });

  it('refuses a URL of which any byte was changed', async () => {
    const request = await presigned({ ...PUT, query: { versionId: 'a b' } });
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: request.target.length - 1 }),
        fc.integer({ min: 0x21, max: 0x7e }),
        async (i, byte) => {
          const char = String.fromCharCode(byte);
          fc.pre(request.target[i] !== char);
          const target = request.target.slice(0, i) + char + request.target.slice(i + 1);
          const result = verifierAt().authenticate({ ...request, target });
          if (!target.includes('?')) {
            expect((await result).kind).toBe('anonymous');
          } else if (isOtherCaseOfEscape(request.target, i, char)) {
            expect((await result).kind).toBe('authenticated');
          } else {
            await expect(result).rejects.toThrow(S3Error);
          }
        },
      ),
      { numRuns: 1500 },
    );
  });

  it('I29 lives from a quarter of an hour before its date until it expires', async () => {
    const request = await presigned(PUT, 3600);
    const { timeMs } = EXAMPLE;
    for (const wallMs of [timeMs - 15 * MINUTE_MS, timeMs, timeMs + 3_599_999]) {
      expect(await verifierAt(wallMs).authenticate(request)).toMatchObject({ by: 'query' });
    }
    const before = await refusal(request, timeMs - 16 * MINUTE_MS);
    expect(before).toMatchObject({ code: 'AccessDenied', message: 'Request is not yet valid' });
    expect(await refusal(request, timeMs + 3_600_000)).toMatchObject({
      code: 'AccessDenied',
      status: 403,
      message: 'Request has expired',
      extra: { 'X-Amz-Expires': '3600', Expires: '2013-05-24T01:00:00.000Z' },
    });
  });

  it('I29 lives a week at most', async () => {
    const request = await presigned(PUT, 604_800);
    expect(await verifierAt().authenticate(request)).toMatchObject({ by: 'query' });
    const until = (expires: string): RawRequest => ({
      ...request,
      target: request.target.replace('X-Amz-Expires=604800', `X-Amz-Expires=${expires}`),
    });
    expect(await refusal(until('604801'))).toMatchObject({ code: 'AccessDenied', status: 403 });
    for (const bad of ['-1', '1.5', '1e3', 'x']) {
      expect(await code(until(bad))).toBe('AuthorizationQueryParametersError');
    }
    expect(await code(until('0'))).toBe('AccessDenied');
  });

  it('refuses one that is not whole, or has a part twice', async () => {
    const request = await presigned(PUT);
    const changes: [string | RegExp, string][] = [
      ...['Algorithm', 'Credential', 'Date', 'Expires', 'SignedHeaders'].map(
        (name): [RegExp, string] => [new RegExp(`X-Amz-${name}=[^&]*&?`), ''],
      ),
      ['X-Amz-Algorithm=AWS4-HMAC-SHA256', 'X-Amz-Algorithm=AWS4-HMAC-SHA1'],
      ['X-Amz-Date=20130524T000000Z', 'X-Amz-Date=2013'],
      ['X-Amz-Date=20130524T', 'X-Amz-Date=20130525T'],
      ['%2Fus-east-1%2F', '%2Feu-west-1%2F'],
      ['%2Fs3%2F', '%2Fiam%2F'],
      [/$/, '&X-Amz-Expires=86400'],
      [/$/, '&X-Amz-Signature=0'],
      [/$/, '&x-amz-content-sha256=UNSIGNED-PAYLOAD'],
    ];
    for (const [from, to] of changes) {
      const target = request.target.replace(from, to);
      expect(await code({ ...request, target }), `${from} ${to}`).toBe(
        'AuthorizationQueryParametersError',
      );
    }
  });

  it('I30 a header of S3 cannot be added to it', async () => {
    const request = await presigned({ method: 'PUT', path: '/a' });
    const added = withHeaders(request, { 'x-amz-acl': 'public-read' });
    expect(await refusal(added)).toMatchObject({
      code: 'AccessDenied',
      extra: { HeadersNotSigned: 'x-amz-acl' },
    });
    const hashed = withHeaders(request, { 'x-amz-content-sha256': EMPTY_SHA256 });
    // What the URL says of the body is signed; the header is not looked at.
    expect(await verifierAt().authenticate(hashed)).toMatchObject({
      payload: { kind: 'unsigned' },
    });
  });

  it('headers that were moved into it mean what they mean', async () => {
    const request = await presigned({
      method: 'PUT',
      path: '/a',
      headers: {
        'x-amz-acl': 'private',
        'x-amz-meta-a': 'b c',
        'x-amz-checksum-algorithm': 'CRC32',
        'x-amz-checksum-crc32': 'AAAAAA==',
        'x-amz-sdk-checksum-algorithm': 'CRC32',
      },
    });
    expect(request.target).toContain('x-amz-checksum-crc32=AAAAAA%3D%3D');
    const { headers } = await verifierAt().authenticate(request);
    expect(Object.fromEntries(headers)).toEqual({
      host: 'examplebucket.s3.amazonaws.com',
      'x-amz-acl': 'private',
      'x-amz-meta-a': 'b c',
      'x-amz-checksum-algorithm': 'CRC32',
    });
  });

  it('carries a token', async () => {
    const request = await presigned(PUT, 60, oracle(TEMPORARY));
    expect(await verifierAt().authenticate(request)).toMatchObject({
      accessKeyId: TEMPORARY.accessKeyId,
    });
    const target = request.target.replace(/X-Amz-Security-Token=[^&]*/, 'X-Amz-Security-Token=x');
    expect(await code({ ...request, target })).toBe('InvalidToken');
  });
});

describe('other mechanisms', () => {
  const bare = { method: 'GET', target: '/a', rawHeaders: ['host', 'h'] };

  it('no signature is anonymous, and may not send signed chunks', async () => {
    const verifier = verifierAt();
    expect(await verifier.authenticate(bare)).toMatchObject({ kind: 'anonymous', payload: null });
    const empty = withHeaders(bare, { authorization: '' });
    expect(await verifier.authenticate(empty)).toMatchObject({ kind: 'anonymous' });
    const trailer = withHeaders(bare, {
      'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
    });
    expect(await verifier.authenticate(trailer)).toMatchObject({ payload: { hasTrailer: true } });
    const chunks = { 'x-amz-content-sha256': 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD' };
    expect(await code(withHeaders(bare, chunks))).toBe('InvalidRequest');
  });

  it('version 2 is told to use version 4', async () => {
    const v2 = withHeaders(bare, { authorization: `AWS ${EXAMPLE.accessKeyId}:abc=` });
    expect(await refusal(v2)).toMatchObject({
      code: 'InvalidRequest',
      message:
        'The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.',
    });
    const target = `/a?AWSAccessKeyId=${EXAMPLE.accessKeyId}&Expires=1&Signature=x`;
    expect(await code({ ...bare, target })).toBe('InvalidRequest');
    const v4a = withHeaders(bare, { authorization: 'AWS4-ECDSA-P256-SHA256 Credential=x' });
    expect(await code(v4a)).toBe('InvalidRequest');
  });

  it('others, and two at once, are refused', async () => {
    expect(await code(withHeaders(bare, { authorization: 'Bearer x' }))).toBe('InvalidArgument');
    const request = await presigned(PUT);
    expect(await code(withHeaders(request, { authorization: 'AWS4-HMAC-SHA256 x' }))).toBe(
      'InvalidArgument',
    );
  });

  it('an escape in the URL that is none', async () => {
    const request = await signed(PUT);
    for (const target of ['/a%', '/a%zz', '/a?b=%1']) {
      expect(await code({ ...request, target })).toBe('InvalidURI');
    }
  });
});
