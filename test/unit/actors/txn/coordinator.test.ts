import { describe, expect, it } from 'vitest';
import { Closer } from '../../../../actors/replica/closer.ts';
import { ReadRounds } from '../../../../actors/replica/reads.ts';
import { initialShardMap } from '../../../../actors/router/shard-map.ts';
import { Coordinator } from '../../../../actors/txn/coordinator.ts';
import { Messenger } from '../../../../actors/txn/messenger.ts';
import { Participant } from '../../../../actors/txn/participant.ts';
import type { ReplyBody, RequestOf } from '../../../../protocol/messages/request.ts';
import type { TxnVote } from '../../../../protocol/messages/txn.ts';
import { REVISIONS_PER_MS } from '../../../../protocol/revision.ts';
import { ABORTED, type TxnId, type TxnOp } from '../../../../protocol/txn.ts';
import type { GroupId, NodeId } from '../../../../protocol/types.ts';
import { type KeyRef, vshardOf } from '../../../../protocol/vshard.ts';
import { type Answer, type AskedRequest, FakeReach } from '../../../kit/fake-reach.ts';
import { FakeReplica } from '../../../kit/fake-replica.ts';
import { settle } from '../../../kit/hand-clock.ts';

const OTHER = 2 as GroupId;

function keyIn(group: number): KeyRef {
  for (let i = 0; ; i++) {
    const ref = { tenant: 'default', space: 'kv', key: `k${i}` };
    if (1 + (vshardOf(ref) % 2) === group) return ref;
  }
}

const THEN = [1, 2].map((group): TxnOp => {
  const rest = { value: new Uint8Array(1), contentType: null, ttlMs: null };
  return { type: 'put', ref: keyIn(group), ...rest };
});

/** The coordinator of group 1, whose own part is real; the test plays group 2. */
class World {
  readonly replica = FakeReplica.owning();
  readonly reach = new FakeReach(this.replica.ports.clock);
  readonly rounds = new ReadRounds(this.replica);
  readonly messenger: Messenger;
  readonly coordinator: Coordinator;
  readonly answers: ReplyBody[] = [];
  answer: (asked: AskedRequest) => Answer = () => 'silence';

  constructor() {
    const { replica, reach } = this;
    const closer = new Closer(replica, () => {});
    const participant = new Participant(replica, this.rounds, closer);
    const map = initialShardMap(2);
    const groups = () => ({ calls: reach.calls, map: () => map });
    this.messenger = new Messenger(replica, participant, groups);
    const raft = { currentTerm: 1 } as ConstructorParameters<typeof Coordinator>[1];
    this.coordinator = new Coordinator(replica, raft, participant, this.messenger, groups);
    this.messenger.lead();
    this.coordinator.lead();
    // Its leader is known and stays so, whatever it answers.
    reach.leaders.set(OTHER, 'n2' as NodeId);
    reach.noteLeader = () => {};
    reach.answer = (asked) => this.answer(asked);
  }

  begin(deadlineMs: number): void {
    const body = { compares: [], then: THEN, otherwise: null };
    const request = { type: 'Txn', epoch: 1, body, idempotency: null } as const;
    const endMs = this.replica.ports.clock.monotonicMs() + deadlineMs;
    this.coordinator.begin(request, null, endMs, (reply) => this.answers.push(reply));
  }

  /** Lets time go by; what is proposed is committed at once. */
  async pass(ms: number): Promise<void> {
    for (let at = 0; at < ms; at += 5) {
      await this.replica.ports.clock.pass(5);
      while (this.replica.proposed.length > 0) this.replica.commit();
      this.rounds.flush();
      await settle();
    }
  }

  asked<T extends 'TxnPrepare' | 'TxnResolve'>(type: T): RequestOf<T>[] {
    const bodies = this.reach.asked.map(({ body }) => body);
    return bodies.filter((body): body is RequestOf<T> => body.type === type);
  }

  /** Whether the home group has locked its part. */
  get isLocked(): boolean {
    return this.replica.state.txns.size > 0;
  }
}

function voted(vote: TxnVote, clock = 1): ReplyBody {
  return { type: 'TxnVoted', vote, clock };
}

function yes(revision: number): TxnVote {
  const put = { type: 'put', createRevision: 0, version: 1 } as const;
  const rest = { failedCompare: null, validUntilMs: null, otherwise: [] };
  return { type: 'yes', revision, then: [put], ...rest };
}

