import { DecodeError, decodeWith, encodeWith } from './codec.ts';
import { LIMITS } from './limits.ts';
import { MessageReader } from './message-reader.ts';
import * as s from './schema.ts';
import type { Revision } from './types.ts';

/**
 * Objects as they are stored (ADR 0034): the record is the value of the object's key, and of each version that
 * is no longer current. It names its data and does not hold it, so it stays small.
 */

/** Text of an ETag without its quotes: an MD5, and `-n` behind it for n parts. */
export const etagCodec = s.str(128);

const pairs = (max: number, name: number, value: number) =>
  s.list(s.record({ name: s.str(name), value: s.str(value) }), max);

export const tagsCodec = pairs(LIMITS.objectTagsMax, 128, 256);
/** Cache-Control and the like, by lower-case name. */
export const headersCodec = pairs(LIMITS.objectHeadersMax, 64, 2048);
/** User metadata, without the prefix of its headers. */
export const metadataCodec = pairs(LIMITS.objectHeadersMax, 1024, 2048);

export const checksumAlgorithmCodec = s.oneOf('crc32', 'crc32c', 'crc64nvme', 'sha1', 'sha256');
/** Of all bytes, or of the checksums of the parts. */
export const checksumKindCodec = s.oneOf('full', 'composite');

export const checksumCodec = s.record({
  algorithm: checksumAlgorithmCodec,
  kind: checksumKindCodec,
  value: s.bin(32),
});
export type Checksum = s.Of<typeof checksumCodec>;

export const retentionCodec = s.record({
  mode: s.oneOf('governance', 'compliance'),
  /** Unix ms. */
  untilMs: s.count,
});
export type Retention = s.Of<typeof retentionCodec>;

/** A canonical id as S3 has it: 64 hex digits. */
export const OWNER_ID_CHARS = 64;

/** What a client says about an object beside its bytes; an upload keeps it until it is completed. */
export const objectHeadCodec = s.record({
  contentType: s.nullable(s.str(LIMITS.contentTypeBytesMax)),
  headers: headersCodec,
  metadata: metadataCodec,
  tags: tagsCodec,
  /** As the gateway writes it; null: private. */
  acl: s.nullable(s.str(LIMITS.objectAclBytesMax)),
  /** What the gateway needs to decrypt the data; apply does not look into it. */
  encryption: s.nullable(s.bin(1024)),
  /** Null: none was asked for, and the bucket's default applies. */
  retention: s.nullable(retentionCodec),
  /** Null: nothing was ever said of one. */
  legalHold: s.nullable(s.bool),
  /** Canonical id of who wrote it; null: it is the bucket's owner's. Of an upload: who began it. */
  owner: s.later(s.str(OWNER_ID_CHARS)),
});
export type ObjectHead = s.Of<typeof objectHeadCodec>;

/** 16 bytes: wall time (Unix ms, 48 bits) at which the gateway drew it, then random ones. */
export const dataIdCodec = s.bin(16);
export const DATA_ID_BYTES = 16;

/** One run of an object's bytes: all of them, or a part's. */
export const pieceCodec = s.record({
  /** Of the part; 0: the object was not uploaded in parts. */
  number: s.count,
  /** Of the object's bytes. */
  size: s.count,
  /** Null: there are no bytes. */
  data: s.nullable(dataIdCodec),
  /** As stored, which encryption may make more. */
  bytes: s.count,
  /** Of each chunk but the last; 0: the data is inline. */
  chunkBytes: s.count,
  /** Of the part. */
  checksum: s.nullable(s.bin(32)),
});
export type Piece = s.Of<typeof pieceCodec>;

/** One version of an object, or a delete marker. */
export const objectRecordCodec = s.record({
  /** The revision of its put: what its version id says, and its modification time. Amending does not change it. */
  putAt: s.count,
  /** Its version id is `null`: put while versioning was off or suspended. */
  isNull: s.bool,
  isMarker: s.bool,
  /** Of all pieces. */
  size: s.count,
  etag: etagCodec,
  checksum: s.nullable(checksumCodec),
  head: objectHeadCodec,
  pieces: s.list(pieceCodec, LIMITS.objectPartsMax),
  /** The upload that it was completed from. */
  upload: s.nullable(s.str(64)),
});
export type ObjectRecord = s.Of<typeof objectRecordCodec>;

export const NO_HEAD: ObjectHead = Object.freeze({
  contentType: null,
  headers: [],
  metadata: [],
  tags: [],
  acl: null,
  encryption: null,
  retention: null,
  legalHold: null,
  owner: null,
});

export function markerRecord(putAt: Revision, isNull: boolean): ObjectRecord {
  return {
    putAt,
    isNull,
    isMarker: true,
    size: 0,
    etag: '',
    checksum: null,
    head: NO_HEAD,
    pieces: [],
    upload: null,
  };
}

export function encodeRecord(record: ObjectRecord): Uint8Array {
  return encodeWith(objectRecordCodec, record);
}

const RECORD_BOUNDS = {
  bytesMax: LIMITS.valueBytesMax,
  itemsMax: LIMITS.objectPartsMax,
  depthMax: 6,
};

/** Throws DecodeError. */
export function decodeRecord(bytes: Uint8Array): ObjectRecord {
  return decodeWith(objectRecordCodec, bytes, RECORD_BOUNDS);
}

/** What is counted of a record, without the rest of it. Throws DecodeError. */
export function weighRecord(bytes: Uint8Array): Pick<ObjectRecord, 'isMarker' | 'size'> {
  const [, , isMarker, size] = new MessageReader(bytes, RECORD_BOUNDS).readFirst(4);
  return { isMarker: s.bool.unpack(isMarker), size: s.count.unpack(size) };
}

/** Unix ms at which a data id was drawn. Throws DecodeError. */
export function drawnAtMs(id: Uint8Array): number {
  if (id.length !== DATA_ID_BYTES) throw new DecodeError('not a data id');
  let ms = 0;
  for (let i = 0; i < 6; i++) ms = ms * 256 + (id[i] as number);
  return ms;
}

/** The version id of a version without one. */
export const NULL_VERSION = 'null';
const VERSION_ID = /^[0-9a-v]{13}$/;

/** What clients call a version. */
export function versionIdOf({ putAt, isNull }: Pick<ObjectRecord, 'putAt' | 'isNull'>): string {
  return isNull ? NULL_VERSION : putAt.toString(32).padStart(13, '0');
}

/** The revision that a version id names, 'null' for the null version, null for what is no version id. */
export function parseVersionId(text: string): Revision | 'null' | null {
  if (text === NULL_VERSION) return 'null';
  if (!VERSION_ID.test(text)) return null;
  const putAt = Number.parseInt(text, 32);
  return Number.isSafeInteger(putAt) ? putAt : null;
}

/** 3 to 63 of a-z, 0-9, '.' and '-': no space of ours is called so. */
export function isBucketName(name: string): boolean {
  return /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name);
}
