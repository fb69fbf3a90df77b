import { decodeEnvelope } from '../../../protocol/envelope.ts';
import type { GroupId, NodeId } from '../../../protocol/types.ts';
import { SimViolation } from '../violation.ts';
import type { Facts, Invariant } from './invariant.ts';

/** Votes travel while terms are young; only then are payloads decoded. */
const ELECTION_WINDOW_MS = 3000;

/**
 * A replica gives at most one vote per term, over all its lives: the vote must be durable before
 * it leaves. Read off the wire, because a vote that never left may be forgotten in a crash.
 */
export function voteOnce(facts: Facts): Invariant {
  const electionAtMs = new Map<NodeId, number>();
  const votes = new Map<string, string>();
  const cast = (group: GroupId, voter: string, term: number, candidate: string): void => {
    const key = `${group}/${voter}/${term}`;
    const known = votes.get(key);
    if (known === undefined) votes.set(key, candidate);
    else if (known !== candidate) {
      throw new SimViolation(
        'one vote per term',
        `${voter} voted in group ${group} term ${term} for ${known} and for ${candidate}`,
      );
    }
  };
  return {
    name: 'one vote per term',
    source: 'Raft 5.2 and figure 2 (votedFor is persistent)',
    onChange: ({ node, group, replica, before, after }) => {
      if (before === null) {
        // A new life must remember what its former lives had said.
        const known = votes.get(`${group}/${replica}/${after.currentTerm}`);
        if (known !== undefined && after.votedFor !== known) {
          throw new SimViolation(
            'one vote per term',
            `${replica} had voted in group ${group} term ${after.currentTerm} for ${known} ` +
              `and after its restart has ${after.votedFor ?? 'no vote'}`,
          );
        }
      }
      if (before?.currentTerm === after.currentTerm && before.votedFor === after.votedFor) return;
      electionAtMs.set(node, facts.nowMs());
    },
    onSend: (from, _to, lane, payload) => {
      if (lane !== 'raft') return;
      const sinceMs = facts.nowMs() - (electionAtMs.get(from) ?? -Infinity);
      if (sinceMs > ELECTION_WINDOW_MS) return;
      const envelope = decodeEnvelope(payload);
      for (const { group, to, message } of envelope.messages) {
        if (message.type === 'RequestVoteReply' && message.voteGranted) {
          cast(group, envelope.from, message.term, to);
        } else if (message.type === 'RequestVote') {
          cast(group, envelope.from, message.term, envelope.from);
        }
      }
    },
  };
}
