import { DecodeError, decodeWith, encodeWith } from '../../protocol/codec.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { bucketRuleCodec } from '../../protocol/object-ops.ts';
import {
  checksumAlgorithmCodec,
  checksumKindCodec,
  etagCodec,
  objectHeadCodec,
  pieceCodec,
} from '../../protocol/objects.ts';
import * as s from '../../protocol/schema.ts';
import type { ReplicaId, Revision } from '../../protocol/types.ts';
import { decodeCounts, encodeCounts } from '../../storage/kv/rows.ts';

/** Rows of objects beside the versions themselves, which are rows as any key's (see object-keys.ts). */

export const bucketRowCodec = s.record({
  rule: bucketRuleCodec,
  /** No upload is left of a bucket of this name that is gone. */
  isSwept: s.bool,
});
export type BucketRow = s.Of<typeof bucketRowCodec>;

/** A multipart upload that is under way. */
export const uploadRowCodec = s.record({
  bucket: s.count,
  /** The revision at which it was begun. */
  at: s.count,
  head: objectHeadCodec,
  checksum: s.nullable(s.record({ algorithm: checksumAlgorithmCodec, kind: checksumKindCodec })),
});
export type UploadRow = s.Of<typeof uploadRowCodec>;

/** A part as it was uploaded last. */
export const partRowCodec = s.record({ at: s.count, etag: etagCodec, piece: pieceCodec });
export type PartRow = s.Of<typeof partRowCodec>;

/** Where some data is, and what names it. */
export const dataRowCodec = s.record({
  /** The revision at which the last name of it went; 0 while it has one. */
  endedAt: s.count,
  bytes: s.count,
  chunkBytes: s.count,
  /** Replicas that had all of it when it was named. */
  holders: s.list(s.str<ReplicaId>(64), 32),
  /** tenant NUL space NUL key of the object, latin1. */
  triple: s.latin1Str(LIMITS.keyBytesMax + 256),
});
export type DataRow = s.Of<typeof dataRowCodec>;

const BOUNDS = { bytesMax: LIMITS.entryBytesMax, itemsMax: LIMITS.objectPartsMax, depthMax: 8 };

export function encodeRow<T>(codec: s.Codec<T>, row: T): Uint8Array {
  return encodeWith(codec, row);
}

/** Throws DecodeError. */
export function decodeRow<T>(codec: s.Codec<T>, bytes: Uint8Array): T {
  return decodeWith(codec, bytes, BOUNDS);
}

/** The versions of a key that are not current: the newest, and the null version; 0 is none. */
export interface VersionsHead {
  readonly newest: Revision;
  readonly nullAt: Revision;
}

/** The neighbours of one of them; 0 is none. */
export interface VersionLink {
  readonly newer: Revision;
  readonly older: Revision;
}

export function encodeVersionsHead({ newest, nullAt }: VersionsHead): Uint8Array {
  return encodeCounts([newest, nullAt]);
}

/** Throws DecodeError. */
export function decodeVersionsHead(bytes: Uint8Array): VersionsHead {
  const [newest, nullAt] = decodeCounts(bytes, 2) as [number, number];
  return { newest, nullAt };
}

export function encodeVersionLink({ newer, older }: VersionLink): Uint8Array {
  return encodeCounts([newer, older]);
}

/** Throws DecodeError. */
export function decodeVersionLink(bytes: Uint8Array): VersionLink {
  const [newer, older] = decodeCounts(bytes, 2) as [number, number];
  return { newer, older };
}

/** Which parts of an upload there are: bit n - 1 is part n. */
export class PartSet {
  #bits: Uint8Array;

  constructor(bits: Uint8Array | null) {
    if (bits !== null && bits.length > LIMITS.objectPartsMax / 8) {
      throw new DecodeError('not a set of parts');
    }
    this.#bits = bits ?? new Uint8Array(0);
  }

  has(number: number): boolean {
    return ((this.#bits[(number - 1) >> 3] ?? 0) & (1 << ((number - 1) & 7))) !== 0;
  }

  /** As a row, with one more. */
  with(number: number): Uint8Array {
    const length = Math.max(this.#bits.length, ((number - 1) >> 3) + 1);
    const bits = new Uint8Array(length);
    bits.set(this.#bits);
    bits[(number - 1) >> 3] = (bits[(number - 1) >> 3] as number) | (1 << ((number - 1) & 7));
    return bits;
  }

  /** In order. */
  numbers(): number[] {
    const out: number[] = [];
    for (let n = 1; n <= this.#bits.length * 8; n++) if (this.has(n)) out.push(n);
    return out;
  }
}
