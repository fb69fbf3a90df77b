import { assert } from '../../protocol/assert.ts';
import type { Random } from '../../protocol/random.ts';
import { DiskError, type DiskFile } from '../disk/port.ts';
import { open, seal, TAG_BYTES } from './aead.ts';
import type { FolderKeys, Purpose } from './folder-keys.ts';
import {
  blockOf,
  decodeHead,
  encodeHead,
  HEAD_BYTES,
  NONCE_BYTES,
  OVERHEAD_BYTES,
  plainSize,
  SALT_BYTES,
  sizeOf,
  startOf,
  storedStartOf,
} from './sealed-layout.ts';

export interface SealedFileParts {
  readonly keys: FolderKeys;
  readonly purpose: Purpose;
  readonly random: Random;
}

/** The last block that was written in part, in clear: what is appended to it needs no read. */
interface OpenBlock {
  readonly block: number;
  readonly bytes: Buffer;
  length: number;
}

/**
 * A file whose content is sealed, layout in sealed-layout.ts. Reads verify the blocks that they touch and reject with
 * EBADMSG. One write at a time; blocks may be written in any order, each best in one piece.
 */
export class SealedFile implements DiskFile {
  readonly #file: DiskFile;
  readonly #parts: SealedFileParts;
  #key: Uint8Array | null = null;
  #keyNumber = 0;
  /** Null while nothing was written through this handle. */
  #endWriting: (() => void) | null = null;
  #last: OpenBlock | null = null;
  /** The last block that was read: short reads often go on in it. */
  #recent: { readonly block: number; readonly plain: Buffer } | null = null;

  constructor(file: DiskFile, parts: SealedFileParts) {
    this.#file = file;
    this.#parts = parts;
  }

