import type { Patch } from './mutants/mutant.ts';

const FILE = 'protocol/limits.ts';

/**
 * Limits so small that checkpoints, compaction, snapshots and their transfer in pieces happen every
 * few virtual seconds (B11, B12, B18), and that pages of the feed end inside revisions (B19). They are constants by design, so they are changed in a copy of the sources.
 */
export const SMALL_LIMITS: readonly Patch[] = [
  { file: FILE, find: 'walSegmentBytes: 16 * MIB', replace: 'walSegmentBytes: 32 * KIB' },
  { file: FILE, find: 'walCheckpointBytes: 64 * MIB', replace: 'walCheckpointBytes: 96 * KIB' },
  { file: FILE, find: 'logRetainBytes: 448 * KIB', replace: 'logRetainBytes: 4 * KIB' },
  { file: FILE, find: 'groupsMax: 64', replace: 'groupsMax: 8' },
  { file: FILE, find: 'snapshotChunkBytes: 768 * KIB', replace: 'snapshotChunkBytes: 2 * KIB' },
  // Targets that refuse for a while miss something, and pages end between changes of one key.
  {
    file: FILE,
    find: 'notificationsWaitingMax: 100_000',
    replace: 'notificationsWaitingMax: 60',
  },
  { file: FILE, find: 'notificationStep: 64', replace: 'notificationStep: 12' },
  // Ends of transactions that are told together take several messages and entries.
  { file: FILE, find: 'txnEndsMax: 256', replace: 'txnEndsMax: 3' },
  { file: FILE, find: 'txnEndWritesMax: 24', replace: 'txnEndWritesMax: 2' },
  // A transaction of three keys in one group has more events than a page, and than the merge holds.
  { file: FILE, find: 'feedPageEventsMax: 1000', replace: 'feedPageEventsMax: 2' },
  {
    file: 'actors/feed/merge.ts',
    find: 'LANE_EVENTS_MAX = 4 * LIMITS',
    replace: 'LANE_EVENTS_MAX = 1 * LIMITS',
  },
];
