import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BodyDigests, type ExpectedDigests } from '../../../../gateways/s3/body-digests.ts';
import {
  base64Of,
  CHECKSUM_ALGORITHMS,
  CHECKSUMS,
  type ChecksumAlgorithm,
  hasherOf,
} from '../../../../gateways/s3/checksums.ts';
import { contentMd5Of, declaredChecksumOf } from '../../../../gateways/s3/declared-checksum.ts';
import { S3Error } from '../../../../gateways/s3/errors.ts';
import {
  checksumTypeOf,
  multipartChecksum,
  multipartETag,
} from '../../../../gateways/s3/multipart-checksums.ts';
import { combineCrcs, isCrc } from '../../../../protocol/crc-combine.ts';

const CHECK = Buffer.from('123456789');
const CRCS = CHECKSUM_ALGORITHMS.filter(isCrc);

function sum(algorithm: ChecksumAlgorithm | 'MD5', ...pieces: Uint8Array[]): Buffer {
  const hasher = hasherOf(algorithm);
  for (const piece of pieces) hasher.update(piece);
  return hasher.digest();
}

function code(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof S3Error) return error.code;
    throw error;
  }
  return 'nothing was refused';
}

describe('checksums of a stream', () => {
  it.each([
    ['CRC32', 'cbf43926'],
    ['CRC32C', 'e3069283'],
    ['CRC64NVME', 'ae8b14860a799888'],
    ['SHA1', 'f7c3bc1d808e04732adf679965ccc34ca7ae3441'],
    ['SHA256', '15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225'],
    ['MD5', '25f9e794323b453885f5181f1b624d0b'],
  ] as const)('%s has its published check value', (algorithm, hex) => {
    expect(sum(algorithm, CHECK).toString('hex')).toBe(hex);
  });

  it.each([
    ['CRC32', 'AAAAAA=='],
    ['CRC32C', 'AAAAAA=='],
    ['CRC64NVME', 'AAAAAAAAAAA='],
    ['SHA1', '2jmj7l5rSw0yVb/vlWAYkK/YBwk='],
    ['SHA256', '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='],
  ] as const)('%s of nothing', (algorithm, base64) => {
    expect(sum(algorithm).toString('base64')).toBe(base64);
    expect(base64Of(base64, CHECKSUMS[algorithm].bytes)).toEqual(sum(algorithm));
  });

  it('do not depend on how the stream is cut, nor on other streams beside', () => {
    const stream = fc.array(fc.uint8Array({ maxLength: 70 }), { maxLength: 6 });
    fc.assert(
      fc.property(stream, stream, fc.constantFrom(...CHECKSUM_ALGORITHMS), (a, b, algorithm) => {
        const [left, right] = [hasherOf(algorithm), hasherOf(algorithm)];
        for (let i = 0; i < Math.max(a.length, b.length); i++) {
          if (i < a.length) left.update(a[i] as Uint8Array);
          if (i < b.length) right.update(b[i] as Uint8Array);
        }
        expect(left.digest()).toEqual(sum(algorithm, Buffer.concat(a)));
        expect(right.digest()).toEqual(sum(algorithm, Buffer.concat(b)));
      }),
    );
  });

  it('a base64 text is taken only as S3 writes it', () => {
    for (const text of [
      '',
      'AAAAA',
      'AAAAAA',
      'AAAAAA=',
      'AAAAAAA=',
      'AAAAAB==',
      'AAAA\nAA==',
      '-_AAAA==',
    ]) {
      expect(base64Of(text, 4), text).toBeNull();
    }
    expect(base64Of('y/Q5Jg==', 4)?.toString('hex')).toBe('cbf43926');
  });
});

