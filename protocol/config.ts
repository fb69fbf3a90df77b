import type { NodeId } from './types.ts';

export type NodeRole = 'replica' | 'gateway';

/** What a node must know to start; built by cli/config.ts and by the simulator's world. */
export interface NodeConfig {
  readonly nodeId: NodeId;
  /** Cluster name: a token of NATS subjects. Not the cluster id, which is drawn at formation. */
  readonly cluster: string;
  /** All founding members; one entry (itself) forms a single node at once. */
  readonly initialMembers: readonly NodeId[];
  /** An empty node beside existing data: never forms. */
  readonly join: boolean;
  readonly roles: readonly NodeRole[];
  /** Data groups drawn at formation; the meta group comes on top. */
  readonly groupCount: number;
  readonly retentionMs: number;
  /** What an acknowledgement means: fsynced by a quorum, or in memory (--ephemeral). */
  readonly durability: 'quorum-fsync' | 'memory';
  /** One round of the scrubber over all chunks; none: chunks are not looked after. */
  readonly scrubPeriodMs?: number;
  /** How long a day of lifecycle rules is; without it, a day. */
  readonly lifecycleDayMs?: number;
  readonly httpUrl: string;
  readonly version: string;
}
