import { describe, expect, it } from 'vitest';
import { SnapshotGate } from '../../../../actors/replica/snapshot-gate.ts';
import { FakeReplica } from '../../../kit/fake-replica.ts';

class World {
  readonly replica = FakeReplica.owning();
  readonly gate = new SnapshotGate(this.replica);
  readonly told: string[] = [];

  close(snapshot: string): number {
    const gate = this.gate.close(snapshot);
    if (gate === null) throw new Error('it does not close');
    return gate;
  }

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
    const [one, two] = [world.close('n1.7.1'), world.close('n2.4.1')];
    expect([world.gate.isClosed, world.replica.clock.isHeld]).toEqual([true, true]);
    world.wait('first');
    world.wait('second');
    expect(world.gate.open(one)).toBe(true);
    expect(world.told).toEqual([]);
    expect(world.gate.open(two)).toBe(true);
    expect(world.told).toEqual(['first', 'second']);
    expect([world.gate.isClosed, world.replica.clock.isHeld]).toEqual([false, false]);
  });

  it('opens by itself in time, and says so to the snapshot that comes back', async () => {
    const world = new World();
    const gate = world.close('n1.7.1');
    world.wait('first');
    await world.pass(501);
    expect(world.told).toEqual(['first']);
    expect(world.gate.open(gate)).toBe(false);
  });

  it('stays open for a snapshot that it has known: its question is late, or repeated', async () => {
    const world = new World();
    const gate = world.close('n1.7.2');
    await world.pass(300);
    expect(world.gate.close('n1.7.2')).toBe(gate);
    await world.pass(201);
    expect([world.gate.isClosed, world.gate.close('n1.7.2')]).toEqual([false, null]);
    expect(world.gate.close('n1.7.1')).toBeNull();
    expect([world.gate.isClosed, world.gate.open(gate)]).toEqual([false, false]);
    expect(world.gate.close('n1.8.1')).not.toBeNull();
  });

  it('gives each closing a name of its own', () => {
    const world = new World();
    const first = world.close('n1.7.1');
    world.gate.lost();
    const second = world.close('n1.7.2');
    expect(second).not.toBe(first);
    expect([world.gate.open(first), world.gate.isClosed]).toEqual([false, true]);
  });

  it('does not close again while somebody has waited long', async () => {
    const world = new World();
    const one = world.close('n1.7.1');
    world.wait('first');
    const two = world.close('n2.4.1');
    await world.pass(25);
    expect(world.gate.close('n3.2.1')).toBeNull();
    world.gate.open(one);
    world.gate.open(two);
    expect(world.gate.close('n3.2.2')).not.toBeNull();
  });

  it('opens with the loss of leadership, and no snapshot counts on it', () => {
    const world = new World();
    const gate = world.close('n1.7.1');
    world.wait('first');
    world.gate.lost();
    expect(world.told).toEqual(['first']);
    expect(world.gate.open(gate)).toBe(false);
  });

  it('tells those whose time is over', async () => {
    const world = new World();
    world.close('n1.7.1');
    world.wait('first', 100);
    await world.pass(101);
    expect(world.told).toEqual(['first gave up']);
  });
});
