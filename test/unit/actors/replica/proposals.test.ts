import { describe, expect, it } from 'vitest';
import type { Applied } from '../../../../actors/apply/apply.ts';
import type { ProposalOutcome } from '../../../../actors/replica/context.ts';
import { Proposals } from '../../../../actors/replica/proposals.ts';
import { type Command, decodeCommand } from '../../../../protocol/commands.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import { ABORTED } from '../../../../protocol/txn.ts';
import { FakeReplica } from '../../../kit/fake-replica.ts';

const floor = (at: number): Command => ({ type: 'compact', floor: at });

function applied(index: number, term: number): Applied {
  const nothing = {
    results: [],
    repeated: false,
    rejection: null,
    events: [],
    txn: null,
    object: null,
  };
  return { index, term, clock: 0, ...nothing };
}

function asked(proposals: Proposals, command = floor(1)) {
  const outcomes: ProposalOutcome[] = [];
  const proposal = proposals.ask(command, (outcome) => outcomes.push(outcome));
  if (proposal === null) throw new Error('it is too large');
  return { outcomes, proposal, id: proposal.proposalId };
}

describe('proposals', () => {
  it('carry their bytes, and a bound that a later leader starts above', () => {
    const proposals = new Proposals();
    const reserve = asked(proposals, { type: 'reserve', bound: 77 }).proposal;
    expect([reserve.kind, reserve.clockBound]).toEqual(['command', 77]);
    expect(decodeCommand(reserve.payload)).toEqual({ type: 'reserve', bound: 77 });
    const expire: Command = {
      type: 'expire',
      revision: 100,
      keys: ['a', 'b', 'c'].map((key) => ({
        ref: { tenant: 't', space: 's', key },
        revision: 1,
      })),
    };
    expect(asked(proposals, expire).proposal.clockBound).toBe(102);
    expect(asked(proposals, floor(9)).proposal.clockBound).toBe(0);
  });

  it('reserve what apply raises the clock to, also for a transaction that never was and is aborted', () => {
    const replica = FakeReplica.owning();
    const start = replica.clock.assign(1, replica.ports.clock.wallMs()) + 1_000_000;
    const id = { home: 1, term: 1, start };
    const rest = { participants: [], request: null, removed: [] };
    const command: Command = { type: 'txnDecide', id, fate: ABORTED, ...rest };
    const { clockBound } = asked(new Proposals(), command).proposal;
    expect(replica.apply(command).clock).toBe(start);
    expect(clockBound).toBe(start);
  });

  it('are applied when their own entry is applied at their index', () => {
    const proposals = new Proposals();
    const one = asked(proposals);
    proposals.appended(one.id, 5, 2);
    expect(proposals.commandAt(5, 2)).toEqual(floor(1));
    expect(proposals.commandAt(5, 3)).toBeNull();
    proposals.applied(applied(4, 2));
    expect(one.outcomes).toEqual([]);
    proposals.applied(applied(5, 2));
    proposals.applied(applied(5, 2));
    expect(one.outcomes).toEqual([{ type: 'applied', applied: applied(5, 2) }]);
    expect(proposals.size).toBe(0);
  });

  it('B10 are refused for certain only when another entry was applied there', () => {
    const proposals = new Proposals();
    const one = asked(proposals);
    proposals.appended(one.id, 5, 2);
    proposals.applied(applied(5, 3));
    expect(one.outcomes).toEqual([{ type: 'refused', reason: 'not_leader' }]);
  });

  it('stay open while nothing is applied there, whoever leads', () => {
    const proposals = new Proposals();
    const one = asked(proposals);
    proposals.appended(one.id, 5, 2);
    expect(one.outcomes).toEqual([]);
    expect(proposals.size).toBe(1);
  });

  it('that never reached the log are refused, with the reason', () => {
    const proposals = new Proposals();
    const reasons = (['not_leader', 'transferring', 'overloaded'] as const).map((reason) => {
      const one = asked(proposals);
      proposals.refused(one.id, reason);
      proposals.refused(one.id, reason);
      return one.outcomes;
    });
    expect(reasons).toEqual([
      [{ type: 'refused', reason: 'not_leader' }],
      [{ type: 'refused', reason: 'not_leader' }],
      [{ type: 'refused', reason: 'overloaded' }],
    ]);
    expect(proposals.size).toBe(0);
  });

  it('that no entry can hold are refused, and never get near the log', () => {
    const proposals = new Proposals();
    const outcomes: ProposalOutcome[] = [];
    const key = 'k'.repeat(LIMITS.keyBytesMax);
    const expiring = { ref: { tenant: 't', space: 's', key }, revision: 1 };
    const command: Command = { type: 'expire', revision: 1, keys: Array(300).fill(expiring) };
    expect(proposals.ask(command, (outcome) => outcomes.push(outcome))).toBeNull();
    expect(outcomes).toEqual([{ type: 'refused', reason: 'too_large' }]);
    expect(proposals.size).toBe(0);
  });

  it('that were replaced in the own log are unknown: another replica may still have them', () => {
    const proposals = new Proposals();
    const one = asked(proposals);
    const two = asked(proposals);
    proposals.appended(one.id, 5, 2);
    proposals.appended(two.id, 5, 4);
    expect(one.outcomes).toEqual([{ type: 'unknown' }]);
    proposals.applied(applied(5, 4));
    expect(two.outcomes).toEqual([{ type: 'applied', applied: applied(5, 4) }]);
  });

  it('that a snapshot passed over are unknown, those behind it stay open', () => {
    const proposals = new Proposals();
    const [one, two, three] = [asked(proposals), asked(proposals), asked(proposals)];
    proposals.appended(one.id, 5, 2);
    proposals.appended(two.id, 6, 2);
    proposals.appended(three.id, 7, 2);
    proposals.passedOver(6);
    expect([one, two, three].map(({ outcomes }) => outcomes)).toEqual([
      [{ type: 'unknown' }],
      [{ type: 'unknown' }],
      [],
    ]);
  });

  it('that nobody asked for change nothing', () => {
    const proposals = new Proposals();
    proposals.appended(99, 5, 2);
    proposals.refused(99, 'overloaded');
    proposals.applied(applied(5, 2));
    expect(proposals.size).toBe(0);
    expect(proposals.commandAt(5, 2)).toBeNull();
  });
});
