import { describe, expect, it } from 'vitest';
import { foresee } from '../../../../actors/apply/txn-eval.ts';
import { QuotaRoom } from '../../../../actors/quota/room.ts';
import { Closer } from '../../../../actors/replica/closer.ts';
import { LockWaits } from '../../../../actors/replica/lock-waits.ts';
import { ReadRounds } from '../../../../actors/replica/reads.ts';
import { Participant } from '../../../../actors/txn/participant.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import type { ReplyBody } from '../../../../protocol/messages/request.ts';
import type { TxnOp } from '../../../../protocol/txn.ts';
import { put, ref } from '../../../kit/applied-group.ts';
import { FakeReplica } from '../../../kit/fake-replica.ts';
import { settle } from '../../../kit/hand-clock.ts';

const COUNT = Math.floor(LIMITS.txnReplacedBytesMax / LIMITS.valueBytesMax);
const nameOf = (i: number): string => `k/${String(i).padStart(4, '0')}`;

/** A group with a few values more than one transaction may replace. */
function full(): FakeReplica {
  const replica = FakeReplica.owning();
  const value = 'x'.repeat(LIMITS.valueBytesMax);
  for (let i = 0; i < COUNT + 3; i++) {
    const revision = replica.clock.assign(1, replica.ports.clock.wallMs());
    const ops = [put(nameOf(i), value)];
    replica.apply({
      ...({ type: 'write', revision, ops, epoch: 1 } as const),
      ...{ idempotency: null, traceparent: null },
    });
  }
  return replica;
}

function deletes(count: number): TxnOp[] {
  return Array.from({ length: count }, (_, i) => ({ type: 'delete', ref: ref(nameOf(i)) }));
}

function deleteRange(to: number): TxnOp {
  const { tenant, space } = ref('');
  return { type: 'deleteRange', tenant, space, start: nameOf(0), end: nameOf(to) };
}

describe('what a transaction replaces in a group', () => {
  it('is bounded: beyond it nothing is done', async () => {
    const replica = full();
    const { state } = replica;
    expect(foresee(state, deletes(COUNT), state.clock, null)).toHaveLength(COUNT);
    expect(foresee(state, deletes(COUNT + 1), state.clock, null)).toBeNull();
    const puts = deletes(COUNT + 1).map((op) => ({
      ...op,
      ...{ type: 'put', value: new Uint8Array(1), contentType: null, ttlMs: null },
    }));
    expect(foresee(state, puts as TxnOp[], state.clock, null)).toBeNull();

    const closer = new Closer(replica, () => {});
    const participant = new Participant(
      replica,
      new ReadRounds(replica),
      closer,
      new LockWaits(replica),
      new QuotaRoom(replica, () => null),
    );
    const votes: ReplyBody[] = [];
    let start = state.clock;
    for (const ops of [[deleteRange(COUNT - 1)], [deleteRange(COUNT + 2)]]) {
      const body = { compares: [], then: ops, otherwise: null };
      participant.prepare(
        {
          ...({ type: 'TxnPrepare', indexEpoch: 0, epoch: 1 } as const),
          id: { home: 2, term: 1, start: ++start },
          part: { body, comparesAt: [], thenAt: [0], otherwiseAt: [] },
        },
        (reply) => votes.push(reply),
      );
      replica.commit();
      for (let i = 0; i < 50; i++) await settle();
      const id = { home: 2, term: 1, start };
      replica.apply({
        type: 'txnResolve',
        ends: [{ id, fate: { commitRevision: 0, succeeded: false }, removed: [] }],
      });
    }
    expect(votes).toMatchObject([
      { type: 'TxnVoted', vote: { type: 'yes', then: [{ type: 'deleted', count: COUNT - 1 }] } },
      { type: 'TxnVoted', vote: { type: 'tooLarge' } },
    ]);
  }, 30_000);
});
