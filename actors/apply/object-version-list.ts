import { prefixEnd } from '../../protocol/bytes.ts';
import type { ListedVersion, Page, VersionPosition } from '../../protocol/object-access.ts';
import { bytesOfPrefix, bytesOfVersion } from '../../protocol/object-bytes.ts';
import { decodeRecord } from '../../protocol/objects.ts';
import type { Revision } from '../../protocol/types.ts';
import { BODY_OFFSET, refOfStoredTriple, spaceRange, tripleOf } from '../../storage/kv/keyspace.ts';
import { objectRange, parseVersionKey, versionKey } from '../../storage/kv/object-keys.ts';
import { decodeCurrent, type VersionRow } from '../../storage/kv/rows.ts';
import type { GroupView } from './group-state.ts';
import { hasExpired } from './item.ts';
import { commonPrefix, EntryList, type ListQuery, listed } from './object-list.ts';
import { RowReader } from './row-reader.ts';

export type VersionPage = Page<ListedVersion, VersionPosition>;

/**
 * Versions and delete markers of a bucket as they are now, by key, newest first. `revision` says what has
 * expired. A version that is not current has no past of its own.
 */
export async function listVersions(
  view: GroupView,
  query: ListQuery & { readonly below: Revision },
  revision: Revision,
): Promise<VersionPage> {
  const { prefix } = query;
  const isInside = query.start >= prefix;
  const first = isInside ? query.start : prefix;
  const end = prefixEnd(prefix);
  if (end !== null && first >= end) return { entries: [], next: null };
  const walk = new VersionWalk(view, query, end, revision);
  const page = new EntryList<ListedVersion>(query);
  const { entries } = page;
  try {
    await walk.seek(first, isInside ? query.below : 0);
    for (let found = await walk.next(); found !== null; found = await walk.next()) {
      const { key, record } = found;
      const common = commonPrefix(key, query);
      if (common === null) {
        const entry = listed(key, record, found.isLatest);
        if (page.add(entry, bytesOfVersion(entry))) continue;
        // Of the same key as the last one: behind that one.
        const last = entries[entries.length - 1];
        const isSame = last?.type === 'version' && last.key === key;
        return { entries, next: { key, below: isSame ? last.putAt : 0 } };
      }
      const entry = { type: 'prefix', prefix: common } as const;
      if (!page.add(entry, bytesOfPrefix(entry))) {
        return { entries, next: { key: common, below: 0 } };
      }
      const behind = prefixEnd(common);
      if (behind === null) break;
      await walk.seek(behind, 0);
    }
  } finally {
    await walk.close();
  }
  return { entries, next: null };
}

export interface FoundVersion {
  readonly key: string;
  readonly row: VersionRow;
  readonly record: ReturnType<typeof decodeRecord>;
  readonly isLatest: boolean;
}

interface BucketSpace {
  readonly tenant: string;
  readonly space: string;
}

/** Current rows and the others, merged: of one key the current one comes first (O1). */
export class VersionWalk {
  readonly #view: GroupView;
  readonly #space: BucketSpace;
  readonly #end: string | null;
  readonly #revision: Revision;
  #current: RowReader | null = null;
  #others: RowReader | null = null;
  #below: Revision = 0;
  #start = '';
  /** The key that the newest version has been given of. */
  #begun: string | null = null;

  constructor(view: GroupView, space: BucketSpace, end: string | null, revision: Revision) {
    this.#view = view;
    this.#space = space;
    this.#end = end;
    this.#revision = revision;
  }

  async seek(key: string, below: Revision): Promise<void> {
    const { prefix } = this.#view;
    const [start, end] = spaceRange(prefix, 'c', this.#space, key, this.#end);
    const [first, last] = objectRange(prefix, 'n', this.#space, key, this.#end);
    const { tenant, space } = this.#space;
    const triple = tripleOf({ tenant, space, key });
    const from = below > 0 ? versionKey(prefix, triple, below - 1) : first;
    this.#below = below;
    this.#start = key;
    this.#begun = below > 0 ? key : null;
    this.#current = await this.#at(this.#current, start, end);
    this.#others = await this.#at(this.#others, from, last);
  }

  /** Later calls are for rows further on: they may have been read already, or there are none any more. */
  async #at(reader: RowReader | null, start: string, end: string): Promise<RowReader> {
    const range = { start, end, reverse: false };
    if (reader === null) return new RowReader(this.#view, range);
    if (!reader.skipTo(start)) await reader.reseek(range);
    return reader;
  }

  async next(): Promise<FoundVersion | null> {
    const current = this.#current as RowReader;
    const others = this.#others as RowReader;
    for (;;) {
      if (current.needsFill) await current.ready();
      if (others.needsFill) await others.ready();
      const head = current.head;
      const other = others.head;
      if (head === undefined && other === undefined) return null;
      const triple = head?.[0].slice(BODY_OFFSET) ?? null;
      const past = other === undefined ? null : parseVersionKey(other[0]).triple;
      const isCurrent = triple !== null && (past === null || triple <= past);
      const [, value] = (isCurrent ? head : other) as readonly [string, Uint8Array];
      (isCurrent ? current : others).advance();
      const { key } = refOfStoredTriple((isCurrent ? triple : past) as string);
      const row = decodeCurrent(value);
      if (isCurrent && hasExpired(row, this.#revision)) continue;
      const record = decodeRecord(row.value);
      if (this.#below > 0 && key === this.#start && record.putAt >= this.#below) continue;
      const isLatest = this.#begun !== key;
      this.#begun = key;
      return { key, row, record, isLatest };
    }
  }

  async close(): Promise<void> {
    await this.#current?.close();
    await this.#others?.close();
  }
}
