import type { ChangeEvent } from '../../protocol/messages/request.ts';
import type { ObjectCondition, ObjectResult } from '../../protocol/object-ops.ts';
import type { GroupId, NodeId } from '../../protocol/types.ts';
import type { PutsSeen } from '../check/all-or-nothing.ts';
import type { BankSeen } from '../check/bank.ts';
import type { Input, Operation, Output } from '../check/history.ts';
import type { QuerySeen } from '../check/index-query.ts';
import type { LockSeen } from '../check/locks.ts';
import type { AckedWrite, ScanSeen } from '../check/snapshot-read.ts';
import type { TxnSeen } from '../check/transactions.ts';
import type { WatcherSeen } from '../check/watch.ts';
import type { StoredObject } from './chunk-client.ts';
import type { PairSeen } from './object-txns.ts';
import type { Trace } from './trace.ts';

/** A put that its client was told certainly did not happen, or whose answer names a revision. */
export interface PutOutcome {
  readonly value: string;
  readonly key: string;
  readonly outcome: 'refused' | 'acknowledged';
  /** Of an acknowledged put. */
  readonly revision: number;
  readonly why: string;
}

/** A change as a node published it. */
export interface PublishedChange {
  readonly node: NodeId;
  readonly group: GroupId;
  readonly event: ChangeEvent;
}

/** What a client was told of a lease, and when it had asked. */
export interface LeaseSeen {
  readonly lease: number;
  /** `alive`: granted or renewed. `attached`: a key was put under it. `foreign`: another tenant was told of it. */
  readonly kind: 'alive' | 'gone' | 'attached' | 'foreign';
  readonly callMs: number;
  readonly atMs: number;
}

/** Keys that a client was told to be attached to a lease, or that what had been attached to it is gone. */
export interface LeaseKeysSeen {
  readonly lease: number;
  readonly kind: 'attached' | 'swept';
  /** Of `attached`. */
  readonly keys: readonly string[];
  readonly revision: number;
  readonly callMs: number;
  readonly atMs: number;
}

/** One operation on a register that is an object; its value is the ETag. */
export interface ObjectSeen {
  readonly process: number;
  readonly key: string;
  readonly input:
    | { readonly type: 'get' }
    | { readonly type: 'put'; readonly etag: string; readonly condition: ObjectCondition }
    | { readonly type: 'delete'; readonly condition: ObjectCondition };
  /** Null when its outcome is not known. */
  readonly told: ObjectResult | { readonly type: 'read'; readonly etag: string | null } | null;
  readonly call: number;
  readonly ret: number;
}

/** What clients were told about buckets and objects. */
export class ObjectHistory {
  readonly operations: ObjectSeen[] = [];
  /** By what the request is called; see fateName. */
  readonly told: { name: string; space: string; result: NonNullable<ObjectSeen['told']> }[] = [];
  readonly refused: { name: string; why: string }[] = [];
  readonly pairs: PairSeen[] = [];
  /** Objects in chunks whose puts were acknowledged. */
  readonly stored: StoredObject[] = [];
  /** Puts after a change of versioning by the only client that changes it. */
  readonly switched: { versioning: 'enabled' | 'suspended'; versionId: string | null }[] = [];
}

/** Everything the clients of one run saw; the input of the checkers. */
export class History {
  readonly operations: Operation[] = [];
  readonly scans: ScanSeen[] = [];
  readonly queries: QuerySeen[] = [];
  readonly acked: AckedWrite[] = [];
  readonly puts: PutOutcome[] = [];
  readonly txns: TxnSeen[] = [];
  /** Of clients that keep the groups apart: lists of their own, and keys that end as a list does. */
  readonly apart: TxnSeen[] = [];
  readonly banks: BankSeen[] = [];
  /** What transactions put, all or nothing. */
  readonly together: PutsSeen[] = [];
  readonly watchers: WatcherSeen[] = [];
  readonly leases: LeaseSeen[] = [];
  readonly leaseKeys: LeaseKeysSeen[] = [];
  readonly locks: LockSeen[] = [];
  readonly objects = new ObjectHistory();
  /** What nodes handed out on the public events subject. */
  readonly published: PublishedChange[] = [];
  /** Answers by kind: ok, refused (definite), unknown. */
  readonly counts = { ok: 0, refused: 0, unknown: 0 };
  /** Refusals by error code, for the summary. */
  readonly codes = new Map<string, number>();
  /** Highest revision that any client has seen in an answer. */
  publicRevision = 0;
  readonly #trace: Trace;

  constructor(trace: Trace) {
    this.#trace = trace;
  }

  /** One finished single-key operation; `output` null when its outcome is not known. */
  note(
    process: number,
    key: string,
    input: Input,
    output: Output | null,
    call: number,
    at: number,
  ) {
    if (output === null) {
      this.operations.push({ process, key, input, output, call, ret: Number.POSITIVE_INFINITY });
      return;
    }
    this.operations.push({ process, key, input, output, call, ret: at });
    this.see(output.revision);
    if (output.type === 'put' || (output.type === 'deleted' && output.deleted)) {
      this.acked.push({ revision: output.revision, ret: at });
    }
    if (output.type === 'put' && input.type === 'put') {
      const { revision } = output;
      this.puts.push({ value: input.value, key, outcome: 'acknowledged', revision, why: '' });
    }
    if (output.type === 'precondition_failed' && input.type === 'put') {
      const why = `precondition failed @${output.revision}`;
      this.puts.push({ value: input.value, key, outcome: 'refused', revision: 0, why });
    }
  }

  /** A put that is not an operation of the checkers: its key goes with its lease. */
  acknowledge(key: string, value: string, revision: number, at: number): void {
    this.see(revision);
    this.acked.push({ revision, ret: at });
    this.puts.push({ value, key, outcome: 'acknowledged', revision, why: '' });
  }

  /** A put that certainly did not happen, because of an error. */
  refuse(key: string, value: string, why: string): void {
    this.puts.push({ value, key, outcome: 'refused', revision: 0, why });
  }

  see(revision: number): void {
    if (revision > this.publicRevision) this.publicRevision = revision;
  }

  /** A line for people, only when tracing. */
  detail(who: string, what: () => string): void {
    this.#trace.detail(who, what);
  }

  /** Counts an answer and mixes it into the run's hash. */
  answer(process: number, outcome: 'ok' | 'refused' | 'unknown', code: string, what: number): void {
    this.counts[outcome]++;
    if (outcome !== 'ok') this.codes.set(code, (this.codes.get(code) ?? 0) + 1);
    this.#trace.mix(3, process, what % 0x7fffffff, Buffer.from(code));
  }
}
