import type { EntryPosition, IndexDefinition } from '../../protocol/indexes.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Item } from '../../protocol/messages/request.ts';
import type { Revision } from '../../protocol/types.ts';
import type { GroupView } from './group-state.ts';
import { documentOf, entriesOf } from './index-entries.ts';
import { readVersion } from './read.ts';

/** Bytes of what is kept to be asked again. */
const KEPT_BYTES_MAX = 4 * 1024 * 1024;
const KEY_BYTES = 512;
/** What reading a version costs beside its value, as bytes that are parsed; reading those is cheaper. */
const READ_WORK_BYTES = 512;
const READ_WORK_SHARE = 8;
const NOTHING = new Uint8Array(0);

/** `isCurrent`: it is an entry of the key's current row. */
export type FoundEntry = EntryPosition & { readonly isCurrent: boolean };

interface Known {
  /** Without its value; null: the key is not there at the revision. */
  readonly item: Item | null;
  readonly isNewest: boolean;
  /** Null as long as nobody had to know. */
  readonly entries: ReadonlySet<string> | null;
}

/**
 * The versions of one revision that the entries of one page are held against. Each is read once where no values
 * are wanted, and its entries are computed once at most: not at all where it is the key's newest version, whose
 * entries those of current rows are (I3).
 */
export class IndexVersions {
  /** What was done so far, about as bytes that are parsed. */
  work = 0;
  readonly #view: GroupView;
  readonly #definition: IndexDefinition;
  readonly #revision: Revision;
  readonly #values: boolean;
  readonly #known = new Map<string, Known>();
  #keptBytes = 0;
  #parsedBytes = 0;

  constructor(view: GroupView, definition: IndexDefinition, revision: Revision, values: boolean) {
    this.#view = view;
    this.#definition = definition;
    this.#revision = revision;
    this.#values = values;
  }

  /** Whether a page has computed enough. */
  get isFull(): boolean {
    return this.#parsedBytes >= LIMITS.indexPageParsedBytesMax;
  }

  /** The key's version at the revision, provided that it has the entry; null when it has not. */
  async find(at: FoundEntry): Promise<Item | null> {
    const known = this.#known.get(at.key);
    if (known?.item === null) return null;
    if (known === undefined || this.#values) return this.#read(at, known ?? null);
    const has = hasEntry(known, at);
    return has === null ? this.#read(at, known) : has ? known.item : null;
  }

  async #read(at: FoundEntry, before: Known | null): Promise<Item | null> {
    const { tenant, space } = this.#definition;
    const found = await readVersion(this.#view, { tenant, space, key: at.key }, this.#revision);
    this.work += READ_WORK_BYTES;
    if (found === null || found === 'compacted') {
      this.#keep(at.key, { item: null, isNewest: false, entries: null });
      return null;
    }
    const { item, isNewest } = found;
    this.work += item.value.length / READ_WORK_SHARE;
    let known: Known = {
      ...{ item: { ...item, value: NOTHING }, isNewest, entries: before?.entries ?? null },
    };
    if (hasEntry(known, at) === null) known = { ...known, entries: this.#entriesOf(item.value) };
    if (before?.entries !== known.entries || before === null) this.#keep(at.key, known);
    if (hasEntry(known, at) !== true) return null;
    return this.#values ? item : known.item;
  }

  #entriesOf(value: Uint8Array): ReadonlySet<string> {
    this.work += value.length;
    this.#parsedBytes += value.length;
    return new Set(entriesOf(this.#definition, documentOf(value)));
  }

  #keep(key: string, known: Known): void {
    if (this.#keptBytes > KEPT_BYTES_MAX) {
      this.#known.clear();
      this.#keptBytes = 0;
    }
    this.#known.set(key, known);
    this.#keptBytes += KEY_BYTES + key.length;
    for (const entry of known.entries ?? []) this.#keptBytes += entry.length + 64;
  }
}

/** Null: that takes the version's entries. */
function hasEntry({ isNewest, entries }: Known, at: FoundEntry): boolean | null {
  if (isNewest && at.isCurrent) return true;
  return entries === null ? null : entries.has(at.encoded);
}
