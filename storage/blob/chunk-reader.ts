import { type ChunkName, type ChunkSum, chunkText } from '../../protocol/blob.ts';
import { crc32c } from '../checksum.ts';
import type { DiskFile } from '../disk/port.ts';
import type { BlobReader } from '../ports.ts';
import { damaged } from './blob-error.ts';
import { BLOCK_BYTES, type ChunkHeader, decodeHeader, HEADER_BYTES } from './format.ts';

/** Reads and checks the header of an open file. Rejects with BlobError EBADMSG. */
export async function readHeader(file: DiskFile, name: ChunkName): Promise<ChunkHeader> {
  return (await readFront(file, name, 0)).header;
}

/** The header, and up to so many bytes of data that are not verified yet, in one trip to the disk. */
async function readFront(
  file: DiskFile,
  name: ChunkName,
  dataBytes: number,
): Promise<{ header: ChunkHeader; data: Uint8Array }> {
  const [front, size] = await Promise.all([file.read(0, HEADER_BYTES + dataBytes), file.size()]);
  const header = decodeHeader(front.subarray(0, HEADER_BYTES));
  if (typeof header === 'string') throw damaged(name, header);
  if (chunkText(header.name) !== chunkText(name)) {
    throw damaged(name, `the file holds chunk ${chunkText(header.name)}`);
  }
  if (size !== HEADER_BYTES + header.sum.bytes) {
    throw damaged(name, 'the file is shorter or longer than its header says');
  }
  return { header, data: front.subarray(HEADER_BYTES) };
}

/** Verifies what it reads, block by block; the blocks at the ends of a range are read whole. */
export class ChunkReader implements BlobReader {
  readonly #file: DiskFile;
  readonly #header: ChunkHeader;
  /** What came with the header, until it is read. */
  #front: Uint8Array;

  private constructor(file: DiskFile, header: ChunkHeader, front: Uint8Array) {
    this.#file = file;
    this.#header = header;
    this.#front = front;
  }

  /** `frontBytes`: how many from the beginning on are about to be read. Rejects with BlobError EBADMSG. */
  static async of(file: DiskFile, name: ChunkName, frontBytes: number): Promise<ChunkReader> {
    const { header, data } = await readFront(file, name, frontBytes);
    return new ChunkReader(file, header, data);
  }

  get sum(): ChunkSum {
    return this.#header.sum;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const { bytes } = this.#header.sum;
    const end = Math.min(offset + length, bytes);
    if (offset >= end) return new Uint8Array(0);
    const first = Math.floor(offset / BLOCK_BYTES);
    const start = first * BLOCK_BYTES;
    const stop = Math.min(Math.ceil(end / BLOCK_BYTES) * BLOCK_BYTES, bytes);
    const read = await this.#bytes(start, stop);
    if (read.length !== stop - start) throw damaged(this.#header.name, 'the file is cut short');
    for (let at = 0, block = first; at < read.length; at += BLOCK_BYTES, block++) {
      if (crc32c(read.subarray(at, at + BLOCK_BYTES)) !== this.#header.blockCrcs[block]) {
        throw damaged(this.#header.name, 'bytes fail their checksum', block);
      }
    }
    return read.subarray(offset - start, end - start);
  }

  #bytes(start: number, stop: number): Promise<Uint8Array> {
    const front = this.#front;
    this.#front = NOTHING;
    if (start === 0 && stop <= front.length) return Promise.resolve(front.subarray(0, stop));
    return this.#file.read(HEADER_BYTES + start, stop - start);
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

const NOTHING = new Uint8Array(0);
