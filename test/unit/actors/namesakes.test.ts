import { describe, expect, it } from 'vitest';
import type { Hello } from '../../../actors/formation.ts';
import { Namesakes } from '../../../actors/namesakes.ts';
import type { Envelope } from '../../../protocol/envelope.ts';
import type { ReplicaId } from '../../../protocol/types.ts';
import { FakePorts } from '../../kit/fake-ports.ts';
import { HandClock } from '../../kit/hand-clock.ts';

const HELLO: Hello = {
  ...{ type: 'Hello', incarnation: '2', clusterId: 'c', initialMembers: [], groupCount: 2 },
  ...{ roles: ['replica'], httpUrl: 'http://other', version: '0.1.0', disk: 'ok' },
  chunks: null,
};

/** One process of node n1, incarnation 1, life 7, that started at 0. */
class World {
  readonly clock = new HandClock();
  readonly ports = new FakePorts(this.clock);
  readonly namesakes = new Namesakes(this.ports);
  isVoter = true;

  /** A hello every 500 ms, from `startMs` to `endMs`. */
  hears(from: string, life: number, startMs: number, endMs: number, lateMs = 0): void {
    for (let atMs = startMs; atMs <= endMs; atMs += 500) {
      this.clock.nowMs = atMs;
      const envelope: Envelope = {
        ...{ clusterId: 'c', from: from as ReplicaId, to: '' as Envelope['to'], life },
        ...{ wallMs: this.clock.wallMs() - lateMs, messages: [] },
      };
      const own = { self: 'n1:1' as ReplicaId, life: 7, httpUrl: 'http://own' };
      this.namesakes.heard(envelope, HELLO, { ...own, isVoter: this.isVoter });
    }
  }

  get ends(): string[] {
    return this.ports.fatals.map(({ reason }) => reason);
  }

  get errors(): string[] {
    const { lines } = this.ports.telemetry;
    return lines.filter(({ level }) => level === 'error').map(({ message }) => message);
  }
}

describe('namesakes on the bus', () => {
  it('a process that comes second ends, naming both incarnations', () => {
    const world = new World();
    world.hears('n1:2', 9, 500, 1_500);
    expect(world.ends).toEqual([]);
    world.hears('n1:2', 9, 2_000, 2_000);
    expect(world.ends).toHaveLength(1);
    expect(world.ends[0]).toContain('http://other runs as node n1, too: its incarnation is n1:2');
    expect(world.ends[0]).toContain('http://own is n1:1');
  });

  it('a process that was there first says so, and goes on', () => {
    const world = new World();
    world.hears('n1:2', 9, 60_000, 65_000);
    expect(world.ends).toEqual([]);
    expect(world.errors).toHaveLength(1);
    world.hears('n1:2', 9, 65_500, 75_000);
    expect(world.errors).toHaveLength(2);
    expect(world.ends).toEqual([]);
  });

  it('a copy of a data folder is told by its life: the second one ends', () => {
    const world = new World();
    world.hears('n1:1', 9, 500, 2_000);
    expect(world.ends).toEqual([expect.stringContaining('a copy of this data folder')]);
  });

  it('after a cut between two that were there first, whoever has no vote ends, or shares one', () => {
    const learner = new World();
    learner.isVoter = false;
    learner.hears('n1:2', 9, 60_000, 71_000);
    expect(learner.ends.length).toBeGreaterThan(0);
    const copy = new World();
    copy.hears('n1:1', 9, 60_000, 70_000);
    expect(copy.ends).toEqual([]);
    copy.hears('n1:1', 9, 70_500, 70_500);
    expect(copy.ends).toHaveLength(1);
  });

  it('its own hellos, a few of a dead life and what was sent before its start prove nothing', () => {
    const world = new World();
    world.hears('n1:1', 7, 0, 20_000);
    world.hears('n1:1', 8, 21_000, 22_000);
    world.hears('n1:1', 8, 28_000, 29_000);
    world.hears('n1:2', 9, 30_000, 40_000, 50_000);
    expect([world.ends, world.errors]).toEqual([[], []]);
  });
});
