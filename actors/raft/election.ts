import { assert } from '../../protocol/assert.ts';
import type { RaftMessageOf } from '../../protocol/messages/raft.ts';
import type { ReplicaId } from '../../protocol/types.ts';
import type { RaftOutbox } from './events.ts';
import { membersAt } from './members.ts';
import { appendOwnEntry } from './propose.ts';
import { forEachVoter, hasQuorum, isSoleVoter, isVoter } from './quorum.ts';
import { nextHeartbeatMs, replicateToAll } from './replicate.ts';
import { hasLiveLeader, mayCampaign, resetElectionTimer } from './roles.ts';
import type { RaftView } from './state.ts';

/** The candidate's side: when to stand, whom to ask, when it has won (§5.2, thesis 9.6). */

/** Whether `tickElection` would do anything. */
export function isElectionDue(s: RaftView, nowMs: number): boolean {
  if (!mayCampaign(s)) return false;
  if (s.electionDeadlineMs === null || nowMs >= s.electionDeadlineMs) return true;
  return isSoleVoter(s.log.config, s.self) && !hasLiveLeader(s, nowMs);
}

/** Followers, rule 2: no word from a leader within the timeout starts an election. */
export function tickElection(s: RaftView, nowMs: number, out: RaftOutbox): void {
  if (!mayCampaign(s)) return;
  if (isSoleVoter(s.log.config, s.self) && !hasLiveLeader(s, nowMs)) {
    return startPreVote(s, nowMs, out);
  }
  if (s.electionDeadlineMs === null) return resetElectionTimer(s, nowMs, out);
  if (nowMs >= s.electionDeadlineMs) startPreVote(s, nowMs, out);
}

/** Asks whether an election could be won, before any term is raised (thesis 9.6). */
export function startPreVote(s: RaftView, nowMs: number, out: RaftOutbox): void {
  stand(s, 'preCandidate', nowMs, out);
  const message = {
    type: 'PreVote' as const,
    proposedTerm: s.currentTerm + 1,
    lastLogIndex: s.log.lastIndex,
    lastLogTerm: s.log.lastTerm,
    nonce: s.electionNonce,
  };
  forEachVoter(s.log.config, (id) => {
    if (id !== s.self) out.sendAfterSync(id, message);
  });
  if (hasVotes(s)) startElection(s, false, nowMs, out);
}

/** Candidates, rule 1: a new term, a vote for itself, and requests to all others (§5.2). */
export function startElection(
  s: RaftView,
  transfer: boolean,
  nowMs: number,
  out: RaftOutbox,
): void {
  out.emit({ type: 'TermAdvanced', term: s.currentTerm + 1 });
  stand(s, 'candidate', nowMs, out);
  out.emit({ type: 'VoteCast', candidateId: s.self });
  const message = {
    type: 'RequestVote' as const,
    term: s.currentTerm,
    lastLogIndex: s.log.lastIndex,
    lastLogTerm: s.log.lastTerm,
    transfer,
    nonce: s.electionNonce,
  };
  forEachVoter(s.log.config, (id) => {
    if (id !== s.self) out.sendAfterSync(id, message);
  });
  if (hasVotes(s)) becomeLeader(s, nowMs, out);
}

/** Counts an answer to this attempt's PreVote; a quorum of them starts the election. */
export function countPreVote(
  s: RaftView,
  from: ReplicaId,
  m: RaftMessageOf<'PreVoteReply'>,
  nowMs: number,
  out: RaftOutbox,
): void {
  if (s.role !== 'preCandidate' || m.nonce !== s.electionNonce) return;
  if (m.proposedTerm !== s.currentTerm + 1 || !isVoter(s.log.config, from)) return;
  if (!m.voteGranted) return countDenial(s, from, nowMs, out);
  out.emit({ type: 'VoteReceived', from });
  if (hasVotes(s)) startElection(s, false, nowMs, out);
}

/** Candidates, rule 2: votes of a quorum make a leader (§5.2). Only voters' votes count. */
export function countVote(
  s: RaftView,
  from: ReplicaId,
  m: RaftMessageOf<'RequestVoteReply'>,
  nowMs: number,
  out: RaftOutbox,
): void {
  if (s.role !== 'candidate' || m.term !== s.currentTerm || m.nonce !== s.electionNonce) return;
  if (!isVoter(s.log.config, from)) return;
  if (!m.voteGranted) return countDenial(s, from, nowMs, out);
  out.emit({ type: 'VoteReceived', from });
  if (hasVotes(s)) becomeLeader(s, nowMs, out);
}

