import { describe, expect, it } from 'vitest';
import { copiesOf, type Said, worstOf } from '../../../../actors/blob/copies.ts';
import type { ChunksHeld } from '../../../../protocol/messages/node.ts';
import type { ReplicaId } from '../../../../protocol/types.ts';

const HELD: ChunksHeld = {
  ...{ group: 1, configIndex: 10, voters: 3, isJoint: false, isVoter: true, heldTo: 12 },
  ...{ chunks: 5, missing: 0, lost: 0 },
};

function said(replica: string, other: Partial<ChunksHeld> = {}): Said {
  return { replica: replica as ReplicaId, held: { ...HELD, ...other } };
}

describe('the copies of a group', () => {
  const [a, b] = [said('a:1'), said('b:1')];

  it('are whole when every voter has what was named up to their configuration', () => {
    expect(copiesOf([a, b, said('c:2')])).toMatchObject({ state: 'whole', waitingFor: [] });
    // A node that holds nothing of it, or only follows, is no voter.
    const learner = said('d:1', { isVoter: false, heldTo: null });
    expect(copiesOf([a, b, said('c:2'), learner]).state).toBe('whole');
  });

  it('are not while a voter has not looked since that configuration, however much it had before', () => {
    for (const heldTo of [null, 9]) {
      const late = copiesOf([a, b, said('c:2', { heldTo, missing: 3 })]);
      expect(late).toMatchObject({ state: 'restoring', missing: 3, waitingFor: ['c:2'] });
    }
    // Two still speak of the configuration before.
    const ahead = copiesOf([a, b, said('c:2', { configIndex: 20, heldTo: 20 })]);
    expect(ahead).toMatchObject({ state: 'restoring', waitingFor: ['a:1', 'b:1'] });
    const isJoint = { configIndex: 10, isJoint: true };
    const joint = [a, b, said('c:2')].map((one) => said(one.replica, isJoint));
    expect(copiesOf(joint).state).toBe('restoring');
  });

  it('are not known while a voter is not heard, and lost is lost', () => {
    expect(copiesOf([]).state).toBe('unknown');
    expect(copiesOf([a, b]).state).toBe('unknown');
    expect(copiesOf([a, said('b:1', { lost: 2, heldTo: null })])).toMatchObject({
      ...{ state: 'lost', lost: 2 },
    });
  });

  it('of several groups are as the worst of them', () => {
    expect(worstOf([])).toBe('whole');
    expect(worstOf(['whole', 'unknown', 'restoring'])).toBe('restoring');
    expect(worstOf(['unknown', 'whole', 'lost'])).toBe('lost');
  });
});
