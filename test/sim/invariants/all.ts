import { answersTrue } from './answers-true.ts';
import { closedRevision } from './closed-revision.ts';
import { commitSynced } from './commit-synced.ts';
import { committedStable } from './committed-stable.ts';
import { countersMonotone } from './counters-monotone.ts';
import { electionSafety } from './election-safety.ts';
import type { FinalCheck } from './final-check.ts';
import { indexesExact } from './indexes-exact.ts';
import type { InvariantFactory } from './invariant.ts';
import { leaderAppendOnly } from './leader-append-only.ts';
import { leaderCompleteness } from './leader-completeness.ts';
import { leasesHold } from './leases-hold.ts';
import { locksFair } from './locks-fair.ts';
import { logMatching } from './log-matching.ts';
import { moneyKept } from './money-kept.ts';
import { notificationsTrue } from './notifications-true.ts';
import { objectsTrue } from './objects-true.ts';
import { publishedTrue } from './published-true.ts';
import { readsLinearizable } from './reads-linearizable.ts';
import { revisionOrder } from './revision-order.ts';
import { scansConsistent } from './scans-consistent.ts';
import { syncedSurvives } from './synced-survives.ts';
import { transactionsSerializable } from './transactions-serializable.ts';
import { valuesUnique } from './values-unique.ts';
import { voteOnce } from './vote-once.ts';
import { watchesExact } from './watches-exact.ts';

/** Everything that is checked after each step, in the order it is checked. */
export const STEP_INVARIANTS: readonly InvariantFactory[] = [
  countersMonotone,
  electionSafety,
  logMatching,
  leaderAppendOnly,
  leaderCompleteness,
  committedStable,
  commitSynced,
  syncedSurvives,
  voteOnce,
  revisionOrder,
  closedRevision,
];

/** Everything that is checked when a run is over, the cheap ones first. */
export const FINAL_CHECKS: readonly FinalCheck[] = [
  answersTrue,
  leasesHold,
  locksFair,
  valuesUnique,
  publishedTrue,
  scansConsistent,
  indexesExact,
  moneyKept,
  transactionsSerializable,
  watchesExact,
  objectsTrue,
  notificationsTrue,
  readsLinearizable,
];
