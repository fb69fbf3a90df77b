import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type ChunkedBody,
  ChunkedDecoder,
  chunkedBodyOf,
} from '../../../../gateways/s3/chunked-decoder.ts';
import { S3Error } from '../../../../gateways/s3/errors.ts';
import {
  EMPTY_SHA256,
  EXAMPLE,
  isInSignatureName,
  lineStart,
  oracle,
  plainChunks,
  SIGNATURE_NAME,
  seedOf,
  signedChunks,
} from '../../../kit/s3-signer.ts';

const SEED = 'c'.repeat(64);
const TRAILER = 'x-amz-checksum-crc32:AAAAAA==';
const NAMES = ['x-amz-checksum-crc32'];
const seed = seedOf(SEED);

interface Decoded {
  readonly payload: Buffer;
  readonly trailers: ReadonlyMap<string, string>;
}

/** Without vitest's own comparison, which looks at each byte of thousands of buffers. */
function isSame(a: Decoded, b: Decoded): boolean {
  return a.payload.equals(b.payload) && String([...a.trailers]) === String([...b.trailers]);
}

/** Decodes pieces of a body, as they come from a socket. */
function decode(pieces: readonly Buffer[], body: ChunkedBody): Decoded {
  const decoder = new ChunkedDecoder(body);
  const payload: Buffer[] = [];
  for (const piece of pieces) decoder.push(piece, (bytes) => payload.push(bytes));
  const trailers = decoder.finish();
  return { payload: Buffer.concat(payload), trailers };
}

function refusal(pieces: readonly Buffer[] | string, body: ChunkedBody): S3Error {
  try {
    decode(typeof pieces === 'string' ? [Buffer.from(pieces, 'latin1')] : pieces, body);
  } catch (error) {
    if (error instanceof S3Error) return error;
    throw error;
  }
  throw new Error('was decoded');
}

function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const edges = [0, ...places.map((p) => p % (bytes.length + 1)), bytes.length];
  edges.sort((a, b) => a - b);
  return edges.slice(1).map((end, i) => bytes.subarray(edges[i], end));
}

const plain = (decodedBytes: number, trailers: readonly string[] | null = []): ChunkedBody => ({
  decodedBytes,
  seed: null,
  trailers,
});

const BIG = Buffer.alloc(8192, 'b');
const SMALL = Buffer.from('the end\r\n0\r\n\r\n');
const FORMS: { name: string; bytes: Buffer; body: ChunkedBody; trailer: string | undefined }[] = [
  {
    name: 'signed',
    bytes: signedChunks(SEED, [BIG, SMALL]),
    body: { decodedBytes: BIG.length + SMALL.length, seed, trailers: null },
    trailer: undefined,
  },
  {
    name: 'signed with a trailer',
    bytes: signedChunks(SEED, [BIG, SMALL], [TRAILER]),
    body: { decodedBytes: BIG.length + SMALL.length, seed, trailers: NAMES },
    trailer: 'AAAAAA==',
  },
  {
    name: 'unsigned with a trailer',
    bytes: plainChunks([SMALL, BIG], [TRAILER], ';x=y'),
    body: plain(BIG.length + SMALL.length, NAMES),
    trailer: 'AAAAAA==',
  },
];

