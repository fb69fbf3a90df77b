import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compressionRule } from '../../../../cli/compression-rule.ts';
import { systemClock } from '../../../../cli/system-clock.ts';
import { seededRandom } from '../../../../protocol/random.ts';
import type { GroupId, Revision } from '../../../../protocol/types.ts';
import { MemoryDisk } from '../../../../storage/disk/memory-disk.ts';
import { CODEC_NAMES, codecOf } from '../../../../storage/kv/codecs.ts';
import { CompressedEngine } from '../../../../storage/kv/compressed-engine.ts';
import { currentKey, generationPrefix, historyKey } from '../../../../storage/kv/keyspace.ts';
import { MemoryEngine } from '../../../../storage/kv/memory-engine.ts';
import { CURSOR_BYTES } from '../../../../storage/kv/merge-cursor.ts';
import { encodeVersion } from '../../../../storage/kv/rows.ts';
import {
  CodecMissing,
  type CompressionRule,
  unpacked,
  ValueCompression,
} from '../../../../storage/kv/value-compression.ts';
import { openStorage } from '../../../../storage/open.ts';

const HERE = CODEC_NAMES.filter((name) => codecOf(name) !== null);
const PREFIX = generationPrefix(3 as GroupId, 1);
const tripleOf = (name: string, space = 'kv') =>
  `default\0${space}\0${Buffer.from(name).toString('latin1')}`;
const current = (name: string, space?: string) => currentKey(PREFIX, tripleOf(name, space));

function rowOf(value: Uint8Array): Uint8Array {
  const revision = 7 as Revision;
  const head = { revision, createRevision: revision, version: 1, expiresAtMs: null };
  return encodeVersion({ ...head, contentType: 'text/plain', value });
}

const rules = (...texts: string[]) => texts.map((text) => compressionRule(text) as CompressionRule);
const json = (count: number) =>
  Buffer.from(JSON.stringify(Array.from({ length: count }, (_, id) => ({ id, role: 'reader' }))));

describe.each(HERE)('rows compressed with %s', (codec) => {
  const compression = new ValueCompression([{ prefix: '', codec }]);

  it('come back as they were, and are never longer', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 2_000 }),
      fc.tuple(fc.nat({ max: 60_000 }), fc.nat()).map(([n, by]) => Buffer.alloc(n, `${by} `)),
      fc.nat({ max: 40_000 }).map((n) => seededRandom(n, 'row').bytes(n)),
    );
    const kept = (value: Uint8Array, key: string) => {
      const row = rowOf(value);
      const packed = compression.pack(key, row);
      expect(packed.length).toBeLessThanOrEqual(row.length);
      expect(Buffer.compare(unpacked(key, packed)!, row)).toBe(0);
    };
    fc.assert(
      fc.property(bytes, (value) => {
        kept(value, current('a'));
        kept(value, historyKey(PREFIX, tripleOf('a\0b'), 7 as Revision));
      }),
      { numRuns: 150 },
    );
  });

  it('are smaller where it pays, and untouched where it does not: small ones, and random bytes', () => {
    const large = rowOf(json(500));
    expect(compression.pack(current('a'), large).length).toBeLessThan(large.length / 3);
    for (const value of [Buffer.alloc(100, 'a'), seededRandom(1).bytes(5_000)]) {
      const row = rowOf(value);
      expect(compression.pack(current('a'), row)).toBe(row);
    }
    const random = rowOf(seededRandom(1).bytes(300_000));
    expect(compression.pack(current('a'), random)).toBe(random);
  });

  it('are refused when they were changed, and never grow beyond what a row may be', () => {
    const row = rowOf(json(500));
    const packed = Buffer.from(compression.pack(current('a'), row));
    expect(unpacked(current('a'), packed.subarray(0, -9))).toBeNull();
    for (const length of [0, row.length - 1, row.length + 1, 0x7fff_ffff, 0xffff_ffff]) {
      const changed = Buffer.from(packed);
      changed.writeUInt32LE(length, 1);
      expect(unpacked(current('a'), changed)).toBeNull();
    }
    for (let at = 5; at < packed.length; at += 7) {
      const changed = Buffer.from(packed);
      changed[at] = changed[at]! ^ 0x55;
      const found = unpacked(current('a'), changed);
      expect(found === null || found.length === row.length).toBe(true);
    }
  });
});

