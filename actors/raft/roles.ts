import { assert } from '../../protocol/assert.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { ReplicaId } from '../../protocol/types.ts';
import type { RaftOutbox, Role } from './events.ts';
import { isVoter } from './quorum.ts';
import type { RaftView } from './state.ts';

/** Changes of role and the election timer: what several rules share. */

/**
 * Steps down, or stays a follower with another leader (§5.1). A leader's waiting reads are refused
 * and its transfer is over; its proposals show their outcome when their index is applied.
 */
export function becomeFollower(
  s: RaftView,
  term: number,
  leaderId: ReplicaId | null,
  nowMs: number,
  out: RaftOutbox,
): void {
  const { leader } = s;
  if (leader !== null) {
    for (const readId of leader.reads.confirming) out.readRefused(readId);
    for (const readId of leader.reads.waiting) out.readRefused(readId);
  }
  if (term > s.currentTerm) out.emit({ type: 'TermAdvanced', term });
  out.emit({ type: 'RoleChanged', role: restingRole(s), leaderId });
  if (leader !== null) resetElectionTimer(s, nowMs, out);
}

/** The sender leads this term (§5.2): follow it, and wait anew. */
export function hearLeader(s: RaftView, from: ReplicaId, nowMs: number, out: RaftOutbox): void {
  assert(s.role !== 'leader', 'two leaders in one term');
  const standing = s.role === 'candidate' || s.role === 'preCandidate';
  if (standing || s.leaderId === null) becomeFollower(s, s.currentTerm, from, nowMs, out);
  assert(s.leaderId === from, 'two leaders in one term');
  if (s.leaderHeardMs !== nowMs) {
    out.emit({ type: 'LeaderHeard', nowMs });
    resetElectionTimer(s, nowMs, out);
  }
}

/** What the replica is while it does not campaign or lead. */
export function restingRole(s: RaftView): Role {
  return mayCampaign(s) ? 'follower' : 'learner';
}

/** Follows a change of the configuration in force: a promoted learner may campaign from now on. */
export function settleRole(s: RaftView, out: RaftOutbox): void {
  if (s.role !== 'follower' && s.role !== 'learner') return;
  const role = restingRole(s);
  if (role !== s.role) out.emit({ type: 'RoleChanged', role, leaderId: s.leaderId });
}

/**
 * Voters may start elections, and so may a replica whose removal is not known to be committed: the
 * others may need it to commit that very entry (thesis 4.2.2). A loading snapshot excludes it.
 */
export function mayCampaign(s: RaftView): boolean {
  if (s.receiving?.step === 'installing') return false;
  if (isVoter(s.log.config, s.self)) return true;
  const { configIndex } = s.log;
  return configIndex > s.commitIndex && isVoter(s.log.pointAt(configIndex - 1).config, s.self);
}

/**
 * A leader was heard within the minimum election timeout, or this is one (its own quorum check
 * keeps it honest): then no vote is given to others (thesis 4.2.3). Only votes rest on this, never a read:
 * a leader that the bus calls gone may still be there.
 */
export function hasLiveLeader(s: RaftView, nowMs: number): boolean {
  if (s.role === 'leader') return true;
  if (s.leaderId === null || s.leaderHeardMs === null) return false;
  return nowMs - s.leaderHeardMs < LIMITS.electionTimeoutMsMin;
}

/** Draws a new timeout (§5.2: randomized, so that split votes are rare). */
export function resetElectionTimer(
  s: RaftView,
  nowMs: number,
  out: RaftOutbox,
  msMin: number = LIMITS.electionTimeoutMsMin,
  msMax: number = LIMITS.electionTimeoutMsMax,
): void {
  const seed = nextSeed(s.seed);
  const timeoutMs = msMin + Math.floor((mix(seed) / 2 ** 32) * (msMax - msMin));
  out.emit({ type: 'ElectionTimerReset', deadlineMs: nowMs + timeoutMs, seed });
}

/** A Weyl sequence behind a mixer: a full-period generator of 32 bits. */
function nextSeed(seed: number): number {
  return (seed + 0x6d2b79f5) >>> 0;
}

function mix(seed: number): number {
  let z = Math.imul(seed ^ (seed >>> 15), seed | 1);
  z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
  return (z ^ (z >>> 14)) >>> 0;
}
