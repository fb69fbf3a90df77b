import type { RaftMessageOf } from '../../protocol/messages/raft.ts';
import type { ReplicaId } from '../../protocol/types.ts';
import type { RaftOutbox } from './events.ts';
import { hasLiveLeader, resetElectionTimer, restingRole } from './roles.ts';
import type { RaftView } from './state.ts';

/** The voter's side. Every replica answers, also one that does not know itself to be a voter. */

/** Whether a candidate's log is at least as up to date as this one (§5.4.1). */
export function isUpToDate(
  s: RaftView,
  candidate: { readonly lastLogIndex: number; readonly lastLogTerm: number },
): boolean {
  if (candidate.lastLogTerm !== s.log.lastTerm) return candidate.lastLogTerm > s.log.lastTerm;
  return candidate.lastLogIndex >= s.log.lastIndex;
}

/**
 * RequestVote, receiver rules 1 and 2 (§5.2, §5.4): one vote per term, to the first whose log is up
 * to date. The reply waits for VoteCast's sync (thesis 3.8).
 */
export function decideRequestVote(
  s: RaftView,
  from: ReplicaId,
  m: RaftMessageOf<'RequestVote'>,
  nowMs: number,
  out: RaftOutbox,
): void {
  const mine = s.votedFor ?? from;
  const voteGranted = m.term === s.currentTerm && mine === from && isUpToDate(s, m);
  if (voteGranted) {
    if (s.votedFor === null) out.emit({ type: 'VoteCast', candidateId: from });
    resetElectionTimer(s, nowMs, out);
  }
  replyVote(s, from, m, voteGranted, out);
}

/**
 * While a leader lives, a candidate that does not hear it changes nothing, not even the term
 * (thesis 4.2.3): a removed or half-connected replica cannot disrupt the group.
 */
export function refuseVote(
  s: RaftView,
  from: ReplicaId,
  m: RaftMessageOf<'RequestVote'>,
  out: RaftOutbox,
): void {
  replyVote(s, from, m, false, out);
}

/**
 * PreVote (thesis 9.6): would this replica vote so? Changes no term and no vote. Whoever is granted one
 * gets a moment to win before this replica stands itself.
 */
export function decidePreVote(
  s: RaftView,
  from: ReplicaId,
  m: RaftMessageOf<'PreVote'>,
  nowMs: number,
  out: RaftOutbox,
): void {
  const voteGranted =
    m.proposedTerm > s.currentTerm && isUpToDate(s, m) && !hasLiveLeader(s, nowMs);
  if (voteGranted) yieldTo(s, from, m, nowMs, out);
  out.sendAfterSync(from, {
    type: 'PreVoteReply',
    term: s.currentTerm,
    proposedTerm: m.proposedTerm,
    voteGranted,
    nonce: m.nonce,
  });
}

/** Long enough for an election between nodes that answer, far below an election timeout. */
const YIELD_MS = 100;

/**
 * Two that ask each other at the same time would both be granted, both stand and split the votes. So of
 * two equal logs the lower id steps back for a moment. Since links keep order, it sees the question
 * before the answer to its own.
 */
function yieldTo(
  s: RaftView,
  from: ReplicaId,
  m: RaftMessageOf<'PreVote'>,
  nowMs: number,
  out: RaftOutbox,
): void {
  if (s.role === 'preCandidate') {
    const isEqual = m.lastLogTerm === s.log.lastTerm && m.lastLogIndex === s.log.lastIndex;
    if (isEqual && from < s.self) return;
    out.emit({ type: 'RoleChanged', role: restingRole(s), leaderId: null });
  } else if (s.role !== 'follower') return;
  if (s.electionDeadlineMs === null || s.electionDeadlineMs >= nowMs + YIELD_MS) return;
  out.emit({ type: 'ElectionTimerReset', deadlineMs: nowMs + YIELD_MS, seed: s.seed });
}

function replyVote(
  s: RaftView,
  to: ReplicaId,
  m: RaftMessageOf<'RequestVote'>,
  voteGranted: boolean,
  out: RaftOutbox,
): void {
  const { currentTerm: term } = s;
  out.sendAfterSync(to, { type: 'RequestVoteReply', term, voteGranted, nonce: m.nonce });
}