describe('aws-chunked bodies', () => {
  it.each(FORMS)('$name: any cut in two gives the payload', ({ bytes, body, trailer }) => {
    const whole = decode([bytes], body);
    expect(whole.payload.length).toBe(body.decodedBytes);
    expect(whole.trailers.get('x-amz-checksum-crc32')).toBe(trailer);
    for (let at = 0; at <= bytes.length; at++) {
      // Inside the large chunk one place is like another.
      if (at > 300 && at < 8000) continue;
      expect(isSame(decode(cut(bytes, [at]), body), whole), `cut at ${at}`).toBe(true);
    }
  });

  it.each(FORMS)('$name: byte for byte', ({ bytes, body }) => {
    const pieces = Array.from(bytes, (_, at) => bytes.subarray(at, at + 1));
    expect(isSame(decode(pieces, body), decode([bytes], body))).toBe(true);
  });

  it('any chunks in any pieces give the payload', () => {
    const chunk = fc.uint8Array({ minLength: 1, maxLength: 40 }).map((b) => Buffer.from(b));
    fc.assert(
      fc.property(
        fc.array(chunk, { maxLength: 8 }),
        fc.array(fc.nat(), { maxLength: 12 }),
        fc.boolean(),
        (chunks, places, isSigned) => {
          const payload = Buffer.concat(chunks);
          const bytes = isSigned
            ? signedChunks(SEED, payload.length === 0 ? [] : [payload], [TRAILER])
            : plainChunks(chunks, [TRAILER]);
          const body = {
            decodedBytes: payload.length,
            seed: isSigned ? seed : null,
            trailers: NAMES,
          };
          expect(decode(cut(bytes, places), body).payload.equals(payload)).toBe(true);
        },
      ),
    );
  });

  it('hands on views and copies nothing', () => {
    const bytes = plainChunks([SMALL, BIG]);
    const seen: Buffer[] = [];
    const decoder = new ChunkedDecoder(plain(SMALL.length + BIG.length));
    decoder.push(bytes, (payload) => seen.push(payload));
    expect(seen.map(({ buffer }) => buffer)).toEqual([bytes.buffer, bytes.buffer]);
    expect(seen.every(({ buffer }) => buffer === bytes.buffer)).toBe(true);
  });

  it('signatures are those of the AWS SDK', async () => {
    const bytes = signedChunks(SEED, [SMALL]).toString('latin1');
    const hash = createHash('sha256').update(SMALL).digest('hex');
    const signature = await oracle().sign(
      `AWS4-HMAC-SHA256-PAYLOAD\n${EXAMPLE.timestamp}\n${EXAMPLE.scope}\n${SEED}\n${EMPTY_SHA256}\n${hash}`,
      { signingDate: new Date(EXAMPLE.timeMs) },
    );
    expect(bytes).toContain(`;chunk-signature=${signature}\r\n`);
  });

  it('are described by the form of their payload and their headers', () => {
    const headers = new Map([
      ['x-amz-decoded-content-length', '5'],
      ['x-amz-trailer', 'x-amz-checksum-crc32'],
    ]);
    const of = (isSigned: boolean, hasTrailer: boolean) =>
      chunkedBodyOf({ kind: 'chunked', isSigned, hasTrailer }, headers, isSigned ? seed : null);
    expect(of(true, false)).toEqual({ decodedBytes: 5, seed, trailers: null });
    expect(of(false, true)).toEqual(plain(5, NAMES));
    // Never read as if nobody had to sign it.
    expect(() =>
      chunkedBodyOf({ kind: 'chunked', isSigned: true, hasTrailer: true }, headers, null),
    ).toThrow('signed chunks');
  });

  it('an empty object is one chunk', () => {
    expect(
      decode([signedChunks(SEED, [])], { decodedBytes: 0, seed, trailers: null }).payload,
    ).toEqual(Buffer.alloc(0));
    expect(decode([Buffer.from('0\r\n\r\n')], plain(0)).payload.length).toBe(0);
  });
});

