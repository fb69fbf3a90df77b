import type { ChunkCare } from '../protocol/chunk-care.ts';
import type { DemandExchange } from '../protocol/demand.ts';
import type { LogEntry } from '../protocol/entry.ts';
import type { GroupConfig } from '../protocol/membership.ts';
import type { ObjectData, ObjectService } from '../protocol/object-access.ts';
import type { Amounts, Bounds, Quotas } from '../protocol/quotas.ts';
import type { KvService } from '../protocol/service.ts';
import type { GroupId, ReplicaId, Revision } from '../protocol/types.ts';
import type { UsageReads } from '../protocol/usage.ts';
import type { OutboxTotals } from './apply/outbox.ts';
import type { TransferCounts } from './blob/transfers.ts';
import type { Role } from './raft/events.ts';

/** A running node, as the composition roots see it: `startNode(config, ports): Promise<Node>` in actors/node.ts. */
export interface Node {
  readonly service: KvService;
  /** Bytes of objects. */
  readonly data: ObjectData;
  /** Buckets and objects. */
  readonly objects: ObjectService;
  /** The chunks of this node's disk. */
  readonly chunks: ChunkCare;
  /** What is stored, in all and under each name. */
  readonly usage: UsageReads;
  /** How much may be stored under which name. */
  readonly quotas: Quotas;
  /** What nodes tell each other of those who have a limit. */
  readonly demands: DemandExchange;
  readonly replicaId: ReplicaId;
  /** Passes leadership on where another voter can take it; resolves when it has, or soon anyway. */
  handOver(): Promise<void>;
  /** Hands over, answers what is pending, stops all actors, closes storage. */
  stop(): Promise<void>;
  /** Chunks that are on their way. */
  transfers(): TransferCounts;
  /** For the simulator's invariants and for status pages; views, not copies. */
  inspect(): readonly ReplicaInspection[];
}

/** One share of a quota, as a replica has it. */
export interface QuotaShareSeen {
  readonly scope: string;
  readonly round: number;
  readonly allowed: Bounds | null;
  readonly used: Amounts;
  readonly held: Amounts;
  readonly isCounted: boolean;
}

/** One replica's inside, read-only. */
export interface ReplicaInspection {
  readonly group: GroupId;
  readonly replica: ReplicaId;
  readonly role: Role;
  readonly currentTerm: number;
  readonly votedFor: ReplicaId | null;
  readonly leaderId: ReplicaId | null;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  readonly syncedIndex: number;
  /** Index before the first kept entry, and the last index. */
  readonly baseIndex: number;
  readonly lastIndex: number;
  /** Term of the last entry kept, 0 when none is. */
  readonly lastTerm: number;
  readonly clock: Revision;
  readonly closed: Revision;
  readonly floor: Revision;
  readonly config: GroupConfig;
  /** Term of an entry that is kept. */
  termAt(index: number): number | null;
  entry(index: number): LogEntry | null;
  /** Hash of the logical applied state; equal on replicas with equal appliedIndex. */
  stateHash(): Promise<string>;
  /** Notifications of buckets, by target. */
  outboxTotals(): Promise<ReadonlyMap<string, OutboxTotals>>;
  /** Where usage is not what a scan of this replica finds; null: nowhere. */
  usageFlaw(): Promise<string | null>;
  /** Where a share of a quota is not what a scan finds; null: nowhere. */
  quotaFlaw(): Promise<string | null>;
  /** The group's shares of quotas, with what prepared transactions hold. */
  quotaShares(): readonly QuotaShareSeen[];
  /** Which keys have entries of unique indexes, as far as this group keeps them. */
  reservations(): Promise<readonly { id: number; encoded: string; holder: string }[]>;
}
