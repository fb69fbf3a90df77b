import type { DialectName, Operation, Target } from '../client/job.ts';

/** A server or cluster to be measured. */
export interface Peer {
  /** As it stands in tables: `minikv`, `etcd`, ... */
  readonly name: string;
  readonly dialect: DialectName;
  /** Where clients connect; they are spread over all. */
  readonly targets: readonly Target[];
  /** All processes that serve, for what they cost. */
  pids(): readonly number[];
  can(kind: Operation['kind']): boolean;
  stop(): Promise<void>;
}

/** What a peer is started with. */
export interface PeerOptions {
  readonly nodes: number;
  /** An empty folder of its own; removed by whoever made it. */
  readonly folder: string;
}

/** Why a peer is not there, in words for the report. */
export interface Absent {
  readonly name: string;
  readonly reason: string;
}

export interface PeerKind {
  readonly name: string;
  /** With its version, for the report; null when it cannot run here. */
  version(): string | null;
  /** How to get it, when `version` is null. */
  readonly install: string;
  /** Whether it can be had with this many nodes. */
  readonly maxNodes: number;
  start(options: PeerOptions): Promise<Peer>;
}
