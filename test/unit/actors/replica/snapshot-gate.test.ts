import { describe, expect, it } from 'vitest';
import { SnapshotGate } from '../../../../actors/replica/snapshot-gate.ts';
import { FakeReplica } from '../../../kit/fake-replica.ts';

class World {
  readonly replica = FakeReplica.owning();
  readonly gate = new SnapshotGate(this.replica);
  readonly told: string[] = [];

  wait(name: string, ms = 1_000): void {
    const endMs = this.replica.ports.clock.monotonicMs() + ms;
    this.gate.wait(
      endMs,
      () => this.told.push(name),
      () => this.told.push(`${name} gave up`),
    );
  }

  pass(ms: number): Promise<void> {
    return this.replica.ports.clock.pass(ms);
  }
}

describe('the gate of a group', () => {
  it('lets whoever has waited through, in order, when the last snapshot has opened it', () => {
    const world = new World();
    expect([world.gate.close('a'), world.gate.close('b')]).toEqual([true, true]);
    expect([world.gate.isClosed, world.replica.clock.isHeld]).toEqual([true, true]);
    world.wait('first');
    world.wait('second');
    expect(world.gate.open('a')).toBe(true);
    expect(world.told).toEqual([]);
    expect(world.gate.open('b')).toBe(true);
    expect(world.told).toEqual(['first', 'second']);
    expect([world.gate.isClosed, world.replica.clock.isHeld]).toEqual([false, false]);
  });

  it('opens by itself in time, and says so to the snapshot that comes back', async () => {
    const world = new World();
    world.gate.close('a');
    world.wait('first');
    await world.pass(501);
    expect(world.told).toEqual(['first']);
    expect(world.gate.open('a')).toBe(false);
  });

  it('does not close again while somebody has waited long', async () => {
    const world = new World();
    world.gate.close('a');
    world.wait('first');
    expect(world.gate.close('b')).toBe(true);
    await world.pass(25);
    expect(world.gate.close('c')).toBe(false);
    world.gate.open('a');
    world.gate.open('b');
    expect(world.gate.close('c')).toBe(true);
  });

  it('opens with the loss of leadership, and no snapshot counts on it', () => {
    const world = new World();
    world.gate.close('a');
    world.wait('first');
    world.gate.lost();
    expect(world.told).toEqual(['first']);
    expect(world.gate.open('a')).toBe(false);
  });

  it('tells those whose time is over', async () => {
    const world = new World();
    world.gate.close('a');
    world.wait('first', 100);
    await world.pass(101);
    expect(world.told).toEqual(['first gave up']);
  });
});
