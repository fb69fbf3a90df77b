import { createRequire } from 'node:module';
import * as zlib from 'node:zlib';

export const CODEC_NAMES = ['lz4', 'zstd'] as const;
export type CodecName = (typeof CODEC_NAMES)[number];

/** One way to compress; both without state, so that each value is compressed by itself alone. */
export interface Codec {
  readonly name: CodecName;
  compress(bytes: Uint8Array): Uint8Array;
  /** Null: that is not what was compressed to this length. Never makes more than that. */
  decompress(bytes: Uint8Array, length: number): Uint8Array | null;
}

/** What lz4-napi exports: blocks behind their length, u32, little-endian. */
interface Lz4 {
  compressSync(bytes: Buffer): Buffer;
  uncompressSync(bytes: Uint8Array): Buffer;
}

/** Of Node.js from 22.15 on. */
interface Zstd {
  zstdCompressSync?(bytes: Uint8Array): Buffer;
  zstdDecompressSync?(bytes: Uint8Array, options: { maxOutputLength: number }): Buffer;
}

const LENGTH_BYTES = 4;
let lz4: Lz4 | null = null;

/** Loaded when it is needed first: most nodes never do. */
function loadedLz4(): Lz4 {
  lz4 ??= createRequire(import.meta.url)('lz4-napi') as Lz4;
  return lz4;
}

/** Null: this Node.js has not got it. */
export function codecOf(name: CodecName): Codec | null {
  if (name === 'lz4') return LZ4;
  const { zstdCompressSync, zstdDecompressSync } = zlib as Zstd;
  if (zstdCompressSync === undefined || zstdDecompressSync === undefined) return null;
  return {
    name,
    compress: (bytes) => zstdCompressSync(bytes),
    decompress: (bytes, length) => {
      // One more, since there is no output of none.
      const options = { maxOutputLength: length + 1 };
      return ofLength(length, () => zstdDecompressSync(bytes, options));
    },
  };
}

const LZ4: Codec = {
  name: 'lz4',
  compress: (bytes) => loadedLz4().compressSync(asBuffer(bytes)).subarray(LENGTH_BYTES),
  decompress: (bytes, length) => {
    // It makes as much room as is written in front: so that is ours to write.
    const framed = Buffer.allocUnsafe(LENGTH_BYTES + bytes.length);
    framed.writeUInt32LE(length, 0);
    framed.set(bytes, LENGTH_BYTES);
    return ofLength(length, () => loadedLz4().uncompressSync(framed));
  },
};

function ofLength(length: number, decompress: () => Uint8Array): Uint8Array | null {
  try {
    const bytes = decompress();
    return bytes.length === length ? bytes : null;
  } catch (error) {
    if ((error as { code?: string }).code === 'MODULE_NOT_FOUND') throw error;
    return null;
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
