import { describe, expect, it } from 'vitest';
import { Closer } from '../../../../actors/replica/closer.ts';
import { ReadRounds } from '../../../../actors/replica/reads.ts';
import { initialShardMap } from '../../../../actors/router/shard-map.ts';
import { Transactions } from '../../../../actors/txn/transactions.ts';
import type { GroupId, NodeId } from '../../../../protocol/types.ts';
import { FakeReach, quotaRounds } from '../../../kit/fake-reach.ts';
import { FakeReplica } from '../../../kit/fake-replica.ts';
import { settle } from '../../../kit/hand-clock.ts';

const OTHER = 2 as GroupId;

/** The transactions of a home group, whose other participant answers nothing. */
class World {
  readonly replica = FakeReplica.owning();
  readonly reach = new FakeReach(this.replica.ports.clock);
  readonly rounds = new ReadRounds(this.replica);
  readonly txns: Transactions;
  #readId = 0;

  constructor() {
    const { replica, reach, rounds } = this;
    reach.leaders.set(OTHER, 'n2' as NodeId);
    const raft = { currentTerm: 1 } as ConstructorParameters<typeof Transactions>[1];
    const map = initialShardMap(2);
    const groups = () => ({
      calls: reach.calls,
      map: () => map,
      quotas: quotaRounds(replica, reach),
    });
    this.txns = new Transactions(replica, raft, rounds, new Closer(replica, () => {}), groups);
  }

  /** A transaction was decided by some leader, and the other group has not confirmed it. */
  decided(): number {
    const start = this.replica.clock.assign(2, this.replica.ports.clock.wallMs());
    const id = { home: 1, term: 1, start };
    const part = {
      body: { compares: [], then: [], otherwise: null },
      ...{ comparesAt: [], thenAt: [], otherwiseAt: [] },
    };
    this.replica.apply({
      type: 'txnPrepare',
      indexEpoch: 0,
      revision: start + 1,
      epoch: 1,
      id,
      part,
    });
    const fate = { commitRevision: start + 1, succeeded: true };
    const rest = { participants: [OTHER], request: null, removed: [] };
    this.replica.apply({ type: 'txnDecide', id, fate, ...rest });
    return start;
  }

  tick(): void {
    this.txns.tick(this.replica.ports.clock.monotonicMs());
  }

  async confirm(): Promise<void> {
    this.rounds.flush();
    this.rounds.confirmed(++this.#readId, this.replica.state.appliedIndex);
    this.rounds.applied(this.replica.state.appliedIndex);
    await settle();
    this.replica.ports.clock.runSoon();
  }

  /** The transactions that the other group is told of. */
  get told(): number[] {
    const bodies = this.reach.asked.map(({ body }) => body);
    return bodies.flatMap((body) =>
      body.type === 'TxnResolve' ? body.ends.map(({ id }) => id.start) : [],
    );
  }
}

describe('a new leader', () => {
  it('goes on telling what was decided before', async () => {
    const world = new World();
    const first = world.decided();
    world.tick();
    world.tick();
    await world.confirm();
    expect(world.told).toEqual([first]);
  });

  it('reads what was decided while it did not lead, though its earlier reading ends only now', async () => {
    const world = new World();
    world.decided();
    let goOn = (): void => {};
    const { state } = world.replica;
    const view = state.view.bind(state);
    state.view = () => {
      state.view = view;
      const slow = view();
      const open = slow.cursor.bind(slow);
      slow.cursor = (range) => {
        const cursor = open(range);
        const next = cursor.next.bind(cursor);
        const gate = new Promise<void>((resolve) => {
          goOn = resolve;
        });
        cursor.next = (count) => gate.then(() => next(count));
        return cursor;
      };
      return slow;
    };
    world.tick();
    world.tick();
    await world.confirm();
    world.txns.lost();
    const second = world.decided();
    world.tick();
    goOn();
    await settle();
    world.tick();
    await world.confirm();
    expect(world.told).toContain(second);
  });
});
