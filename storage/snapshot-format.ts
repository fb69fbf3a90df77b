import { DecodeError, packBytes, unpackBytes } from '../protocol/codec.ts';
import { type SnapshotMeta, snapshotMetaCodec } from '../protocol/messages/raft.ts';
import { crc32c, extendCrc32c } from './checksum.ts';
import { DiskError, type DiskFile, isDamage } from './disk/port.ts';
import type { EngineRow } from './ports.ts';

/**
 * A snapshot file: frames one after another, little-endian. Each frame begins with
 *
 *   0 u32 magic   4 u32 body bytes   8 u32 count   12 u32 CRC32C of bytes 0..11 and the body
 *
 * First the head (body: MessagePack of the meta, totalBytes 0; count: format version), then blocks of
 * rows (count: rows; per row u32 key bytes, u32 value bytes, key, value), last the seal (body: u64
 * rows, u32 CRC32C of all bytes before the seal). Nothing follows the seal.
 */
const FRAME_HEADER_BYTES = 16;
const ROW_HEADER_BYTES = 8;
const SEAL_BODY_BYTES = 12;
const FORMAT_VERSION = 1;
const MAGIC = { head: 0x4e534b4d, block: 0x42534b4d, seal: 0x46534b4d } as const;
const META_BOUNDS = { bytesMax: 64 * 1024, itemsMax: 1024, depthMax: 8 };
/** A block is closed when it has this many bytes. */
export const SNAPSHOT_BLOCK_BYTES = 256 * 1024;

export type SnapshotHead = Omit<SnapshotMeta, 'totalBytes'>;

/** Turns rows into frames and keeps what the seal needs. */
export class SnapshotEncoder {
  #crc = 0;
  #bytes = 0;
  #rows = 0;

  /** Bytes of all frames so far. */
  get byteLength(): number {
    return this.#bytes;
  }

  head(meta: SnapshotHead): Uint8Array {
    const body = packBytes(snapshotMetaCodec.pack({ ...meta, totalBytes: 0 }));
    return this.#frame(MAGIC.head, FORMAT_VERSION, body);
  }

  block(rows: readonly EngineRow[]): Uint8Array {
    let length = 0;
    for (const [key, value] of rows) length += ROW_HEADER_BYTES + key.length + value.length;
    const body = Buffer.allocUnsafe(length);
    let at = 0;
    for (const [key, value] of rows) {
      body.writeUInt32LE(key.length, at);
      body.writeUInt32LE(value.length, at + 4);
      body.write(key, at + ROW_HEADER_BYTES, 'latin1');
      body.set(value, at + ROW_HEADER_BYTES + key.length);
      at += ROW_HEADER_BYTES + key.length + value.length;
    }
    this.#rows += rows.length;
    return this.#frame(MAGIC.block, rows.length, body);
  }

