import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { ObjectKey } from '../../../../gateways/encryption/object-key.ts';
import {
  opened,
  SEGMENT_BYTES,
  SealBroken,
  SegmentOpener,
  SegmentSealer,
  sealedBytes,
  sealedSpan,
  TAG_BYTES,
} from '../../../../gateways/encryption/segments.ts';
import { randomInt, seededRandom } from '../../../../protocol/random.ts';

const range = (from: number, bytes: number) =>
  Buffer.from(Array.from({ length: bytes }, (_, i) => from + i));
const KEY = range(0, 32);
const ID = range(0xa0, 16);
const SEALED = SEGMENT_BYTES + TAG_BYTES;

function bytesOf(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let i = 0; i < size; i++) bytes[i] = (i * 7) % 251;
  return bytes;
}

function sealWith(sealer: SegmentSealer, cuts: readonly Uint8Array[]): Buffer {
  const out: Uint8Array[] = [];
  for (const cut of cuts) sealer.push(cut, out);
  sealer.end(out);
  return Buffer.concat(out);
}

const seal = (bytes: Buffer, key = KEY) => sealWith(new SegmentSealer(key, ID), [bytes]);

function open(
  sealed: Uint8Array,
  size: number,
  span = { start: 0, end: size },
  key: Uint8Array = KEY,
): Buffer {
  const opener = new SegmentOpener(key, span, size);
  const out: Uint8Array[] = [];
  opener.push(sealed, out);
  opener.end();
  return Buffer.concat(out);
}

/** The same bytes in pieces that are cut at random. */
function cutUp(bytes: Buffer, random: ReturnType<typeof seededRandom>): Buffer[] {
  const cuts: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + randomInt(random, 1, 90_000);
    cuts.push(bytes.subarray(at, end));
    at = end;
  }
  return cuts;
}

const SIZES = [0, 1, 1000, SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 1, 200_000];

