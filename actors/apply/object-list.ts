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
  const { headers } = head;
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

/** Keys of one common prefix that are passed one by one before the cursor jumps behind them. */
const WALK_KEYS_MAX = 24;

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
  const [, end] = spaceRange(view.prefix, 'c', query, '', prefixEnd(prefix));
  if (spaceRange(view.prefix, 'c', query, first, null)[0] >= end)
    return { entries: [], next: null };
  const keys = new KeysAt(view, query, first, prefixEnd(prefix), revision, limit + 1);
  const page = new EntryList<ListedVersion>(query);
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
      const entry = { type: 'prefix', prefix: common } as const;
      if (!page.add(entry, bytesOfPrefix(entry))) return { entries, next: common };
      if (!(await passPrefix(keys, common))) break;
    }
  } finally {
    await keys.close();
  }
  return { entries, next: null };
}

/** Goes on behind all keys with this prefix; false when nothing can be there. */
async function passPrefix(keys: KeysAt, common: string): Promise<boolean> {
  for (let i = 0; i < WALK_KEYS_MAX; i++) {
    const key = await keys.peek();
    if (key === null) return false;
    if (!key.startsWith(common)) return true;
    keys.pass();
  }
  const behind = prefixEnd(common);
  if (behind === null) return false;
  await keys.seek(behind);
  return true;
}
