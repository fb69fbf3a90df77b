import { describe, expect, it } from 'vitest';
import { type ShardEffects, startShardMachine } from '../../../../actors/shard/machine.ts';
import type { Observed } from '../../../../actors/shard/plan.ts';

type Mode = 'standby' | 'observing' | 'executing' | 'resting';
type EventName = 'tick, leading' | 'tick, following' | 'observed' | 'executed' | 'failed';

interface Expected {
  readonly to: Mode;
  readonly calls: readonly string[];
}

const stay = (to: Mode): Expected => ({ to, calls: [] });
const observe: Expected = { to: 'observing', calls: ['observe'] };

const TABLE: Record<Mode, Record<EventName, Expected>> = {
  standby: {
    'tick, leading': observe,
    'tick, following': stay('standby'),
    observed: stay('standby'),
    executed: stay('standby'),
    failed: stay('standby'),
  },
  observing: {
    'tick, leading': stay('observing'),
    'tick, following': stay('observing'),
    observed: { to: 'executing', calls: ['execute'] },
    executed: stay('observing'),
    failed: stay('resting'),
  },
  executing: {
    'tick, leading': stay('executing'),
    'tick, following': stay('executing'),
    observed: stay('executing'),
    executed: stay('resting'),
    failed: stay('resting'),
  },
  resting: {
    'tick, leading': observe,
    'tick, following': stay('standby'),
    observed: stay('resting'),
    executed: stay('resting'),
    failed: stay('resting'),
  },
};

const OBSERVED: Observed = { nodes: [], living: new Set(), groups: [], isSteady: true };
const PATH: Record<Mode, readonly EventName[]> = {
  standby: [],
  observing: ['tick, leading'],
  executing: ['tick, leading', 'observed'],
  resting: ['tick, leading', 'failed'],
};

class World implements ShardEffects {
  leads = true;
  readonly calls: string[] = [];
  readonly machine = startShardMachine(this);

  leadsMeta(): boolean {
    return this.leads;
  }

  observe(): void {
    this.calls.push('observe');
  }

  execute(observed: Observed): void {
    this.calls.push(observed === OBSERVED ? 'execute' : 'execute something else');
  }

  send(name: EventName): void {
    if (name.startsWith('tick')) {
      this.leads = name === 'tick, leading';
      this.machine.send({ type: 'tick' });
    } else if (name === 'observed') this.machine.send({ type: 'observed', observed: OBSERVED });
    else if (name === 'executed') this.machine.send({ type: 'executed', steps: [] });
    else this.machine.send({ type: 'failed' });
  }

  get mode(): Mode {
    return this.machine.getSnapshot().value as Mode;
  }
}

describe('the shard manager’s machine', () => {
  for (const [mode, row] of Object.entries(TABLE)) {
    it(`is total in mode ${mode}`, () => {
      for (const [event, expected] of Object.entries(row)) {
        const world = new World();
        for (const step of PATH[mode as Mode]) world.send(step);
        expect(world.mode).toBe(mode);
        world.calls.length = 0;
        world.send(event as EventName);
        expect([event, world.mode, world.calls]).toEqual([event, expected.to, expected.calls]);
      }
    });
  }

  it('does not wait for ever for an answer', () => {
    for (const mode of ['observing', 'executing'] as const) {
      const world = new World();
      for (const step of PATH[mode]) world.send(step);
      for (let i = 0; i < 20; i++) world.send('tick, leading');
      expect(world.mode).toBe(mode);
      world.send('tick, leading');
      expect(world.mode).toBe('resting');
    }
  });
});
