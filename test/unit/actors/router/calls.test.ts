import { describe, expect, it } from 'vitest';
import type { CallOptions } from '../../../../actors/router/calls.ts';
import { AppError } from '../../../../protocol/errors.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import type { ReplyBody, RequestBody } from '../../../../protocol/messages/request.ts';
import type { GroupId, NodeId } from '../../../../protocol/types.ts';
import { put, ref } from '../../../kit/applied-group.ts';
import { type Answer, FakeReach, rejected } from '../../../kit/fake-reach.ts';

const group = 1 as GroupId;
const n1 = 'n1' as NodeId;
const n2 = 'n2' as NodeId;
const n3 = 'n3' as NodeId;
const ITEMS: ReplyBody = { type: 'Items', items: [null], clock: 5 };
const WRITTEN: ReplyBody = { type: 'Written', results: [], clock: 5, repeated: false };
const READ: RequestBody = {
  ...{ type: 'Read', epoch: 1, keys: [ref('a')], revision: null, stale: false },
};
const WRITE: RequestBody = { type: 'Write', epoch: 1, ops: [put('a', '1')], idempotency: null };
const ONCE: CallOptions = {
  ...{ deadlineMs: 5_000, traceparent: null, target: 'leader', repeatable: false },
};
const AGAIN: CallOptions = { ...ONCE, repeatable: true };

/** Answers one after another; the last one stays. */
function script(reach: FakeReach, ...answers: Answer[]): void {
  reach.answer = () => (answers.length > 1 ? (answers.shift() as Answer) : (answers[0] as Answer));
}

function readOf(reach: FakeReach, options = AGAIN): Promise<unknown> {
  return reach.outcome(reach.calls.call(group, READ, 'Items', options));
}

function writeOf(reach: FakeReach, options = ONCE): Promise<unknown> {
  return reach.outcome(reach.calls.call(group, WRITE, 'Written', options));
}

const told = (error: unknown) => (error instanceof AppError ? [error.code, error.definite] : error);

