import { LIMITS } from '../../protocol/limits.ts';
import { encodeConfig, type GroupConfig } from '../../protocol/membership.ts';
import type { ReplicaId } from '../../protocol/types.ts';
import type { RaftCommand, RaftOutbox } from './events.ts';
import { membersAt } from './members.ts';
import { appendOwnEntry } from './propose.ts';
import { isVoter } from './quorum.ts';
import { replicateToAll, sendHeartbeat } from './replicate.ts';
import { becomeFollower } from './roles.ts';
import type { RaftView } from './state.ts';
import { mostCaughtUpVoter, sendTimeoutNow } from './transfer.ts';

type ChangeMembers = Extract<RaftCommand, { type: 'ChangeMembers' }>;

/** As many as the codec of a configuration takes in one list. */
const MEMBERS_MAX = 32;

/**
 * Changes the members (§6, thesis 4.3). New voters come in through a joint configuration, in which
 * every decision needs both majorities; the leader leaves it by itself once it is committed.
 * Learners decide nothing and so change in one entry.
 */
export function decideChangeMembers(
  s: RaftView,
  change: ChangeMembers,
  nowMs: number,
  out: RaftOutbox,
): void {
  const refusal = refusalOf(s, change);
  if (refusal !== null) return out.refused('ChangeMembers', refusal);
  const { config } = s.log;
  const voters = change.voters.slice();
  const learners = change.learners.slice();
  const votersOld = isSameSet(voters, config.voters) ? null : config.voters.slice();
  appendConfig(s, { voters, votersOld, learners }, nowMs, out);
}

/**
 * After commitIndex has moved over the configuration in force: leave a joint one, let go of those
 * who are no longer members, and step down when that is the leader itself (§6).
 */
export function finishConfigChange(s: RaftView, nowMs: number, out: RaftOutbox): void {
  const { config, configIndex } = s.log;
  if (s.leader === null || configIndex > s.commitIndex) return;
  if (config.votersOld !== null) {
    const { voters, learners } = config;
    const after = { voters: voters.slice(), votersOld: null, learners: learners.slice() };
    return appendConfig(s, after, nowMs, out);
  }
  const members = membersAt(s);
  for (const [peer, progress] of s.leader.peers) {
    if (members.has(peer)) continue;
    sendHeartbeat(s, peer, progress, out);
    out.emit({ type: 'PeerRemoved', peer });
  }
  if (!isVoter(config, s.self)) leave(s, nowMs, out);
}

/** Not a member any more: tell the others what is committed, name a successor, follow. */
function leave(s: RaftView, nowMs: number, out: RaftOutbox): void {
  for (const [peer, progress] of s.leader?.peers ?? []) sendHeartbeat(s, peer, progress, out);
  const successor = mostCaughtUpVoter(s);
  if (successor !== null) sendTimeoutNow(s, successor, out);
  becomeFollower(s, s.currentTerm, null, nowMs, out);
}

/** It is in force from here on, committed or not (§6). */
function appendConfig(s: RaftView, config: GroupConfig, nowMs: number, out: RaftOutbox): void {
  const nextIndex = s.log.lastIndex + 1;
  appendOwnEntry(s, 'config', encodeConfig(config), out);
  for (const peer of membersAt(s)) {
    if (s.leader?.peers.has(peer)) continue;
    out.emit({ type: 'PeerAdded', peer, nextIndex, nowMs });
  }
  replicateToAll(s, nowMs, out);
}

function refusalOf(s: RaftView, { voters, learners }: ChangeMembers): string | null {
  const { config, configIndex } = s.log;
  if (s.leader === null) return 'not_leader';
  if (s.leader.transfer !== null) return 'transferring';
  if (s.commitIndex < s.leader.noopIndex) return 'not_ready';
  if (configIndex > s.commitIndex || config.votersOld !== null) return 'change_in_progress';
  if (voters.length === 0) return 'no_voters';
  if (voters.length > MEMBERS_MAX || learners.length > MEMBERS_MAX) return 'too_many_members';
  const all = new Set<ReplicaId>();
  for (const id of voters) all.add(id);
  for (const id of learners) all.add(id);
  if (all.size !== voters.length + learners.length) return 'listed_twice';
  if (isSameSet(voters, config.voters) && isSameSet(learners, config.learners)) return 'no_change';
  for (const id of voters) {
    if (config.voters.includes(id)) continue;
    if (!config.learners.includes(id)) return 'not_a_learner';
    if (!isCaughtUp(s, id)) return 'learner_behind';
  }
  return null;
}

/**
 * A learner is promoted when its log is at most one message behind (thesis 4.2.1): otherwise the
 * new majority might have to wait for it.
 */
function isCaughtUp(s: RaftView, id: ReplicaId): boolean {
  const peer = s.leader?.peers.get(id);
  if (peer === undefined || peer.mode !== 'replicate') return false;
  const entriesBehind = s.log.lastIndex - peer.matchIndex;
  if (entriesBehind > LIMITS.appendEntriesMax || peer.matchIndex < s.log.baseIndex) return false;
  return s.log.bytesAfter(peer.matchIndex) <= LIMITS.appendBytesMax;
}

function isSameSet(a: readonly ReplicaId[], b: readonly ReplicaId[]): boolean {
  return a.length === b.length && a.every((id) => b.includes(id));
}
