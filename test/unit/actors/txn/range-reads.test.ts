import { describe, expect, it } from 'vitest';
import { QuotaRoom } from '../../../../actors/quota/room.ts';
import { Closer } from '../../../../actors/replica/closer.ts';
import { LockWaits } from '../../../../actors/replica/lock-waits.ts';
import { ReadRounds } from '../../../../actors/replica/reads.ts';
import { Participant } from '../../../../actors/txn/participant.ts';
import type { ReplyBody } from '../../../../protocol/messages/request.ts';
import { wallMsOfRevision } from '../../../../protocol/revision.ts';
import { ABORTED, type TxnFate, type TxnOp } from '../../../../protocol/txn.ts';
import { put, ref } from '../../../kit/applied-group.ts';
import { FakeReplica } from '../../../kit/fake-replica.ts';
import { settle } from '../../../kit/hand-clock.ts';

const RANGES = 200;

/** A participant whose reads of ranges are counted. */
class World {
  readonly replica = FakeReplica.owning();
  readonly participant: Participant;
  readonly replies: ReplyBody[] = [];
  readonly reply = (body: ReplyBody) => void this.replies.push(body);
  readonly id;
  reads = 0;

  constructor() {
    const { replica } = this;
    const revision = replica.clock.assign(1, replica.ports.clock.wallMs());
    replica.apply({
      ...({ type: 'write', revision, ops: [put('k0000', 'v')], epoch: 1 } as const),
      ...{ idempotency: null, traceparent: null },
    });
    this.id = { home: 2, term: 1, start: revision + 1 };
    const { store } = replica;
    const view = store.view.bind(store);
    store.view = () => {
      const rows = view();
      const cursor = rows.cursor.bind(rows);
      return Object.assign(rows, {
        cursor: (range: Parameters<typeof cursor>[0]) => {
          this.reads++;
          return cursor(range);
        },
      });
    };
    const closer = new Closer(replica, () => {});
    this.participant = new Participant(
      replica,
      new ReadRounds(replica),
      closer,
      new LockWaits(replica),
      new QuotaRoom(replica, () => null),
    );
  }

  prepare(type: 'range' | 'deleteRange'): void {
    const { tenant, space } = ref('');
    const then = Array.from({ length: RANGES }, (_, i): TxnOp => {
      const start = `k${String(i).padStart(4, '0')}`;
      const range = { tenant, space, start, end: `${start}~` };
      return type === 'deleteRange'
        ? { type, ...range }
        : { type, ...range, reverse: false, limit: 9, values: false };
    });
    const thenAt = then.map((_, i) => i);
    const body = { compares: [], then, otherwise: null };
    const part = { body, comparesAt: [], thenAt, otherwiseAt: [] };
    const { id } = this;
    this.participant.prepare({ type: 'TxnPrepare', epoch: 1, id, part, indexEpoch: 0 }, this.reply);
    this.replica.commit();
  }

  resolve(fate: TxnFate): void {
    this.participant.resolve({ type: 'TxnResolve', ends: [{ id: this.id, fate }] }, this.reply);
  }

  async readAll(): Promise<void> {
    for (let before = -1; before !== this.reads; ) {
      before = this.reads;
      for (let i = 0; i < 5; i++) await settle();
    }
  }
}

