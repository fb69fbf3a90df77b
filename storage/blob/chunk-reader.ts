import { type ChunkName, type ChunkSum, chunkText } from '../../protocol/blob.ts';
import { crc32c } from '../checksum.ts';
import type { DiskFile } from '../disk/port.ts';
import type { BlobReader } from '../ports.ts';
import { damaged } from './blob-error.ts';
import { BLOCK_BYTES, type ChunkHeader, decodeHeader, HEADER_BYTES } from './format.ts';

/** Reads and checks the header of an open file. Rejects with BlobError EBADMSG. */
export async function readHeader(file: DiskFile, name: ChunkName): Promise<ChunkHeader> {
  const header = decodeHeader(await file.read(0, HEADER_BYTES));
  if (typeof header === 'string') throw damaged(name, header);
  if (chunkText(header.name) !== chunkText(name)) {
    throw damaged(name, `the file holds chunk ${chunkText(header.name)}`);
  }
  if ((await file.size()) !== HEADER_BYTES + header.sum.bytes) {
    throw damaged(name, 'the file is shorter or longer than its header says');
  }
  return header;
}

/** Verifies what it reads, block by block; the blocks at the ends of a range are read whole. */
export class ChunkReader implements BlobReader {
  readonly #file: DiskFile;
  readonly #header: ChunkHeader;

  constructor(file: DiskFile, header: ChunkHeader) {
    this.#file = file;
    this.#header = header;
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
    const read = await this.#file.read(HEADER_BYTES + start, stop - start);
    if (read.length !== stop - start) throw damaged(this.#header.name, 'the file is cut short');
    for (let at = 0, block = first; at < read.length; at += BLOCK_BYTES, block++) {
      if (crc32c(read.subarray(at, at + BLOCK_BYTES)) !== this.#header.blockCrcs[block]) {
        throw damaged(this.#header.name, 'bytes fail their checksum', block);
      }
    }
    return read.subarray(offset - start, end - start);
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}
