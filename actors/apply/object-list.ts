import { prefixEnd } from '../../protocol/bytes.ts';
import type {
  ListedPrefix,
  ListedVersion,
  ObjectQuery,
  Page,
} from '../../protocol/object-access.ts';
import { bytesOfPrefix, bytesOfVersion } from '../../protocol/object-bytes.ts';
import { decodeRecord, type ObjectRecord, versionIdOf } from '../../protocol/objects.ts';
import type { Revision } from '../../protocol/types.ts';
import { spaceRange } from '../../storage/kv/keyspace.ts';
import type { GroupView } from './group-state.ts';
import { KeysAt } from './object-walk.ts';

/** A page of a bucket's objects at one revision, with what is behind a delimiter rolled up. */

/** What is asked of one group: its part of a page ends before the entry that would pass `bytesMax`. */
export type ListQuery = ObjectQuery & { readonly bytesMax: number };

export type ListPage = Page<ListedVersion, string>;

export function listed(key: string, record: ObjectRecord, isLatest: boolean): ListedVersion {
  const { putAt, isMarker, size, etag, checksum, head } = record;
  const versionId = versionIdOf(record);
  const { headers, owner = null } = head;
  return {
    type: 'version',
    key,
    versionId,
    isLatest,
    isMarker,
    putAt,
    size,
    etag,
    checksum,
    headers,
    owner,
  };
}

/** Gathers entries until there are enough, or too many bytes; the first one always fits. */
export class EntryList<E extends { readonly type: string; readonly key: string }> {
  readonly entries: (E | ListedPrefix)[] = [];
  readonly #limit: number;
  readonly #bytesMax: number;
  #bytes = 0;

  constructor({ limit, bytesMax }: ListQuery) {
    this.#limit = limit;
    this.#bytesMax = bytesMax;
  }

  /** False: there is no room for it. */
  add(entry: E | ListedPrefix, bytes: number): boolean {
    const { entries } = this;
    if (entries.length >= this.#limit) return false;
    if (entries.length > 0 && this.#bytes + bytes > this.#bytesMax) return false;
    this.#bytes += bytes;
    entries.push(entry);
    return true;
  }
}

/** The common prefix that a key is rolled up into; null: none. */
export function commonPrefix(key: string, { prefix, delimiter }: ListQuery): string | null {
  if (delimiter === null || delimiter === '') return null;
  const at = key.indexOf(delimiter, prefix.length);
  return at < 0 ? null : key.slice(0, at + delimiter.length);
}

/**
 * Objects and common prefixes, in order; `next` is the key or the common prefix that is left out. What lies below a prefix is skipped here, so a page costs by what it
 * shows. 'compacted': the revision cannot be read any more.
 */
export async function listObjects(
  view: GroupView,
  query: ListQuery,
  revision: Revision,
): Promise<ListPage | 'compacted'> {
  if (revision < view.floor) return 'compacted';
  const { prefix, limit } = query;
  const first = query.start > prefix ? query.start : prefix;
  const behind = prefixEnd(prefix);
  const [, end] = spaceRange(view.prefix, 'c', query, '', behind);
  if (spaceRange(view.prefix, 'c', query, first, null)[0] >= end)
    return { entries: [], next: null };
  const keys = new KeysAt(view, query, first, behind, revision, limit + 1);
  const page = new EntryList<ListedVersion>(query);
  const prefixes = new PrefixWalk(keys, page, query, behind);
  const { entries } = page;
  try {
    for (let found = await keys.next(); found !== null; found = await keys.next()) {
      const { key } = found;
      const common = commonPrefix(key, query);
      if (common === null) {
        const entry = listed(key, decodeRecord(found.row.value), found.isCurrent);
        if (!page.add(entry, bytesOfVersion(entry))) return { entries, next: key };
        continue;
      }
      const rest = await prefixes.from(common);
      if (rest.type === 'full') return { entries, next: rest.next };
      if (rest.type === 'end') break;
    }
  } finally {
    await keys.close();
  }
  return { entries, next: null };
}

/** What is behind a run of common prefixes. */
type Rest = { readonly type: 'more' | 'end' } | { readonly type: 'full'; readonly next: string };

const MORE: Rest = { type: 'more' };
const END: Rest = { type: 'end' };

/** Keys of one common prefix that are passed one by one, at most, before the cursor jumps behind them. */
const WALK_KEYS_MAX = 24;
const WALK_KEYS_MIN = 2;
/** Where more keys than this were passed it is remembered where they end. */
const WALKED_ANEW_MAX = 3;

/** Common prefixes of a page, each in one step: by what is known of the keys behind it, by a few rows, or by a jump. */
class PrefixWalk {
  readonly #keys: KeysAt;
  readonly #page: EntryList<ListedVersion>;
  readonly #query: ListQuery;
  /** The first key behind the page's prefix; null: there is none. */
  readonly #end: string | null;
  /** Fewer where prefixes hold many keys: then a jump is cheaper. */
  #walkMax = WALK_KEYS_MAX;

  constructor(keys: KeysAt, page: EntryList<ListedVersion>, query: ListQuery, end: string | null) {
    this.#keys = keys;
    this.#page = page;
    this.#query = query;
    this.#end = end;
  }

  /** Adds `first`, whose first key the walk is behind, and those that are known to follow; the walk goes on behind them. */
  async from(first: string): Promise<Rest> {
    for (let common = first; ; ) {
      const entry = { type: 'prefix', prefix: common } as const;
      if (!this.#page.add(entry, bytesOfPrefix(entry))) return { type: 'full', next: common };
      const behind = prefixEnd(common);
      if (behind === null) return END;
      const next = this.#keys.known(behind);
      if (next === null) return this.#pass(common, behind, common !== first);
      if (this.#end !== null && next >= this.#end) return END;
      const following = commonPrefix(next, this.#query);
      if (following === null) {
        await this.#keys.seek(next, WALK_KEYS_MAX);
        return MORE;
      }
      common = following;
    }
  }

  /** Goes on behind all keys with this prefix. `isFar`: the walk is not among them yet. */
  async #pass(common: string, behind: string, isFar: boolean): Promise<Rest> {
    const keys = this.#keys;
    for (let passed = 0; passed < this.#walkMax && !isFar; passed++) {
      const key = await keys.peek();
      if (key === null) return END;
      if (!key.startsWith(common)) {
        this.#walkMax = Math.min(WALK_KEYS_MAX, this.#walkMax * 2);
        if (passed > WALKED_ANEW_MAX) keys.remember(behind);
        return MORE;
      }
      keys.pass();
    }
    if (!isFar) this.#walkMax = Math.max(WALK_KEYS_MIN, this.#walkMax >> 1);
    await keys.seek(behind, this.#walkMax + 1);
    if ((await keys.peek()) === null) return END;
    keys.remember(behind);
    return MORE;
  }
}
