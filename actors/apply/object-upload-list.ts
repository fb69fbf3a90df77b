import { prefixEnd } from '../../protocol/bytes.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { ListedPart, ListedUpload, Page } from '../../protocol/object-access.ts';
import { bytesOfPrefix, bytesOfUpload } from '../../protocol/object-bytes.ts';
import type { BucketRule } from '../../protocol/object-ops.ts';
import { type KeyRef, vshardOf } from '../../protocol/vshard.ts';
import { refOfStoredTriple, tripleOf } from '../../storage/kv/keyspace.ts';
import {
  objectRange,
  parseUploadKey,
  partKey,
  partOfKey,
  uploadKey,
} from '../../storage/kv/object-keys.ts';
import type { GroupView } from './group-state.ts';
import {
  bucketRowCodec,
  decodeRow,
  PartSet,
  partRowCodec,
  type UploadRow,
  uploadRowCodec,
} from './object-codec.ts';
import { commonPrefix, EntryList, type ListQuery } from './object-list.ts';
import { RowReader } from './row-reader.ts';

/** Multipart uploads that are under way, and their parts. */

export type UploadPage = Page<ListedUpload, { readonly key: string; readonly after: string }>;

/** Those of the bucket with this id, by key and upload id. `after`: of the key `start`, only ids above it. */
export async function listUploads(
  view: GroupView,
  bucketId: number,
  query: ListQuery & { readonly after: string },
): Promise<UploadPage> {
  const { prefix, limit } = query;
  const end = prefixEnd(prefix);
  const isInside = query.start >= prefix;
  const first = isInside ? query.start : prefix;
  if (end !== null && first >= end) return { entries: [], next: null };
  const [start, last] = objectRange(view.prefix, 'w', query, first, end);
  const ref = { tenant: query.tenant, space: query.space, key: first };
  const hasAfter = isInside && query.after !== '' && first !== '';
  const from = hasAfter ? `${uploadKey(view.prefix, tripleOf(ref), query.after)}\x00` : start;
  const reader = new RowReader(view, { start: from, end: last, reverse: false, rows: limit + 1 });
  const page = new EntryList<ListedUpload>(query);
  const { entries } = page;
  try {
    for (;;) {
      if (reader.needsFill) await reader.ready();
      const head = reader.head;
      if (head === undefined) return { entries, next: null };
      reader.advance();
      const row = decodeRow(uploadRowCodec, head[1]);
      if (row.bucket !== bucketId) continue;
      const { triple, upload } = parseUploadKey(head[0]);
      const { key } = refOfStoredTriple(triple);
      const common = commonPrefix(key, query);
      if (common === null) {
        const { at, head: kept, checksum } = row;
        const entry = { type: 'upload', key, upload, at, head: kept, checksum } as const;
        if (page.add(entry, bytesOfUpload(entry))) continue;
        const before = entries[entries.length - 1];
        const isSame = before?.type === 'upload' && before.key === key;
        return { entries, next: { key, after: isSame ? before.upload : '' } };
      }
      const entry = { type: 'prefix', prefix: common } as const;
      if (!page.add(entry, bytesOfPrefix(entry))) {
        return { entries, next: { key: common, after: '' } };
      }
      const behind = prefixEnd(common);
      if (behind === null) return { entries, next: null };
      const [next] = objectRange(view.prefix, 'w', query, behind, end);
      if (next >= last) return { entries, next: null };
      await reader.reseek({ start: next, end: last, reverse: false });
    }
  } finally {
    await reader.close();
  }
}

/** An upload of the bucket with this id; null when there is none. */
export function readUploadRow(
  view: GroupView,
  bucketId: number,
  ref: KeyRef,
  upload: string,
): UploadRow | null {
  const bytes = view.get(uploadKey(view.prefix, tripleOf(ref), upload));
  const row = bytes === null ? null : decodeRow(uploadRowCodec, bytes);
  return row?.bucket === bucketId ? row : null;
}

/** Parts with numbers above `after`, in order, at most `limit`. */
export async function listParts(
  view: GroupView,
  ref: KeyRef,
  upload: string,
  after: number,
  limit: number,
): Promise<{ readonly parts: ListedPart[]; readonly more: boolean }> {
  const triple = tripleOf(ref);
  const start = partKey(view.prefix, triple, upload, after + 1);
  const end = partKey(view.prefix, triple, upload, LIMITS.objectPartsMax + 1);
  const parts: ListedPart[] = [];
  if (after >= LIMITS.objectPartsMax) return { parts, more: false };
  const cursor = view.cursor({ start, end, reverse: false });
  try {
    for (;;) {
      const rows = await cursor.next(Math.min(256, limit + 1 - parts.length));
      if (rows.length === 0) return { parts, more: false };
      for (const [key, value] of rows) {
        if (parts.length >= limit) return { parts, more: true };
        parts.push({ number: partOfKey(key), ...decodeRow(partRowCodec, value) });
      }
    }
  } finally {
    await cursor.close();
  }
}

export interface BucketSweep {
  readonly tenant: string;
  readonly name: string;
  readonly ruleEpoch: number;
  readonly uploads: { readonly key: string; readonly upload: string }[];
}

/** What the leader is to take away next of buckets that are gone; null: nothing is left of any. */
export async function nextBucketSweep(view: GroupView): Promise<BucketSweep | null> {
  const cursor = view.cursor({ start: `${view.prefix}B`, end: `${view.prefix}C`, reverse: false });
  try {
    for (;;) {
      const rows = await cursor.next(64);
      if (rows.length === 0) return null;
      for (const [, value] of rows) {
        const { rule, isSwept } = decodeRow(bucketRowCodec, value);
        if (!isSwept) return { ...(await sweepOf(view, rule)), ruleEpoch: rule.epoch };
      }
    }
  } finally {
    await cursor.close();
  }
}

async function sweepOf(
  view: GroupView,
  { tenant, name, id, state }: BucketRule,
): Promise<Omit<BucketSweep, 'ruleEpoch'>> {
  const bucket = { tenant, space: name };
  const [start, end] = objectRange(view.prefix, 'w', bucket, '', null);
  const reader = new RowReader(view, { start, end, reverse: false });
  const uploads: BucketSweep['uploads'] = [];
  let parts = 0;
  try {
    while (uploads.length < LIMITS.objectSweepMax) {
      if (reader.needsFill) await reader.ready();
      const head = reader.head;
      if (head === undefined) break;
      reader.advance();
      if (state !== 'gone' && decodeRow(uploadRowCodec, head[1]).bucket === id) continue;
      const { triple, upload } = parseUploadKey(head[0]);
      const ref = refOfStoredTriple(triple);
      if (view.ownedSince[vshardOf(ref)] === 0) continue;
      const bits = view.get(partKey(view.prefix, triple, upload, 0));
      parts += new PartSet(bits).numbers().length;
      // One entry stays about as large as the end of one upload of many parts.
      if (uploads.length > 0 && parts > LIMITS.objectPartsMax) break;
      uploads.push({ key: ref.key, upload });
    }
  } finally {
    await reader.close();
  }
  return { tenant, name, uploads };
}
