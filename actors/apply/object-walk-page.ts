import type { ObjectRecord } from '../../protocol/objects.ts';
import type { Revision } from '../../protocol/types.ts';
import { vshardOf } from '../../protocol/vshard.ts';
import type { GroupView } from './group-state.ts';
import { VersionWalk } from './object-version-list.ts';

/** Where a walk over the versions of a bucket goes on. */
export interface WalkPosition {
  readonly key: string;
  /** Of the key: what was put before this; 0: from its newest. */
  readonly below: Revision;
  /** Versions of the key that were passed and are not current. */
  readonly noncurrent: number;
}

export const WALK_START: WalkPosition = Object.freeze({ key: '', below: 0, noncurrent: 0 });

/** A version in its place among those of its key. */
export interface WalkedVersion {
  readonly key: string;
  readonly record: ObjectRecord;
  /** Of its row. */
  readonly revision: Revision;
  /** When the next newer one was put; 0: there is none. */
  readonly newer: Revision;
  /** Newer ones that are not current. */
  readonly newerNoncurrent: number;
  /** False: an older one follows. At the end of a page it is not known. */
  readonly isOldest: boolean;
}

/** Up to `limit` versions and markers of keys that this group owns, by key, newest first. */
export async function walkVersions(
  view: GroupView,
  bucket: { readonly tenant: string; readonly space: string },
  from: WalkPosition,
  limit: number,
): Promise<{ readonly versions: WalkedVersion[]; readonly next: WalkPosition | null }> {
  const walk = new VersionWalk(view, bucket, null, view.clock);
  const versions: WalkedVersion[] = [];
  let { key, below, noncurrent } = from;
  try {
    await walk.seek(key, below);
    for (let looked = 0; looked < limit; looked++) {
      const found = await walk.next();
      if (found === null) return { versions, next: null };
      const isSame = found.key === key && below !== 0;
      const before = versions[versions.length - 1];
      if (isSame && before?.key === key)
        versions[versions.length - 1] = { ...before, isOldest: false };
      const newer = isSame ? below : 0;
      const newerNoncurrent = isSame ? noncurrent : 0;
      key = found.key;
      below = found.record.putAt;
      noncurrent = isSame ? noncurrent + 1 : 0;
      if (view.ownedSince[vshardOf({ ...bucket, key })] === 0) continue;
      const { record, row } = found;
      const place = { newer, newerNoncurrent, isOldest: true };
      versions.push({ key, record, revision: row.revision, ...place });
    }
    return { versions, next: { key, below, noncurrent } };
  } finally {
    await walk.close();
  }
}
