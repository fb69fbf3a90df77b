import type { EngineCursor, EngineRange, EngineRow } from '../../storage/ports.ts';
import type { GroupView } from './group-state.ts';

/** Bytes a reader wants to hold ahead of its consumer, and rows it asks for at once. */
const AHEAD_BYTES = 256 * 1024;
const AHEAD_ROWS_MAX = 256;
const FIRST_ROWS = 8;

/**
 * A cursor with bounded look-ahead: `head` is synchronous after `ready`, so that a merge waits once
 * per chunk, not once per row. Chunks adapt to the size of the rows, since a row may have 768 KiB.
 */
export class RowReader {
  readonly #view: GroupView;
  #cursor: EngineCursor;
  #rows: EngineRow[] = [];
  #at = 0;
  #wanted: number;
  #ended = false;

  /** Where `range.rows` are given the first chunk has them all, unless they would be too large. */
  constructor(view: GroupView, range: EngineRange) {
    this.#view = view;
    this.#cursor = view.cursor(range);
    this.#wanted = Math.min(range.rows ?? FIRST_ROWS, AHEAD_ROWS_MAX);
  }

  /** The row to consume next; undefined at the end, or when `ready` must be awaited first. */
  get head(): EngineRow | undefined {
    return this.#rows[this.#at];
  }

  get needsFill(): boolean {
    return this.#at >= this.#rows.length && !this.#ended;
  }

  /** After it `head` is the next row, or undefined at the end. */
  async ready(): Promise<void> {
    if (!this.needsFill) return;
    this.#rows = await this.#cursor.next(this.#wanted);
    this.#at = 0;
    this.#ended = this.#rows.length === 0;
    if (this.#ended) return;
    let bytes = 0;
    for (let i = 0; i < this.#rows.length; i++) {
      const [key, value] = this.#rows[i] as EngineRow;
      bytes += key.length + value.length;
    }
    const fit = Math.floor((AHEAD_BYTES * this.#rows.length) / Math.max(1, bytes));
    this.#wanted = Math.min(AHEAD_ROWS_MAX, this.#wanted * 2, Math.max(1, fit));
  }

  advance(): void {
    this.#at++;
  }

  /**
   * Passes by the rows below `start` that were read ahead. False: what follows has not been read yet. Forward only,
   * within the range that is being read.
   */
  skipTo(start: string): boolean {
    while (this.#at < this.#rows.length && (this.#rows[this.#at] as EngineRow)[0] < start) {
      this.#at++;
    }
    return !this.needsFill;
  }

  /** Drops what was read ahead and goes on in another range of the same moment; `range.rows` as at first. */
  async reseek(range: EngineRange): Promise<void> {
    await this.#cursor.close();
    this.#cursor = this.#view.cursor(range);
    this.#rows = [];
    this.#at = 0;
    this.#ended = false;
    if (range.rows !== undefined) this.#wanted = Math.min(range.rows, AHEAD_ROWS_MAX);
  }

  close(): Promise<void> {
    return this.#cursor.close();
  }
}
