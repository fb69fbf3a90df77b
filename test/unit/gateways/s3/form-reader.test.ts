import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BodyStream } from '../../../../gateways/http/body-stream.ts';
import { S3Error } from '../../../../gateways/s3/errors.ts';
import { boundaryOf, FormReader } from '../../../../gateways/s3/form-reader.ts';

/** A body that comes in these pieces. */
function streamOf(pieces: readonly Buffer[]): BodyStream {
  const left = [...pieces];
  return { next: async () => left.shift() ?? null } as unknown as BodyStream;
}

function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  let at = 0;
  for (const size of sizes) {
    if (at >= bytes.length) break;
    pieces.push(bytes.subarray(at, at + size));
    at += size;
  }
  if (at < bytes.length) pieces.push(bytes.subarray(at));
  return pieces;
}

const field = (name: string, value: string) =>
  `--B\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
const FILE_HEAD =
  '--B\r\nContent-Disposition: form-data; name="file"; filename="C:\\\\docs\\\\a.txt"\r\nContent-Type: text/plain\r\n\r\n';

async function read(pieces: readonly Buffer[]) {
  const reader = new FormReader(streamOf(pieces), 'B');
  const head = await reader.head();
  const file: Buffer[] = [];
  for await (const bytes of reader.file()) file.push(Buffer.from(bytes));
  return { ...head, file: Buffer.concat(file) };
}

async function codeOf(text: string): Promise<string> {
  try {
    await read([Buffer.from(text)]);
  } catch (error) {
    if (error instanceof S3Error) return error.code;
    throw error;
  }
  return 'none';
}

describe('a form', () => {
  it('is read however it is cut, also where its delimiter begins in the file', async () => {
    const file = fc
      .array(fc.constantFrom('\r\n--', '\r\n--C', '\r', '\n', '-', 'B', 'data', '\0'))
      .map((parts) => parts.join('').replaceAll('\r\n--B', 'x'));
    const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 400 });
    await fc.assert(
      fc.asyncProperty(file, sizes, async (text, at) => {
        const body = `${field('Key', 'a/ü')}${field('key', 'second')}${FILE_HEAD}${text}\r\n--B--\r\n`;
        const found = await read(cut(Buffer.from(body), at));
        expect(found.file.toString()).toBe(text);
        expect(found.fields).toEqual(new Map([['key', 'a/ü']]));
        expect(found).toMatchObject({ fileName: 'a.txt', fileType: 'text/plain' });
      }),
      { numRuns: 300 },
    );
  });

  it('that has no file, no end, or too much before its file is refused', async () => {
    expect(await codeOf(`${field('key', 'a')}--B--\r\n`)).toBe('InvalidArgument');
    expect(await codeOf(`${field('key', 'a')}--B--`)).toBe('InvalidArgument');
    expect(await codeOf(field('key', 'a'))).toBe('MalformedPOSTRequest');
    expect(await codeOf(`${field('key', 'a')}${FILE_HEAD}cut`)).toBe('MalformedPOSTRequest');
    expect(await codeOf('nothing of a form')).toBe('MalformedPOSTRequest');
    expect(await codeOf('--B\r\nContent-Type: text/plain\r\n\r\nx')).toBe('MalformedPOSTRequest');
    const long = `${field('key', 'a'.repeat(30_000))}${FILE_HEAD}x\r\n--B--\r\n`;
    expect(await codeOf(long)).toBe('MaxPostPreDataLengthExceededError');
  });

  it('names its boundary', () => {
    expect(boundaryOf('multipart/form-data; boundary=abc')).toBe('abc');
    expect(boundaryOf('multipart/form-data; charset=utf-8; boundary="a b"')).toBe('a b');
    for (const type of ['multipart/form-data', 'multipart/form-data; boundary=']) {
      expect(() => boundaryOf(type)).toThrow(S3Error);
    }
  });
});
