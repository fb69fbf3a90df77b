import { describe, expect, it } from 'vitest';
import { evolve } from '../../../../actors/raft/evolve.ts';
import { Leadership } from '../../../../actors/replica/leadership.ts';
import { nodeOf } from '../../../../protocol/types.ts';
import { AppliedLog, BASE } from '../../../kit/applied-log.ts';

describe('leadership', () => {
  it('starts above every revision and bound in the log, once per term, and tells of its loss', () => {
    const world = new AppliedLog();
    const lost: number[] = [];
    const known: string[] = [];
    const leadership = new Leadership(
      world.replica,
      world.raft,
      [{ lost: () => void lost.push(1) }],
      { onLeader: (_, leader) => void known.push(leader) },
    );
    world.log({ type: 'reserve', bound: BASE + 9_000 }, 2);
    leadership.look();
    expect(world.replica.clock.clock).toBe(0);
    evolve(world.raft, { type: 'RoleChanged', role: 'leader', leaderId: world.replica.self });
    leadership.look();
    leadership.look();
    expect(world.replica.clock.clock).toBe(BASE + 9_000);
    const { telemetry } = world.replica.ports;
    expect(telemetry.total('raft_elections_won')).toBe(1);
    expect(telemetry.total('raft_leader_changes')).toBe(1);
    evolve(world.raft, { type: 'RoleChanged', role: 'follower', leaderId: null });
    leadership.look();
    leadership.look();
    expect(lost).toHaveLength(1);
    expect(known).toEqual([nodeOf(world.replica.self)]);
    expect(telemetry.total('raft_leader_changes')).toBe(2);
  });
});
