import { NAME_BYTES_MAX } from './keys.ts';
import * as s from './schema.ts';
import type { RequestContext } from './service.ts';

/**
 * What is stored under a name: of a bucket, of the keys of a tenant, or of all (ADR 0042). Counts, and bytes as clients
 * see them: of a key, its name and its value; of a version or a part, its content before it is encrypted or copied.
 * Names, metadata and the past that is kept for reads at a revision are not in the bytes of objects.
 */
export const usageCodec = s.record({
  /** Current keys, those included that have expired and were not removed yet. */
  keys: s.count,
  keyBytes: s.count,
  /** Current versions of objects, likewise. */
  objects: s.count,
  objectBytes: s.count,
  /** Versions that are not current, without delete markers. */
  versions: s.count,
  versionBytes: s.count,
  /** Delete markers. */
  markers: s.count,
  /** Multipart uploads that are under way, and their parts. */
  uploads: s.count,
  parts: s.count,
  partBytes: s.count,
});
export type Usage = s.Of<typeof usageCodec>;

/** In the order of the fields of rows (storage/kv/usage-rows.ts), which is for ever. */
export const USAGE_FIELDS = [
  ...(['keys', 'keyBytes', 'objects', 'objectBytes', 'versions', 'versionBytes'] as const),
  ...(['markers', 'uploads', 'parts', 'partBytes'] as const),
];

export const NO_USAGE: Usage = Object.freeze({
  ...{ keys: 0, keyBytes: 0, objects: 0, objectBytes: 0, versions: 0, versionBytes: 0 },
  ...{ markers: 0, uploads: 0, parts: 0, partBytes: 0 },
});

export function addUsage(a: Usage, b: Usage): Usage {
  return {
    keys: a.keys + b.keys,
    keyBytes: a.keyBytes + b.keyBytes,
    objects: a.objects + b.objects,
    objectBytes: a.objectBytes + b.objectBytes,
    versions: a.versions + b.versions,
    versionBytes: a.versionBytes + b.versionBytes,
    markers: a.markers + b.markers,
    uploads: a.uploads + b.uploads,
    parts: a.parts + b.parts,
    partBytes: a.partBytes + b.partBytes,
  };
}

/** All bytes of objects: of current and other versions, and of parts that no object has taken over yet. */
export function objectBytesOf({ objectBytes, versionBytes, partBytes }: Usage): number {
  return objectBytes + versionBytes + partBytes;
}

export const spaceUsageCodec = s.record({
  tenant: s.str(NAME_BYTES_MAX),
  /** `kv` for keys, else the name of a bucket. */
  space: s.str(NAME_BYTES_MAX),
  usage: usageCodec,
});
export type SpaceUsage = s.Of<typeof spaceUsageCodec>;

/** Spaces of one page. */
export const USAGE_PAGE_MAX = 1_000;

/**
 * Usage as edges see it. Of each group it is exact and linearizable; groups are asked at the same time, not at one
 * revision, so that what is written meanwhile may be in some of them.
 */
export interface UsageReads {
  /** Of the whole store. Rejects with AppError `unavailable` while a group has no leader. */
  whole(ctx: RequestContext): Promise<Usage>;
  /** Spaces that hold anything, behind `after`, by (tenant, space), over all groups. */
  page(
    ctx: RequestContext,
    after: Pick<SpaceUsage, 'tenant' | 'space'> | null,
    limit: number,
  ): Promise<{ readonly items: readonly SpaceUsage[]; readonly more: boolean }>;
  /** Of the whole store as this node has applied it; null where it has no replica of some group. */
  here(): Usage | null;
}