describe('the ranges of a prepared transaction', () => {
  it('are read once for a vote, however often it is asked for', async () => {
    const world = new World();
    for (let i = 0; i < 3; i++) world.prepare('range');
    await world.readAll();
    expect(world.reads).toBe(RANGES);
    const vote = { type: 'TxnVoted', vote: { type: 'yes' } };
    expect(world.replies).toMatchObject([vote, vote, vote]);
  });

  it('are read no further when the transaction has ended, or the node ends', async () => {
    for (const end of [
      (world: World) => {
        world.resolve(ABORTED);
        world.replica.commit();
      },
      (world: World) => world.participant.stop(),
    ]) {
      const world = new World();
      world.prepare('range');
      end(world);
      await world.readAll();
      expect(world.reads).toBeLessThan(RANGES / 2);
      expect(world.replies).toContainEqual(
        expect.objectContaining({ type: 'TxnVoted', vote: { type: 'over' } }),
      );
    }
  });

  it('are read once for its end, however often it is told', async () => {
    const world = new World();
    world.prepare('deleteRange');
    await world.readAll();
    world.reads = 0;
    world.replies.length = 0;
    const commitRevision = world.replica.clock.clock + 5;
    for (let i = 0; i < 3; i++) world.resolve({ commitRevision, succeeded: true });
    await world.readAll();
    expect(world.reads).toBe(RANGES);
    expect(world.replica.proposed).toHaveLength(1);
    world.replica.commit();
    expect(world.replies).toMatchObject(Array(3).fill({ type: 'Done' }));
    expect(world.replica.state.keyCount).toBe(0);
  });
});

describe('B21 an end within a range', () => {
  const TTL_MS = 50;

  /** The vote on the range of all keys, `afterMs` behind the prepare of another transaction that reads one of them. */
  async function voteAfter(afterMs: number, isOver: boolean) {
    const { tenant, space } = ref('');
    const replica = FakeReplica.owning();
    const { clock, ports } = replica;
    const next = () => clock.assign(1, ports.clock.wallMs());
    replica.apply({
      ...{ type: 'write', revision: next(), ops: [put('k', 'v', { ttlMs: TTL_MS })], epoch: 1 },
      ...{ idempotency: null, traceparent: null },
    });
    const get: TxnOp = { type: 'get', ref: ref('k') };
    const range: TxnOp = {
      ...{ type: 'range', tenant, space, start: '', end: null },
      ...{ reverse: false, limit: 9, values: true },
    };
    const partOf = (op: TxnOp) => {
      const body = { compares: [], then: [op], otherwise: null };
      return { body, comparesAt: [], thenAt: [0], otherwiseAt: [] };
    };
    const other = { home: 3, term: 1, start: next() };
    replica.apply({
      type: 'txnPrepare',
      revision: next(),
      epoch: 1,
      id: other,
      part: partOf(get),
      indexEpoch: 0,
    });
    ports.clock.nowMs += afterMs;
    const ends = [{ id: other, fate: ABORTED, removed: [] }];
    if (isOver) replica.apply({ type: 'txnResolve', ends });
    const participant = new Participant(
      replica,
      new ReadRounds(replica),
      new Closer(replica, () => {}),
      new LockWaits(replica),
      new QuotaRoom(replica, () => null),
    );
    const replies: ReplyBody[] = [];
    const id = { home: 2, term: 1, start: next() };
    const request = {
      type: 'TxnPrepare',
      epoch: 1,
      id,
      part: partOf(range),
      indexEpoch: 0,
    } as const;
    participant.prepare(request, (body) => void replies.push(body));
    replica.commit();
    for (let i = 0; i < 5; i++) await settle();
    const [reply] = replies;
    if (reply?.type !== 'TxnVoted' || reply.vote.type !== 'yes') throw new Error('no vote');
    const { vote } = reply;
    const count = vote.then[0]?.type === 'page' ? vote.then[0].items.length : -1;
    const { validUntilMs } = vote;
    return {
      count,
      isVoid: validUntilMs !== null && validUntilMs <= wallMsOfRevision(vote.revision),
    };
  }

  it('makes a vote of which no commit comes, while another transaction has read the key alive', async () => {
    expect(await voteAfter(TTL_MS - 1, false)).toEqual({ count: 1, isVoid: false });
    expect(await voteAfter(TTL_MS, false)).toEqual({ count: 0, isVoid: true });
    expect(await voteAfter(TTL_MS, true)).toEqual({ count: 0, isVoid: false });
  });
});
