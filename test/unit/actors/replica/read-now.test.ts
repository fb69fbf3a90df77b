import { describe, expect, it } from 'vitest';
import type { RaftView } from '../../../../actors/raft/state.ts';
import { readNow } from '../../../../actors/replica/read-now.ts';
import type { GroupConfig } from '../../../../protocol/membership.ts';
import { revisionAtWallMs } from '../../../../protocol/revision.ts';
import type { ReplicaId } from '../../../../protocol/types.ts';
import { put, ref } from '../../../kit/applied-group.ts';
import { FakeReplica } from '../../../kit/fake-replica.ts';

const SELF = 'n1:00000001' as ReplicaId;
const OTHER = 'n2:00000001' as ReplicaId;
const ALONE: GroupConfig = { voters: [SELF], votersOld: null, learners: [] };

class World {
  readonly replica = FakeReplica.owning();
  raft = { self: SELF, leader: { noopIndex: 1 }, commitIndex: 1, log: { config: ALONE } };

  write(key: string, value: string, ttlMs: number | null = null): void {
    const revision = this.replica.clock.assign(1, this.replica.ports.clock.wallMs());
    const ops = [put(key, value, ttlMs === null ? {} : { ttlMs })];
    const rest = { epoch: 1, idempotency: null, traceparent: null };
    this.replica.apply({ type: 'write', revision, ops, ...rest });
    this.raft.commitIndex = this.replica.state.appliedIndex;
  }

  /** 'later' when it cannot be answered now. */
  read(key: string, mayBlock = false): string | null {
    const answer = readNow(this.replica, this.raft as unknown as RaftView, ref(key), mayBlock);
    if (answer === null) return 'later';
    return answer.item === null ? null : Buffer.from(answer.item.value).toString();
  }
}

describe('a read of this very moment', () => {
  it('is answered by a sole voter that leads and has applied what is committed', () => {
    const world = new World();
    world.write('a', '1');
    expect([world.read('a'), world.read('b')]).toEqual(['1', null]);
  });

  it('waits for the no-op of the term, and for everything committed to be applied', () => {
    const world = new World();
    world.write('a', '1');
    world.raft.leader = { noopIndex: world.raft.commitIndex + 1 };
    expect(world.read('a')).toBe('later');
    world.raft.leader = { noopIndex: 1 };
    world.raft.commitIndex++;
    expect(world.read('a')).toBe('later');
  });

  it('is not for followers, nor where anybody else votes or voted', () => {
    const world = new World();
    world.write('a', '1');
    const leads = { ...world.raft };
    world.raft = { ...leads, leader: null as never };
    expect(world.read('a')).toBe('later');
    for (const config of [
      { ...ALONE, voters: [SELF, OTHER] },
      { ...ALONE, voters: [OTHER] },
      { ...ALONE, votersOld: [SELF, OTHER] },
    ]) {
      world.raft = { ...leads, log: { config } };
      expect(world.read('a')).toBe('later');
    }
    world.raft = { ...leads, log: { config: { ...ALONE, learners: [OTHER] } } };
    expect(world.read('a')).toBe('1');
  });

  it('of a key that can expire needs a bound that outlives this leader, and raises the clock', () => {
    const world = new World();
    const { clock, ports } = world.replica;
    world.write('a', '1', 1_000);
    ports.clock.nowMs += 500;
    expect(world.read('a')).toBe('later');
    const now = () => revisionAtWallMs(ports.clock.wallMs());
    world.replica.apply({ type: 'reserve', bound: now() + 4_096 * 2_000 });
    world.raft.commitIndex++;
    expect(world.read('a')).toBe('1');
    expect(clock.clock).toBe(now());
    world.replica.trusted = false;
    expect(world.read('a')).toBe('later');
  });

  it('B21 does not tell of an end: what is on its way in the log may have read the key, and commit below it', () => {
    const world = new World();
    const { ports } = world.replica;
    world.write('a', '1', 1_000);
    const bound = revisionAtWallMs(ports.clock.wallMs() + 5_000);
    world.replica.apply({ type: 'reserve', bound });
    world.raft.commitIndex++;
    ports.clock.nowMs += 999;
    expect(world.read('a')).toBe('1');
    ports.clock.nowMs += 1;
    expect(world.read('a')).toBe('later');
  });

  it('does not wait for the disk unless it may: the row is brought first, and read after that', () => {
    const world = new World();
    world.write('a', '1');
    const { state } = world.replica;
    const { isWarm } = state;
    state.isWarm = () => false;
    expect([world.read('a'), world.read('a', true)]).toEqual(['later', '1']);
    state.isWarm = isWarm;
    expect(world.read('a')).toBe('1');
  });
});
