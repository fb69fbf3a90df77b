import type { LoadKind, Operation, Target } from '../client/job.ts';

/** A server or cluster to be measured. */
export interface Peer {
  /** As it stands in tables: `minikv`, `etcd`, ... */
  readonly name: string;
  readonly dialect: LoadKind;
  /** Only of `disk`: the file that is written. */
  readonly file?: string;
  /** Where clients connect; they are spread over all. */
  readonly targets: readonly Target[];
  /** All processes that serve, for what they cost. */
  pids(): readonly number[];
  can(kind: Operation['kind'], connections: number): boolean;
  stop(): Promise<void>;
}

/** What a peer is started with. */
export interface PeerOptions {
  readonly nodes: number;
  /** An empty folder of its own; removed by whoever made it. */
  readonly folder: string;
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
