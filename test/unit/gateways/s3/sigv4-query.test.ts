import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { S3Error } from '../../../../gateways/s3/errors.ts';
import type { RawRequest } from '../../../../gateways/s3/signed-request.ts';
import {
  EMPTY_SHA256,
  EXAMPLE,
  oracle,
  presigned,
  TEMPORARY,
  verifierAt,
} from '../../../kit/s3-signer.ts';
import {
  code,
  isOtherCaseOfEscape,
  MINUTE_MS,
  PUT,
  refusal,
  requests,
  withHeaders,
} from '../../../kit/s3-tampered.ts';

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
    expect(await code(until('-1'))).toBe('AccessDenied');
    for (const bad of ['1.5', '1e3', 'x']) {
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
      'x-amz-content-sha256': 'UNSIGNED-PAYLOAD',
      'x-amz-date': '20130524T000000Z',
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