it('the longest prefix says how, names are compared as bytes, and only rows of keys are compressed', () => {
  const compression = new ValueCompression(rules('lz4', 'logs/=none', 'logs/ä=lz4'));
  const row = rowOf(json(100));
  const isPacked = (key: string) => compression.pack(key, row) !== row;
  expect(isPacked(current('a'))).toBe(true);
  expect(isPacked(historyKey(PREFIX, tripleOf('a'), 7 as Revision))).toBe(true);
  expect(isPacked(current('logs/a'))).toBe(false);
  expect(isPacked(current('logs/äb'))).toBe(true);
  expect(isPacked(current('a', 'a-bucket'))).toBe(false);
  expect(isPacked(`${PREFIX}I0123456789abcdef`)).toBe(false);
  // Bytes of inline objects may begin like a compressed row.
  const inline = Uint8Array.of(0xc4, 1, 2, 3);
  expect(unpacked(`${PREFIX}I0123456789abcdef`, inline)).toBe(inline);
  const some = new ValueCompression(rules('logs/=lz4'));
  expect(some.pack(current('a'), row)).toBe(row);
  expect(some.pack(current('logs/a'), row)).not.toBe(row);
  expect(compressionRule('gzip')).toBeNull();
  expect(compressionRule('a=b=lz4')).toEqual({ prefix: 'a=b', codec: 'lz4' });
});

it.runIf(codecOf('zstd') === null)(
  'zstd is refused where Node.js has none, with the reason',
  () => {
    expect(() => new ValueCompression(rules('zstd'))).toThrow(CodecMissing);
    expect(() => new ValueCompression(rules('zstd'))).toThrow('needs Node.js 22.15');
    const row = Uint8Array.of(0xc5, 1, 0, 0, 0, 9);
    expect(() => unpacked(current('a'), row)).toThrow(CodecMissing);
  },
);

it.runIf(codecOf('zstd') === null)(
  'a folder that had zstd is refused where there is none',
  async () => {
    const clock = systemClock({ holdOpen: true });
    const disk = new MemoryDisk(clock);
    const storage = openStorage({
      ...{ disk, clock, random: seededRandom(1), prepareAhead: false, keys: null, rotation: null },
      compression: new ValueCompression(rules('lz4')),
      openEngine: async () => new MemoryEngine(clock),
      setEngineAside: async () => {},
      onFatal: () => {},
    });
    await (await storage.openState()).close();
    expect(await disk.list('')).not.toContain('zstd-values');
    await disk.writeFileAtomic('zstd-values', Buffer.from('x'));
    await expect(storage.openState()).rejects.toThrow(CodecMissing);
  },
);

it.runIf(codecOf('zstd') !== null)('a folder says that it has zstd before it has', async () => {
  const clock = systemClock({ holdOpen: true });
  const disk = new MemoryDisk(clock);
  const seen: boolean[] = [];
  const storage = openStorage({
    ...{ disk, clock, random: seededRandom(1), prepareAhead: false, keys: null, rotation: null },
    compression: new ValueCompression(rules('logs/=zstd')),
    openEngine: async () => {
      seen.push((await disk.readFile('zstd-values')) !== null);
      return new MemoryEngine(clock);
    },
    setEngineAside: async () => {},
    onFatal: () => {},
  });
  await (await storage.openState()).close();
  expect(seen).toEqual([true]);
});

describe('an engine that compresses', () => {
  const clock = systemClock({ holdOpen: true });

  it('reads what is there whatever the rules are now, in pages of bounded size', async () => {
    const files = new MemoryEngine(clock);
    const first = new CompressedEngine(files, new ValueCompression(rules('lz4')), clock);
    const row = rowOf(Buffer.alloc(700_000, 'a'));
    const keys = Array.from({ length: 12 }, (_, i) => current(`k${String(i).padStart(2, '0')}`));
    await first.write(keys.map((key) => ({ key, value: row })));
    expect(files.get(keys[0]!)!.length).toBeLessThan(10_000);
    const later = new CompressedEngine(files, new ValueCompression([]), clock);
    expect(Buffer.compare(later.get(keys[3]!)!, row)).toBe(0);
    expect((await later.getMany([keys[1]!, 'none'])).map((each) => each?.length)).toEqual([
      row.length,
      undefined,
    ]);
    const cursor = later.snapshot().cursor({ start: '', end: '\xff'.repeat(64), reverse: false });
    const seen: string[] = [];
    for (let page = await cursor.next(100); page.length > 0; page = await cursor.next(100)) {
      expect(page.length * row.length).toBeLessThan(CURSOR_BYTES + 2 * row.length);
      for (const [key, value] of page) {
        expect(value.length).toBe(row.length);
        seen.push(key);
      }
    }
    expect(seen).toEqual(keys);
    await later.write([{ key: keys[0]!, value: row }]);
    expect(files.get(keys[0]!)!.length).toBe(row.length);
  });

  it('takes a row that does not open for damage', async () => {
    const files = new MemoryEngine(clock);
    const engine = new CompressedEngine(files, new ValueCompression([]), clock);
    await files.write([{ key: current('a'), value: Uint8Array.of(0xc4, 9, 0, 0, 0, 1) }]);
    expect(() => engine.get(current('a'))).toThrow('not as it was compressed');
  });
});
