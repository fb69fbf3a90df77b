/**
 * What became of the last transfers that ended, so that a repeated or late message does not begin one anew. The
 * oldest are forgotten: then a late message does harm to nobody, since a chunk written twice is the same chunk.
 */
export class EndedTransfers<T> {
  readonly #outcomes = new Map<string, T>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  get(key: string): T | undefined {
    return this.#outcomes.get(key);
  }

  add(key: string, outcome: T): void {
    this.#outcomes.set(key, outcome);
    if (this.#outcomes.size <= this.#max) return;
    const [oldest] = this.#outcomes.keys();
    if (oldest !== undefined) this.#outcomes.delete(oldest);
  }
}