  seal(): Uint8Array {
    const body = Buffer.alloc(SEAL_BODY_BYTES);
    body.writeBigUInt64LE(BigInt(this.#rows), 0);
    body.writeUInt32LE(this.#crc, 8);
    return this.#frame(MAGIC.seal, 0, body);
  }

  #frame(magic: number, count: number, body: Uint8Array): Uint8Array {
    const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + body.length);
    frame.writeUInt32LE(magic, 0);
    frame.writeUInt32LE(body.length, 4);
    frame.writeUInt32LE(count, 8);
    frame.set(body, FRAME_HEADER_BYTES);
    frame.writeUInt32LE(frameCrc(frame), 12);
    this.#crc = extendCrc32c(this.#crc, frame);
    this.#bytes += frame.length;
    return frame;
  }
}

function frameCrc(frame: Buffer): number {
  return extendCrc32c(crc32c(frame.subarray(0, 12)), frame.subarray(FRAME_HEADER_BYTES));
}

interface Frame {
  readonly kind: keyof typeof MAGIC;
  readonly count: number;
  readonly body: Buffer;
  readonly bytes: Buffer;
}

/** What a file has there; nothing where it is sealed and does not open. */
async function intact(file: DiskFile, offset: number, length: number): Promise<Uint8Array> {
  try {
    return await file.read(offset, length);
  } catch (error) {
    if (isDamage(error)) return new Uint8Array(0);
    throw error;
  }
}

/** The intact frame at `offset`, or null. */
async function readFrame(file: DiskFile, offset: number, size: number): Promise<Frame | null> {
  if (offset + FRAME_HEADER_BYTES > size) return null;
  const header = asBuffer(await intact(file, offset, FRAME_HEADER_BYTES));
  if (header.length < FRAME_HEADER_BYTES) return null;
  const magic = header.readUInt32LE(0);
  const length = FRAME_HEADER_BYTES + header.readUInt32LE(4);
  const kinds = Object.keys(MAGIC) as (keyof typeof MAGIC)[];
  const kind = kinds.find((name) => MAGIC[name] === magic);
  if (kind === undefined || offset + length > size) return null;
  const bytes = asBuffer(await intact(file, offset, length));
  if (bytes.length < length || frameCrc(bytes) !== bytes.readUInt32LE(12)) return null;
  const body = bytes.subarray(FRAME_HEADER_BYTES);
  return { kind, count: bytes.readUInt32LE(8), body, bytes };
}

export interface SnapshotCheck {
  /** The file up to here is intact frames in the right order. */
  readonly intactBytes: number;
  /** Sealed, the seal's totals hold, and nothing follows. */
  readonly isComplete: boolean;
}

/** Reads and verifies a whole file. */
export async function checkSnapshot(file: DiskFile, snapshotId: string): Promise<SnapshotCheck> {
  const size = await file.size();
  const head = await readFrame(file, 0, size);
  if (head?.kind !== 'head' || readHead(head) !== snapshotId) {
    return { intactBytes: 0, isComplete: false };
  }
  let offset = head.bytes.length;
  let crc = crc32c(head.bytes);
  let rows = 0;
  for (;;) {
    const frame = await readFrame(file, offset, size);
    if (frame === null || frame.kind === 'head') return { intactBytes: offset, isComplete: false };
    if (frame.kind === 'seal') {
      const end = offset + frame.bytes.length;
      const isRight =
        frame.body.length === SEAL_BODY_BYTES &&
        frame.body.readBigUInt64LE(0) === BigInt(rows) &&
        frame.body.readUInt32LE(8) === crc;
      const isComplete = isRight && end === size;
      return { intactBytes: isComplete ? end : isRight ? offset : 0, isComplete };
    }
    offset += frame.bytes.length;
    crc = extendCrc32c(crc, frame.bytes);
    rows += frame.count;
  }
}

/** The snapshot id in a head frame; null when this version cannot read it. */
function readHead(frame: Frame): string | null {
  if (frame.count !== FORMAT_VERSION) return null;
  try {
    return snapshotMetaCodec.unpack(unpackBytes(frame.body, META_BOUNDS)).snapshotId;
  } catch (error) {
    if (error instanceof DecodeError) return null;
    throw error;
  }
}

/** Reads the rows of a file that checkSnapshot found complete, verifying each block again. */
export class SnapshotRows {
  readonly #file: DiskFile;
  #size = -1;
  #offset = 0;
  #rows: EngineRow[] = [];
  #at = 0;

  constructor(file: DiskFile) {
    this.#file = file;
  }

  async next(max: number): Promise<EngineRow[]> {
    while (this.#at === this.#rows.length) {
      if (this.#size < 0) this.#size = await this.#file.size();
      if (this.#offset === this.#size) return [];
      await this.#readBlock();
    }
    const page = this.#rows.slice(this.#at, this.#at + max);
    this.#at += page.length;
    return page;
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  async #readBlock(): Promise<void> {
    const frame = await readFrame(this.#file, this.#offset, this.#size);
    if (frame === null) {
      throw new DiskError('EBADMSG', `a snapshot block at ${this.#offset} fails its checksum`);
    }
    this.#offset += frame.bytes.length;
    this.#rows = frame.kind === 'block' ? readRows(frame) : [];
    this.#at = 0;
  }
}

/** The rows of a block; it may come from a peer, so nothing about its lengths is taken for granted. */
function readRows({ body, count }: Frame): EngineRow[] {
  const rows: EngineRow[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    const keyStart = at + ROW_HEADER_BYTES;
    if (keyStart > body.length) throw malformedBlock();
    const valueStart = keyStart + body.readUInt32LE(at);
    const end = valueStart + body.readUInt32LE(at + 4);
    if (end > body.length) throw malformedBlock();
    rows.push([body.toString('latin1', keyStart, valueStart), body.subarray(valueStart, end)]);
    at = end;
  }
  return rows;
}

function malformedBlock(): DiskError {
  return new DiskError('EBADMSG', 'a snapshot block does not hold the rows it counts');
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
