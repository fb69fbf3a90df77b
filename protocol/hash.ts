import xxhash from 'xxhash-wasm';

const { h64Raw } = await xxhash();

/** xxHash64 with seed 0, as an unsigned 64-bit bigint. The only door to xxhash-wasm. */
export function xxHash64(bytes: Uint8Array): bigint {
  return h64Raw(bytes, 0n);
}
