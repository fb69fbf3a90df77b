import { derivedKey, KEY_BYTES } from './key-wrap.ts';

/**
 * The keys under which everything else is wrapped: the first one wraps, all of them unwrap, so a new one is put in
 * front of the old. For each purpose there is a key of its own.
 */
export class RootKeys {
  #keys: ReadonlyMap<string, Uint8Array>;
  #currentId: string;

  /** At least one; each of 32 bytes. */
  constructor(keys: readonly Uint8Array[]) {
    const known = keys.map((key): [string, Uint8Array] => [rootIdOf(key), key]);
    this.#keys = new Map(known);
    this.#currentId = known[0]?.[0] ?? '';
  }

  /** Of the one that wraps: 16 hex digits that tell it from others and say nothing of it. */
  get currentId(): string {
    return this.#currentId;
  }

  has(rootId: string): boolean {
    return this.#keys.has(rootId);
  }

  /** For whoever has these keys they are those of `others` from now on. */
  become(others: RootKeys): void {
    this.#keys = others.#keys;
    this.#currentId = others.#currentId;
  }

  /** Null: this node has no such root key. */
  purpose(rootId: string, purpose: string): Uint8Array | null {
    const root = this.#keys.get(rootId);
    return root === undefined ? null : derivedKey(root, purpose);
  }
}

function rootIdOf(key: Uint8Array): string {
  return derivedKey(key, 'root id').toString('hex', 0, 8);
}

const HEX = /^[0-9a-f]{64}$/i;
const BASE64 = /^[A-Za-z0-9+/]{43}=$/;

/** Keys as text: hex or base64 of 32 bytes each, by lines or commas. Null: that is something else. */
export function parseRootKeys(text: string): Uint8Array[] | null {
  const words = text.split(/[\s,]+/).filter((word) => word !== '');
  const keys = words.map((word) =>
    HEX.test(word)
      ? Buffer.from(word, 'hex')
      : Buffer.from(BASE64.test(word) ? word : '', 'base64'),
  );
  return keys.length > 0 && keys.every(({ length }) => length === KEY_BYTES) ? keys : null;
}
