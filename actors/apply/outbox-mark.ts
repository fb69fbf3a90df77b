/** Local, not replicated: what the outbox of a state is looked at by. */
export class OutboxMark {
  /** Rises with each row that is added. */
  changes = 0;
  #index = 0;
  #next = 0;

  /** The next number in this entry. */
  ordinalIn(index: number): number {
    if (index !== this.#index) {
      this.#index = index;
      this.#next = 0;
    }
    return this.#next++;
  }
}
