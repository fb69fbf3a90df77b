import { describe, expect, it } from 'vitest';
import { ShardManager } from '../../../../actors/shard/manager.ts';
import { NO_TELEMETRY } from '../../../../observability/port.ts';
import type { ReplicaStatus, ReplyBody } from '../../../../protocol/messages/request.ts';
import type { GroupId, NodeId, ReplicaId } from '../../../../protocol/types.ts';
import { FakeReach } from '../../../kit/fake-reach.ts';

const n1 = 'n1:1' as ReplicaId;
const n2 = 'n2:1' as ReplicaId;

function status(voters: ReplicaId[], more: Partial<ReplicaStatus> = {}): ReplyBody {
  return {
    type: 'Status',
    status: {
      ...{ replica: n1, role: 'leader', leader: n1, term: 1, commitIndex: 10, appliedIndex: 10 },
      ...{ lastLogIndex: 10, firstLogIndex: 1, clock: 0, closed: 0, floor: 0, keys: 0 },
      ...{
        config: { voters, votersOld: null, learners: [] },
        configIndex: 4,
        matches: [],
        ...more,
      },
    },
  };
}

class World {
  readonly reach = new FakeReach();
  leads = true;
  msAgo = 0;
  living: ReplicaId[] = [];
  readonly manager: ShardManager;

  constructor() {
    for (const group of [0, 1]) this.reach.leaders.set(group as GroupId, 'n1' as NodeId);
    const seen = (replica: ReplicaId) => ({
      ...{ nodeId: replica.split(':')[0] as NodeId, replica, httpUrl: '', version: '' },
      ...{ roles: ['replica'], seenAtMs: 0, chunks: [], disk: 'ok' as const },
    });
    this.manager = new ShardManager({
      calls: this.reach.calls,
      telemetry: NO_TELEMETRY,
      groupCount: 1,
      nowMs: () => this.reach.clock.monotonicMs(),
      leadsMeta: () => this.leads,
      nodes: () => [
        { seen: seen(n1), msAgo: 0 },
        { seen: seen(n2), msAgo: this.msAgo },
      ],
      living: () => this.living,
    });
  }

  async tick(): Promise<unknown[]> {
    this.manager.tick();
    await this.reach.clock.pass(20);
    const { asked } = this.reach;
    return asked.splice(0).map(({ group, body }) => {
      return body.type === 'ChangeMembers' ? [group, body.learners] : [group, body.type];
    });
  }
}

describe('the shard manager', () => {
  it('asks every group’s leader, and orders the next step of each', async () => {
    const world = new World();
    world.reach.answer = ({ group, body }) => {
      if (body.type !== 'Status') return { type: 'Done', revision: 1 };
      return status(group === 0 ? [n1, n2] : [n1]);
    };
    expect(await world.tick()).toEqual([
      [0, 'Status'],
      [1, 'Status'],
      [1, [n2]],
    ]);
    expect(await world.tick()).toHaveLength(3);
  });

  it('moves leaders for balance only when none has changed for five seconds', async () => {
    const world = new World();
    let term = 1;
    world.reach.answer = ({ body }) => {
      if (body.type !== 'Status') return { type: 'Done', revision: 1 };
      const matches = [{ replica: n2, matchIndex: 10, active: true }];
      return status([n1, n2], { term, matches });
    };
    const moves = async () => (await world.tick()).flat().includes('TransferLeader');
    expect(await moves()).toBe(false);
    await world.reach.clock.pass(4_000);
    term = 2;
    expect(await moves()).toBe(false);
    await world.reach.clock.pass(4_000);
    expect(await moves()).toBe(false);
    await world.reach.clock.pass(1_000);
    expect(await moves()).toBe(true);
  });

  it('does nothing where the meta group is led elsewhere', async () => {
    const world = new World();
    world.leads = false;
    expect(await world.tick()).toEqual([]);
  });

  it('counts neither on a node that was silent for long, nor on a replica that does not lead', async () => {
    const world = new World();
    world.reach.answer = () => status([n1]);
    world.msAgo = 5_001;
    expect(await world.tick()).toHaveLength(2);
    const other = new World();
    other.reach.answer = () => status([n1], { role: 'follower' });
    expect(await other.tick()).toHaveLength(2);
  });

  it('goes on after a step that failed, and does nothing more once stopped', async () => {
    const world = new World();
    world.reach.answer = ({ body }) =>
      body.type === 'Status'
        ? status([n1])
        : {
            ...{ type: 'Rejected', code: 'invalid_argument', definite: true, message: '' },
            ...{ leader: null, hint: 0 },
          };
    expect(await world.tick()).toHaveLength(4);
    expect(await world.tick()).toHaveLength(4);
    world.manager.stop();
    expect(await world.tick()).toEqual([]);
  });
});
