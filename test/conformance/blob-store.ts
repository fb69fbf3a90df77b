import { describe, expect, it } from 'vitest';
import { type ChunkName, chunkText, makeDataId } from '../../protocol/blob.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { seededRandom } from '../../protocol/random.ts';
import { BlobFiles } from '../../storage/blob/blob-files.ts';
import type { Disk } from '../../storage/disk/port.ts';
import type { BlobStore } from '../../storage/ports.ts';

export const KIB = 1024;

/** A chunk of data drawn at `ms`; the same numbers give the same name. */
export function chunkOf(ms: number, seed: number, number = 0): ChunkName {
  return { data: makeDataId(ms, seededRandom(seed, 'id').bytes(10)), number };
}

/** Bytes that differ from block to block and from seed to seed. */
export function bytesOf(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >> 8) * 7 + (i >> 16) * 3 + seed) & 0xff;
  return bytes;
}

export async function put(
  store: BlobStore,
  name: ChunkName,
  bytes: Uint8Array,
  pieceBytes = 100 * KIB,
): Promise<void> {
  const writer = await store.create(name);
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    await writer.write(bytes.subarray(at, at + pieceBytes));
  }
  await writer.seal(null);
}

export async function get(store: BlobStore, name: ChunkName): Promise<Uint8Array> {
  const reader = await store.open(name);
  try {
    return await reader.read(0, reader.sum.bytes);
  } finally {
    await reader.close();
  }
}

/** Equality of large arrays, which the test runner compares byte by byte. */
export function expectSame(a: Uint8Array, b: Uint8Array): void {
  expect([a.length, Buffer.compare(a, b)]).toEqual([b.length, 0]);
}

/** A disk with room for all. */
export const ROOMY = {
  trouble: () => null,
  refusesWrites: () => false,
  freeBytes: () => Number.MAX_SAFE_INTEGER,
};

export function openStore(disk: Disk): BlobFiles {
  const onFatal = (reason: string, error: unknown): never => {
    throw new Error(reason, { cause: error });
  };
  return new BlobFiles({ disk, clock: { monotonicMs: () => 0 }, health: ROOMY, onFatal });
}

export interface BlobHarness {
  readonly store: BlobStore;
  until<T>(work: Promise<T>): Promise<T>;
}

const name = chunkOf(1_800_000_000_000, 1);

