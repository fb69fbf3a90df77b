import type { LinkWeather } from '../network.ts';
import type { Favourite } from '../object-mix.ts';
import type { PortsFilter } from '../sim-node.ts';
import type { BusyKind, FaultKind } from '../swarm.ts';

/** A change of one production file. `find` must occur in it exactly once. */
export interface Patch {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

/**
 * A seeded bug that the simulator must catch. Bugs at a port are put in by wrapping it; bugs inside
 * are patches, applied to a copy of the sources (sandbox.ts), so that production code holds no hooks.
 */
export interface Mutant {
  readonly name: string;
  /** What is wrong, and the bug class of docs/faults it stands for. */
  readonly what: string;
  /** Seeds, from 1, within which it must be caught. */
  readonly seedsMax: number;
  /** Virtual seconds per seed. */
  readonly seconds: number;
  readonly nodes: number;
  /** Faults that provoke it. */
  readonly faults: readonly FaultKind[];
  /** See SwarmOverrides. */
  readonly busy: BusyKind | undefined;
  /** What the clients of objects do most. */
  readonly favourite: Favourite | undefined;
  /** What the links do in each seed; the rest is drawn. */
  readonly weather: Partial<LinkWeather> | undefined;
  readonly patches: readonly Patch[];
  readonly filterPorts: PortsFilter | null;
}
