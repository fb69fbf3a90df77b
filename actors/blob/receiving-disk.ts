import type { ChunkName, ChunkSum } from '../../protocol/blob.ts';
import type { BlobMessage, Refusal } from '../../protocol/messages/blob.ts';
import type { NodeId } from '../../protocol/types.ts';
import type { BlobStore, BlobWriter } from '../../storage/ports.ts';
import { refusalOf } from './disk-errors.ts';
import type { ReceivingOutbox } from './receiving.ts';

/** What the disk did for a transfer, as a command to the core. */
export type ReceivedByDisk =
  | { readonly type: 'written'; readonly key: string; readonly bytes: number }
  | { readonly type: 'sealed'; readonly key: string; readonly sum: ChunkSum }
  | { readonly type: 'notTaken'; readonly key: string; readonly reason: Refusal };

interface Work {
  /** All of it so far; rejects when a part did. */
  tail: Promise<BlobWriter>;
  hasEnded: boolean;
}

/** Writes what a node receives, each chunk in its order, all of them side by side. */
export class ReceivingDisk implements ReceivingOutbox {
  readonly #blobs: Pick<BlobStore, 'create'>;
  readonly #tell: (command: ReceivedByDisk) => void;
  readonly #works = new Map<string, Work>();
  readonly send: (to: NodeId, message: BlobMessage) => void;

  constructor(
    blobs: Pick<BlobStore, 'create'>,
    send: (to: NodeId, message: BlobMessage) => void,
    tell: (command: ReceivedByDisk) => void,
  ) {
    this.#blobs = blobs;
    this.send = send;
    this.#tell = tell;
  }

  create(key: string, chunk: ChunkName): void {
    const work: Work = { tail: this.#blobs.create(chunk), hasEnded: false };
    this.#works.set(key, work);
    this.#watch(key, work);
  }

  write(key: string, data: Uint8Array): void {
    this.#then(key, async (writer) => {
      await writer.write(data);
      return { type: 'written', key, bytes: data.length };
    });
  }

  seal(key: string, expected: ChunkSum): void {
    this.#then(key, async (writer, work) => {
      const sum = await writer.seal(expected);
      this.#end(key, work);
      return { type: 'sealed', key, sum };
    });
  }

  abandon(key: string): void {
    const work = this.#works.get(key);
    if (work === undefined) return;
    this.#end(key, work);
    work.tail.then(
      (writer) => writer.abandon().catch(() => {}), // what is left of it goes at the next start
      () => {},
    );
  }

  /** Of the chunks that are being written. */
  abandonAll(): void {
    for (const key of [...this.#works.keys()]) this.abandon(key);
  }

  #then(key: string, step: (writer: BlobWriter, work: Work) => Promise<ReceivedByDisk>): void {
    const work = this.#works.get(key);
    if (work === undefined) return;
    work.tail = work.tail.then(async (writer) => {
      if (work.hasEnded) return writer;
      const done = await step(writer, work);
      if (done.type === 'sealed' || !work.hasEnded) this.#tell(done);
      return writer;
    });
    this.#watch(key, work);
  }

  #watch(key: string, work: Work): void {
    work.tail.catch((error: unknown) => {
      if (work.hasEnded) return;
      this.#end(key, work);
      this.#tell({ type: 'notTaken', key, reason: refusalOf(error) });
    });
  }

  #end(key: string, work: Work): void {
    work.hasEnded = true;
    if (this.#works.get(key) === work) this.#works.delete(key);
  }
}
