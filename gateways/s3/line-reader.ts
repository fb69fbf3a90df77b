const LF = 0x0a;
const EMPTY = Buffer.alloc(0);

/** Gathers one line of a stream that is cut anywhere. Holds at most `max` bytes. */
export class LineReader {
  readonly #max: number;
  #held: Buffer = EMPTY;
  #length = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** No line is begun. */
  get isEmpty(): boolean {
    return this.#length === 0;
  }

  /**
   * Reads from `bytes` at `at`. `line`: what came before the line feed, one char per byte, a carriage return
   * included; null where the line goes on behind these bytes. Null instead of all: the line is too long.
   */
  read(bytes: Buffer, at: number): { line: string | null; next: number } | null {
    const room = this.#max - this.#length;
    const end = bytes.subarray(at, at + room + 1).indexOf(LF);
    if (end < 0) {
      const rest = bytes.length - at;
      if (rest > room) return null;
      this.#hold(bytes, at, rest);
      return { line: null, next: bytes.length };
    }
    const tail = bytes.toString('latin1', at, at + end);
    const line = this.#held.toString('latin1', 0, this.#length) + tail;
    this.#length = 0;
    return { line, next: at + end + 1 };
  }

  #hold(bytes: Buffer, at: number, count: number): void {
    if (this.#held.length === 0) this.#held = Buffer.allocUnsafe(this.#max);
    bytes.copy(this.#held, this.#length, at, at + count);
    this.#length += count;
  }
}
