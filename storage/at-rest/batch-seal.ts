import type { Random } from '../../protocol/random.ts';
import { NONCE_BYTES, open, seal, TAG_BYTES } from './aead.ts';
import type { FolderKeys } from './folder-keys.ts';

const LIFE_BYTES = 12;
/** Number of the data key u32, life. */
export const SEAL_HEAD_BYTES = 4 + LIFE_BYTES;
export const SEAL_TAIL_BYTES = TAG_BYTES;
const U32 = 0x1_0000_0000;

/**
 * Seals the batches of a log. Each life of the process draws 12 bytes, and with them its own key, so a position that
 * is written again after a crash, or by a clone of the disk, has another key; within a life no position is written
 * twice but with the same bytes. The nonce is the position, and the batch's header is bound.
 */
export class BatchSeal {
  readonly #keys: FolderKeys;
  readonly #life: Uint8Array;

  constructor(keys: FolderKeys, random: Random) {
    this.#keys = keys;
    this.#life = random.bytes(LIFE_BYTES);
  }

  /** In place: `bytes` has room for the head before `start` and for the tail behind `end`. */
  seal(bytes: Buffer, start: number, end: number, batch: BatchPlace): void {
    const key = this.#keys.sealing('wal', this.#life);
    const sealed = seal(key, nonceOf(batch.position), batch.header, bytes.subarray(start, end));
    bytes.writeUInt32LE(this.#keys.current, start - SEAL_HEAD_BYTES);
    bytes.set(this.#life, start - LIFE_BYTES);
    bytes.set(sealed.bytes, start);
    bytes.set(sealed.tag, end);
  }

  /** Whether a sealed batch is under the data key that seals now. */
  isCurrent(sealed: Buffer): boolean {
    return sealed.length >= SEAL_HEAD_BYTES && sealed.readUInt32LE(0) === this.#keys.current;
  }

  /** Null: it was changed, moved, or sealed under a key that this folder has not got. */
  open(sealed: Buffer, batch: BatchPlace): Buffer | null {
    if (sealed.length < SEAL_HEAD_BYTES + SEAL_TAIL_BYTES) return null;
    const life = sealed.subarray(4, SEAL_HEAD_BYTES);
    const key = this.#keys.derived(sealed.readUInt32LE(0), 'wal', life);
    if (key === null) return null;
    const bytes = sealed.subarray(SEAL_HEAD_BYTES, -SEAL_TAIL_BYTES);
    const tag = sealed.subarray(-SEAL_TAIL_BYTES);
    return open(key, nonceOf(batch.position), batch.header, { bytes, tag });
  }
}

/** Where a batch belongs: sealed there, it opens nowhere else. */
export interface BatchPlace {
  readonly position: number;
  /** The fields of its header that are known before it is sealed. */
  readonly header: Uint8Array;
}

function nonceOf(position: number): Uint8Array {
  const nonce = Buffer.alloc(NONCE_BYTES);
  nonce.writeUInt32LE(position % U32, 0);
  nonce.writeUInt32LE(Math.floor(position / U32), 4);
  return nonce;
}