  async size(): Promise<number> {
    return plainSize(await this.#file.size());
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    if (length <= 0) return NOTHING;
    const first = blockOf(offset);
    const last = blockOf(offset + length - 1);
    if (first === last && this.#recent?.block === first) {
      return within([this.#recent.plain], offset - startOf(first), length);
    }
    const end = storedStartOf(last) + sizeOf(last) + OVERHEAD_BYTES;
    // The head is read with the first block, in one trip to the disk.
    const from = this.#key === null && first === 0 ? 0 : storedStartOf(first);
    const stored = asBuffer(await this.#file.read(from, end - from));
    if (from === 0 && stored.length === 0) return NOTHING;
    const key = this.#key ?? (await this.#keyOf(from === 0 ? stored : null));
    const plain: Buffer[] = [];
    for (let block = first; block <= last; block++) {
      const at = storedStartOf(block) - from;
      const piece = stored.subarray(at, at + sizeOf(block) + OVERHEAD_BYTES);
      if (piece.length <= OVERHEAD_BYTES) break;
      const opened = openBlock(key, block, piece);
      plain.push(opened);
      this.#recent = { block, plain: opened };
    }
    return within(plain, offset - startOf(first), length);
  }

  async write(offset: number, bytes: Uint8Array): Promise<void> {
    if (bytes.length === 0) return;
    const last = blockOf(offset + bytes.length - 1);
    const key = await this.#keyToWrite();
    const first = blockOf(offset);
    const stored: Buffer[] = [];
    for (let block = first; block <= last; block++) {
      const start = startOf(block);
      const from = Math.max(0, start - offset);
      const piece = asBuffer(bytes).subarray(from, start + sizeOf(block) - offset);
      const at = Math.max(0, offset - start);
      const isWhole = piece.length === sizeOf(block);
      if (isWhole && this.#last?.block === block) this.#last = null;
      const plain = isWhole ? piece : await this.#merged(block, at, piece);
      this.#sealBlock(key, block, plain, stored);
    }
    this.#recent = null; // merging may have read one
    const whole = stored.length === 1 ? (stored[0] as Buffer) : Buffer.concat(stored);
    await this.#file.write(storedStartOf(first), whole);
  }

  writeAndSync(offset: number, bytes: Uint8Array, done: (error: Error | null) => void): void {
    this.write(offset, bytes)
      .then(() => this.sync())
      .then(() => done(null), done);
  }

  sync(): Promise<void> {
    return this.#file.sync();
  }

  /** To a size that it has, or less. */
  async truncate(length: number): Promise<void> {
    this.#recent = null;
    if (length === 0) {
      await this.#file.truncate(0);
      this.#key = null;
      this.#last = null;
      return;
    }
    const block = blockOf(length);
    const start = startOf(block);
    const kept = await this.read(start, length - start);
    assert(kept.length === length - start, 'a sealed file is not made longer');
    this.#last = null;
    this.#recent = null;
    await this.#file.truncate(storedStartOf(block));
    if (kept.length > 0) await this.write(start, kept);
  }

  async close(): Promise<void> {
    await this.#file.close();
    this.#endWriting?.();
  }

  /** A block with a piece put into it: the rest is what was there. */
  async #merged(block: number, at: number, piece: Buffer): Promise<Buffer> {
    let last = this.#last;
    if (last?.block !== block) {
      const bytes = Buffer.alloc(sizeOf(block));
      const there =
        at === 0 && piece.length >= (await this.#lengthOf(block))
          ? NOTHING
          : await this.read(startOf(block), sizeOf(block));
      bytes.set(there, 0);
      last = { block, bytes, length: there.length };
      this.#last = last;
    }
    assert(at <= last.length, 'a sealed block is written from its beginning on');
    last.bytes.set(piece, at);
    last.length = Math.max(last.length, at + piece.length);
    return last.bytes.subarray(0, last.length);
  }

  async #lengthOf(block: number): Promise<number> {
    return Math.max(0, (await this.size()) - startOf(block));
  }

  #sealBlock(key: Uint8Array, block: number, plain: Uint8Array, into: Buffer[]): void {
    const nonce = Buffer.from(this.#parts.random.bytes(NONCE_BYTES));
    const { bytes, tag } = seal(key, nonce, contextOf(block), plain);
    into.push(bytes, nonce, tag);
  }

  async #keyToWrite(): Promise<Uint8Array> {
    const key = this.#key ?? (await this.#foundOrMade());
    this.#endWriting ??= this.#parts.keys.writes(this.#keyNumber);
    return key;
  }

  /** A file without content gets its head, and its key, with its first write. */
  async #foundOrMade(): Promise<Uint8Array> {
    const stored = await this.#file.read(0, HEAD_BYTES);
    if (stored.length > 0) return this.#keyOf(stored);
    const { keys, purpose, random } = this.#parts;
    const salt = random.bytes(SALT_BYTES);
    this.#endWriting?.();
    this.#keyNumber = keys.current;
    this.#endWriting = keys.writes(this.#keyNumber);
    await this.#file.write(0, encodeHead({ keyNumber: this.#keyNumber, salt }));
    this.#key = keys.derived(this.#keyNumber, purpose, salt);
    return this.#key as Uint8Array;
  }

  async #keyOf(stored: Uint8Array | null): Promise<Uint8Array> {
    const head = decodeHead(stored ?? (await this.#file.read(0, HEAD_BYTES)));
    if (head === null)
      throw new DiskError('EBADMSG', 'the file is not sealed, or its head is damaged');
    const { keys, purpose } = this.#parts;
    const key = keys.derived(head.keyNumber, purpose, head.salt);
    if (key === null) {
      throw new DiskError('EBADMSG', `the folder has no data key ${head.keyNumber}`);
    }
    this.#key = key;
    this.#keyNumber = head.keyNumber;
    return key;
  }
}

const NOTHING = Buffer.alloc(0);

function openBlock(key: Uint8Array, block: number, stored: Buffer): Buffer {
  const bytes = stored.subarray(0, -OVERHEAD_BYTES);
  const nonce = stored.subarray(bytes.length, bytes.length + NONCE_BYTES);
  const tag = stored.subarray(-TAG_BYTES);
  const plain = open(key, nonce, contextOf(block), { bytes, tag });
  if (plain === null) {
    throw new DiskError('EBADMSG', `block ${block} of a sealed file is damaged or was changed`);
  }
  return plain;
}

/** A block is good for its place only. */
function contextOf(block: number): Uint8Array {
  const context = Buffer.from('MKSF\x01\0\0\0\0\0\0\0', 'latin1');
  context.writeUInt32LE(block, 8);
  return context;
}

/** So many bytes of these, from an offset on, as far as there are any. */
function within(parts: readonly Buffer[], offset: number, length: number): Uint8Array {
  if (parts.length === 1) return (parts[0] as Buffer).subarray(offset, offset + length);
  return Buffer.concat(parts).subarray(offset, offset + length);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
