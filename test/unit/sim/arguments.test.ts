import { availableParallelism } from 'node:os';
import { describe, expect, it } from 'vitest';
import { parseArguments } from '../../sim/arguments.ts';
import { drawSwarm, FAULT_KINDS } from '../../sim/swarm.ts';

describe('the command line of the simulator', () => {
  it('reads seeds, ranges and options', () => {
    const asked = parseArguments(['--seeds', '3..9', '--seconds', '50', '--trace']);
    expect(asked).toMatchObject({ first: 3, last: 9, seconds: 50, trace: true });
    expect(asked.workers).toBe(availableParallelism());
    const later = parseArguments(['--seeds', '3..9', '--from', '7', '--workers', '5']);
    expect(later).toMatchObject({ first: 7, last: 9, workers: 5 });
    expect(parseArguments(['--seed', '7'])).toMatchObject({ first: 7, last: 7 });
  });

  it('refuses what it does not know', () => {
    expect(() => parseArguments(['--seed', 'x'])).toThrow(/not a seed/);
    expect(() => parseArguments(['--faults', 'earthquake'])).toThrow(/no fault earthquake/);
    expect(() => parseArguments(['7'])).toThrow(/unexpected/);
  });
});

describe('the configuration of a seed', () => {
  it('is a function of the seed', () => {
    expect(drawSwarm(5, {})).toEqual(drawSwarm(5, {}));
    expect(drawSwarm(5, {})).not.toEqual(drawSwarm(6, {}));
  });

  it('meets every kind of fault and every size of cluster in a hundred seeds', () => {
    const configs = Array.from({ length: 100 }, (_, i) => drawSwarm(i + 1, {}));
    const kinds = new Set(configs.flatMap((config) => [...config.faults.keys()]));
    expect([...kinds].sort()).toEqual([...FAULT_KINDS].sort());
    expect(new Set(configs.map((config) => config.nodeCount))).toEqual(new Set([1, 3, 5]));
    expect(new Set(configs.map((config) => config.joinerCount))).toEqual(new Set([0, 1]));
    expect(drawSwarm(1, { nodeCount: 3 }).joinerCount).toBe(0);
  });
});
