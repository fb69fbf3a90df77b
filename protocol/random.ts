/** The randomness port: draws enter cores as values. */
export interface Random {
  /** A float in [0, 1). */
  next(): number;
  /** `length` random bytes. Real adapters use the operating system's generator. */
  bytes(length: number): Uint8Array;
}

/** A random integer in [min, max], both inclusive. */
export function randomInt(random: Random, min: number, max: number): number {
  return min + Math.floor(random.next() * (max - min + 1));
}

/** Random bytes as lower-case hex. */
export function randomHex(random: Random, byteCount: number): string {
  return Buffer.from(random.bytes(byteCount)).toString('hex');
}

/** A seeded generator (sfc32 over a splitmix-style seed); equal seeds give equal streams. */
export function seededRandom(seed: number, stream = ''): Random {
  let h = 0x9e3779b9 ^ Math.imul(seed | 0, 0x9e3779b1);
  for (const char of `${seed}/${stream}`)
    h = Math.imul(h ^ char.charCodeAt(0), 0x85ebca6b) + 0x27d4eb2f;
  let a = h | 0;
  let b = Math.imul(h ^ 0xdeadbeef, 0xc2b2ae35) | 0;
  let c = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d) | 0;
  let d = 1;
  const u32 = (): number => {
    const t = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + t) | 0;
    return t >>> 0;
  };
  for (let i = 0; i < 16; i++) u32();
  return {
    next: () => u32() / 0x1_0000_0000,
    bytes: (length) => {
      const out = new Uint8Array(length);
      for (let i = 0; i < length; i++) out[i] = u32() & 0xff;
      return out;
    },
  };
}
