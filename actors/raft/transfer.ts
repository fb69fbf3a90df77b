import { assert } from '../../protocol/assert.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { ReplicaId } from '../../protocol/types.ts';
import type { RaftOutbox } from './events.ts';
import { replicateTo } from './replicate.ts';
import type { RaftView } from './state.ts';

/**
 * Hands leadership over (thesis 3.10): stop taking proposals, bring the target up to date, tell it
 * to start an election at once. Given up after an election timeout.
 */
export function decideTransferLeader(
  s: RaftView,
  to: ReplicaId | null,
  nowMs: number,
  out: RaftOutbox,
): void {
  const target = to ?? mostCaughtUpVoter(s);
  const refusal = refusalOf(s, target);
  if (refusal !== null) return out.refused('TransferLeader', refusal);
  assert(target !== null, 'a transfer has a target');
  const deadlineMs = nowMs + LIMITS.electionTimeoutMsMax;
  out.emit({ type: 'TransferStarted', to: target, deadlineMs });
  replicateTo(s, target, nowMs, out);
  urgeTransfer(s, out);
}

/** Sends TimeoutNow once the target has the whole log. Repeated with heartbeats, as it may be lost. */
export function urgeTransfer(s: RaftView, out: RaftOutbox): void {
  const to = s.leader?.transfer?.to;
  if (to === undefined) return;
  const peer = s.leader?.peers.get(to);
  if (peer?.matchIndex === s.log.lastIndex) sendTimeoutNow(s, to, out);
}

/** The voter to prefer as the next leader: the highest matchIndex, then the lowest id. */
export function mostCaughtUpVoter(s: RaftView): ReplicaId | null {
  let best: ReplicaId | null = null;
  let bestMatch = -1;
  for (const id of s.log.config.voters) {
    const match = s.leader?.peers.get(id)?.matchIndex ?? -1;
    if (match < 0 || match < bestMatch) continue;
    if (match === bestMatch && best !== null && id >= best) continue;
    best = id;
    bestMatch = match;
  }
  return best;
}

export function sendTimeoutNow(s: RaftView, to: ReplicaId, out: RaftOutbox): void {
  out.sendAfterSync(to, { type: 'TimeoutNow', term: s.currentTerm, nonce: s.nonce });
}

/** The target did not take over in time: proposals are welcome again. */
export function tickTransfer(s: RaftView, nowMs: number, out: RaftOutbox): void {
  const transfer = s.leader?.transfer ?? null;
  if (transfer === null || nowMs < transfer.deadlineMs) return;
  out.emit({ type: 'TransferEnded' });
  out.refused('TransferLeader', 'timed_out');
}

function refusalOf(s: RaftView, target: ReplicaId | null): string | null {
  if (s.leader === null) return 'not_leader';
  if (s.leader.transfer !== null) return 'transferring';
  if (target === null) return 'no_target';
  if (target === s.self) return 'already_leader';
  return s.log.config.voters.includes(target) ? null : 'not_a_voter';
}
