import { startNode } from '../../actors/node.ts';
import type { Mutant } from './mutants/mutant.ts';
import { SimMachine } from './sim-machine.ts';
import { type SimResult, simulate } from './simulate.ts';
import type { SwarmConfig } from './swarm.ts';

export interface SeedOptions {
  readonly mutant: Mutant | null;
  readonly verbose: boolean;
  readonly sink: ((line: string) => void) | null;
}

/** One seed with the real node. */
export function runSeed(config: SwarmConfig, options: SeedOptions): Promise<SimResult> {
  const { mutant, verbose, sink } = options;
  return simulate(config, {
    startNode,
    machine: (world, index) => new SimMachine(world, index),
    filterPorts: mutant?.filterPorts ?? ((ports) => ports),
    verbose,
    sink,
  });
}
