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
import {
  ABORTED,
  type TxnBody,
  type TxnId,
  type TxnOp,
  type TxnOpOf,
} from '../../../../protocol/txn.ts';
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

/** Under such a key the home group prepares like the others. */
const ONCE = { key: 'once', requestHash: new Uint8Array(32) };

/** The coordinator of group 1, whose own part is real; the test plays group 2. */
class World {
  readonly replica = FakeReplica.owning();
  readonly reach = new FakeReach(this.replica.ports.clock);
  readonly rounds = new ReadRounds(this.replica);
  readonly messenger: Messenger;
  readonly coordinator: Coordinator;
  readonly closer: Closer;
  readonly raft = { currentTerm: 1 } as ConstructorParameters<typeof Coordinator>[1];
  readonly answers: ReplyBody[] = [];
  /** What was committed here. */
  readonly types: string[] = [];
  answer: (asked: AskedRequest) => Answer = () => 'silence';

  constructor() {
    const { replica, reach } = this;
    this.closer = new Closer(replica, () => {});
    const participant = new Participant(replica, this.rounds, this.closer);
    const map = initialShardMap(2);
    const groups = () => ({ calls: reach.calls, map: () => map });
    this.messenger = new Messenger(replica, participant, groups);
    this.coordinator = new Coordinator(replica, this.raft, participant, this.messenger, groups);
    this.messenger.lead();
    this.coordinator.lead();
    // Its leader is known and stays so, whatever it answers.
    reach.leaders.set(OTHER, 'n2' as NodeId);
    reach.noteLeader = () => {};
    reach.answer = (asked) => this.answer(asked);
  }

  begin(
    deadlineMs: number,
    idempotency: RequestOf<'Txn'>['idempotency'] = null,
    more: Partial<TxnBody> = {},
  ): void {
    const body = { compares: [], then: THEN, otherwise: null, ...more };
    const request = { type: 'Txn', epoch: 1, body, idempotency } as const;
    const endMs = this.replica.ports.clock.monotonicMs() + deadlineMs;
    this.coordinator.begin(request, null, endMs, (reply) => this.answers.push(reply));
  }

