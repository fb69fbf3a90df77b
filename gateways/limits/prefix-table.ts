/** The limits of one tenant's key prefixes, and which of them a name or a range of names comes under. Keys are latin1. */
export class PrefixTable {
  /** By prefix, its scope. */
  readonly #scopes = new Map<string, string>();
  /** Of the prefixes, each once: a key can begin with one of each length at most. */
  readonly #lengths: readonly number[];
  readonly #sorted: readonly string[];

  /** By prefix, its scope. */
  constructor(scopes: ReadonlyMap<string, string>) {
    this.#scopes = new Map(scopes);
    this.#sorted = [...scopes.keys()].sort((a, b) => (a < b ? -1 : 1));
    this.#lengths = [...new Set(this.#sorted.map(({ length }) => length))].sort((a, b) => a - b);
  }

  /** Scopes of the prefixes that a key begins with. */
  ofKey(key: string, add: (scope: string) => void): void {
    for (const length of this.#lengths) {
      if (length > key.length) return;
      const scope = this.#scopes.get(key.slice(0, length));
      if (scope !== undefined) add(scope);
    }
  }

  /** Scopes of the prefixes under which a key of [start, end) may be; `end` null is open. */
  ofRange(start: string, end: string | null, add: (scope: string) => void): void {
    if (end !== null && end <= start) return;
    // Those that `start` begins with; all others that reach into the range begin in it.
    this.ofKey(start, add);
    for (let i = this.#firstAbove(start); i < this.#sorted.length; i++) {
      const prefix = this.#sorted[i] as string;
      if (end !== null && prefix >= end) return;
      add(this.#scopes.get(prefix) as string);
    }
  }

  #firstAbove(start: string): number {
    let [low, high] = [0, this.#sorted.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#sorted[middle] as string) <= start) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
