/** Which keys of a listing are done, although they end in any order: all up to `position` are. */
export class Frontier {
  readonly #onMove: (key: string) => void;
  readonly #open: { readonly key: string; isDone: boolean }[] = [];
  #first = 0;

  /** `onMove` is told the last key of those that are done without a gap. */
  constructor(onMove: (key: string) => void) {
    this.#onMove = onMove;
  }

  /** In the order of the listing; gives what is called when the key is done, or never where it failed. */
  begin(key: string): () => void {
    const entry = { key, isDone: false };
    this.#open.push(entry);
    return () => {
      entry.isDone = true;
      this.#advance();
    };
  }

  #advance(): void {
    let last: string | null = null;
    while (this.#open[this.#first]?.isDone) last = this.#open[this.#first++]?.key ?? null;
    if (last === null) return;
    if (this.#first > 1_024) {
      this.#open.splice(0, this.#first);
      this.#first = 0;
    }
    this.#onMove(last);
  }
}