describe('CRCs of parts', () => {
  it('of any parts give the CRC of the whole', () => {
    const parts = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 6 });
    fc.assert(
      fc.property(parts, fc.constantFrom(...CRCS), (pieces, crc) => {
        const combined = combineCrcs(
          crc,
          pieces.map((piece) => ({ value: sum(crc, piece), bytes: piece.length })),
        );
        expect(combined).toEqual(sum(crc, Buffer.concat(pieces)));
      }),
      { numRuns: 500 },
    );
  });

  it.each(CRCS)('%s of parts of 5 MiB and more', (crc) => {
    const pieces = [5 * 2 ** 20, 5 * 2 ** 20, 5 * 2 ** 20 + 12_345, 1].map((bytes, i) =>
      Buffer.alloc(bytes, createHash('sha256').update(String(i)).digest()),
    );
    const combined = combineCrcs(
      crc,
      pieces.map((piece) => ({ value: sum(crc, piece), bytes: piece.length })),
    );
    expect(combined).toEqual(sum(crc, ...pieces));
  });

  it.each(CRCS)('%s does not depend on how long parts are put together', (crc) => {
    // 5 TiB cannot be hashed here: (a b) (c d) has to be a b c d, with lengths beyond 2^32.
    const part = (i: number) => ({ value: sum(crc, CHECK.subarray(0, i)), bytes: 2 ** 40 + i });
    const [a, b, c, d] = [part(1), part(2), part(3), part(4)];
    const pair = (x: typeof a, y: typeof a) => ({
      value: combineCrcs(crc, [x, y]),
      bytes: x.bytes + y.bytes,
    });
    expect(combineCrcs(crc, [pair(a, b), pair(c, d)])).toEqual(combineCrcs(crc, [a, b, c, d]));
  });

  it('10,000 of them, all of another length, in no time worth a thread', () => {
    const value = sum('CRC64NVME', CHECK);
    const parts = Array.from({ length: 10_000 }, (_, i) => ({ value, bytes: 5 * 2 ** 20 + i }));
    const startMs = performance.now();
    combineCrcs('CRC64NVME', parts);
    expect(performance.now() - startMs).toBeLessThan(2000);
  });

  it('an upload has the checksum of its object, or of its parts', () => {
    const parts = [CHECK, CHECK].map((piece) => ({
      value: sum('CRC32', piece),
      bytes: piece.length,
    }));
    const whole = sum('CRC32', CHECK, CHECK).toString('base64');
    expect(multipartChecksum('CRC32', 'FULL_OBJECT', parts)).toBe(whole);
    const composite = sum('CRC32', Buffer.from('cbf43926cbf43926', 'hex')).toString('base64');
    expect(multipartChecksum('CRC32', 'COMPOSITE', parts)).toBe(`${composite}-2`);
    const hashes = parts.map(({ bytes }) => ({ value: sum('SHA256', CHECK), bytes }));
    const nested = createHash('sha256').update(Buffer.concat(hashes.map((h) => h.value)));
    expect(multipartChecksum('SHA256', 'COMPOSITE', hashes)).toBe(`${nested.digest('base64')}-2`);
    const md5s = [sum('MD5', CHECK)];
    expect(multipartETag(md5s)).toBe(
      `${createHash('md5')
        .update(md5s[0] as Buffer)
        .digest('hex')}-1`,
    );
  });

  it('each algorithm has the types that S3 gives it', () => {
    expect(checksumTypeOf('CRC32', undefined)).toBe('COMPOSITE');
    expect(checksumTypeOf('CRC32C', 'full_object')).toBe('FULL_OBJECT');
    expect(checksumTypeOf('CRC64NVME', undefined)).toBe('FULL_OBJECT');
    expect(code(() => checksumTypeOf('CRC64NVME', 'COMPOSITE'))).toBe('InvalidRequest');
    expect(code(() => checksumTypeOf('SHA1', 'FULL_OBJECT'))).toBe('InvalidRequest');
    expect(code(() => checksumTypeOf('CRC32', 'x'))).toBe('InvalidRequest');
  });
});

