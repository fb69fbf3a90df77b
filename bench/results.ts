import type { LatencySummary } from './client/histogram.ts';
import type { Operation } from './client/job.ts';
import type { WorkloadName } from './options.ts';
import type { Hardware } from './system/hardware.ts';
import type { FanoutResult } from './watch/plan.ts';

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
  /** CPU seconds in a second that all other programs took, idle peers among them. */
  readonly othersCpu: number | null;
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
  /** ISO 8601. */
  readonly date: string;
  readonly commit: string | null;
  readonly command: string;
  readonly hardware: Hardware;
  readonly seconds: number;
  readonly peers: readonly PeerSeen[];
  /** Workloads that could not be measured, and why. */
  readonly failures: readonly { readonly workload: string; readonly reason: string }[];
  readonly cells: readonly Cell[];
  readonly memory: readonly MemoryFound[];
  readonly failover: readonly FailoverFound[];
  readonly growth: readonly GrowthFound[];
  readonly startup: StartupFound | null;
  readonly recovery: RecoveryFound | null;
  readonly watch: WatchFound | null;
  readonly profiles: readonly ProfileFound[];
}

/**
 * Resident memory of all of a peer's processes after the closed loops on it, and the CPU seconds in a second
 * that they use when nobody asks them anything.
 */
export interface MemoryFound {
  readonly peer: string;
  readonly nodes: number;
  readonly residentBytes: number | null;
  readonly idleCpu: number | null;
}

/** Longest time without a success after each kill, in ms. */
export interface FailoverFound {
  readonly peer: string;
  readonly gapsMs: readonly number[];
  readonly medianMs: number;
  readonly maxMs: number;
}

export interface GrowthFound {
  readonly keys: number;
  readonly fillKeysPerSecond: number;
  /** Of reading after it was filled, until the engine had nothing left to sort; absent in older results. */
  readonly settledSeconds?: number | null;
  readonly residentBytes: number | null;
  readonly residentPeakBytes: number | null;
  readonly dataBytes: number;
}

/** Milliseconds to be ready, after an orderly stop and after SIGKILL. */
export interface StartupFound {
  readonly keys: number;
  readonly cleanMs: readonly number[];
  readonly killedMs: readonly number[];
}

export interface RecoveryFound {
  readonly writes: number;
  /** Writes may share an entry. */
  readonly logEntries: number;
  readonly walBytes: number;
  readonly readyMs: readonly number[];
}

export type WatchFound = FanoutResult;

/** Where a hot path spends its CPU: shares of the samples, by function. */
export interface ProfileFound {
  readonly path: string;
  readonly seconds: number;
  readonly self: readonly ProfileRow[];
  readonly inclusive: readonly ProfileRow[];
}

export interface ProfileRow {
  readonly name: string;
  readonly share: number;
}
