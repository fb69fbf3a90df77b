import { describe, expect, it } from 'vitest';
import { QuotaRoom } from '../../../../actors/quota/room.ts';
import { Closer } from '../../../../actors/replica/closer.ts';
import type { ProposalOutcome } from '../../../../actors/replica/context.ts';
import { LockWaits } from '../../../../actors/replica/lock-waits.ts';
import { ReadRounds } from '../../../../actors/replica/reads.ts';
import { Participant } from '../../../../actors/txn/participant.ts';
import type { ReplyBody } from '../../../../protocol/messages/request.ts';
import { ref } from '../../../kit/applied-group.ts';
import { FakeReplica } from '../../../kit/fake-replica.ts';

/** A participant that has been asked to prepare, and what it has answered. */
function asked(): { participant: Participant; replica: FakeReplica; replies: ReplyBody[] } {
  const replica = FakeReplica.owning();
  const closer = new Closer(replica, () => {});
  const participant = new Participant(
    replica,
    new ReadRounds(replica),
    closer,
    new LockWaits(replica),
    new QuotaRoom(replica, () => null),
  );
  const replies: ReplyBody[] = [];
  const id = { home: 2, term: 1, start: replica.clock.assign(1, replica.ports.clock.wallMs()) };
  const body = { compares: [], then: [{ type: 'get' as const, ref: ref('a') }], otherwise: null };
  const part = { body, comparesAt: [], thenAt: [0], otherwiseAt: [] };
  expect(participant.isVoting).toBe(false);
  const request = { type: 'TxnPrepare', epoch: 1, id, part, indexEpoch: 0 } as const;
  participant.prepare(request, (reply) => replies.push(reply));
  return { participant, replica, replies };
}

describe('a participant', () => {
  it('is waited for from the proposal of a prepare until it has voted', () => {
    const { participant, replica, replies } = asked();
    expect(participant.isVoting).toBe(true);
    replica.commit();
    expect(replies).toMatchObject([{ type: 'TxnVoted', vote: { type: 'yes' } }]);
    expect(participant.isVoting).toBe(false);
  });

  it.each<ProposalOutcome>([{ type: 'refused', reason: 'not_leader' }, { type: 'unknown' }])(
    'is waited for no more when the prepare ends as %j',
    (outcome) => {
      const { participant, replica, replies } = asked();
      replica.end(outcome);
      expect(replies).toMatchObject([{ type: 'Rejected' }]);
      expect(participant.isVoting).toBe(false);
    },
  );
});
