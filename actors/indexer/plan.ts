import type { IndexInfo } from '../../protocol/index-access.ts';
import type { ReplyOf } from '../../protocol/messages/request.ts';
import type { GroupId } from '../../protocol/types.ts';
import type { Catalog } from './catalog.ts';

/** What the index builder sees: the catalog, and each group as its leader describes it. */
export interface Observed {
  readonly catalog: Catalog;
  readonly groups: readonly ObservedGroup[];
  /** Every group of the cluster has answered. */
  readonly isComplete: boolean;
}

export interface ObservedGroup {
  readonly group: GroupId;
  readonly status: ReplyOf<'Indexes'>;
}

/** What is to be done now; the next follows from what is observed after it. */
export interface Work {
  readonly catalog: Catalog;
  /** Groups that do not know the catalog as it is. */
  readonly tell: readonly GroupId[];
  /** Backfills to go on with: one index of a group at a time, the oldest first. */
  readonly fill: readonly { readonly group: GroupId; readonly id: number }[];
  /** Indexes that every group has built, and that the catalog does not call live yet. */
  readonly live: readonly number[];
  /** Unique ones that every group has built, whose entries are yet to be claimed. */
  readonly claim: readonly IndexInfo[];
}

/**
 * A pure function of what is observed. A group is told before it is filled; a paused index is not filled;
 * an index is live when every group of the cluster knows it and has built it, a unique one when its entries
 * are claimed as well.
 */
export function planWork({ catalog, groups, isComplete }: Observed): Work {
  const tell: GroupId[] = [];
  const fill: { group: GroupId; id: number }[] = [];
  for (const { group, status } of groups) {
    if (status.epoch < catalog.epoch) {
      tell.push(group);
      continue;
    }
    const next = catalog.indexes.find(({ id, state }) => {
      const known = status.indexes.find((index) => index.id === id);
      return state === 'building' && known !== undefined && !known.isBuilt;
    });
    if (next !== undefined) fill.push({ group, id: next.id });
  }
  const live: number[] = [];
  const claim: IndexInfo[] = [];
  for (const info of catalog.indexes) {
    const { id, state } = info;
    if (state === 'live' || state === 'failed' || !isComplete) continue;
    const isBuilt = groups.every(({ status }) =>
      status.indexes.some((index) => index.id === id && index.isBuilt),
    );
    if (!isBuilt) continue;
    if (info.unique !== true) live.push(id);
    else if (state === 'building') claim.push(info);
  }
  return { catalog, tell, fill, live, claim };
}
