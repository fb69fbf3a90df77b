import type { Revision } from '../../protocol/types.ts';
import {
  historyAfter,
  historyHead,
  historyKey,
  parseHistoryKey,
} from '../../storage/kv/keyspace.ts';
import { decodeVersion, type VersionRow } from '../../storage/kv/rows.ts';
import type { EngineRange } from '../../storage/ports.ts';
import type { GroupView } from './group-state.ts';
import { RowReader } from './row-reader.ts';

/** The newest superseded version of a triple at or below `revision`; null when none, or removed. */
export async function versionInHistory(
  view: GroupView,
  triple: string,
  revision: Revision,
): Promise<VersionRow | null> {
  const start = historyKey(view.prefix, triple, revision);
  const end = historyAfter(view.prefix, triple);
  const cursor = view.cursor({ start, end, reverse: false });
  try {
    const [newest] = await cursor.next(1);
    return newest === undefined ? null : decodeVersion(newest[1]);
  } finally {
    await cursor.close();
  }
}

/** Rows of one key that are read past one by one before the reader jumps instead. */
const WALK_ROWS_MAX = 64;

/**
 * The keys of a range that have history, in key order, each with its newest version at or below
 * one revision. A key with very many versions costs one jump, not a walk over all of them.
 */
export class HistoryKeys {
  readonly #view: GroupView;
  readonly #range: EngineRange;
  readonly #revision: Revision;
  readonly #reader: RowReader;
  #triple: string | null = null;
  #version: VersionRow | null = null;

  constructor(view: GroupView, range: EngineRange, revision: Revision) {
    this.#view = view;
    this.#range = range;
    this.#revision = revision;
    this.#reader = new RowReader(view, range);
  }

  /** The key to consume next; null at the end. Valid after `ready`. */
  get triple(): string | null {
    return this.#triple;
  }

  /** Its version at the revision; null when it was absent or removed then. */
  get version(): VersionRow | null {
    return this.#version;
  }

  advance(): void {
    this.#triple = null;
    this.#version = null;
  }

  /** Gathers the next key. */
  async ready(): Promise<void> {
    if (this.#triple !== null) return;
    await this.#reader.ready();
    const first = this.#reader.head;
    if (first === undefined) return;
    const triple = parseHistoryKey(first[0]).triple;
    const head = historyHead(this.#view.prefix, triple);
    let newest: Uint8Array | null = null;
    let walked = 0;
    for (;;) {
      if (this.#reader.needsFill) await this.#reader.ready();
      const row = this.#reader.head;
      if (row === undefined || !row[0].startsWith(head)) break;
      if (walked++ >= WALK_ROWS_MAX) return this.#jump(triple);
      // Forward the first hit is the newest, in reverse the last one is.
      const eligible = parseHistoryKey(row[0]).revision <= this.#revision;
      if (eligible && (newest === null || this.#range.reverse)) newest = row[1];
      this.#reader.advance();
    }
    this.#triple = triple;
    this.#version = newest === null ? null : decodeVersion(newest);
  }

  async #jump(triple: string): Promise<void> {
    const { start, end, reverse } = this.#range;
    this.#version = await versionInHistory(this.#view, triple, this.#revision);
    this.#triple = triple;
    await this.#reader.reseek(
      reverse
        ? { start, end: historyHead(this.#view.prefix, triple), reverse }
        : { start: historyAfter(this.#view.prefix, triple), end, reverse },
    );
  }

  close(): Promise<void> {
    return this.#reader.close();
  }
}