describe('a call', () => {
  it('goes to the leader and resolves with its reply', async () => {
    const reach = new FakeReach();
    reach.leaders.set(group, n2);
    script(reach, ITEMS);
    expect(await readOf(reach)).toBe(ITEMS);
    expect(reach.asked.map(({ node }) => node)).toEqual([n2]);
    expect(reach.pending.size).toBe(0);
  });

  it('follows a redirect', async () => {
    const reach = new FakeReach();
    reach.leaders.set(group, n2);
    script(reach, rejected('not_leader', { leader: n3 }), WRITTEN);
    expect(await writeOf(reach)).toBe(WRITTEN);
    expect(reach.asked.map(({ node }) => node)).toEqual([n2, n3]);
    expect(reach.clock.nowMs).toBeLessThan(50);
  });

  it('for any replica asks the local one first, then the leader', async () => {
    const reach = new FakeReach();
    reach.local.add(group);
    reach.leaders.set(group, n2);
    script(reach, rejected('not_leader', { leader: n2 }), ITEMS);
    expect(await readOf(reach, { ...AGAIN, target: 'any' })).toBe(ITEMS);
    expect(reach.asked.map(({ node }) => node)).toEqual([n1, n2]);
  });

  it('asks again when a request has waited in vain, whatever its kind, until its deadline', async () => {
    const reach = new FakeReach();
    reach.leaders.set(group, n2);
    const waited: ReplyBody = { type: 'Waited', code: 'unavailable', message: 'it is locked' };
    script(reach, waited, waited, ITEMS);
    expect(await readOf(reach)).toBe(ITEMS);
    script(reach, waited, WRITTEN);
    expect(await writeOf(reach)).toBe(WRITTEN);
    script(reach, waited);
    const startMs = reach.clock.nowMs;
    expect(told(await readOf(reach))).toEqual(['unavailable', true]);
    expect(reach.clock.nowMs - startMs).toBeGreaterThanOrEqual(5_000);
    script(reach, { ...waited, code: 'conflict' });
    expect(told(await writeOf(reach))).toEqual(['conflict', true]);
  });

  it('never takes back that a write was unanswered, however it waited afterwards', async () => {
    const reach = new FakeReach();
    reach.leaders.set(group, n2);
    reach.others = [n2];
    script(reach, 'silence', { type: 'Waited', code: 'conflict', message: 'it is locked' });
    expect(told(await writeOf(reach, AGAIN))).toEqual(['outcome_unknown', false]);
  });

  it('tries one candidate after another while no leader is known', async () => {
    const reach = new FakeReach();
    reach.others = [n2, n3];
    script(reach, rejected('not_leader'), rejected('not_leader'), ITEMS);
    expect(await readOf(reach)).toBe(ITEMS);
    expect(reach.asked.map(({ node }) => node)).toEqual([n2, n3, n2]);
  });

  it('waits for the local replica to learn of a leader', async () => {
    const reach = new FakeReach();
    reach.local.add(group);
    script(reach, ITEMS);
    reach.clock.after(200, () => reach.leaders.set(group, n3));
    expect(await readOf(reach)).toBe(ITEMS);
    expect(reach.asked).toHaveLength(1);
  });

  it('without a leader is unavailable at its deadline, for certain', async () => {
    const reach = new FakeReach();
    reach.local.add(group);
    expect(told(await writeOf(reach))).toEqual(['unavailable', true]);
    expect(reach.clock.nowMs).toBeGreaterThanOrEqual(5_000);
    expect(reach.clock.nowMs).toBeLessThan(5_100);
    expect(reach.asked).toEqual([]);
  });

  it('that is only redirected is unavailable at its deadline, for certain', async () => {
    const reach = new FakeReach();
    reach.leaders.set(group, n2);
    reach.others = [n2];
    script(reach, rejected('not_leader'));
    expect(told(await writeOf(reach))).toEqual(['unavailable', true]);
  });

  it('that could not be sent certainly did not happen', async () => {
    const reach = new FakeReach();
    reach.leaders.set(group, n2);
    script(reach, 'not sent');
    expect(told(await writeOf(reach))).toEqual(['unavailable', true]);
    script(reach, 'not sent', WRITTEN);
    expect(await writeOf(reach)).toBe(WRITTEN);
  });

  it('keeps the reason of a refusal', async () => {
    const reach = new FakeReach();
    reach.leaders.set(group, n2);
    script(reach, rejected('compacted', { hint: 77 }));
    const error = (await readOf(reach)) as AppError;
    expect([error.code, error.details]).toEqual(['compacted', { oldestRevision: 77 }]);
    script(reach, rejected('a code of a newer version', { definite: false }));
    expect(told(await readOf(reach))).toEqual(['internal', false]);
  });

  it('with a reply of another kind is a defect', async () => {
    const reach = new FakeReach();
    reach.leaders.set(group, n2);
    script(reach, { type: 'Done', revision: 1 });
    expect(told(await readOf(reach))).toEqual(['internal', false]);
  });
});

describe('a read that is not answered', () => {
  it('is asked again after a second, elsewhere if need be', async () => {
    const reach = new FakeReach();
    reach.leaders.set(group, n2);
    reach.others = [n2, n3];
    script(reach, 'silence', ITEMS);
    expect(await readOf(reach)).toBe(ITEMS);
    expect(reach.asked.map(({ node }) => node)).toEqual([n2, n3]);
    expect(reach.clock.nowMs).toBeGreaterThanOrEqual(1_000);
    expect(reach.clock.nowMs).toBeLessThan(1_100);
  });

  it('is asked again at once when another node leads', async () => {
    const reach = new FakeReach();
    reach.leaders.set(group, n2);
    script(reach, 'silence', ITEMS);
    reach.clock.after(50, () => {
      reach.leaders.set(group, n3);
      reach.pending.leaderChanged(group, n3, () => true);
    });
    reach.noteLeader = () => {};
    expect(await readOf(reach)).toBe(ITEMS);
    expect(reach.asked.map(({ node }) => node)).toEqual([n2, n3]);
    expect(reach.clock.nowMs).toBeLessThan(100);
  });

  it('is sent on at the moment a leader is known, not at the next look', async () => {
    const reach = new FakeReach();
    script(reach, ITEMS);
    const atMs = 1_001;
    reach.clock.after(atMs, () => {
      reach.leaders.set(group, n3);
      reach.calls.leaderKnown(group);
    });
    reach.local.add(group);
    expect(await readOf(reach)).toBe(ITEMS);
    expect(reach.clock.nowMs).toBeLessThan(atMs + 10);
  });

  it('does not believe one that refuses and names itself', async () => {
    const reach = new FakeReach();
    reach.leaders.set(group, n2);
    const named: unknown[] = [];
    reach.noteLeader = (_group, leader) => void named.push(leader);
    script(reach, rejected('not_leader', { leader: n2 }), ITEMS);
    expect(await readOf(reach)).toBe(ITEMS);
    expect(named).toEqual([null]);
  });

  it('is late at its deadline, for certain', async () => {
    const reach = new FakeReach();
    reach.leaders.set(group, n2);
    reach.others = [n2];
    expect(told(await readOf(reach))).toEqual(['deadline_exceeded', true]);
  });

  it('is asked again when the replica is too busy', async () => {
    const reach = new FakeReach();
    reach.leaders.set(group, n2);
    script(reach, rejected('overloaded'), ITEMS);
    expect(await readOf(reach)).toBe(ITEMS);
  });
});

