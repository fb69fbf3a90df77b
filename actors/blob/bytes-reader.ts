import { type ChunkName, dataIdOf } from '../../protocol/blob.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Piece } from '../../protocol/objects.ts';
import type { NodeId } from '../../protocol/types.ts';
import type { BlobReader, BlobStore } from '../../storage/ports.ts';
import { unreadableOf } from './disk-errors.ts';
import { FetchedRange, FetchFailed } from './fetched.ts';
import type { SourceTimes } from './source-times.ts';
import type { BlobTransfers } from './transfers.ts';

export interface ReaderHost {
  readonly node: NodeId;
  readonly transfers: BlobTransfers;
  readonly blobs: BlobStore;
  readonly times: SourceTimes;
  isAway(node: NodeId): boolean;
  /** All other nodes that are known. */
  others(): readonly NodeId[];
  /** A chunk that a reader wanted and that should be here is not, or is damaged. */
  onUnreadable(chunk: ChunkName, holders: readonly NodeId[]): void;
}

/** Reads data from this node's disk, else from another's, and goes on elsewhere in the middle. */
export class BytesReader {
  readonly #host: ReaderHost;

  constructor(host: ReaderHost) {
    this.#host = host;
  }

  /** `holders`: nodes that should have it. Throws FetchFailed. */
  async *read(
    holders: readonly NodeId[],
    { data, chunkBytes }: Piece,
    { start, end }: { readonly start: number; readonly end: number },
  ): AsyncGenerator<Uint8Array, void> {
    if (data === null || start >= end) return;
    const id = dataIdOf(data);
    for (let at = start; at < end; ) {
      const number = Math.floor(at / chunkBytes);
      const first = number * chunkBytes;
      const stop = Math.min(end, first + chunkBytes);
      yield* this.#chunk({ data: id, number }, holders, at - first, stop - first);
      at = stop;
    }
  }

  async *#chunk(
    chunk: ChunkName,
    holders: readonly NodeId[],
    start: number,
    end: number,
  ): AsyncGenerator<Uint8Array, void> {
    let at = start;
    for await (const piece of this.#local(chunk, holders, at, end)) {
      yield piece;
      at += piece.length;
    }
    if (at === end) return;
    for await (const piece of this.fetch(chunk, holders, at, end)) {
      yield piece;
      at += piece.length;
    }
    // Shorter than its record says: that is no copy of it.
    if (at < end) throw new FetchFailed(chunk, []);
  }

  /** Bytes of a chunk from other nodes: holders, then all others; as far as it has them. Throws FetchFailed. */
  async *fetch(
    chunk: ChunkName,
    holders: readonly NodeId[],
    start: number,
    end: number,
  ): AsyncGenerator<Uint8Array, void> {
    const sources = this.#sources(holders);
    if (sources.length === 0) throw new FetchFailed(chunk, []);
    const { transfers, blobs, times } = this.#host;
    const host = {
      transfers,
      checksum: (crc: number, bytes: Uint8Array) => blobs.checksum(crc, bytes),
      noteSource: (source: NodeId, ms: number) => times.note(source, ms),
    };
    yield* new FetchedRange(host, chunk, sources, { start, end }).pieces();
  }

  /** What this disk gives of it, up to where it gives no more. */
  async *#local(
    chunk: ChunkName,
    holders: readonly NodeId[],
    start: number,
    end: number,
  ): AsyncGenerator<Uint8Array, void> {
    const { blobs, onUnreadable, node } = this.#host;
    let reader: BlobReader | null = null;
    let ahead: Promise<Uint8Array> | null = null;
    try {
      reader = await blobs.open(chunk, start === 0 ? Math.min(end, LIMITS.blobPieceBytes) : 0);
      ahead = next(reader, start, end);
      for (let at = start; at < end; ) {
        const piece: Uint8Array = await ahead;
        if (piece.length === 0) return;
        at += piece.length;
        // One piece is read while its reader deals with the one before.
        ahead = next(reader, at, end);
        yield piece;
      }
    } catch (error) {
      const reason = unreadableOf(error);
      if (reason !== 'missing' && reason !== 'damaged') return;
      const isHolder = holders.includes(node);
      if (reason === 'damaged' || isHolder) onUnreadable(chunk, holders);
    } finally {
      await ahead?.catch(() => {}); // nobody wants it any more
      // It was only read: nothing that closing has to say matters, and nobody waits for it.
      reader?.close().catch(() => {});
    }
  }

  /** Holders first, then all others; of each those that are there, the quickest first. */
  #sources(holders: readonly NodeId[]): NodeId[] {
    const { isAway, others, times, node } = this.#host;
    const known = new Set([...holders, ...others()]);
    known.delete(node);
    const rank = (source: NodeId): number =>
      (isAway(source) ? 1e9 : 0) + (holders.includes(source) ? 0 : 1e6) + times.msOf(source);
    return [...known].sort((a, b) => rank(a) - rank(b));
  }
}

/** The next piece, cut at multiples of the size of pieces; without bytes at the end. */
function next(reader: BlobReader, at: number, end: number): Promise<Uint8Array> {
  const stop = (Math.floor(at / LIMITS.blobPieceBytes) + 1) * LIMITS.blobPieceBytes;
  return at >= end ? Promise.resolve(NOTHING) : reader.read(at, Math.min(stop, end) - at);
}

const NOTHING = new Uint8Array(0);
