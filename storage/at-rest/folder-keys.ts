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
  /** Also those that were dropped in this life: what was open before still reads with them. */
  readonly #keys: Map<number, Uint8Array>;
  readonly #dropped = new Set<number>();
  readonly #derived = new Map<string, Buffer>();
  /** Open files that are written under a key. */
  readonly #writers = new Map<number, number>();
  #current: number;

  constructor(keys: ReadonlyMap<number, Uint8Array>) {
    assert(keys.size > 0, 'a folder has a data key');
    this.#keys = new Map(keys);
    this.#current = Math.max(...keys.keys());
  }

  /** The number of the one that seals now; the others open what was sealed before. */
  get current(): number {
    return this.#current;
  }

  /** Of the folder, rising: more than one while there may be something that is sealed under an older one. */
  get numbers(): number[] {
    return [...this.#keys.keys()].filter((n) => !this.#dropped.has(n)).sort((a, b) => a - b);
  }

  /** From now on this one seals. It has to be in the folder's keyring, durably. */
  add(number: number, key: Uint8Array): void {
    assert(number > this.#current, 'data keys are numbered upwards');
    this.#keys.set(number, key);
    this.#current = number;
  }

  /** All but the current one are gone from the folder; this process forgets them when it ends. */
  drop(): void {
    for (const number of this.numbers) if (number !== this.#current) this.#dropped.add(number);
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
    return this.derived(this.#current, purpose, salt) as Buffer;
  }

  /** A file is written under this key, until what is returned is called. */
  writes(number: number): () => void {
    this.#writers.set(number, (this.#writers.get(number) ?? 0) + 1);
    let isOpen = true;
    return () => {
      if (isOpen) this.#writers.set(number, (this.#writers.get(number) as number) - 1);
      isOpen = false;
    };
  }

  /** Whether an open file may still be written under an older key. */
  get hasOldWriters(): boolean {
    return [...this.#writers].some(([number, count]) => number !== this.#current && count > 0);
  }
}
