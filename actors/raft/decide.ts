import { assertNever } from '../../protocol/assert.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { RaftMessage } from '../../protocol/messages/raft.ts';
import type { ReplicaId } from '../../protocol/types.ts';
import { decideAppendEntries, decideAppendEntriesReply } from './append-entries.ts';
import { decideLogSynced } from './commit.ts';
import { decideApplied, decideCompact } from './compaction.ts';
import {
  countPreVote,
  countVote,
  decideLeaderGone,
  decideTimeoutNow,
  isElectionDue,
  tickElection,
} from './election.ts';
import type { RaftCommand, RaftOutbox } from './events.ts';
import * as snapshots from './install-snapshot.ts';
import { decideChangeMembers } from './membership.ts';
import { decidePropose } from './propose.ts';
import { hasQuorum, isMember } from './quorum.ts';
import { decideReadIndex } from './read-index.ts';
import { heartbeatAll, nextHeartbeatMs, retrySnapshots } from './replicate.ts';
import { decidePreVote, decideRequestVote, refuseVote } from './request-vote.ts';
import { becomeFollower, hasLiveLeader } from './roles.ts';
import type { RaftView } from './state.ts';
import { decideTransferLeader, tickTransfer, urgeTransfer } from './transfer.ts';

/**
 * No honest term runs this far ahead: 2^32 elections take decades. It keeps terms safe integers
 * whatever a forged message claims.
 */
const TERM_JUMP_MAX = 2 ** 32;

/** Reads a view, emits events and messages. No clock, no randomness, no I/O, no await. */
export function decide(s: RaftView, c: RaftCommand, nowMs: number, out: RaftOutbox): void {
  switch (c.type) {
    case 'Tick':
      return decideTick(s, nowMs, out); //                                       §5.2
    case 'Message':
      return decideMessage(s, c.from, c.message, nowMs, out);
    case 'Propose':
      return decidePropose(s, c.proposals, nowMs, out); //                       §5.3
    case 'LogSynced':
      return decideLogSynced(s, c, nowMs, out); //                               §5.3, §5.4.2
    case 'ReadIndex':
      return decideReadIndex(s, c.readId, out); //                        §8
    case 'ChangeMembers':
      return decideChangeMembers(s, c, nowMs, out); //                           §6
    case 'TransferLeader':
      return decideTransferLeader(s, c.to, nowMs, out); //                       thesis 3.10
    case 'LeaderGone':
      return decideLeaderGone(s, c, nowMs, out);
    case 'Applied':
      return decideApplied(s, c, out);
    case 'Compact':
      return decideCompact(s, out); //                                           §7
    case 'SnapshotReady':
      return snapshots.decideSnapshotReady(s, c.meta, nowMs, out); //            §7
    case 'ChunkStored':
      return snapshots.decideChunkStored(s, c, out); //                          §7
    case 'SnapshotInstalled':
      return snapshots.decideSnapshotInstalled(s, c.meta, out); //               §7
    case 'SnapshotFailed':
      return snapshots.decideSnapshotFailed(s, c.snapshotId, out); //            §7
    default:
      return assertNever(c);
  }
}

/**
 * The term rule for all servers (§5.1), then the message's own rule. PreVote carries no term.
 * Answers come from members only: whoever else answers was not asked (replies of learners are
 * needed, their votes are not counted). Requests are never filtered by configuration: this log may
 * be the one that is behind.
 */
function decideMessage(
  s: RaftView,
  from: ReplicaId,
  m: RaftMessage,
  nowMs: number,
  out: RaftOutbox,
): void {
  if (from === s.self) return;
  const term = m.type === 'PreVote' ? m.proposedTerm : m.term;
  if (term > s.currentTerm + TERM_JUMP_MAX) return;
  if (isReply(m) && !isAsked(s, from)) return;
  if (m.type !== 'PreVote' && term > s.currentTerm) {
    if (m.type === 'RequestVote' && !m.transfer && hasLiveLeader(s, nowMs)) {
      return refuseVote(s, from, m, out); //                                     thesis 4.2.3
    }
    becomeFollower(s, term, null, nowMs, out);
  }
  switch (m.type) {
    case 'PreVote':
      return decidePreVote(s, from, m, nowMs, out); //                           thesis 9.6
    case 'PreVoteReply':
      return countPreVote(s, from, m, nowMs, out); //                            thesis 9.6
    case 'RequestVote':
      return decideRequestVote(s, from, m, nowMs, out); //                       §5.2, §5.4.1
    case 'RequestVoteReply':
      return countVote(s, from, m, nowMs, out); //                               §5.2
    case 'AppendEntries':
      return decideAppendEntries(s, from, m, nowMs, out); //                     §5.3
    case 'AppendEntriesReply':
      return decideAppendEntriesReply(s, from, m, nowMs, out); //                §5.3, §5.4.2
    case 'InstallSnapshot':
      return snapshots.decideInstallSnapshot(s, from, m, nowMs, out); //         §7
    case 'InstallSnapshotReply':
      return snapshots.decideInstallSnapshotReply(s, from, m, nowMs, out); //    §7
    case 'TimeoutNow':
      return decideTimeoutNow(s, from, m, nowMs, out); //                        thesis 3.10
    default:
      return assertNever(m);
  }
}

function isReply(m: RaftMessage): boolean {
  return (
    m.type === 'PreVoteReply' ||
    m.type === 'RequestVoteReply' ||
    m.type === 'AppendEntriesReply' ||
    m.type === 'InstallSnapshotReply'
  );
}

function isAsked(s: RaftView, from: ReplicaId): boolean {
  return s.leader?.peers.has(from) === true || isMember(s.log.config, from);
}

/**
 * Whether a Tick would decide anything now. Most do not: hosts of many groups ask before they take a turn.
 */
export function isTickDue(s: RaftView, nowMs: number): boolean {
  const { leader } = s;
  if (leader === null) return isElectionDue(s, nowMs);
  if (leader.transfer !== null || !hearsQuorum(s, nowMs)) return true;
  return nowMs >= leader.heartbeatDueMs && leader.peers.size > 0;
}

/** Time passes: leaders keep their followers (§5.2), all others wait for a leader. */
function decideTick(s: RaftView, nowMs: number, out: RaftOutbox): void {
  if (s.leader === null) return tickElection(s, nowMs, out);
  if (!hearsQuorum(s, nowMs)) return becomeFollower(s, s.currentTerm, null, nowMs, out);
  tickTransfer(s, nowMs, out);
  if (nowMs < s.leader.heartbeatDueMs) return;
  retrySnapshots(s, nowMs, out);
  heartbeatAll(s, out);
  out.emit({ type: 'HeartbeatScheduled', dueMs: nextHeartbeatMs(nowMs) });
  urgeTransfer(s, out);
}

/** Check-quorum (thesis 6.2): a leader cut off from its quorum must not keep clients waiting. */
function hearsQuorum(s: RaftView, nowMs: number): boolean {
  const { leader } = s;
  return hasQuorum(s.log.config, (id) => {
    if (id === s.self) return true;
    const heardMs = leader?.peers.get(id)?.heardMs;
    return heardMs !== undefined && nowMs - heardMs <= LIMITS.electionTimeoutMsMax;
  });
}
