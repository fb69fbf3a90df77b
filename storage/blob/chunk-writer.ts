import { assert } from '../../protocol/assert.ts';
import type { ChunkName, ChunkSum } from '../../protocol/blob.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { isPageAligned } from '../../protocol/page-aligned.ts';
import type { DiskFile } from '../disk/port.ts';
import type { BlobWriter } from '../ports.ts';
import { BlobError } from './blob-error.ts';
import { BlockSums, type ChunkHeader, encodeHeader, HEADER_BYTES } from './format.ts';

/** What a writer needs of its store. */
export interface WriterHost {
  /** Throws when these bytes may not be written. */
  takeRoom(bytes: number): void;
  /** Writes past the page cache and syncs take their turn: each holds a thread that the log of the node needs too. */
  inTurn(work: () => Promise<void>): Promise<void>;
  /** The file is whole and synced: gives it its name, durably. */
  place(header: ChunkHeader): Promise<void>;
  /** The file is closed and has no name; removes it. Never rejects. */
  discard(): Promise<void>;
}

/** Writes one chunk into a file that has no name yet. */
export class ChunkWriter implements BlobWriter {
  readonly #name: ChunkName;
  readonly #file: DiskFile;
  readonly #host: WriterHost;
  readonly #sums = new BlockSums();
  #state: 'open' | 'busy' | 'ended' = 'open';
  #isClosed = false;

  constructor(name: ChunkName, file: DiskFile, host: WriterHost) {
    this.#name = name;
    this.#file = file;
    this.#host = host;
  }

  get bytes(): number {
    return this.#sums.bytes;
  }

  write(piece: Uint8Array): Promise<void> {
    return this.#step(async () => {
      const offset = this.#sums.bytes;
      if (offset + piece.length > LIMITS.blobChunkBytesMax) {
        throw new BlobError('EINVAL', this.#name, 'is longer than a chunk may be');
      }
      this.#host.takeRoom(piece.length);
      this.#sums.add(piece);
      const write = () => this.#file.write(HEADER_BYTES + offset, piece);
      // Others are copied, which does not wait for the disk.
      await (isPageAligned(piece) ? this.#host.inTurn(write) : write());
      this.#state = 'open';
    });
  }

  seal(expected: ChunkSum | null): Promise<ChunkSum> {
    return this.#step(async () => {
      const { sum, blockCrcs } = this.#sums;
      if (expected !== null && (expected.bytes !== sum.bytes || expected.crc !== sum.crc)) {
        throw new BlobError('EBADMSG', this.#name, 'these are not the bytes that were sent');
      }
      const header = { name: this.#name, sum, blockCrcs };
      this.#host.takeRoom(HEADER_BYTES);
      await this.#host.inTurn(async () => {
        await this.#file.write(0, encodeHeader(header));
        await this.#file.sync();
      });
      // It is open, so counts as being written, until others find it by its name (at-rest/rotation.ts).
      await this.#host.place(header);
      this.#isClosed = true;
      await this.#file.close();
      this.#state = 'ended';
      return sum;
    });
  }

  async abandon(): Promise<void> {
    assert(this.#state !== 'busy', 'a chunk is abandoned between two calls');
    if (this.#state === 'open') await this.#drop();
  }

  /** An error ends the chunk, in whatever step: a failed write may be there in part, a failed sync says nothing. */
  async #step<T>(step: () => Promise<T>): Promise<T> {
    assert(this.#state === 'open', 'a chunk is written one piece at a time, and until it ends');
    this.#state = 'busy';
    try {
      return await step();
    } catch (error) {
      await this.#drop();
      throw error;
    }
  }

  async #drop(): Promise<void> {
    this.#state = 'ended';
    // What closing has to say does not matter any more.
    if (!this.#isClosed) await this.#file.close().catch(() => {});
    await this.#host.discard();
  }
}
