import { createHash, type Hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { crc32c } from '@node-rs/crc32';
import { Crc64Nvme } from './crc64.ts';

/** The checksums a client can name, by S3's names for them. */
export const CHECKSUMS = {
  CRC32: { header: 'x-amz-checksum-crc32', bytes: 4 },
  CRC32C: { header: 'x-amz-checksum-crc32c', bytes: 4 },
  CRC64NVME: { header: 'x-amz-checksum-crc64nvme', bytes: 8 },
  SHA1: { header: 'x-amz-checksum-sha1', bytes: 20 },
  SHA256: { header: 'x-amz-checksum-sha256', bytes: 32 },
} as const;

export type ChecksumAlgorithm = keyof typeof CHECKSUMS;

/** What the checksum of a multipart upload is of: the whole object, or its parts' checksums. */
export type ChecksumType = 'FULL_OBJECT' | 'COMPOSITE';

export const CHECKSUM_ALGORITHMS = Object.keys(CHECKSUMS) as readonly ChecksumAlgorithm[];

export function isChecksumAlgorithm(text: string): text is ChecksumAlgorithm {
  return Object.hasOwn(CHECKSUMS, text);
}

/** A hash of a stream, fed in order. */
export interface Hasher {
  update(bytes: Uint8Array): void;
  /** Big-endian bytes, as S3 writes them in base64. Ends it. */
  digest(): Buffer;
}

export function hasherOf(algorithm: ChecksumAlgorithm | 'MD5'): Hasher {
  switch (algorithm) {
    case 'CRC32':
      return new Crc32((bytes, before) => crc32(bytes, before));
    case 'CRC32C':
      return new Crc32((bytes, before) => crc32c(asBuffer(bytes), before));
    case 'CRC64NVME':
      return new Crc64Nvme();
    default:
      return new Digest(algorithm.toLowerCase());
  }
}

class Crc32 implements Hasher {
  readonly #extend: (bytes: Uint8Array, before: number) => number;
  #crc = 0;

  constructor(extend: (bytes: Uint8Array, before: number) => number) {
    this.#extend = extend;
  }

  update(bytes: Uint8Array): void {
    this.#crc = this.#extend(bytes, this.#crc);
  }

  digest(): Buffer {
    const bytes = Buffer.allocUnsafe(4);
    bytes.writeUInt32BE(this.#crc >>> 0);
    return bytes;
  }
}

class Digest implements Hasher {
  readonly #hash: Hash;

  constructor(name: string) {
    this.#hash = createHash(name);
  }

  update(bytes: Uint8Array): void {
    this.#hash.update(bytes);
  }

  digest(): Buffer {
    return this.#hash.digest();
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** The bytes of a base64 text, if it is one and has that many. */
export function base64Of(text: string, bytes: number): Buffer | null {
  if (!BASE64.test(text)) return null;
  const decoded = Buffer.from(text, 'base64');
  // Bits that the last character has too many would be dropped in silence.
  return decoded.length === bytes && decoded.toString('base64') === text ? decoded : null;
}
