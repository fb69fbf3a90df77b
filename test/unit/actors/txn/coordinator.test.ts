import { describe, expect, it } from 'vitest';
import type { ReplyBody } from '../../../../protocol/messages/request.ts';
import { REVISIONS_PER_MS } from '../../../../protocol/revision.ts';
import { ABORTED, type TxnId } from '../../../../protocol/txn.ts';
import { ONCE, OTHER, voted, World, yes } from '../../../kit/coordinator-world.ts';
import type { Answer } from '../../../kit/fake-reach.ts';
import { settle } from '../../../kit/hand-clock.ts';

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
    expect(world.told.map(({ fate }) => fate)).toEqual([ABORTED]);
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

  it('that is in the log when the leader goes is told to whoever waits, also after the time for voting', async () => {
    const world = new World();
    const { clock } = world.replica.ports;
    world.answer = ({ body }) =>
      body.type === 'TxnPrepare' ? voted(yes(7)) : { type: 'Done', revision: 9 };
    world.begin(8_000);
    while (world.replica.proposed.length === 0) {
      await clock.pass(5);
      await settle();
    }
    world.coordinator.lost();
    await clock.pass(3_000);
    await settle();
    expect(world.answers).toEqual([]);
    await world.pass(5);
    expect(world.types).toEqual(['txnCommit']);
    expect(world.answers).toMatchObject([{ type: 'TxnDone', outcome: { succeeded: true } }]);
    expect(world.coordinator.size).toBe(0);
  });
});
