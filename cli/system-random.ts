import { randomBytes } from 'node:crypto';
import type { Random } from '../protocol/random.ts';

const POOL_BYTES = 4096;

/** The operating system's generator; small draws come from a pool, each byte used once. */
export function systemRandom(): Random {
  let pool = randomBytes(POOL_BYTES);
  let used = 0;
  const take = (length: number): Buffer => {
    if (length > POOL_BYTES / 4) return randomBytes(length);
    if (used + length > pool.length) {
      pool = randomBytes(POOL_BYTES);
      used = 0;
    }
    used += length;
    return pool.subarray(used - length, used);
  };
  return {
    /** 53 random bits, so every double in [0, 1) on that grid is as likely as any other. */
    next() {
      const bytes = take(7);
      return (bytes.readUIntBE(0, 6) * 32 + (bytes[6]! & 31)) / 2 ** 53;
    },
    bytes: (length) => Uint8Array.from(take(length)),
  };
}
