import { describe, expect, test } from 'vitest';
import { Closer } from '../../../../actors/replica/closer.ts';
import { ReadRounds } from '../../../../actors/replica/reads.ts';
import { Transactions } from '../../../../actors/txn/transactions.ts';
import type { ReplyBody, RequestOf } from '../../../../protocol/messages/request.ts';
import { ref } from '../../../kit/applied-group.ts';
import { FakeReplica } from '../../../kit/fake-replica.ts';

const SCOPE = 'tenant:t1';

/** A group whose share of a quota may hold so many keys, and which cannot reach any other. */
function groupWith(keys: number) {
  const replica = FakeReplica.owning();
  const order = (round: number, ceilings: (number | null)[]) =>
    replica.apply({
      ...({ type: 'quotaOrder', scope: SCOPE, round } as const),
      order: { type: 'lower', ceilings },
    });
  order(1, [null, null, null]);
  replica.apply({ type: 'quotaCounted', scope: SCOPE, since: 1, base: [0, 0, 0] });
  order(2, [null, keys, null]);
  const rounds = new ReadRounds(replica);
  const raft = { currentTerm: 1 } as ConstructorParameters<typeof Transactions>[1];
  const closer = new Closer(replica, () => {});
  return { replica, txns: new Transactions(replica, raft, rounds, closer, () => null) };
}

function putOf(key: string): RequestOf<'Txn'> {
  const put = { ref: ref(key), value: Buffer.from('v'), contentType: null, ttlMs: null };
  const body = { compares: [], then: [{ type: 'put', ...put } as const], otherwise: null };
  return { type: 'Txn', epoch: 1, body, idempotency: null };
}

describe('a transaction in one group', () => {
  test('that loses the last room on its way through the log is not left waiting for a lock', () => {
    const { replica, txns } = groupWith(1);
    const endMs = replica.ports.clock.monotonicMs() + 1_000;
    const replies: ReplyBody[] = [];
    for (const key of ['a', 'b']) {
      txns.transact(putOf(key), null, endMs, (reply) => replies.push(reply));
    }
    expect(replica.proposed).toHaveLength(2);
    replica.commit();
    replica.commit();
    expect(replies).toMatchObject([{ type: 'TxnDone' }, { type: 'Waited', code: 'conflict' }]);
    expect(replica.proposed).toHaveLength(0);
  });

  test('without room is not proposed at all', () => {
    const { replica, txns } = groupWith(0);
    const endMs = replica.ports.clock.monotonicMs() + 1_000;
    const replies: ReplyBody[] = [];
    txns.transact(putOf('a'), null, endMs, (reply) => replies.push(reply));
    expect(replica.proposed).toHaveLength(0);
    expect(replies).toMatchObject([{ type: 'Waited', code: 'conflict' }]);
  });
});
