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

/** Each takes as long as it takes: verifying reads everything. */
export interface ChunkCare {
  /** Changes nothing. */
  verify(): Promise<RepairCounts>;
  repair(): Promise<RepairCounts>;
  /** Takes away what nothing names and nothing can name any more. */
  sweep(): Promise<SweepCounts>;
}