describe('beside a participant that is silent', () => {
  it('nobody waits behind locks for longer than the voting may take, or more than once', async () => {
    const world = new World();
    world.begin(8_000);
    await world.pass(1_900);
    expect(world.isLocked).toBe(true);
    await world.pass(200);
    expect(world.isLocked).toBe(false);
    for (let i = 0; i < 50; i++) {
      await world.pass(100);
      expect(world.isLocked).toBe(false);
    }
    expect(world.answers).toEqual([]);
    await world.pass(1_000);
    expect(world.answers).toMatchObject([{ type: 'Waited', code: 'deadline_exceeded' }]);
  });

  it('a transaction goes on as soon as that votes, inside its deadline', async () => {
    const world = new World();
    world.begin(8_000);
    await world.pass(3_000);
    world.answer = ({ body }) =>
      body.type === 'TxnPrepare' ? voted(yes(7)) : { type: 'Done', revision: 7 };
    await world.pass(2_000);
    expect(world.answers).toMatchObject([{ type: 'TxnDone', outcome: { succeeded: true } }]);
    expect([world.isLocked, world.coordinator.size, world.messenger.size]).toEqual([false, 0, 0]);
    // The next one asks all at once again.
    world.answer = () => 'silence';
    world.begin(1_000);
    await world.pass(20);
    expect(world.isLocked).toBe(true);
  });

  it('what is aborted is told once to who holds locks, and nothing of it is kept', async () => {
    const world = new World();
    for (let i = 0; i < 40; i++) {
      world.begin(500);
      await world.pass(20);
    }
    await world.pass(4_000);
    expect(world.answers).toHaveLength(40);
    const told = world.reach.asked.length;
    expect([world.coordinator.size, world.reach.pending.size, world.isLocked]).toEqual([
      0,
      0,
      false,
    ]);
    await world.pass(5_000);
    expect(world.reach.asked.length).toBe(told);
    expect(world.asked('TxnResolve')).toEqual([]);
  });

  it('a vote that comes too late is answered with the abort, once', async () => {
    const world = new World();
    let vote: (reply: ReplyBody) => void = () => {};
    world.answer = ({ body }): Answer => {
      if (body.type === 'TxnResolve') return 'silence';
      return new Promise((resolve) => {
        vote = resolve;
      });
    };
    world.begin(500);
    await world.pass(700);
    vote(voted(yes(7)));
    await world.pass(3_000);
    expect(world.asked('TxnResolve').map(({ fate }) => fate)).toEqual([ABORTED]);
    expect([world.coordinator.size, world.reach.pending.size]).toEqual([0, 0]);
  });
});

describe('the coordinator', () => {
  it('begins above the clock of a participant to which it seems too old', async () => {
    const world = new World();
    const hourMs = 3_600_000;
    const ahead = world.replica.clock.clock + hourMs * REVISIONS_PER_MS;
    const ids: TxnId[] = [];
    world.answer = ({ body }): Answer => {
      if (body.type !== 'TxnPrepare') return { type: 'Done', revision: 7 };
      ids.push(body.id);
      return body.id.start > ahead ? voted(yes(ahead + 9)) : voted({ type: 'over' }, ahead);
    };
    world.begin(2_000);
    await world.pass(100);
    expect(ids.map(({ start }) => start > ahead)).toEqual([false, ...ids.slice(1).map(() => true)]);
    expect(world.answers).toMatchObject([{ type: 'TxnDone' }]);
  });

  it('says that it has waited in vain when others hold the locks all the time', async () => {
    const world = new World();
    world.answer = () => voted({ type: 'conflict' });
    world.begin(1_000);
    await world.pass(1_000);
    expect(world.answers).toMatchObject([{ type: 'Waited', code: 'conflict' }]);
    expect(world.asked('TxnPrepare').length).toBeGreaterThan(5);
    expect(world.isLocked).toBe(false);
  });
});

describe('a commit', () => {
  const fate = { commitRevision: 9, succeeded: true };
  const id = { home: 1, term: 1, start: 5 };

  it('is told until it is confirmed, then forgotten, and never told twice at a time', async () => {
    const world = new World();
    world.messenger.commit(id, fate, [OTHER]);
    world.messenger.commit(id, fate, [OTHER]);
    await world.pass(12_000);
    const told = world.asked('TxnResolve').length;
    expect(told).toBeGreaterThan(8);
    expect(told).toBeLessThan(16);
    expect(world.messenger.hasKnown).toBe(false);
    world.answer = () => ({ type: 'Done', revision: 9 });
    await world.pass(2_000);
    expect([world.messenger.size, world.messenger.hasKnown]).toEqual([0, true]);
    world.messenger.forgetKnown();
    expect(world.replica.proposed.map(({ command }) => command)).toEqual([
      { type: 'txnForget', ids: [id] },
    ]);
  });

  it('is told by the next leader when this one leads no more', async () => {
    const world = new World();
    world.messenger.commit(id, fate, [OTHER]);
    await world.pass(500);
    world.messenger.lost();
    world.messenger.lead();
    const told = world.asked('TxnResolve').length;
    world.answer = () => ({ type: 'Done', revision: 9 });
    await world.pass(10_000);
    expect(world.asked('TxnResolve').length).toBeLessThanOrEqual(told + 1);
    expect(world.messenger.hasKnown).toBe(false);
  });
});
