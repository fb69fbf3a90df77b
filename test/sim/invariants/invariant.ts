import type { Lane } from '../../../protocol/subjects.ts';
import type { GroupId, NodeId } from '../../../protocol/types.ts';
import type { CommittedEntry, CommittedLogs } from '../committed-log.ts';
import type { Probe, ReplicaChange } from '../probe.ts';

/** What invariants may look at. */
export interface Facts {
  readonly nowMs: () => number;
  readonly probe: Probe;
  readonly committed: CommittedLogs;
}

/**
 * A property that holds at every step. A check throws SimViolation. `source` says where the
 * property comes from: a section of the Raft paper (Ongaro and Ousterhout, extended version), of
 * Ongaro's thesis, or of docs/architecture.md.
 */
export interface Invariant {
  readonly name: string;
  readonly source: string;
  /** After a step, once per replica that the step changed. */
  onChange?(change: ReplicaChange): void;
  /** When an entry is first seen committed anywhere. */
  onCommitted?(group: GroupId, committed: CommittedEntry, change: ReplicaChange): void;
  /** When a payload leaves a node. */
  onSend?(from: NodeId, to: NodeId, lane: Lane | 'hello', payload: Uint8Array): void;
}

export type InvariantFactory = (facts: Facts) => Invariant;
