import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CommandFailed } from '../../../cli/failures.ts';
import { CHUNK_BYTES, SealedWriter, unsealed } from '../../../cli/sealed-stream.ts';
import { RootKeys } from '../../../gateways/encryption/root-keys.ts';
import { seededRandom } from '../../../protocol/random.ts';

const KEYS = new RootKeys([Buffer.alloc(32, 1)]);
const HEADER_BYTES = 48;
const SEALED_BYTES = CHUNK_BYTES + 16;

function plain(length: number): Buffer {
  return Buffer.from(seededRandom(length, 'plain').bytes(length));
}

async function sealed(pieces: readonly Buffer[], seed = 1): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  const writer = new SealedWriter(KEYS, seededRandom(seed), async (bytes) => {
    parts.push(bytes);
  });
  for (const piece of pieces) await writer.write(piece);
  await writer.end();
  return Buffer.concat(parts);
}

async function* cut(bytes: Buffer, at: readonly number[]) {
  const ends = [...at.filter((end) => end < bytes.length), bytes.length].sort((a, b) => a - b);
  for (let i = 0, from = 0; i < ends.length; from = ends[i++]!) yield bytes.subarray(from, ends[i]);
}

async function opened(bytes: Buffer, at: readonly number[] = [], keys: RootKeys | null = KEYS) {
  const parts: Uint8Array[] = [];
  for await (const part of unsealed(cut(bytes, at), keys)) parts.push(part);
  return Buffer.concat(parts);
}

/** What came out before it was refused, and why it was. */
async function refused(bytes: Buffer, keys: RootKeys | null = KEYS) {
  const parts: Uint8Array[] = [];
  try {
    for await (const part of unsealed(cut(bytes, []), keys)) parts.push(part);
  } catch (error) {
    expect(error).toBeInstanceOf(CommandFailed);
    return { why: (error as Error).message, out: Buffer.concat(parts) };
  }
  throw new Error('it was taken');
}

describe('a sealed export', () => {
  it('opens to what it was, however it is written and read, and hides it', async () => {
    const size = fc.oneof(
      fc.nat({ max: 300 }),
      fc.constantFrom(0, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES),
    );
    const cuts = fc.array(fc.nat({ max: 3 * CHUNK_BYTES }), { maxLength: 4 });
    const property = fc.asyncProperty(fc.array(size, { maxLength: 3 }), cuts, async (sizes, at) => {
      const pieces = sizes.map(plain);
      const bytes = await sealed(pieces);
      const whole = Buffer.concat(pieces);
      expect(Buffer.compare(await opened(bytes, at), whole)).toBe(0);
      if (whole.length >= 16) expect(bytes.includes(whole.subarray(0, 16))).toBe(false);
    });
    await fc.assert(property, { numRuns: 60 });
  });

  it('is refused wherever it is cut off, and says so', async () => {
    const whole = plain(2 * CHUNK_BYTES + 100);
    const bytes = await sealed([whole]);
    const ends = [0, 1, 2].map((n) => HEADER_BYTES + n * SEALED_BYTES);
    for (const end of [1, 8, 47, ...ends, ends[1]! + 5, ends[2]! + 20, bytes.length - 1]) {
      const { why, out } = await refused(bytes.subarray(0, end));
      expect(why).toContain('cut short');
      expect(whole.subarray(0, out.length).equals(out)).toBe(true);
    }
  });

  it('is refused when a byte of it is another one, and gives nothing that was changed', async () => {
    const whole = plain(2 * CHUNK_BYTES + 100);
    const bytes = await sealed([whole]);
    for (let at = 8; at < bytes.length; at += at < 70 ? 1 : 9_973) {
      const changed = Buffer.from(bytes);
      changed[at] = changed[at]! ^ 1;
      const { out } = await refused(changed);
      expect(whole.subarray(0, out.length).equals(out)).toBe(true);
    }
  });

  it('is refused when chunks are exchanged, repeated, left out, added, or of another export', async () => {
    const [one, other] = [await sealed([plain(200_000)]), await sealed([plain(200_000)], 2)];
    const part = (n: number) =>
      one.subarray(HEADER_BYTES + n * SEALED_BYTES, HEADER_BYTES + (n + 1) * SEALED_BYTES);
    const head = one.subarray(0, HEADER_BYTES);
    const rest = one.subarray(HEADER_BYTES + 2 * SEALED_BYTES);
    for (const wrong of [
      [head, part(1), part(0), rest],
      [head, part(0), part(0), part(1), rest],
      [head, part(0), rest],
      [one, rest],
      [one, other],
      [other.subarray(0, HEADER_BYTES), one.subarray(HEADER_BYTES)],
    ]) {
      expect((await refused(Buffer.concat(wrong))).why).toMatch(
        /was changed, (?:or )?is out of order|out of order/,
      );
    }
  });

  it('needs its key, and names it; older ones behind another still open it', async () => {
    const bytes = await sealed([plain(10)]);
    const another = Buffer.alloc(32, 2);
    expect((await refused(bytes, null)).why).toContain(`under key ${KEYS.currentId}, and none`);
    expect((await refused(bytes, new RootKeys([another]))).why).toContain('not among those given');
    const both = new RootKeys([another, Buffer.alloc(32, 1)]);
    expect(await opened(bytes, [], both)).toEqual(plain(10));
  });

  it('is not what is in clear: that comes out as it is', async () => {
    for (const text of ['', '{', '{"key":"a","value":"b"}\n']) {
      expect(String(await opened(Buffer.from(text), [1], null))).toBe(text);
    }
  });
});
