import { describe, expect, it } from 'vitest';
import { Closer, highestPromise, type Settled } from '../../../../actors/replica/closer.ts';
import { trustedWallMs } from '../../../../actors/replica/context.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import { REVISIONS_PER_MS, revisionAtWallMs } from '../../../../protocol/revision.ts';
import { put } from '../../../kit/applied-group.ts';
import { FakeReplica } from '../../../kit/fake-replica.ts';

class World {
  readonly replica = FakeReplica.owning();
  readonly closed: number[] = [];
  readonly settled: Settled[] = [];
  readonly closer = new Closer(this.replica, (revision) => this.closed.push(revision));

  get now(): number {
    return revisionAtWallMs(this.replica.ports.clock.wallMs());
  }

  reserve(revision: number): void {
    this.closer.reserve(revision, (settled) => this.settled.push(settled));
  }

  close(revision: number): void {
    this.closer.close(revision, (settled) => this.settled.push(settled));
    this.closer.batchDecided(this.replica.lastLogIndex());
  }

  bounds(): number[] {
    return this.replica.proposed.map(({ command }) =>
      command.type === 'reserve' ? command.bound : -1,
    );
  }
}

describe('the closer', () => {
  it('promises a revision only when a committed entry bounds it (C2)', () => {
    const world = new World();
    world.reserve(world.now);
    expect(world.settled).toEqual([]);
    expect(world.replica.clock.clock).toBe(world.now);
    expect(world.bounds()).toEqual([world.now + LIMITS.reserveAheadMs * REVISIONS_PER_MS]);
    world.replica.commit();
    expect(world.settled).toEqual(['ok']);
    expect(world.closed).toEqual([]);
  });

  it('needs no entry for what is reserved already', () => {
    const world = new World();
    world.reserve(world.now);
    world.replica.commit();
    world.reserve(world.now + 100 * REVISIONS_PER_MS);
    expect(world.settled).toEqual(['ok', 'ok']);
    expect(world.replica.proposed).toEqual([]);
  });

  it('lets all that wait share one entry, and proposes another for what came to lie beyond it', () => {
    const world = new World();
    world.reserve(world.now + 1);
    world.reserve(world.now + 7);
    world.close(world.now + 3);
    expect(world.bounds()).toHaveLength(1);
    const beyond = (world.bounds()[0] as number) + 1;
    world.reserve(beyond);
    expect(world.bounds()).toEqual([beyond - 1, beyond + LIMITS.reserveAheadMs * REVISIONS_PER_MS]);
    world.replica.commit();
    expect(world.settled).toEqual(['ok', 'ok', 'ok']);
    world.replica.commit();
    expect(world.settled).toHaveLength(4);
  });

  it('F19 reserves no hour ahead for what has waited when the wall clock jumps', () => {
    const world = new World();
    const before = world.now;
    world.reserve(before);
    world.reserve(before + 600 * REVISIONS_PER_MS);
    world.replica.ports.clock.wallStartMs += 3_600_000;
    world.replica.trusted = false;
    world.replica.commit();
    world.closer.advanced();
    for (const bound of world.bounds()) {
      expect(bound).toBeLessThan(before + 2_000 * REVISIONS_PER_MS);
    }
    expect(trustedWallMs(world.replica)).toBe(0);
  });

  it('closes when everything that was in the log by then is applied', () => {
    const world = new World();
    world.reserve(world.now);
    world.replica.commit();
    const revision = world.replica.clock.assign(1, world.replica.ports.clock.wallMs());
    world.replica.propose(
      {
        ...{ type: 'write', revision, epoch: 1, ops: [put('a', '1')] },
        ...{ idempotency: null, traceparent: null },
      },
      () => world.closer.advanced(),
    );
    world.close(revision + 5);
    world.closer.advanced();
    expect(world.closed).toEqual([]);
    world.replica.commit();
    expect(world.closed).toEqual([revision + 5]);
    expect(world.settled).toEqual(['ok', 'ok']);
    expect(world.replica.clock.closed).toBe(revision + 5);
  });

  it('answers at once what is closed, also where it does not lead', () => {
    const world = new World();
    world.replica.clock.close(50);
    world.replica.leads = false;
    world.close(50);
    world.close(51);
    expect(world.settled).toEqual(['ok', 'refused']);
    expect(world.replica.clock.clock).toBe(50);
  });

  it('closes what another group has reached, hours ahead of this wall clock, but nothing absurd', () => {
    const world = new World();
    const highest = revisionAtWallMs(world.replica.ports.clock.wallMs() + 24 * 3_600_000);
    expect(highestPromise(world.replica)).toBe(highest);
    world.close(highest + 1);
    expect(world.settled).toEqual(['refused']);
    expect(world.replica.clock.clock).toBe(0);
    world.close(highest);
    expect(world.bounds()).toHaveLength(1);
  });

  it('waits for no proposal of its batch that was refused', () => {
    const world = new World();
    world.reserve(world.now + 10);
    world.replica.commit();
    world.closer.close(world.now + 5, (settled) => world.settled.push(settled));
    world.closer.advanced();
    expect(world.settled).toEqual(['ok']);
    world.closer.batchDecided(world.replica.state.appliedIndex);
    expect(world.settled).toEqual(['ok', 'ok']);
  });

  it('promises what its clock has reached, however far the wall clock is behind', () => {
    const world = new World();
    const ahead = world.now + 60_000 * REVISIONS_PER_MS;
    world.replica.clock.raise(ahead);
    world.close(ahead);
    world.replica.commit();
    expect(world.closed).toEqual([ahead]);
  });

  it('promises nothing with a clock that is not trusted', () => {
    const world = new World();
    world.replica.trusted = false;
    world.reserve(world.now);
    world.close(world.now);
    expect(world.settled).toEqual(['refused', 'refused']);
    expect(world.replica.clock.clock).toBe(0);
  });

  it('refuses everything that waits when leadership is lost', () => {
    const world = new World();
    world.reserve(world.now);
    world.close(world.now);
    world.closer.lost();
    expect(world.settled).toEqual(['refused', 'refused']);
    world.replica.commit();
    expect(world.settled).toHaveLength(2);
    expect(world.closed).toEqual([]);
  });

  it('refuses what waits when the reservation was refused, and begins anew afterwards', () => {
    const world = new World();
    world.reserve(world.now);
    world.replica.end({ type: 'refused', reason: 'not_leader' });
    expect(world.settled).toEqual(['refused']);
    world.reserve(world.now);
    expect(world.bounds()).toHaveLength(1);
    world.replica.end({ type: 'unknown' });
    expect(world.settled).toEqual(['refused', 'refused']);
  });

  it('lets a bounded number wait', () => {
    const world = new World();
    for (let i = 0; i < 4_096; i++) world.reserve(world.now);
    expect(world.settled).toEqual([]);
    world.reserve(world.now);
    expect(world.settled).toEqual(['refused']);
  });
});