describe('what is refused', () => {
  it.each(FORMS)('$name: a body that ends anywhere before its end', ({ bytes, body, name }) => {
    for (let end = 0; end < bytes.length; end++) {
      if (end > 300 && end < 8000) continue;
      // Behind the trailers' signature nothing is missing but an empty line.
      if (name === 'signed with a trailer' && end === bytes.length - 2) continue;
      expect(refusal([bytes.subarray(0, end)], body).code).toBe('IncompleteBody');
    }
  });

  it.each(FORMS.filter(({ body }) => body.seed !== null))(
    '$name: any byte that was changed',
    ({ bytes, body }) => {
      const places = Array.from(bytes, (_, at) => at).filter((at) => at < 300 || at > 8000);
      fc.assert(
        fc.property(fc.constantFrom(...places), fc.integer({ min: 1, max: 255 }), (at, flip) => {
          const changed = Buffer.from(bytes);
          changed[at] = (changed[at] as number) ^ flip;
          // Sizes may be written in either case, and so may the one name that is not signed.
          const isCase = /^[0-9a-f]*$/i.test(lineStart(bytes, at)) || isInSignatureName(bytes, at);
          fc.pre(flip !== 0x20 || !isCase);
          expect(refusal([changed], body).status).toBeLessThan(500);
        }),
        { numRuns: 3000 },
      );
    },
  );

  it('the name of the signature in another case is no change, a change of its value is', () => {
    const { bytes, body } = FORMS[1] as (typeof FORMS)[number];
    const start = bytes.indexOf(SIGNATURE_NAME);
    const upper = Buffer.from(bytes);
    upper.write(SIGNATURE_NAME.toUpperCase(), start, 'latin1');
    expect(decode([upper], body).payload.length).toBe(body.decodedBytes);
    const at = start + SIGNATURE_NAME.length + 1;
    const changed = Buffer.from(bytes);
    changed.write(changed.toString('latin1', at, at + 1) === '0' ? '1' : '0', at, 'latin1');
    expect(refusal([changed], body).code).toBe('SignatureDoesNotMatch');
  });

  it('I24 a declared length that is not the payload', () => {
    for (const decodedBytes of [0, 4, 6, 2 ** 40]) {
      expect(refusal('5\r\nhello\r\n0\r\n\r\n', plain(decodedBytes)).code).toBe('IncompleteBody');
    }
    const signed = signedChunks(SEED, [SMALL]);
    for (const decodedBytes of [SMALL.length - 1, SMALL.length + 1]) {
      const body = { decodedBytes, seed, trailers: null };
      expect(refusal([signed], body).code).toBe('IncompleteBody');
    }
  });

  it('I24 a chunk of a gigabyte, of any size beyond what was declared', () => {
    for (const size of ['40000000', 'f'.repeat(16), '1'.repeat(17), '20000000000001']) {
      expect(refusal(`${size}\r\nhello`, plain(5)).code).toBe('IncompleteBody');
    }
  });

  it('I24 a chunk that was signed by nobody, at once', () => {
    const forged = signedChunks('d'.repeat(64), [BIG]);
    const end = forged.indexOf('\r\n0;') + 2;
    const decoder = new ChunkedDecoder({ decodedBytes: 8192, seed, trailers: null });
    expect(() => decoder.push(forged.subarray(0, end), () => {})).toThrow(
      expect.objectContaining({ code: 'SignatureDoesNotMatch', status: 403 }),
    );
    expect(() => decoder.push(forged.subarray(end), () => {})).toThrow(S3Error);
    expect(() => decoder.finish()).toThrow(S3Error);
  });

  it('I24 chunks in another order, left out, or twice', () => {
    const [a, b] = [Buffer.alloc(8192, 'a'), Buffer.alloc(8192, 'b')];
    const text = signedChunks(SEED, [a, b]).toString('latin1');
    const [first, second, last] = text.split(/(?=2000;)|(?<=\n)(?=0;chunk)/) as [
      string,
      string,
      string,
    ];
    const body = { decodedBytes: 16_384, seed, trailers: null };
    expect(decode([Buffer.from(first + second + last, 'latin1')], body).payload.length).toBe(
      16_384,
    );
    expect(refusal(second + first + last, body).code).toBe('SignatureDoesNotMatch');
    expect(refusal(first + first + last, body).code).toBe('SignatureDoesNotMatch');
    expect(refusal(second + last, { ...body, decodedBytes: 8192 }).code).toBe(
      'SignatureDoesNotMatch',
    );
    expect(refusal(first + last, { ...body, decodedBytes: 8192 }).code).toBe(
      'SignatureDoesNotMatch',
    );
  });

  it('I07 headers that are none: no size, LF alone, an extension without end', () => {
    const headers = [
      '',
      'ZZ\r\n',
      '-5\r\n',
      '+5\r\n',
      ' 5\r\n',
      '5 \r\n',
      '5\n',
      '5\r\r\n',
      '0x5\r\n',
    ];
    for (const header of headers) {
      expect(refusal(`${header}hello\r\n0\r\n\r\n`, plain(5)).code, header).toBe('IncompleteBody');
    }
    const endless = [Buffer.from(`5;${'x'.repeat(1000)}`), Buffer.alloc(1_000_000, 'x')];
    expect(refusal(endless, plain(5)).code).toBe('IncompleteBody');
    for (const end of ['\n0\r\n\r\n', 'x\n0\r\n\r\n', '\rx0\r\n\r\n', '0\r\n\r\n']) {
      expect(refusal(`5\r\nhello${end}`, plain(5)).code).toBe('IncompleteBody');
    }
    expect(refusal('5\r\nhello\r\n0\r\n\r\n', { ...plain(5), seed }).code).toBe('IncompleteBody');
  });

  it('bytes behind the end', () => {
    for (const { bytes, body } of FORMS) {
      expect(refusal([bytes, Buffer.from('0')], body).code).toBe('IncompleteBody');
    }
    const noTrailers = { decodedBytes: 0, seed, trailers: null };
    const bytes = signedChunks(SEED, []).toString('latin1');
    expect(refusal(bytes.replace(/\r\n$/, `${TRAILER}\r\n\r\n`), noTrailers).code).toBe(
      'IncompleteBody',
    );
  });

  it('a small signed chunk that is not the last', () => {
    const body = { decodedBytes: 8192 + 8191 + 1, seed, trailers: null };
    const chunks = [BIG, Buffer.alloc(8191), Buffer.alloc(1)];
    expect(refusal([signedChunks(SEED, chunks)], body)).toMatchObject({
      code: 'InvalidChunkSizeError',
      status: 403,
      extra: { Chunk: '2', BadChunkSize: '8191' },
    });
    // Unsigned ones cost nothing, and SDKs send them as their streams come.
    const plainBody = plain(body.decodedBytes);
    expect(decode([plainChunks(chunks)], plainBody).payload.length).toBe(body.decodedBytes);
  });

  it('any bytes are refused or decoded, and nothing else happens', () => {
    const part = fc.oneof(
      fc.constantFrom('\r\n', '0\r\n', '5\r\n', 'hello', TRAILER, ';', '\n', '5;a=b\r\nhello\r\n'),
      fc.string({ unit: 'binary-ascii', maxLength: 6 }),
    );
    fc.assert(
      fc.property(
        fc.array(part, { maxLength: 12 }),
        fc.array(fc.nat(), { maxLength: 4 }),
        fc.nat({ max: 12 }),
        (parts, places, decodedBytes) => {
          const bytes = Buffer.from(parts.join(''), 'latin1');
          try {
            const { payload } = decode(cut(bytes, places), plain(decodedBytes, NAMES));
            expect(payload.length).toBe(decodedBytes);
          } catch (error) {
            expect(error).toBeInstanceOf(S3Error);
          }
        },
      ),
      { numRuns: 3000 },
    );
  });
});

