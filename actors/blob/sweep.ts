import { type ChunkName, type DataId, dataIdMs } from '../../protocol/blob.ts';
import { wallMsOfRevision } from '../../protocol/revision.ts';
import type { GroupId, Revision } from '../../protocol/types.ts';
import type { BlobFile } from '../../storage/ports.ts';

/**
 * What one group says of data, out of one view of its state. All of it is of that view: a closed revision from
 * elsewhere would let an entry slip through that the view has not got.
 */
export interface GroupSight {
  readonly group: GroupId;
  /** Every entry up to it is applied in the view, and every other one will have a higher revision. */
  readonly closedRevision: Revision;
  /** Of the shard map, as this group has it: rows move from group to group only while it changes. */
  readonly mapEpoch: number;
  /** Whether the view has a `D` row of this data: what names it, or when that ended. */
  isNamed(id: DataId): boolean;
}

/**
 * `named`: some record needs it, or reads of the past do. `young`: an entry may still name it. `unseen`: not all
 * groups were asked, or rows are moving between them. `unneeded`: it may go.
 */
export type SweepVerdict = 'named' | 'young' | 'unseen' | 'unneeded';

export interface SweepSight {
  /** Every group that may name data; a chunk does not tell which group its record is in. */
  readonly groups: readonly GroupId[];
  readonly views: readonly GroupSight[];
  /** An entry that names data is refused when its revision is this much, or more, after the data's id. */
  readonly ageMsMax: number;
}

/**
 * Whether data may go (ADR 0034, Sweeping). S1: no view has a row of it. S2: no later entry can bring one, since each
 * group refuses to name what is that old at its closed revision. S3: so in every group, with one shard map. Neither
 * clocks nor the file's age are asked: a node that was off for a month sees old views and sweeps nothing.
 */
export function judgeData(id: DataId, { groups, views, ageMsMax }: SweepSight): SweepVerdict {
  const byGroup = new Map(views.map((view) => [view.group, view]));
  let verdict: SweepVerdict = 'unneeded';
  for (const group of groups) {
    const view = byGroup.get(group);
    if (view === undefined || view.mapEpoch !== views[0]?.mapEpoch) verdict = 'unseen';
    else if (view.isNamed(id)) return 'named';
    else if (verdict === 'unneeded' && isYoung(id, view.closedRevision, ageMsMax)) {
      verdict = 'young';
    }
  }
  return groups.length === 0 ? 'unseen' : verdict;
}

function isYoung(id: DataId, closedRevision: Revision, ageMsMax: number): boolean {
  return wallMsOfRevision(closedRevision) - dataIdMs(id) < ageMsMax;
}

export interface SweepPage {
  readonly unneeded: readonly ChunkName[];
  /** Chunks by verdict. */
  readonly counts: Readonly<Record<SweepVerdict, number>>;
}

/** Judges the chunks of one page of list(); those of one object are neighbours, so each id is judged once. */
export function judgePage(files: readonly BlobFile[], sight: SweepSight): SweepPage {
  const unneeded: ChunkName[] = [];
  const counts = { named: 0, young: 0, unseen: 0, unneeded: 0 };
  let id: DataId | null = null;
  let verdict: SweepVerdict = 'unseen';
  for (const { name } of files) {
    if (name === null) continue;
    if (name.data !== id) {
      id = name.data;
      verdict = judgeData(id, sight);
    }
    counts[verdict]++;
    if (verdict === 'unneeded') unneeded.push(name);
  }
  return { unneeded, counts };
}
