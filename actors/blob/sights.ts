import type { DataId } from '../../protocol/blob.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { GroupId } from '../../protocol/types.ts';
import type { BlobFile } from '../../storage/ports.ts';
import { hasDataRow } from '../apply/object-store.ts';
import type { KeptGroup } from './restore.ts';
import { type GroupSight, judgePage, type SweepPage } from './sweep.ts';

export interface SightHost {
  /** Groups that hold keys and have a replica here. */
  groups(): readonly KeptGroup[];
  /** All groups that hold keys. */
  dataGroups(): readonly GroupId[];
  /** What a group that has no replica here says of this data; null: it does not answer. */
  look(group: GroupId, ids: readonly DataId[]): Promise<GroupSight | null>;
}

/**
 * Judges one page of files. The groups of this node are looked into first; the others are asked only of what these
 * would let go, which is hardly anything while nothing was deleted.
 */
export async function judgeFiles(
  files: readonly BlobFile[],
  { groups, dataGroups, look }: SightHost,
): Promise<SweepPage> {
  const all = dataGroups();
  const views = groups().map(({ state, closed }) => ({ view: state.view(), closed }));
  try {
    const own: GroupSight[] = views.map(({ view, closed }) => ({
      ...{ group: view.group, closedRevision: closed, mapEpoch: view.epoch },
      isNamed: (id) => hasDataRow(view, id),
    }));
    const judge = (of: readonly GroupId[], sights: readonly GroupSight[]): SweepPage =>
      judgePage(files, { groups: of, views: sights, ageMsMax: LIMITS.objectDataAgeMsMax });
    const here = new Set(own.map(({ group }) => group));
    const elsewhere = all.filter((group) => !here.has(group));
    if (elsewhere.length === 0) return judge(all, own);
    const isHere = (group: GroupId): boolean => here.has(group);
    const ids = own.length === 0 ? idsOf(files) : freed(judge(all.filter(isHere), own));
    if (ids.length === 0) return judge(all, own);
    const asked = await Promise.all(elsewhere.map((group) => look(group, ids)));
    return judge(all, [...own, ...asked.flatMap((sight) => sight ?? [])]);
  } finally {
    for (const { view } of views) await view.close();
  }
}

function freed({ unneeded }: SweepPage): DataId[] {
  return [...new Set(unneeded.map(({ data }) => data))];
}

function idsOf(files: readonly BlobFile[]): DataId[] {
  return [...new Set(files.flatMap(({ name }) => (name === null ? [] : [name.data])))];
}
