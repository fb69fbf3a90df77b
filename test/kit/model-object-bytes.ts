import type { DataId } from '../../protocol/blob.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { ObjectData } from '../../protocol/object-access.ts';
import type { NewData } from '../../protocol/object-ops.ts';
import type { Piece } from '../../protocol/objects.ts';

const CHUNK_BYTES = 1024 * 1024;

/** Bytes of objects in memory. `discarded` has the ids of data that was given up. */
export class ModelObjectData implements ObjectData {
  readonly #stored = new Map<string, Buffer>();
  readonly discarded: string[] = [];
  #lastId = 0;

  /** Data that is held and was neither inline nor given up. */
  get count(): number {
    return this.#stored.size;
  }

  async write(
    _ctx: unknown,
    _ref: unknown,
    source: AsyncIterable<Uint8Array>,
    given?: DataId,
  ): Promise<NewData | null> {
    const pieces: Uint8Array[] = [];
    for await (const piece of source) pieces.push(Uint8Array.from(piece));
    const bytes = Buffer.concat(pieces);
    if (bytes.length === 0) return null;
    const id = given === undefined ? Buffer.alloc(16) : Buffer.from(given, 'hex');
    if (given === undefined) id.writeUInt32BE(++this.#lastId, 12);
    if (bytes.length <= LIMITS.objectInlineBytesMax) {
      return { id, bytes: bytes.length, chunkBytes: 0, holders: [], inline: bytes };
    }
    this.#stored.set(id.toString('hex'), bytes);
    return { id, bytes: bytes.length, chunkBytes: CHUNK_BYTES, holders: [], inline: null };
  }

  async replicate(_ctx: unknown, _ref: unknown, data: NewData): Promise<NewData> {
    return data;
  }

  discard({ id }: NewData): void {
    this.discarded.push(Buffer.from(id).toString('hex'));
    this.#stored.delete(Buffer.from(id).toString('hex'));
  }

  async *read(
    _ctx: unknown,
    _ref: unknown,
    piece: Piece,
    { start, end }: { start: number; end: number },
  ): AsyncGenerator<Uint8Array> {
    const bytes = this.#stored.get(Buffer.from(piece.data ?? []).toString('hex'));
    if (bytes === undefined) throw new Error('no such data');
    for (let at = start; at < end; at += CHUNK_BYTES) {
      yield bytes.subarray(at, Math.min(end, at + CHUNK_BYTES));
    }
  }
}