describe('trailers', () => {
  const body = plain(5, NAMES);
  const withTrailers = (lines: string): string => `5\r\nhello\r\n0\r\n${lines}`;

  it('are by lower-case name, with or without a space before the value', () => {
    for (const line of [
      TRAILER,
      'X-Amz-Checksum-Crc32:AAAAAA==',
      'x-amz-checksum-crc32: AAAAAA==',
    ]) {
      const { trailers } = decode([Buffer.from(withTrailers(`${line}\r\n\r\n`))], body);
      expect([...trailers]).toEqual([['x-amz-checksum-crc32', 'AAAAAA==']]);
    }
  });

  it('as minio-go ends them', () => {
    const { trailers } = decode([Buffer.from(withTrailers(`${TRAILER}\n\r\n`))], body);
    expect(trailers.size).toBe(1);
    const signed = signedChunks(SEED, [SMALL], [TRAILER]).toString('latin1');
    const minio = signed.replace(`${TRAILER}\r\n`, `${TRAILER}\n\r\n`);
    const signedBody = { decodedBytes: SMALL.length, seed, trailers: NAMES };
    expect(decode([Buffer.from(minio, 'latin1')], signedBody).trailers.size).toBe(1);
    const twice = signed.replace(`${TRAILER}\r\n`, `${TRAILER}\n\r\n\r\n`);
    expect(refusal(twice, signedBody).code).toBe('MalformedTrailerError');
  });

  it('that are not what was promised', () => {
    const cases = [
      '\r\n',
      `${TRAILER}\r\n${TRAILER}\r\n\r\n`,
      'x-amz-checksum-sha1:AAAA\r\n\r\n',
      `${TRAILER}\r\nx-amz-meta-a:b\r\n\r\n`,
      'x-amz-checksum-crc32AAAAAA==\r\n\r\n',
      ':AAAAAA==\r\n\r\n',
      'x-amz-checksum-crc32:AA AA==\r\n\r\n',
      `${TRAILER}${'='.repeat(2000)}`,
      `${TRAILER}\n\n`,
      `x-amz-trailer-signature:${SEED}\r\n\r\n`,
    ];
    for (const lines of cases) {
      expect(refusal(withTrailers(lines), body).code, lines.slice(0, 60)).toBe(
        'MalformedTrailerError',
      );
    }
    expect(refusal(withTrailers(`${TRAILER}\r\n\r\n`), plain(5, [])).code).toBe(
      'MalformedTrailerError',
    );
  });

  it('whose signature is missing, wrong, or not the last', () => {
    const signedBody = { decodedBytes: 0, seed, trailers: NAMES };
    const text = signedChunks(SEED, [], [TRAILER]).toString('latin1');
    expect(decode([Buffer.from(text)], signedBody).trailers.size).toBe(1);
    const signature = /x-amz-trailer-signature:[0-9a-f]*\r\n/.exec(text)?.[0] as string;
    expect(refusal(text.replace(signature, ''), signedBody).code).toBe('MalformedTrailerError');
    const forged = text.replace(signature, `x-amz-trailer-signature:${SEED}\r\n`);
    expect(refusal(forged, signedBody).code).toBe('SignatureDoesNotMatch');
    const other = text.replace('AAAAAA==', 'AAAAAB==');
    expect(refusal(other, signedBody).code).toBe('SignatureDoesNotMatch');
    const moved = text.replace(`${TRAILER}\r\n${signature}`, `${signature}${TRAILER}\r\n`);
    expect(refusal(moved, signedBody).code).toBe('MalformedTrailerError');
    const after = text.replace(signature, `${signature}${TRAILER}\r\n`);
    expect(refusal(after, signedBody).code).toBe('MalformedTrailerError');
  });
});
