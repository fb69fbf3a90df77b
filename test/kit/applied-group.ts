import { type Applied, applyBatch, committed } from '../../actors/apply/apply.ts';
import { GroupState } from '../../actors/apply/group-state.ts';
import type { Command, Condition, WriteOp } from '../../protocol/commands.ts';
import { makeEntry } from '../../protocol/entry.ts';
import { nextRevision, REVISION_EPOCH_MS } from '../../protocol/revision.ts';
import type { GroupId } from '../../protocol/types.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import { ALL_VSHARDS, logEntry } from './kv-history.ts';
import { MemoryState } from './memory-state.ts';

export const GROUP = 5 as GroupId;

export function ref(key: string, tenant = 't1', space = 'kv'): KeyRef {
  return { tenant, space, key };
}

export interface OpOptions {
  readonly ttlMs?: number;
  readonly condition?: Condition;
  readonly contentType?: string;
  readonly tenant?: string;
}

export function put(key: string, value: string, options: OpOptions = {}): WriteOp {
  return {
    type: 'put',
    ref: ref(key, options.tenant),
    value: Buffer.from(value),
    contentType: options.contentType ?? null,
    ttlMs: options.ttlMs ?? null,
    condition: options.condition ?? null,
  };
}

export function del(key: string, condition: Condition | null = null): WriteOp {
  return { type: 'delete', ref: ref(key), condition };
}

/** A group whose leader logs and applies one command at a time, at a wall time the test sets. */
export class AppliedGroup {
  readonly store: MemoryState;
  readonly state: GroupState;
  /** Unix ms. */
  wallMs = REVISION_EPOCH_MS + 1_000_000;

  /** A new group that owns everything since epoch 1. */
  constructor(store = new MemoryState()) {
    this.store = store;
    this.state = GroupState.open(store, GROUP);
    if (this.state.appliedIndex === 0) this.apply({ type: 'own', epoch: 1, vshards: ALL_VSHARDS });
  }

  apply(command: Command | null): Applied {
    const entry = logEntry(this.state.appliedIndex + 1, 1, command);
    return applyBatch(this.state, [entry])[0] as Applied;
  }

  /** A configuration is in the log, encoded as it is there. */
  configure(config: Uint8Array): void {
    const index = this.state.appliedIndex + 1;
    const fields = { index, term: 1, kind: 'config' as const, clockBound: 0 };
    applyBatch(this.state, [committed(makeEntry(fields, config))]);
  }

  /** What the leader would give the next command. */
  nextRevision(): number {
    return nextRevision(this.state.clock, this.wallMs);
  }

  write(ops: WriteOp[], request: { key: string; hash: number } | null = null): Applied {
    return this.writeAt(this.state.epoch, ops, request);
  }

  writeAt(epoch: number, ops: WriteOp[], request: { key: string; hash: number } | null): Applied {
    const idempotency = request && {
      key: request.key,
      requestHash: new Uint8Array(32).fill(request.hash),
    };
    const revision = this.nextRevision();
    return this.apply({ type: 'write', revision, epoch, ops, idempotency, traceparent: null });
  }

  compact(floor: number): void {
    this.apply({ type: 'compact', floor });
  }

  /** Rows of one kind, in key order. */
  rowsOf(kind: string): readonly (readonly [string, Uint8Array])[] {
    return this.store.rows().filter(([key]) => key.startsWith(this.state.prefix + kind));
  }
}
