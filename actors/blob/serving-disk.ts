import type { ChunkName } from '../../protocol/blob.ts';
import type { BlobMessage, Unreadable } from '../../protocol/messages/blob.ts';
import type { NodeId } from '../../protocol/types.ts';
import type { BlobReader, BlobStore } from '../../storage/ports.ts';
import { unreadableOf } from './disk-errors.ts';
import type { ServingOutbox } from './serving.ts';

/** What the disk gave for a transfer, as a command to the core. */
export type ReadByDisk =
  | { readonly type: 'opened'; readonly key: string; readonly bytes: number }
  | {
      readonly type: 'read';
      readonly key: string;
      readonly offset: number;
      readonly data: Uint8Array;
      readonly crc: number;
    }
  | { readonly type: 'notRead'; readonly key: string; readonly reason: Unreadable };

interface Work {
  readonly chunk: ChunkName;
  readonly reader: Promise<BlobReader>;
  /** The step that is under way; never rejects. */
  tail: Promise<void>;
}

export interface ServingDiskHost {
  readonly blobs: Pick<BlobStore, 'open' | 'checksum'>;
  send(to: NodeId, message: BlobMessage): void;
  tell(command: ReadByDisk): void;
  /** A chunk that is here cannot be read. */
  onDamage(chunk: ChunkName): void;
}

/** Reads what a node sends. */
export class ServingDisk implements ServingOutbox {
  readonly #host: ServingDiskHost;
  readonly #works = new Map<string, Work>();

  constructor(host: ServingDiskHost) {
    this.#host = host;
  }

  send(to: NodeId, message: BlobMessage): void {
    this.#host.send(to, message);
  }

  open(key: string, chunk: ChunkName): void {
    const work: Work = { chunk, reader: this.#host.blobs.open(chunk), tail: Promise.resolve() };
    this.#works.set(key, work);
    this.#run(key, work, async (reader) => ({ type: 'opened', key, bytes: reader.sum.bytes }));
  }

  read(key: string, offset: number, length: number): void {
    const work = this.#works.get(key);
    if (work === undefined) return;
    this.#run(key, work, async (reader) => {
      const data = await reader.read(offset, length);
      return { type: 'read', key, offset, data, crc: this.#host.blobs.checksum(0, data) };
    });
  }

  close(key: string): void {
    const work = this.#works.get(key);
    this.#works.delete(key);
    if (work === undefined) return;
    // Nothing was written to it: what closing has to say does not matter.
    work.tail
      .then(() => work.reader)
      .then((reader) => reader.close())
      .catch(() => {});
  }

  closeAll(): void {
    for (const key of [...this.#works.keys()]) this.close(key);
  }

  #run(key: string, work: Work, step: (reader: BlobReader) => Promise<ReadByDisk>): void {
    const { tell, onDamage } = this.#host;
    work.tail = work.reader.then(step).then(
      (done) => {
        if (this.#works.get(key) === work) tell(done);
      },
      (error: unknown) => {
        const reason = unreadableOf(error);
        if (reason === 'damaged') onDamage(work.chunk);
        if (this.#works.get(key) === work) tell({ type: 'notRead', key, reason });
      },
    );
  }
}
