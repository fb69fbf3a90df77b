import type { LogEntry } from '../../protocol/entry.ts';
import type { GroupConfig } from '../../protocol/membership.ts';
import type { GroupId, ReplicaId, Revision } from '../../protocol/types.ts';
import { outboxTotals } from '../apply/outbox.ts';
import { quotaFlaw } from '../apply/quota-count.ts';
import { ensureHolds } from '../apply/quota-growth.ts';
import { readReservations } from '../apply/reservations.ts';
import { stateHash } from '../apply/state-hash.ts';
import { usageFlaw } from '../apply/usage-count.ts';
import type { ReplicaInspection } from '../node-port.ts';
import type { Role } from '../raft/events.ts';
import type { Replica } from './replica.ts';

/** One replica's inside, read-only and always of this moment: a view, made once. Looked at after every step. */
export class InspectedReplica implements ReplicaInspection {
  readonly group: GroupId;
  readonly replica: ReplicaId;
  readonly #replica: Replica;

  constructor(replica: Replica) {
    this.group = replica.group;
    this.replica = replica.self;
    this.#replica = replica;
  }

  get role(): Role {
    return this.#replica.raft.role;
  }

  get currentTerm(): number {
    return this.#replica.raft.currentTerm;
  }

  get votedFor(): ReplicaId | null {
    return this.#replica.raft.votedFor;
  }

  get leaderId(): ReplicaId | null {
    return this.#replica.raft.leaderId;
  }

  get commitIndex(): number {
    return this.#replica.raft.commitIndex;
  }

  get appliedIndex(): number {
    return this.#replica.state.appliedIndex;
  }

  get syncedIndex(): number {
    return this.#replica.raft.syncedIndex;
  }

  get baseIndex(): number {
    return this.#replica.raft.log.baseIndex;
  }

  get lastIndex(): number {
    return this.#replica.raft.log.lastIndex;
  }

  get lastTerm(): number {
    const { log } = this.#replica.raft;
    return log.lastIndex > log.baseIndex ? log.lastTerm : 0;
  }

  get clock(): Revision {
    return this.#replica.clock.clock;
  }

  get closed(): Revision {
    return this.#replica.clock.closed;
  }

  get floor(): Revision {
    return this.#replica.state.floor;
  }

  get config(): GroupConfig {
    return this.#replica.raft.log.config;
  }

  termAt(index: number): number | null {
    const { log } = this.#replica.raft;
    return index > log.baseIndex ? (log.termAt(index) ?? null) : null;
  }

  entry(index: number): LogEntry | null {
    return this.#replica.raft.log.entryAt(index) ?? null;
  }

  stateHash(): Promise<string> {
    return stateHash(this.#replica.state);
  }

  async outboxTotals(): ReturnType<ReplicaInspection['outboxTotals']> {
    const view = this.#replica.state.view();
    try {
      return await outboxTotals(view);
    } finally {
      await view.close();
    }
  }

  async usageFlaw(): Promise<string | null> {
    const view = this.#replica.state.view();
    try {
      return await usageFlaw(view);
    } finally {
      await view.close();
    }
  }

  async quotaFlaw(): Promise<string | null> {
    const { state } = this.#replica;
    const view = state.view();
    const shares = [...state.quotas.all()].map((share) => ({ ...share, used: [...share.used] }));
    try {
      return await quotaFlaw(view, shares);
    } finally {
      await view.close();
    }
  }

  quotaShares(): ReturnType<ReplicaInspection['quotaShares']> {
    const { state } = this.#replica;
    ensureHolds(state);
    return [...state.quotas.all()].map(({ scope, round, allowed, used, held, isCounted }) => ({
      ...{ scope, round, allowed, used: [...used], held: [...held], isCounted },
    }));
  }

  reservations(): ReturnType<ReplicaInspection['reservations']> {
    return readReservations(this.#replica.state);
  }
}
