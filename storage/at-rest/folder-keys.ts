import { assert } from '../../protocol/assert.ts';
import { derivedKey } from './aead.ts';

/** What a key derived from a data key is for. */
export type Purpose = 'wal' | 'state' | 'blobs' | 'snapshots';

/** Keys of files that were opened lately; deriving one costs more than sealing a record. */
const DERIVED_MAX = 1_024;

/**
 * The data keys of one data folder, unwrapped. Nothing is sealed with them: each purpose, and with a drawn salt each
 * file and each life of a process, has a key derived from them.
 */
export class FolderKeys {
  /** The number of the one that seals now; the others open what was sealed before. */
  readonly current: number;
  readonly #keys: ReadonlyMap<number, Uint8Array>;
  readonly #derived = new Map<string, Buffer>();

  constructor(keys: ReadonlyMap<number, Uint8Array>) {
    assert(keys.size > 0, 'a folder has a data key');
    this.#keys = keys;
    this.current = Math.max(...keys.keys());
  }

  /** Null: this folder has no such data key. `salt` is drawn at random, of at least 12 bytes. */
  derived(number: number, purpose: Purpose, salt: Uint8Array): Buffer | null {
    const id = `${number} ${purpose} ${Buffer.from(salt).toString('latin1')}`;
    const known = this.#derived.get(id);
    if (known !== undefined) return known;
    const key = this.#keys.get(number);
    if (key === undefined) return null;
    if (this.#derived.size >= DERIVED_MAX) this.#derived.clear();
    const made = derivedKey(key, purpose, salt);
    this.#derived.set(id, made);
    return made;
  }

  /** For what is sealed from now on. */
  sealing(purpose: Purpose, salt: Uint8Array): Buffer {
    return this.derived(this.current, purpose, salt) as Buffer;
  }
}