describe('a write that was handed over and not answered', () => {
  it('is unknown, and is not sent twice', async () => {
    const reach = new FakeReach();
    reach.leaders.set(group, n2);
    expect(told(await writeOf(reach))).toEqual(['outcome_unknown', false]);
    expect(reach.asked).toHaveLength(1);
    expect(reach.clock.nowMs).toBeGreaterThanOrEqual(5_000);
  });

  it('is given up early when another node leads: still unknown', async () => {
    const reach = new FakeReach();
    reach.leaders.set(group, n2);
    reach.clock.after(50, () => reach.pending.leaderChanged(group, n3, () => true));
    expect(told(await writeOf(reach))).toEqual(['outcome_unknown', false]);
    expect(reach.clock.nowMs).toBeLessThan(100);
  });

  it('is sent again under its idempotency key', async () => {
    const reach = new FakeReach();
    reach.leaders.set(group, n2);
    reach.others = [n3];
    script(reach, 'silence', WRITTEN);
    expect(await writeOf(reach, AGAIN)).toBe(WRITTEN);
    expect(reach.asked.map(({ node }) => node)).toEqual([n2, n3]);
  });

  for (const later of ['not_leader', 'overloaded', 'clock_skew', 'unavailable'] as const) {
    it(`stays unknown when a later try is answered ${later}`, async () => {
      const reach = new FakeReach();
      reach.leaders.set(group, n2);
      reach.others = [n3];
      script(reach, 'silence', rejected(later));
      expect(told(await writeOf(reach, AGAIN))).toEqual(['outcome_unknown', false]);
    });
  }

  it('stays unknown when a later try cannot be sent', async () => {
    const reach = new FakeReach();
    reach.leaders.set(group, n2);
    reach.others = [n3];
    script(reach, 'silence', 'not sent');
    expect(told(await writeOf(reach, AGAIN))).toEqual(['outcome_unknown', false]);
  });

  it('stays unknown when a later try finds this node full', async () => {
    const reach = new FakeReach();
    reach.leaders.set(group, n2);
    reach.others = [n3];
    reach.clock.after(1_009, () => fill(reach));
    expect(told(await writeOf(reach, AGAIN))).toEqual(['outcome_unknown', false]);
    expect(reach.asked).toHaveLength(1);
  });
});

function fill(reach: FakeReach): void {
  for (let i = 0; i <= LIMITS.pendingRequestsMax; i++) {
    reach.pending.open(60_000, { group: 9 as GroupId, node: n2, asLeader: false }, () => {});
  }
}

describe('a node with too many requests', () => {
  it('refuses a new one for certain', async () => {
    const reach = new FakeReach();
    reach.leaders.set(group, n2);
    fill(reach);
    expect(told(await writeOf(reach))).toEqual(['overloaded', true]);
    expect(reach.asked).toEqual([]);
  });

  it('passes on that a group is too busy for a write', async () => {
    const reach = new FakeReach();
    reach.leaders.set(group, n2);
    script(reach, rejected('overloaded'));
    expect(told(await writeOf(reach))).toEqual(['overloaded', true]);
    expect(reach.asked).toHaveLength(1);
  });
});
