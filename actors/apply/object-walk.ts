import type { Revision } from '../../protocol/types.ts';
import { BODY_OFFSET, refOfStoredTriple, spaceRange } from '../../storage/kv/keyspace.ts';
import { decodeCurrent, type VersionRow } from '../../storage/kv/rows.ts';
import type { GroupView } from './group-state.ts';
import { HistoryKeys } from './history.ts';
import { hasExpired } from './item.ts';
import { RowReader } from './row-reader.ts';

interface Found {
  /** latin1. */
  readonly key: string;
  readonly row: VersionRow;
  /** It is still the newest version. */
  readonly isCurrent: boolean;
}

/**
 * The keys of a space that are there at one revision, in order, with jumps. As a range is read, but without
 * pages: of history only what the revision needs.
 */
export class KeysAt {
  readonly #view: GroupView;
  readonly #space: { readonly tenant: string; readonly space: string };
  readonly #end: string | null;
  readonly #revision: Revision;
  readonly #current: RowReader;
  #past: HistoryKeys | null;

  constructor(
    view: GroupView,
    space: { readonly tenant: string; readonly space: string },
    start: string,
    end: string | null,
    revision: Revision,
    rows: number,
  ) {
    this.#view = view;
    this.#space = space;
    this.#end = end;
    this.#revision = revision;
    this.#current = new RowReader(view, { ...this.#range('c', start), rows });
    this.#past = revision >= view.clock ? null : this.#history(start);
  }

  /** The next key that has rows, there at the revision or not; null at the end. */
  async peek(): Promise<string | null> {
    const triple = await this.#head();
    return triple === null ? null : refOfStoredTriple(triple).key;
  }

  /** Passes by the key that peek gave. */
  pass(): void {
    this.#take();
  }

  /** The next key that is there; null at the end. */
  async next(): Promise<Found | null> {
    for (;;) {
      const triple = await this.#head();
      if (triple === null) return null;
      const { row, isCurrent } = this.#take();
      if (row === null || hasExpired(row, this.#revision)) continue;
      return { key: refOfStoredTriple(triple).key, row, isCurrent };
    }
  }

  /** Goes on at the first key that is not below this one; so many rows are read at first. */
  async seek(start: string, rows: number): Promise<void> {
    const range = this.#range('c', start);
    if (!this.#current.skipTo(range.start)) await this.#current.reseek({ ...range, rows });
    if (this.#past === null) return;
    await this.#past.close();
    this.#past = this.#history(start);
  }

  /**
   * The first key from `start` on, where that is known without reading: it is there, and nothing is between. Where the
   * walk is does not matter, and does not change.
   */
  known(start: string): string | null {
    const { gaps, writes } = this.#view;
    const next = gaps.after(this.#range('c', start).start, writes, this.#revision);
    return next === null ? null : refOfStoredTriple(next.slice(BODY_OFFSET)).key;
  }

  /** The walk has passed all before `start` and nothing behind it, and `peek` was asked: that is known from now on. */
  remember(start: string): void {
    const head = this.#current.head;
    // What expires is gone without a write.
    if (head === undefined || decodeCurrent(head[1]).expiresAtMs !== null) return;
    const { gaps, writes, clock } = this.#view;
    gaps.remember({ start: this.#range('c', start).start, next: head[0], since: writes, clock });
  }

  async close(): Promise<void> {
    await this.#current.close();
    await this.#past?.close();
  }

  async #head(): Promise<string | null> {
    if (this.#current.needsFill) await this.#current.ready();
    if (this.#past !== null && this.#past.triple === null) await this.#past.ready();
    const present = this.#current.head?.[0].slice(BODY_OFFSET) ?? null;
    const past = this.#past?.triple ?? null;
    if (present === null || past === null) return present ?? past;
    return present < past ? present : past;
  }

  /** Consumes the key of #head: its row as of the revision. */
  #take(): { row: VersionRow | null; isCurrent: boolean } {
    const head = this.#current.head;
    const present = head?.[0].slice(BODY_OFFSET) ?? null;
    const past = this.#past?.triple ?? null;
    const isPresent = present !== null && (past === null || present <= past);
    const isPast = past !== null && (present === null || past <= present);
    let row = isPresent ? decodeCurrent((head as readonly [string, Uint8Array])[1]) : null;
    const isCurrent = row !== null && row.revision <= this.#revision;
    if (!isCurrent) row = isPast ? (this.#past as HistoryKeys).version : null;
    if (isPresent) this.#current.advance();
    if (isPast) this.#past?.advance();
    return { row, isCurrent };
  }

  #history(start: string): HistoryKeys {
    return new HistoryKeys(this.#view, this.#range('h', start), this.#revision);
  }

  #range(kind: 'c' | 'h', key: string): { start: string; end: string; reverse: false } {
    const [start, end] = spaceRange(this.#view.prefix, kind, this.#space, key, this.#end);
    return { start, end, reverse: false };
  }
}
