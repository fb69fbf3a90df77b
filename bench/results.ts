import type { LatencySummary } from './client/histogram.ts';
import type { Operation } from './client/job.ts';
import type { WorkloadName } from './options.ts';
import type { Hardware } from './system/hardware.ts';

/** Everything a run has found, as it is written. */

/** One peer in one round of a cell. A sample with a flaw is void: its figures are not used. */
export interface Sample {
  readonly peer: string;
  readonly round: number;
  readonly requestsPerSecond: number;
  readonly keysPerSecond: number;
  readonly latency: LatencySummary;
  /** CPU seconds in a second of the window; null where the system does not tell. */
  readonly serverCpu: number | null;
  readonly clientCpu: number;
  readonly flaw: string | null;
}

/** One workload at one number of connections and nodes, over all peers and rounds. */
export interface Cell {
  readonly workload: WorkloadName;
  readonly name: string;
  readonly nodes: number;
  readonly connections: number;
  readonly operation: Operation;
  readonly samples: readonly Sample[];
}

export interface PeerSeen {
  readonly name: string;
  /** Null when it is absent, and then `install` says how to get it. */
  readonly version: string | null;
  readonly install: string;
}

export interface Results {
  readonly version: 1;
  readonly date: string;
  readonly commit: string | null;
  readonly command: string;
  readonly hardware: Hardware;
  readonly seconds: number;
  readonly peers: readonly PeerSeen[];
  readonly cells: readonly Cell[];
}
