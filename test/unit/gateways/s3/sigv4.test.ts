import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { S3Error } from '../../../../gateways/s3/errors.ts';
import type { RawRequest } from '../../../../gateways/s3/signed-request.ts';
import {
  EMPTY_SHA256,
  EXAMPLE,
  oracle,
  presigned,
  signed,
  TEMPORARY,
  verifierAt,
} from '../../../kit/s3-signer.ts';
import {
  code,
  headerOf,
  MINUTE_MS,
  PUT,
  refusal,
  replaced,
  requests,
  withHeaders,
} from '../../../kit/s3-tampered.ts';

/** With the escapes of a target in one form. */
function unescaped(target: string): string {
  return target.replace(/%[0-9a-f]{2}/gi, (two) => two.toUpperCase());
}

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
          // %2f is %2F: the signature is of what they stand for.
          fc.pre(at !== 1 || unescaped(changed[at] as string) !== unescaped(line));
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
    // Ours too: it would take the object away.
    const brief = await refusal(withHeaders(request, { 'x-minikv-ttl': '1' }));
    expect(brief).toMatchObject({ extra: { HeadersNotSigned: 'x-minikv-ttl' } });
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