/** The contract of BlobStore (storage/ports.ts). */
export function blobStoreConformance(title: string, make: () => Promise<BlobHarness>): void {
  const test = (what: string, run: (store: BlobStore) => Promise<void>) =>
    it(what, async () => {
      const { store, until } = await make();
      await until(run(store));
    });

  describe(`BlobStore over ${title}`, () => {
    test('what is fetched with the header is the same as what is read later', async (store) => {
      const bytes = bytesOf(200 * KIB + 5, 9);
      await put(store, name, bytes);
      for (const frontBytes of [1, 64 * KIB, 100 * KIB, bytes.length, 512 * KIB]) {
        for (const [offset, length] of [
          [0, 10],
          [0, 64 * KIB],
          [0, 150 * KIB],
          [70 * KIB, 20 * KIB],
          [0, bytes.length],
        ] as const) {
          const reader = await store.open(name, frontBytes);
          expectSame(await reader.read(offset, length), bytes.slice(offset, offset + length));
          expectSame(await reader.read(0, bytes.length), bytes);
          await reader.close();
        }
      }
    });

    test('gives back what was written, of every length and in any pieces', async (store) => {
      const lengths = [0, 1, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 300_000, 1024 * KIB];
      for (const [i, length] of lengths.entries()) {
        const chunk = { ...name, number: i };
        const bytes = bytesOf(length, i);
        await put(store, chunk, bytes, [1000, 64 * KIB, 70_000][i % 3]);
        const reader = await store.open(chunk);
        expect(reader.sum).toEqual({ bytes: length, crc: store.checksum(0, bytes) });
        expectSame(await reader.read(0, length + 100), bytes);
        for (const [offset, count] of [
          [0, 1],
          [length - 1, 5],
          [65_000, 2_000],
          [length, 1],
        ] as const) {
          if (offset < 0) continue;
          expectSame(await reader.read(offset, count), bytes.subarray(offset, offset + count));
        }
        await reader.close();
      }
    });

    test('shows nothing of a chunk before it is sealed, nor after it was abandoned', async (store) => {
      const writer = await store.create(name);
      await writer.write(bytesOf(70_000, 1));
      expect(writer.bytes).toBe(70_000);
      await expect(store.open(name)).rejects.toMatchObject({ code: 'ENOENT' });
      expect(await store.list(null, 10)).toEqual([]);
      await writer.abandon();
      await writer.abandon();
      await expect(store.open(name)).rejects.toMatchObject({ code: 'ENOENT' });
    });

    test('takes the same bytes again, and refuses others', async (store) => {
      await put(store, name, bytesOf(200_000, 1));
      await put(store, name, bytesOf(200_000, 1), 64 * KIB);
      for (const other of [bytesOf(200_000, 2), bytesOf(199_999, 1), new Uint8Array(0)]) {
        await expect(put(store, name, other)).rejects.toMatchObject({ code: 'EEXIST' });
      }
      expectSame(await get(store, name), bytesOf(200_000, 1));
      const both = [1, 2].map((seed) => put(store, { ...name, number: 9 }, bytesOf(5_000, seed)));
      const results = await Promise.allSettled(both);
      expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    });

    test('seals only the bytes that were announced', async (store) => {
      const bytes = bytesOf(1000, 1);
      const crc = store.checksum(0, bytes);
      for (const expected of [
        { bytes: 1001, crc },
        { bytes: 1000, crc: crc ^ 1 },
      ]) {
        const writer = await store.create(name);
        await writer.write(bytes);
        await expect(writer.seal(expected)).rejects.toMatchObject({ code: 'EBADMSG' });
        await expect(store.open(name)).rejects.toMatchObject({ code: 'ENOENT' });
      }
      const writer = await store.create(name);
      await writer.write(bytes);
      expect(await writer.seal({ bytes: 1000, crc })).toEqual({ bytes: 1000, crc });
    });

    test('takes no chunk that is too long, and one call at a time', async (store) => {
      const writer = await store.create(name);
      const first = writer.write(bytesOf(10, 1));
      await expect(writer.write(bytesOf(10, 1))).rejects.toThrow('one piece at a time');
      await first;
      const tooMuch = new Uint8Array(LIMITS.blobChunkBytesMax);
      await expect(writer.write(tooMuch)).rejects.toMatchObject({ code: 'EINVAL' });
      await expect(writer.seal(null)).rejects.toThrow('until it ends');
      await writer.abandon();
    });

    test('reads an open chunk on when it is removed', async (store) => {
      const bytes = bytesOf(200_000, 4);
      await put(store, name, bytes);
      const reader = await store.open(name);
      await store.remove([name]);
      await store.remove([name]);
      expectSame(await reader.read(0, 200_000), bytes);
      await reader.close();
      await expect(store.open(name)).rejects.toMatchObject({ code: 'ENOENT' });
    });

    test('lists by name in pages, whatever the order of writing', async (store) => {
      const names: ChunkName[] = [];
      for (let i = 0; i < 24; i++) {
        const ms = [0, 65_535, 65_536, 2 ** 27, 1_800_000_000_000, 2 ** 48 - 1][i % 6]!;
        names.push(chunkOf(ms, i % 12, i));
      }
      for (const chunk of names) await put(store, chunk, bytesOf(10, 1));
      const sorted = names.map(chunkText).sort();
      for (const max of [1, 5, 7, 100]) {
        const seen: string[] = [];
        let after: string | null = null;
        for (;;) {
          const page = await store.list(after, max);
          if (page.length === 0) break;
          expect(page.length).toBeLessThanOrEqual(max);
          for (const file of page) seen.push(chunkText(file.name!));
          after = page.at(-1)!.path;
        }
        expect(seen).toEqual(sorted);
      }
      const usage = await store.measure(await store.list(null, 100));
      expect(usage.chunks).toBe(24);
      expect(usage.bytes).toBeGreaterThan(24 * 10);
      await store.remove(names.slice(1));
      expect((await store.list(null, 100)).map((file) => file.name)).toEqual([names[0]]);
    });

    test('does not set aside a chunk that is well', async (store) => {
      await put(store, name, bytesOf(200_000, 1));
      await store.setAside(name);
      await store.setAside({ ...name, number: 5 });
      expectSame(await get(store, name), bytesOf(200_000, 1));
    });
  });
}
