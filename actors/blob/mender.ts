import { type ChunkName, chunkText } from '../../protocol/blob.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { NodeId } from '../../protocol/types.ts';
import type { BlobStore } from '../../storage/ports.ts';
import type { BytesReader } from './bytes-reader.ts';
import { unreadableOf } from './disk-errors.ts';
import { FetchFailed } from './fetched.ts';

/** `lost`: no node gives it. `refused`: the own disk takes none. */
export type Mended = 'mended' | 'lost' | 'refused';

export interface MenderHost {
  readonly blobs: BlobStore;
  readonly reader: Pick<BytesReader, 'fetch'>;
  /** It was mended, or was not. */
  onMended(chunk: ChunkName, mended: Mended, reason: string): void;
}

/** Chunks that are fetched at once. */
const AT_ONCE = 4;
/** Wishes that wait; what comes beyond is found again by the next round. */
const WAITING_MAX = 4_096;

interface Wish {
  readonly chunk: ChunkName;
  /** Its length; null: as its source has it. */
  readonly bytes: number | null;
  readonly sources: readonly NodeId[];
  readonly settle: (mended: Mended) => void;
}

/** Brings chunks to this disk that it lacks, or has damaged, from other nodes: a few at a time, each once. */
export class Mender {
  readonly #host: MenderHost;
  readonly #wishes = new Map<string, Promise<Mended>>();
  readonly #waiting: Wish[] = [];
  #running = 0;
  #stopped = false;

  constructor(host: MenderHost) {
    this.#host = host;
  }

  get waiting(): number {
    return this.#wishes.size;
  }

  /** Resolves when it was tried. */
  mend(chunk: ChunkName, bytes: number | null, sources: readonly NodeId[]): Promise<Mended> {
    const key = chunkText(chunk);
    const known = this.#wishes.get(key);
    if (known !== undefined) return known;
    if (this.#stopped || this.#wishes.size >= WAITING_MAX) return Promise.resolve('refused');
    const wished = new Promise<Mended>((settle) => {
      this.#waiting.push({ chunk, bytes, sources, settle });
    }).finally(() => this.#wishes.delete(key));
    this.#wishes.set(key, wished);
    this.#next();
    return wished;
  }

  stop(): void {
    this.#stopped = true;
    for (const { settle } of this.#waiting.splice(0)) settle('refused');
  }

  #next(): void {
    while (this.#running < AT_ONCE) {
      const wish = this.#waiting.shift();
      if (wish === undefined) return;
      this.#running++;
      this.#mend(wish).then((mended) => {
        this.#running--;
        wish.settle(mended);
        this.#next();
      });
    }
  }

  async #mend({ chunk, bytes, sources }: Wish): Promise<Mended> {
    const { blobs, reader, onMended } = this.#host;
    try {
      const writer = await blobs.create(chunk);
      try {
        const end = bytes ?? LIMITS.blobChunkBytesMax;
        for await (const piece of reader.fetch(chunk, sources, 0, end)) await writer.write(piece);
        if (bytes !== null && writer.bytes !== bytes) throw new FetchFailed(chunk, []);
        await writer.seal(null);
      } catch (error) {
        await writer.abandon();
        throw error;
      }
      onMended(chunk, 'mended', '');
      return 'mended';
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      const mended = error instanceof FetchFailed ? 'lost' : 'refused';
      onMended(chunk, mended, error.message);
      return mended;
    }
  }

  /** Whether this disk has it, as far as its header tells. */
  async has(chunk: ChunkName): Promise<boolean> {
    try {
      const opened = await this.#host.blobs.open(chunk);
      await opened.close();
      return true;
    } catch (error) {
      if (unreadableOf(error) === 'failed') throw error;
      return false;
    }
  }
}