describe('sealed segments', () => {
  /**
   * Made with OpenSSL 3.0: the key by `openssl kdf -keylen 32 -kdfopt digest:SHA2-256 -kdfopt hexkey:0001..1f -kdfopt
   * hexsalt:a0..af -kdfopt 'info:minikv 1 piece 3' HKDF`, segments by its EVP AES-256-GCM.
   */
  it('are as OpenSSL makes them', () => {
    const bytes = bytesOf(2 * SEGMENT_BYTES + 5);
    const sealed = sealWith(new ObjectKey(KEY).sealer(ID, 3), [bytes]);
    expect(sealed.length).toBe(131_125);
    expect(createHash('sha256').update(sealed).digest('hex')).toBe(
      '7e6143bd183ca03892f9bce7911a665111682d431be146bcd42c7891dae57687',
    );
    expect(sealed.toString('hex', 0, 16)).toBe('5c7f3579ead7062ec281951270455e26');
    expect(sealed.subarray(-21).toString('hex')).toBe('c2c0be89e7335de7ba14b34c467ef1b24deeacc0f2');
  });

  it('open to what was sealed, however both are cut', async () => {
    const random = seededRandom(7);
    for (const size of SIZES) {
      const bytes = bytesOf(size);
      const sealed = sealWith(new SegmentSealer(KEY, ID), cutUp(bytes, random));
      expect(sealed.length).toBe(sealedBytes(size));
      expect(open(sealed, size).equals(bytes)).toBe(true);
      const opener = new SegmentOpener(KEY, { start: 0, end: size }, size);
      async function* source() {
        yield* cutUp(sealed, random);
      }
      const back: Uint8Array[] = [];
      for await (const piece of opened(source(), opener)) back.push(piece);
      expect(Buffer.concat(back).equals(bytes)).toBe(true);
    }
  });

  it('open in ranges, from whole segments only', () => {
    const random = seededRandom(8);
    for (const size of SIZES.filter((each) => each > 0)) {
      const bytes = bytesOf(size);
      const sealed = seal(bytes);
      for (let i = 0; i < 40; i++) {
        const start = randomInt(random, 0, size - 1);
        const end = randomInt(random, start + 1, size);
        const stored = sealedSpan({ start, end }, size);
        expect(stored.start % SEALED).toBe(0);
        expect(stored.end - stored.start).toBeLessThanOrEqual(end - start + 2 * SEALED);
        const part = sealed.subarray(stored.start, stored.end);
        expect(open(part, size, { start, end }).equals(bytes.subarray(start, end))).toBe(true);
      }
    }
  });

  it('do not open with one bit changed, wherever it is', () => {
    const random = seededRandom(9);
    const size = SEGMENT_BYTES + 100;
    const sealed = seal(bytesOf(size));
    const places = [0, SEGMENT_BYTES, SEALED - 1, SEALED, sealed.length - 1];
    for (let i = 0; i < 40; i++) places.push(randomInt(random, 0, sealed.length - 1));
    for (const at of places) {
      const changed = Buffer.from(sealed);
      changed[at] = (changed[at] as number) ^ (1 << randomInt(random, 0, 7));
      expect(() => open(changed, size), `byte ${at}`).toThrow(SealBroken);
    }
  });

  it('do not open in another order, without their end, or as the end of something shorter', () => {
    const size = 3 * SEGMENT_BYTES;
    const sealed = seal(bytesOf(size));
    const [a, b, c] = [0, 1, 2].map((i) => sealed.subarray(i * SEALED, (i + 1) * SEALED)) as [
      ...[Buffer, Buffer, Buffer],
    ];
    expect(open(Buffer.concat([a, b, c]), size).length).toBe(size);
    expect(() => open(Buffer.concat([b, a, c]), size)).toThrow(SealBroken);
    expect(() => open(Buffer.concat([a, c, b]), size)).toThrow(SealBroken);
    expect(() => open(Buffer.concat([a, a, c]), size)).toThrow(SealBroken);
    expect(() => open(Buffer.concat([a, b]), size)).toThrow(SealBroken);
    expect(() => open(Buffer.concat([a, b, c, c]), size)).toThrow(SealBroken);
    // A manifest that tells of fewer bytes does not make the middle an end.
    expect(() => open(Buffer.concat([a, b]), 2 * SEGMENT_BYTES)).toThrow(SealBroken);
    expect(() => open(a, SEGMENT_BYTES)).toThrow(SealBroken);
    // Nor does one of more make the end a middle.
    expect(() => open(Buffer.concat([a, b, c]), size + 1)).toThrow(SealBroken);
  });

  it('do not open as another piece: other data, another part, another object', () => {
    const bytes = bytesOf(1000);
    const key = new ObjectKey(KEY);
    const stored = sealWith(key.sealer(ID, 2), [bytes]);
    const piece = { number: 2, size: 1000, bytes: stored.length, data: ID };
    const span = { start: 10, end: 20 };
    expect(Buffer.from(key.openInline(piece, stored, span))).toEqual(bytes.subarray(10, 20));
    const others: readonly [ObjectKey, object][] = [
      [key, { number: 3 }],
      [key, { data: range(0xa1, 16) }],
      [key, { data: null }],
      [key, { size: 999 }],
      [key, { bytes: stored.length - 1 }],
      [new ObjectKey(range(1, 32)), {}],
    ];
    for (const [other, change] of others) {
      const changed = { ...piece, ...change };
      expect(() => other.openInline(changed, stored, span)).toThrow(SealBroken);
    }
  });

  it('have a digest that differs with the stream, also where it is empty', () => {
    const digestOf = (id: Buffer, bytes: Buffer) => {
      const sealer = new ObjectKey(KEY).sealer(id, 0);
      sealWith(sealer, [bytes]);
      return sealer.digest().toString('hex');
    };
    const digests = [ID, range(0xa1, 16)].flatMap((id) =>
      [0, 1, 1000].map((size) => digestOf(id, bytesOf(size))),
    );
    expect(new Set(digests).size).toBe(6);
  });
});