describe('what a client declares', () => {
  const declared = (headers: Record<string, string>) =>
    declaredChecksumOf(new Map(Object.entries(headers)));

  it('is a value in a header, or a promise of one in a trailer', () => {
    expect(declared({})).toBeNull();
    expect(declared({ 'x-amz-checksum-crc32': 'y/Q5Jg==' })).toEqual({
      algorithm: 'CRC32',
      value: sum('CRC32', CHECK),
      isTrailer: false,
    });
    for (const named of ['CRC64NVME', 'crc64nvme']) {
      expect(
        declared({
          'x-amz-trailer': 'x-amz-checksum-crc64nvme',
          'x-amz-sdk-checksum-algorithm': named,
        }),
      ).toEqual({ algorithm: 'CRC64NVME', value: null, isTrailer: true });
    }
  });

  it('is one checksum, well-formed, of the algorithm that is named', () => {
    const cases: Record<string, string>[] = [
      { 'x-amz-checksum-crc32': 'y/Q5Jg==', 'x-amz-checksum-crc32c': '4waSgw==' },
      { 'x-amz-checksum-crc32': 'y/Q5Jg==', 'x-amz-trailer': 'x-amz-checksum-crc32' },
      { 'x-amz-checksum-crc32': 'y/Q5J' },
      { 'x-amz-checksum-sha256': 'y/Q5Jg==' },
      { 'x-amz-checksum-crc32': 'y/Q5Jg==,y/Q5Jg==' },
      { 'x-amz-sdk-checksum-algorithm': 'CRC32' },
      { 'x-amz-sdk-checksum-algorithm': 'SHA1', 'x-amz-checksum-crc32': 'y/Q5Jg==' },
      { 'x-amz-sdk-checksum-algorithm': 'toString', 'x-amz-checksum-crc32': 'y/Q5Jg==' },
      { 'x-amz-trailer': 'x-amz-meta-a' },
    ];
    for (const headers of cases) {
      expect(
        code(() => declared(headers)),
        JSON.stringify(headers),
      ).toBe('InvalidRequest');
    }
  });

  it('Content-MD5 is the base64 of 16 bytes', () => {
    const md5 = sum('MD5', CHECK);
    const given = new Map([['content-md5', md5.toString('base64')]]);
    expect(contentMd5Of(given)).toEqual(md5);
    expect(contentMd5Of(new Map())).toBeNull();
    for (const bad of ['', 'x', md5.toString('hex'), sum('SHA1', CHECK).toString('base64')]) {
      expect(code(() => contentMd5Of(new Map([['content-md5', bad]])))).toBe('InvalidDigest');
    }
  });
});

describe('the digests of a body', () => {
  const nothing: ExpectedDigests = {
    payload: null,
    contentMd5: null,
    checksum: null,
    defaultChecksum: null,
    hasETag: false,
  };
  const finished = (expected: Partial<ExpectedDigests>, trailers: [string, string][] = []) => {
    const digests = new BodyDigests({ ...nothing, ...expected });
    for (const byte of CHECK) digests.update(Buffer.from([byte]));
    return digests.finish(new Map(trailers));
  };
  const hashed = (sha256: Buffer) => ({ kind: 'hashed', sha256 }) as const;
  const crc32 = (value: Buffer | null) =>
    ({ algorithm: 'CRC32', value, isTrailer: value === null }) as const;
  const NAME = 'x-amz-checksum-crc32';

  it('are given where all of them are right', () => {
    expect(finished({})).toEqual({ bytes: 9, md5: null, checksum: null });
    expect(
      finished({
        payload: hashed(sum('SHA256', CHECK)),
        contentMd5: sum('MD5', CHECK),
        checksum: crc32(sum('CRC32', CHECK)),
        defaultChecksum: 'CRC64NVME',
      }),
    ).toEqual({
      bytes: 9,
      md5: sum('MD5', CHECK),
      checksum: { algorithm: 'CRC32', value: sum('CRC32', CHECK) },
    });
    expect(finished({ checksum: crc32(null) }, [[NAME, 'y/Q5Jg==']]).checksum?.algorithm).toBe(
      'CRC32',
    );
    expect(finished({ defaultChecksum: 'CRC64NVME', hasETag: true })).toMatchObject({
      md5: sum('MD5', CHECK),
      checksum: { algorithm: 'CRC64NVME', value: sum('CRC64NVME', CHECK) },
    });
  });

  it('I26 one that is wrong refuses the body', () => {
    const other = Buffer.from('other');
    expect(code(() => finished({ payload: hashed(sum('SHA256', other)) }))).toBe(
      'XAmzContentSHA256Mismatch',
    );
    expect(code(() => finished({ contentMd5: sum('MD5', other) }))).toBe('BadDigest');
    for (const algorithm of CHECKSUM_ALGORITHMS) {
      const value = sum(algorithm, other);
      const wrong = { algorithm, value, isTrailer: false };
      expect(code(() => finished({ checksum: wrong }))).toBe('BadDigest');
    }
    const trailer = (value: string) => () => finished({ checksum: crc32(null) }, [[NAME, value]]);
    expect(code(trailer('AAAAAA=='))).toBe('BadDigest');
    expect(code(trailer('AAAA'))).toBe('InvalidRequest');
    expect(code(() => finished({ checksum: crc32(null) }))).toBe('MalformedTrailerError');
  });
});
