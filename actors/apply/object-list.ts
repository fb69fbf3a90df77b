import { prefixEnd } from '../../protocol/bytes.ts';
import { decodeRecord, type ObjectRecord, versionIdOf } from '../../protocol/objects.ts';
import type { Revision } from '../../protocol/types.ts';
import { spaceRange } from '../../storage/kv/keyspace.ts';
import type { GroupView } from './group-state.ts';
import { KeysAt } from './object-walk.ts';

/** A page of a bucket's objects at one revision, with what is behind a delimiter rolled up. */

export interface ListedVersion {
  readonly type: 'version';
  /** latin1. */
  readonly key: string;
  readonly versionId: string;
  readonly isLatest: boolean;
  readonly isMarker: boolean;
  /** Its modification time, as a revision. */
  readonly putAt: Revision;
  readonly size: number;
  readonly etag: string;
  readonly checksum: ObjectRecord['checksum'];
  /** Headers that are kept with it: the storage class is one. */
  readonly headers: ObjectRecord['head']['headers'];
}

export interface ListedPrefix {
  readonly type: 'prefix';
  /** Up to the delimiter and with it, latin1. */
  readonly prefix: string;
}

export interface ListQuery {
  readonly tenant: string;
  /** The bucket. */
  readonly space: string;
  /** latin1. */
  readonly prefix: string;
  /** latin1; null or '': nothing is rolled up. */
  readonly delimiter: string | null;
  /** No key below this, latin1; '' is the first. */
  readonly start: string;
  /** Of versions and prefixes together. */
  readonly limit: number;
}

export interface ListPage {
  readonly entries: (ListedVersion | ListedPrefix)[];
  /** Where the page behind this one starts; null: there is none. */
  readonly next: string | null;
}

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

/** The common prefix that a key is rolled up into; null: none. */
export function commonPrefix(key: string, { prefix, delimiter }: ListQuery): string | null {
  if (delimiter === null || delimiter === '') return null;
  const at = key.indexOf(delimiter, prefix.length);
  return at < 0 ? null : key.slice(0, at + delimiter.length);
}

/** Keys of one common prefix that are passed one by one before the cursor jumps behind them. */
const WALK_KEYS_MAX = 24;

/**
 * Objects and common prefixes, in order. What lies below a prefix is skipped here, so a page costs by what it
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
  const entries: ListPage['entries'] = [];
  try {
    for (let found = await keys.next(); found !== null; found = await keys.next()) {
      const { key } = found;
      if (entries.length >= limit) return { entries, next: key };
      const common = commonPrefix(key, query);
      if (common === null) {
        entries.push(listed(key, decodeRecord(found.row.value), found.isCurrent));
        continue;
      }
      entries.push({ type: 'prefix', prefix: common });
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
