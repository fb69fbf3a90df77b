/**
 * The CRC of two pieces from the CRCs of each: crc(ab) = crc(a) * x^(8 * length of b) + crc(b), modulo the
 * polynomial. Bits are reflected, as in all three CRCs of S3: the highest bit is x^0.
 */

/** A CRC as two words; the 32-bit ones have it all in `hi`. */
interface Word {
  readonly hi: number;
  readonly lo: number;
}

/** Reflected, without the leading term. */
const POLYNOMIALS = {
  CRC32: { hi: 0xedb88320 | 0, lo: 0, bytes: 4 },
  CRC32C: { hi: 0x82f63b78 | 0, lo: 0, bytes: 4 },
  CRC64NVME: { hi: 0x9a6c9329 | 0, lo: 0xac4bc9b5 | 0, bytes: 8 },
} as const;

export type Crc = keyof typeof POLYNOMIALS;

export function isCrc(algorithm: string): algorithm is Crc {
  return Object.hasOwn(POLYNOMIALS, algorithm);
}

const ONE: Word = { hi: 0x80000000 | 0, lo: 0 };
/** x^(2^k) for each k up to the bits of the longest object. */
const POWERS = 64;
const powers = new Map<Crc, readonly Word[]>();

/** a * b modulo the polynomial: b is shifted once for each term of a. */
function multiply(a: Word, b: Word, crc: Crc): Word {
  const { hi: polyHi, lo: polyLo, bytes } = POLYNOMIALS[crc];
  const isWide = bytes === 8;
  let [hi, lo] = [0, 0];
  let [shiftedHi, shiftedLo] = [b.hi, b.lo];
  for (let term = 0; term < bytes * 8; term++) {
    const word = term < 32 ? a.hi : a.lo;
    if ((word >>> (31 - (term & 31))) & 1) {
      hi ^= shiftedHi;
      lo ^= shiftedLo;
    }
    const carry = isWide ? shiftedLo & 1 : shiftedHi & 1;
    if (isWide) shiftedLo = (shiftedLo >>> 1) | (shiftedHi << 31);
    shiftedHi >>>= 1;
    if (carry) {
      shiftedHi ^= polyHi;
      shiftedLo ^= polyLo;
    }
  }
  return { hi, lo };
}

function powersOf(crc: Crc): readonly Word[] {
  const known = powers.get(crc);
  if (known !== undefined) return known;
  const made: Word[] = [{ hi: 0x40000000, lo: 0 }];
  while (made.length < POWERS) {
    const last = made[made.length - 1] as Word;
    made.push(multiply(last, last, crc));
  }
  powers.set(crc, made);
  return made;
}

/** x^(8 * bytes). */
function shiftOf(bytes: number, crc: Crc): Word {
  const table = powersOf(crc);
  let shift = ONE;
  // 8 * bytes: the lowest bit of `bytes` is that of x^8 = x^(2^3).
  for (let k = 3, left = bytes; left > 0; k++, left = Math.floor(left / 2)) {
    if (left % 2 === 1) shift = multiply(shift, table[k] as Word, crc);
  }
  return shift;
}

function wordOf(value: Buffer): Word {
  return { hi: value.readInt32BE(0), lo: value.length === 8 ? value.readInt32BE(4) : 0 };
}

/** Joins 32-bit CRCs of bytes that follow each other; made for one length of what follows. */
export class CrcJoin {
  readonly #crc: Crc;
  readonly #shift: Word;

  /** `bytes`: how many follow. */
  constructor(crc: Exclude<Crc, 'CRC64NVME'>, bytes: number) {
    this.#crc = crc;
    this.#shift = shiftOf(bytes, crc);
  }

  /** Unsigned: `join(crc(a), crc(b))` is the CRC of a followed by b. */
  join(crc: number, following: number): number {
    return (multiply({ hi: crc, lo: 0 }, this.#shift, this.#crc).hi ^ following) >>> 0;
  }
}

export interface CrcPart {
  /** Big-endian. */
  readonly value: Buffer;
  /** Length of what it is the CRC of. */
  readonly bytes: number;
}

/** The CRC, big-endian, of all parts one behind the other. */
export function combineCrcs(crc: Crc, parts: readonly CrcPart[]): Buffer {
  let [hi, lo] = [0, 0];
  let last = { bytes: -1, shift: ONE };
  for (const part of parts) {
    // Parts of an upload mostly have one length.
    if (part.bytes !== last.bytes) last = { bytes: part.bytes, shift: shiftOf(part.bytes, crc) };
    const moved = multiply({ hi, lo }, last.shift, crc);
    const own = wordOf(part.value);
    hi = moved.hi ^ own.hi;
    lo = moved.lo ^ own.lo;
  }
  const value = Buffer.allocUnsafe(POLYNOMIALS[crc].bytes);
  value.writeInt32BE(hi | 0, 0);
  if (value.length === 8) value.writeInt32BE(lo | 0, 4);
  return value;
}
