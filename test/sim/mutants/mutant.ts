import type { PortsFilter, StartNode } from '../sim-node.ts';
import type { FaultKind } from '../swarm.ts';

/** A seeded bug that the simulator must catch. */
export interface Mutant {
  readonly name: string;
  /** What is wrong, and which bug class of the fault catalogue it stands for. */
  readonly what: string;
  /** Seeds, from 1, within which it must be caught. */
  readonly seedsMax: number;
  /** Virtual seconds per seed. */
  readonly seconds: number;
  /** Faults that provoke it; null leaves the seed's own. */
  readonly faults: readonly FaultKind[] | null;
  /** Changes the ports of every node. */
  readonly filterPorts: PortsFilter | null;
  /** Wraps the start of a node, for bugs inside it. */
  readonly wrapStart: ((startNode: StartNode) => StartNode) | null;
}
