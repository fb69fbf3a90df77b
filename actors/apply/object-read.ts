import { latin1 } from '../../protocol/bytes.ts';
import type { BucketRule } from '../../protocol/object-ops.ts';
import {
  decodeRecord,
  NULL_VERSION,
  type ObjectRecord,
  type Piece,
  parseVersionId,
  versionIdOf,
} from '../../protocol/objects.ts';
import type { Revision } from '../../protocol/types.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import { currentKey, spaceRange, tripleOf } from '../../storage/kv/keyspace.ts';
import {
  bucketKey,
  dataKey,
  objectRange,
  versionKey,
  versionsHeadKey,
} from '../../storage/kv/object-keys.ts';
import { decodeCurrent, type VersionRow } from '../../storage/kv/rows.ts';
import type { GroupView } from './group-state.ts';
import { hasExpired } from './item.ts';
import { bucketRowCodec, decodeRow, decodeVersionsHead } from './object-codec.ts';
import { readVersion } from './read.ts';

/** Reads of one object: a view of one group has all of its versions. */

export interface ReadVersion {
  readonly record: ObjectRecord;
  /** Of its row: of the put, or of the last change. */
  readonly revision: Revision;
  /** Unix ms. */
  readonly expiresAtMs: number | null;
  readonly isLatest: boolean;
}

export type ObjectFound =
  /** `record.isMarker`: it was asked for by its id. */
  | { readonly type: 'found'; readonly version: ReadVersion }
  /** There is none; `marker` is the id of the delete marker that says so. */
  | { readonly type: 'none'; readonly marker: string | null }
  | { readonly type: 'compacted' };

/**
 * The current version at `revision`, past or present. The marker that is named is today's: what was deleted
 * once says nothing of that.
 */
export async function readObject(
  view: GroupView,
  ref: KeyRef,
  revision: Revision,
): Promise<ObjectFound> {
  const found = await readVersion(view, ref, revision);
  if (found === 'compacted') return { type: 'compacted' };
  if (found === null) {
    const marker = view.get(currentKey(view.prefix, tripleOf(ref))) === null;
    return { type: 'none', marker: marker ? newestMarker(view, ref) : null };
  }
  const { item, isNewest } = found;
  const record = decodeRecord(item.value);
  const { expiresAtMs } = item;
  const version = { record, revision: item.revision, expiresAtMs, isLatest: isNewest };
  return { type: 'found', version };
}

function newestMarker(view: GroupView, ref: KeyRef): string | null {
  const triple = tripleOf(ref);
  const head = view.get(versionsHeadKey(view.prefix, triple));
  if (head === null) return null;
  const row = view.get(versionKey(view.prefix, triple, decodeVersionsHead(head).newest));
  return row === null ? null : versionIdOf(decodeRecord(decodeCurrent(row).value));
}

/** The version of this id as it is now, delete markers too; `revision` says what has expired. */
export function readObjectVersion(
  view: GroupView,
  ref: KeyRef,
  versionId: string,
  revision: Revision,
): ReadVersion | null {
  const wanted = parseVersionId(versionId);
  if (wanted === null) return null;
  const triple = tripleOf(ref);
  const current = view.get(currentKey(view.prefix, triple));
  const row = current === null ? null : decodeCurrent(current);
  const isPresent = row !== null && !hasExpired(row, revision);
  const record = isPresent ? decodeRecord(row.value) : null;
  if (record !== null && isVersion(record, wanted)) return asRead(row as VersionRow, record, true);
  const bytes = view.get(versionsHeadKey(view.prefix, triple));
  if (bytes === null) return null;
  const { newest, nullAt } = decodeVersionsHead(bytes);
  const putAt = wanted === NULL_VERSION ? nullAt : wanted;
  const stored = view.get(versionKey(view.prefix, triple, putAt));
  if (stored === null) return null;
  const other = decodeCurrent(stored);
  const found = decodeRecord(other.value);
  if (!isVersion(found, wanted)) return null;
  return asRead(other, found, record === null && newest === putAt);
}

function isVersion({ putAt, isNull }: ObjectRecord, wanted: Revision | 'null'): boolean {
  return wanted === NULL_VERSION ? isNull : !isNull && putAt === wanted;
}

function asRead(row: VersionRow, record: ObjectRecord, isLatest: boolean): ReadVersion {
  return { record, revision: row.revision, expiresAtMs: row.expiresAtMs, isLatest };
}

/** The stored bytes of a piece that is inline; null where it is chunks, or none. */
export function readInline(view: GroupView, { data, chunkBytes }: Piece): Uint8Array | null {
  if (data === null || chunkBytes !== 0) return null;
  return view.get(dataKey(view.prefix, 'I', latin1(data)));
}

/** The rule that this group has of a bucket. */
export function readRule(view: GroupView, tenant: string, name: string): BucketRule | null {
  const bytes = view.get(bucketKey(view.prefix, tenant, name));
  return bytes === null ? null : decodeRow(bucketRowCodec, bytes).rule;
}

/** Whether a bucket has neither objects nor versions here. Uploads that are under way do not count. */
export async function isEmptyBucket(
  view: GroupView,
  bucket: { readonly tenant: string; readonly space: string },
  revision: Revision,
): Promise<boolean> {
  const [start, end] = objectRange(view.prefix, 'n', bucket, '', null);
  if (await hasRow(view, start, end, () => true)) return false;
  const [first, last] = spaceRange(view.prefix, 'c', bucket, '', null);
  return !(await hasRow(view, first, last, (row) => !hasExpired(decodeCurrent(row), revision)));
}

async function hasRow(
  view: GroupView,
  start: string,
  end: string,
  counts: (row: Uint8Array) => boolean,
): Promise<boolean> {
  const cursor = view.cursor({ start, end, reverse: false, rows: 1 });
  try {
    for (;;) {
      const rows = await cursor.next(16);
      if (rows.length === 0) return false;
      if (rows.some(([, value]) => counts(value))) return true;
    }
  } finally {
    await cursor.close();
  }
}
