import { crc32c as nativeCrc32c } from '@node-rs/crc32';

/** CRC32C (Castagnoli) as an unsigned 32-bit number. The only door to @node-rs/crc32. */
export function crc32c(bytes: Uint8Array): number {
  return nativeCrc32c(bytes) >>> 0;
}

/** Continues a CRC32C: `extendCrc32c(crc32c(a), b)` is the checksum of a followed by b. */
export function extendCrc32c(crc: number, bytes: Uint8Array): number {
  return nativeCrc32c(bytes, crc) >>> 0;
}

/** CRC32C's polynomial, reflected: the highest bit is x^0. */
const POLYNOMIAL = 0x82f63b78;
const ONE = 0x80000000 | 0;

/** a * b modulo the polynomial. */
function multiply(a: number, b: number): number {
  let product = 0;
  let shifted = b;
  for (let term = a; term !== 0; term <<= 1) {
    if (term < 0) product ^= shifted;
    shifted = (shifted & 1) === 0 ? shifted >>> 1 : (shifted >>> 1) ^ POLYNOMIAL;
  }
  return product;
}

/** What a CRC32C is multiplied by where so many bytes follow: x^(8 * bytes). */
function shiftOf(bytes: number): number {
  let power = 0x00800000; // x^8
  let shift = ONE;
  for (let left = bytes; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) shift = multiply(power, shift);
    power = multiply(power, power);
  }
  return shift;
}

/** Joins CRC32Cs of bytes that follow each other, without looking at them; made for one length of what follows. */
export class Crc32cJoin {
  readonly #shift: number;

  /** `bytes`: how many follow. */
  constructor(bytes: number) {
    this.#shift = shiftOf(bytes);
  }

  /** `join(crc32c(a), crc32c(b))` is the checksum of a followed by b. */
  join(crc: number, following: number): number {
    return (multiply(this.#shift, crc) ^ following) >>> 0;
  }
}
