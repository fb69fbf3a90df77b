import type { Command, LeaseEnd } from '../../protocol/commands.ts';

type CommandOf<T extends Command['type']> = Extract<Command, { type: T }>;

/** A lease as the committed log has it; times are virtual ms of when the entry was first seen committed. */
export interface ModelLease {
  readonly lease: number;
  readonly ttlMs: number;
  readonly grantedMs: number;
  endedMs: number | null;
  endRevision: number;
  why: LeaseEnd | null;
  forgottenMs: number | null;
}

/** A key that was attached, or removed because its lease had ended. */
export interface Attached {
  readonly lease: number;
  readonly key: string;
  readonly revision: number;
  readonly atMs: number;
}

/** Removed at `revision`; it had been attached at `attachedRevision`. */
export interface Detached extends Attached {
  readonly attachedRevision: number;
}

/** Leases as the documentation describes them: rows that entries grant, end and forget. */
export class LeaseModel {
  readonly all = new Map<number, ModelLease>();
  readonly attached: Attached[] = [];
  readonly detached: Detached[] = [];

  grant({ lease, ttlMs }: CommandOf<'leaseGrant'>, atMs: number): void {
    if (this.all.has(lease)) return;
    const rest = { endedMs: null, endRevision: 0, why: null, forgottenMs: null };
    this.all.set(lease, { lease, ttlMs, grantedMs: atMs, ...rest });
  }

  end({ leases, revision }: CommandOf<'leaseEnd'>, atMs: number): void {
    for (const { lease, why } of leases) {
      const known = this.all.get(lease);
      if (known === undefined || known.endedMs !== null) continue;
      Object.assign(known, { endedMs: atMs, endRevision: revision, why });
    }
  }

  forget({ leases }: CommandOf<'leaseForget'>, atMs: number): void {
    for (const lease of leases) {
      const known = this.all.get(lease);
      if (known !== undefined && known.endedMs !== null) known.forgottenMs ??= atMs;
    }
  }

  /** Leases whose rows are still there. */
  left(): ModelLease[] {
    return [...this.all.values()].filter(({ forgottenMs }) => forgottenMs === null);
  }
}
