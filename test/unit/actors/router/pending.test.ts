import { describe, expect, it } from 'vitest';
import { PendingRequests } from '../../../../actors/router/pending.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import type { ReplyBody } from '../../../../protocol/messages/request.ts';
import type { GroupId, NodeId } from '../../../../protocol/types.ts';
import { HandClock } from '../../../kit/hand-clock.ts';

const DONE: ReplyBody = { type: 'Done', revision: 5 };
const group = 1 as GroupId;
const n1 = 'n1' as NodeId;
const n2 = 'n2' as NodeId;

function open(pending: PendingRequests, node: NodeId = n1, asLeader = true, waitMs = 100) {
  const settled: (ReplyBody | null)[] = [];
  const id = pending.open(waitMs, { group, node, asLeader }, (reply) => settled.push(reply));
  return { id: id as number, settled };
}

describe('pending requests', () => {
  it('are settled by their own reply, once', async () => {
    const clock = new HandClock();
    const pending = new PendingRequests(clock, 1000);
    const [one, two] = [open(pending), open(pending)];
    expect([one.id, two.id]).toEqual([1000, 1001]);
    expect(pending.reply(1001, DONE)).toBe(true);
    expect(pending.reply(1001, DONE)).toBe(false);
    expect(pending.reply(7, DONE)).toBe(false);
    await clock.pass(200);
    expect([one.settled, two.settled]).toEqual([[null], [DONE]]);
    expect([pending.size, clock.timerCount]).toEqual([0, 0]);
  });

  it('drop a reply that comes after their time', async () => {
    const clock = new HandClock();
    const pending = new PendingRequests(clock, 1);
    const one = open(pending);
    await clock.pass(99);
    expect(one.settled).toEqual([]);
    await clock.pass(16);
    expect(pending.reply(one.id, DONE)).toBe(false);
    expect(one.settled).toEqual([null]);
  });

  it('to a leader that was replaced are given up early, others are not', () => {
    const pending = new PendingRequests(new HandClock(), 1);
    const [old, current, any] = [open(pending, n1), open(pending, n2), open(pending, n1, false)];
    const other = open(pending, n1);
    pending.leaderChanged(9 as GroupId, n2, () => true);
    pending.leaderChanged(group, n2, () => false);
    expect(other.settled).toEqual([]);
    pending.leaderChanged(group, n2, (node) => node === n1);
    expect([old, current, any, other].map(({ settled }) => settled)).toEqual([
      [null],
      [],
      [],
      [null],
    ]);
  });

  it('to a node that has left are given up, as leader or not', () => {
    const pending = new PendingRequests(new HandClock(), 1);
    const all = [open(pending, n1), open(pending, n1, false), open(pending, n2)];
    pending.nodeGone(n1);
    expect(all.map(({ settled }) => settled)).toEqual([[null], [null], []]);
  });

  it('are bounded', () => {
    const pending = new PendingRequests(new HandClock(), 1);
    for (let i = 0; i < LIMITS.pendingRequestsMax; i++) open(pending);
    expect(pending.open(100, { group, node: n1, asLeader: false }, () => {})).toBeNull();
    pending.reply(1, DONE);
    expect(pending.open(100, { group, node: n1, asLeader: false }, () => {})).not.toBeNull();
  });
});
