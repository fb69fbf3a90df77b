import { crc32c as nativeCrc32c } from '@node-rs/crc32';

/** CRC32C (Castagnoli) as an unsigned 32-bit number. The only door to @node-rs/crc32. */
export function crc32c(bytes: Uint8Array): number {
  return nativeCrc32c(bytes) >>> 0;
}

/** Continues a CRC32C: `extendCrc32c(crc32c(a), b)` is the checksum of a followed by b. */
export function extendCrc32c(crc: number, bytes: Uint8Array): number {
  return nativeCrc32c(bytes, crc) >>> 0;
}
