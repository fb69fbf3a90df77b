import type { EngineCursor, EngineRow } from '../ports.ts';
import type { RowPlace } from './tree.ts';

/** A cursor gives no more at once, but for one row. */
export const CURSOR_BYTES = 256 * 1024;
/** Engine rows fetched at once, at least: more each time, as many may be hidden. */
const FETCH_ROWS_FIRST = 4;
const FETCH_ROWS_LATER = 64;

/**
 * Lays memtables over an engine cursor: in each key the first layer that has it wins, and null
 * hides it. All layers and the engine run over the same range in the same direction.
 */
export class MergeCursor implements EngineCursor {
  readonly #layers: readonly RowPlace<Uint8Array | null>[];
  readonly #engine: EngineCursor;
  readonly #reverse: boolean;
  #fetched: EngineRow[] = [];
  #at = 0;
  #engineDone = false;
  #least = FETCH_ROWS_FIRST;

  /** `layers`: newest first. */
  constructor(
    layers: readonly RowPlace<Uint8Array | null>[],
    engine: EngineCursor,
    reverse: boolean,
  ) {
    this.#layers = layers;
    this.#engine = engine;
    this.#reverse = reverse;
  }

  next(max: number): Promise<EngineRow[]> {
    if (this.#at < this.#fetched.length || this.#engineDone) return this.#merged(max);
    for (const layer of this.#layers) if (layer.peek() !== null) return this.#merged(max);
    return this.#engine.next(max);
  }

  async #merged(max: number): Promise<EngineRow[]> {
    const page: EngineRow[] = [];
    let bytes = 0;
    while (page.length < max && bytes < CURSOR_BYTES) {
      if (this.#at === this.#fetched.length && !this.#engineDone) {
        this.#fetched = await this.#engine.next(Math.max(max - page.length, this.#least));
        this.#least = Math.min(this.#least * 2, FETCH_ROWS_LATER);
        this.#at = 0;
        this.#engineDone = this.#fetched.length === 0;
      }
      const row = this.#nextRow();
      if (row === null) break;
      if (row[1] === null) continue;
      page.push(row as EngineRow);
      bytes += row[0].length + row[1].length;
    }
    return page;
  }

  close(): Promise<void> {
    return this.#engine.close();
  }

  /** The least key (the greatest in reverse) over all layers, and moves all that stand on it. */
  #nextRow(): readonly [string, Uint8Array | null] | null {
    let best: readonly [string, Uint8Array | null] | null = null;
    for (const layer of this.#layers) {
      const row = layer.peek();
      if (row !== null && (best === null || this.#isBefore(row[0], best[0]))) best = row;
    }
    const row = this.#fetched[this.#at];
    if (row !== undefined && (best === null || this.#isBefore(row[0], best[0]))) best = row;
    if (best === null) return null;
    for (const layer of this.#layers) {
      if (layer.peek()?.[0] === best[0]) layer.skip();
    }
    if (row !== undefined && row[0] === best[0]) this.#at++;
    return best;
  }

  #isBefore(a: string, b: string): boolean {
    return this.#reverse ? a > b : a < b;
  }
}