/** The leader asks for an election at once (thesis 3.10): no pre-vote, and leases do not refuse it. */
export function decideTimeoutNow(
  s: RaftView,
  from: ReplicaId,
  m: RaftMessageOf<'TimeoutNow'>,
  nowMs: number,
  out: RaftOutbox,
): void {
  if (m.term !== s.currentTerm || s.leaderId !== from || !mayCampaign(s)) return;
  startElection(s, true, nowMs, out);
}

/**
 * Votes were split, or those asked do not miss the leader yet: once this attempt cannot be won any more,
 * the next follows soon. Where a leader was merely not heard here, the others hear it, and asking them
 * more often is of no use.
 */
function countDenial(s: RaftView, from: ReplicaId, nowMs: number, out: RaftOutbox): void {
  out.emit({ type: 'VoteDenied', from });
  const canBeWon = hasQuorum(s.log.config, (id) => !s.votesDenied.has(id));
  if (canBeWon || (s.role === 'preCandidate' && s.leaderHeardMs !== null)) return;
  resetElectionTimer(s, nowMs, out, RETRY_MS_MIN, RETRY_MS_MAX);
}

const RETRY_MS_MIN = 30;
const RETRY_MS_MAX = 150;

/** Until the others have noticed too; and apart, so that the order counts. */
const STAND_AFTER_MS = 20;
const STAND_APART_MS = 60;

/**
 * The leader's node is said to have left: no vote waits for it any more, and the other voters stand one
 * after another, in an order that changes with the term and from group to group. Where that is wrong, the others refuse the
 * pre-vote, and the leader's next message is followed as before.
 */
export function decideLeaderGone(
  s: RaftView,
  { leader, order }: { readonly leader: ReplicaId; readonly order: number },
  nowMs: number,
  out: RaftOutbox,
): void {
  if (s.role === 'leader' || s.leaderId !== leader || s.leaderHeardMs === null) return;
  out.emit({ type: 'LeaderMissed' });
  if (!mayCampaign(s)) return;
  const others = s.log.config.voters.filter((id) => id !== leader).sort();
  const place = (others.indexOf(s.self) + s.currentTerm + order) % Math.max(1, others.length);
  const deadlineMs = nowMs + STAND_AFTER_MS + place * STAND_APART_MS;
  if (s.electionDeadlineMs !== null && s.electionDeadlineMs <= deadlineMs) return;
  out.emit({ type: 'ElectionTimerReset', deadlineMs, seed: s.seed });
}

/** A vote for itself counts only when it is a voter (thesis 4.2.2). */
function stand(
  s: RaftView,
  role: 'preCandidate' | 'candidate',
  nowMs: number,
  out: RaftOutbox,
): void {
  // A winner has nobody to receive from; a loser is sent the rest, from where its host left off.
  if (s.receiving !== null) out.emit({ type: 'SnapshotAbandoned' });
  out.emit({ type: 'RoleChanged', role, leaderId: null });
  out.emit({ type: 'ElectionStarted', nonce: s.nonce + 1 });
  out.emit({ type: 'VoteReceived', from: s.self });
  resetElectionTimer(s, nowMs, out);
}

function hasVotes(s: RaftView): boolean {
  return hasQuorum(s.log.config, (id) => s.votesGranted.has(id));
}

/**
 * Leaders, rule 1: a heartbeat at once, carrying the term's no-op (§5.2, §8): committing it
 * commits everything before it and makes the commit index current.
 */
function becomeLeader(s: RaftView, nowMs: number, out: RaftOutbox): void {
  assert(s.votedFor === s.self, 'a leader has voted for itself');
  const nextIndex = s.log.lastIndex + 1;
  out.emit({ type: 'RoleChanged', role: 'leader', leaderId: s.self });
  out.emit({ type: 'LeadershipTaken', noopIndex: nextIndex, nonce: s.nonce + 1 });
  for (const peer of membersAt(s)) {
    out.emit({ type: 'PeerAdded', peer, nextIndex, nowMs });
  }
  appendOwnEntry(s, 'noop', NOTHING, out);
  replicateToAll(s, nowMs, out);
  out.emit({ type: 'HeartbeatScheduled', dueMs: nextHeartbeatMs(nowMs) });
}

const NOTHING = new Uint8Array(0);