  /** Lets time go by; what is proposed is committed at once. */
  async pass(ms: number): Promise<void> {
    for (let at = 0; at < ms; at += 5) {
      await this.replica.ports.clock.pass(5);
      while (this.replica.proposed.length > 0) {
        this.types.push(this.replica.proposed[0]?.command.type ?? '');
        this.replica.commit();
      }
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

function yes(revision: number, ops: readonly TxnOp[] = THEN.slice(0, 1)): TxnVote {
  const then = ops.map((op) =>
    op.type === 'put'
      ? ({ type: 'put', createRevision: 0, version: 1 } as const)
      : ({ type: 'deleted', count: 0 } as const),
  );
  const rest = { failedCompare: null, validUntilMs: null, otherwise: [] };
  return { type: 'yes', revision, then, ...rest };
}

describe('beside a participant that is silent', () => {
  it('nobody waits behind locks for longer than the voting may take, or more than once', async () => {
    const world = new World();
    world.begin(8_000, ONCE);
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
    world.begin(8_000, ONCE);
    await world.pass(3_000);
    world.answer = ({ body }) =>
      body.type === 'TxnPrepare' ? voted(yes(7)) : { type: 'Done', revision: 7 };
    await world.pass(2_000);
    expect(world.answers).toMatchObject([{ type: 'TxnDone', outcome: { succeeded: true } }]);
    expect([world.isLocked, world.coordinator.size, world.messenger.size]).toEqual([false, 0, 0]);
    // The next one asks all at once again.
    world.answer = () => 'silence';
    world.begin(1_000, { ...ONCE, key: 'twice' });
    await world.pass(20);
    expect(world.isLocked).toBe(true);
  });

  it('what is aborted is told once to who holds locks, and nothing of it is kept', async () => {
    const world = new World();
    for (let i = 0; i < 40; i++) {
      world.begin(500, ONCE);
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

describe('the part of the home group', () => {
  const at = (world: World) => world.replica.clock.clock;
  const logged = (world: World): string[] => world.types;
  const votesYes =
    (revision: () => number) =>
    ({ body }: AskedRequest): Answer =>
      body.type === 'TxnPrepare'
        ? voted(yes(revision(), body.part.body.then))
        : { type: 'Done', revision: 7 };

  it('is done by the entry that decides, above what the others prepared at, and locks nothing', async () => {
    const world = new World();
    let prepared = 0;
    world.answer = votesYes(() => {
      prepared = at(world) + 5_000;
      return prepared;
    });
    world.begin(1_000);
    await world.pass(50);
    expect(world.answers).toMatchObject([{ type: 'TxnDone', outcome: { succeeded: true } }]);
    expect(logged(world)).toEqual(['txnCommit']);
    const [told] = world.asked('TxnResolve');
    expect(told?.fate.commitRevision).toBeGreaterThan(prepared);
    const [done] = world.answers;
    const outcome = done?.type === 'TxnDone' ? done.outcome : null;
    expect(outcome?.revision).toBe(told?.fate.commitRevision);
    expect(outcome?.results).toMatchObject([
      { type: 'put', createRevision: outcome?.revision, version: 1 },
      { type: 'put', createRevision: outcome?.revision, version: 1 },
    ]);
    expect([world.coordinator.size, world.isLocked]).toEqual([0, false]);
  });

  it('is prepared like the others where a range, a lease or an idempotency key wants it', async () => {
    const lease = { ...(THEN[0] as TxnOpOf<'put'>), attach: { lease: 7, until: 2 ** 50 } };
    const ref = { tenant: 'default', space: 'kv' };
    const range = { type: 'deleteRange', ...ref, start: 'a', end: 'b' } as const;
    const kinds: [typeof ONCE | null, Partial<TxnBody>][] = [
      [ONCE, {}],
      [null, { then: [...THEN, range] }],
      [null, { then: [lease, THEN[1] as TxnOp] }],
    ];
    for (const [key, more] of kinds) {
      const world = new World();
      world.answer = votesYes(() => at(world));
      world.begin(1_000, key, more);
      await world.pass(20);
      expect(logged(world)[0]).toBe('txnPrepare');
      expect(logged(world)).not.toContain('txnCommit');
    }
  });

  it('refuses: a compare that fails is told, and the others are unlocked', async () => {
    const world = new World();
    world.answer = votesYes(() => at(world));
    const compares = [
      { ref: keyIn(1), relation: '=', target: { type: 'exists', exists: true } } as const,
    ];
    world.begin(1_000, null, { compares });
    await world.pass(50);
    const outcome = { succeeded: false, failedCompare: 0, results: [] };
    expect(world.answers).toMatchObject([{ type: 'TxnDone', outcome }]);
    expect(world.asked('TxnResolve').map(({ fate }) => fate)).toEqual([ABORTED]);
  });

  it('asks nobody while others hold its keys, and tries again when they are free', async () => {
    const world = new World();
    world.answer = votesYes(() => at(world));
    const { replica } = world;
    const wallMs = replica.ports.clock.wallMs();
    const id = { home: 2, term: 1, start: replica.clock.assign(1, wallMs) };
    const part = {
      body: { compares: [], then: THEN.slice(0, 1), otherwise: null },
      ...{ comparesAt: [], thenAt: [0], otherwiseAt: [] },
    };
    const revision = replica.clock.assign(1, wallMs);
    replica.apply({ type: 'txnPrepare', revision, epoch: 1, id, part });
    world.begin(3_000);
    await world.pass(100);
    expect(world.asked('TxnPrepare')).toEqual([]);
    replica.apply({ type: 'txnResolve', id, fate: ABORTED, removed: [] });
    await world.pass(300);
    expect(world.answers).toMatchObject([{ type: 'TxnDone' }]);
  });

  it('is given no revision while a snapshot is being taken', async () => {
    const world = new World();
    world.answer = votesYes(() => at(world));
    const gate = world.closer.gate.close('n2.1.1') ?? 0;
    world.begin(3_000);
    await world.pass(100);
    expect(logged(world)).toEqual([]);
    const seen = at(world) + 1_000;
    world.replica.clock.raise(seen);
    world.closer.gate.open(gate);
    await world.pass(50);
    const [done] = world.answers;
    expect(done?.type === 'TxnDone' && done.outcome.revision > seen).toBe(true);
  });

  it('is not done by a leader of a later term, nor when a vote has run out', async () => {
    const late = new World();
    late.answer = votesYes(() => at(late));
    const gate = late.closer.gate.close('n2.1.1') ?? 0;
    late.begin(3_000);
    await late.pass(50);
    late.raft.currentTerm = 2;
    late.closer.gate.open(gate);
    await late.pass(50);
    expect(late.answers).toMatchObject([{ type: 'Rejected', code: 'not_leader' }]);
    expect(logged(late)).toEqual([]);
    const expired = new World();
    const put = { type: 'put', createRevision: 0, version: 1 } as const;
    const rest = { failedCompare: null, validUntilMs: 0, otherwise: [] };
    expired.answer = ({ body }) =>
      body.type === 'TxnPrepare'
        ? voted({ type: 'yes', revision: at(expired), then: [put], ...rest })
        : { type: 'Done', revision: 7 };
    expired.begin(500);
    await expired.pass(500);
    expect(logged(expired)).toEqual([]);
    expect(expired.answers).toMatchObject([{ type: 'Waited', code: 'conflict' }]);
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
