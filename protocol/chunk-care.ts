import type { ReplicaId } from './types.ts';

/**
 * Whether all copies of a group's data are where they must be. `whole`: every voter has every chunk, so one disk can be lost.
 * `restoring`: voters still bring chunks, or change places. `lost`: there are chunks that no node gives. `unknown`: not all
 * voters are heard.
 */
export type CopiesState = 'whole' | 'restoring' | 'lost' | 'unknown';

/** Of one group, by what its voters said within the last seconds. */
export interface GroupCopies {
  readonly state: CopiesState;
  /** Most that a voter has looked at in its round; missing and lost of all voters together. */
  readonly chunks: number;
  readonly missing: number;
  readonly lost: number;
  /** Voters that do not have everything, or have not looked yet. */
  readonly waitingFor: readonly ReplicaId[];
}

/** What a node finds and does when it is asked to look after its chunks now. All counts are of this node's disk. */
export interface VerifyCounts {
  /** Chunks that were read and are well. */
  verified: number;
  verifiedBytes: number;
  damaged: number;
  /** Files in their place that are no chunks. */
  foreign: number;
}

export interface RestoreCounts {
  /** Chunks that this node is to have, by what its groups name. */
  chunks: number;
  /** Of them, those that were not here. */
  missing: number;
  /** Missing or damaged ones that were brought from another node. */
  mended: number;
  /** No other node gives them. */
  lost: number;
}

export interface RepairCounts extends VerifyCounts, RestoreCounts {}

/** Chunks by what became of them: `removed` are those of `unneeded` that are gone now. */
export interface SweepCounts {
  named: number;
  /** Something may still name them. */
  young: number;
  /** Not all groups could be asked. */
  unseen: number;
  unneeded: number;
  removed: number;
  removedBytes: number;
}

/** How far one of the three below has come: its owner writes it as it goes, others look at it when they like. */
export interface CareProgress<C> {
  /** `counting` the files; `reading` or `sweeping` them; `restoring`: looking for what this node is to have. */
  phase: 'counting' | 'reading' | 'sweeping' | 'restoring';
  /** Files that were looked at, of so many there were when it began; null while they are counted. */
  looked: number;
  total: number | null;
  readonly counts: C;
}

/** Is given the progress once, before anything is done. */
export type OnCare<C> = (progress: CareProgress<C>) => void;

/** Each takes as long as it takes: verifying reads everything. Throws AppError `unavailable` when the node stops. */
export interface ChunkCare {
  /** Changes nothing. */
  verify(onCare?: OnCare<RepairCounts>): Promise<RepairCounts>;
  repair(onCare?: OnCare<RepairCounts>): Promise<RepairCounts>;
  /** Takes away what nothing names and nothing can name any more. */
  sweep(onCare?: OnCare<SweepCounts>): Promise<SweepCounts>;
}
