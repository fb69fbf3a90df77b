import { describe, expect, it } from 'vitest';
import { xxHash64 } from '../../../protocol/hash.ts';
import { VSHARD_COUNT, vshardOf, vshardOfMany } from '../../../protocol/vshard.ts';

describe('virtual shards', () => {
  it('xxHash64 is the published one', () => {
    const hash = (text: string): string => xxHash64(Buffer.from(text)).toString(16);
    expect(hash('')).toBe('ef46db3751d8e999');
    expect(hash('a')).toBe('d24ec4f1a98c6e5b');
    expect(hash('abc')).toBe('44bc2cf5ad770999');
  });

  it('golden vectors: a key never changes its shard, or it would be lost', () => {
    const golden: [string, string, string, number][] = [
      ['default', 'kv', '', 36],
      ['default', 'kv', 'a', 131],
      ['default', 'kv', 'hello', 8],
      ['default', 'kv', 'users/42/name', 33],
      ['t1', 'objects', '\x00\xff\x80', 110],
      ['a', 'bc', 'd', 221],
      ['ab', 'c', 'd', 150],
      ['default', 'kv', 'k'.repeat(4096), 202],
    ];
    for (const [tenant, space, key, vshard] of golden) {
      expect(vshardOf({ tenant, space, key }), `${tenant} ${space} ${key.slice(0, 20)}`).toBe(
        vshard,
      );
    }
  });

  it('is a function of the name alone, whatever was asked for in between', () => {
    const part = (text: string): Buffer => {
      const bytes = Buffer.alloc(2 + text.length);
      bytes.writeUInt16BE(text.length);
      bytes.write(text, 2, 'latin1');
      return bytes;
    };
    const names = Array.from({ length: 3_000 }, (_, i) => ({
      tenant: i % 7 === 0 ? 'other' : 'default',
      space: i % 11 === 0 ? 'objects' : 'kv',
      key: `${'x'.repeat(i % 13 === 0 ? 254 : i % 5)}${i % 600}`,
    }));
    for (const name of [...names, ...names.reverse()]) {
      const whole = Buffer.concat([part(name.tenant), part(name.space), part(name.key)]);
      expect(vshardOf(name)).toBe(Number(xxHash64(whole) % 256n));
      expect(vshardOfMany(name)).toBe(vshardOf(name));
    }
  });

  it('is the same before and after a key that is longer than any before it', () => {
    const short = { tenant: 'default', space: 'kv', key: 'hello' };
    for (const length of [10, 5_000, 10, 50_000, 10]) {
      const name = { ...short, key: 'k'.repeat(length) };
      expect(vshardOfMany(name)).toBe(vshardOf(name));
      expect(vshardOfMany(short)).toBe(8);
    }
  });

  it('keys spread evenly', () => {
    const counts = new Array<number>(VSHARD_COUNT).fill(0);
    for (let i = 0; i < 51_200; i++) {
      const vshard = vshardOf({ tenant: 'default', space: 'kv', key: `user/${i}` });
      counts[vshard] = (counts[vshard] ?? 0) + 1;
    }
    expect(Math.min(...counts)).toBeGreaterThan(140);
    expect(Math.max(...counts)).toBeLessThan(260);
  });
});
