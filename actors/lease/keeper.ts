import type { Command, LeaseEnd } from '../../protocol/commands.ts';
import { homeOfLease, promiseEnd, tenantOfLease } from '../../protocol/lease.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { ReplyBody, RequestOf } from '../../protocol/messages/request.ts';
import { META_GROUP, type Revision } from '../../protocol/types.ts';
import type { LeaseRow } from '../../storage/kv/lease-row.ts';
import { readLease, readLeases, type StoredLease } from '../apply/lease.ts';
import type { Closer } from '../replica/closer.ts';
import {
  notApplied,
  notLeader,
  type ProposalOutcome,
  type ReplicaContext,
  type Reply,
  rejected,
  trustedWallMs,
} from '../replica/context.ts';
import { answerFromView } from '../replica/from-view.ts';
import { type ReadRounds, thisMoment } from '../replica/reads.ts';
import { roomRefusal } from '../replica/writes.ts';
import { allLeases, type EndedLease, Tenure } from './tenure.ts';

/** How often deadlines are looked at. */
const LOOK_EVERY_MS = 100;

export type LeaseRequest = RequestOf<
  'LeaseGrant' | 'LeaseRevoke' | 'LeaseCheck' | 'LeaseList' | 'LeaseForget'
>;

/**
 * Leases in their home group (ADR 0030): grants and ends go through the log, time is kept here, beside the leader.
 *
 *   K1  Nothing is answered before everything of earlier leaders is applied and loaded, with its whole time.
 *   K2  A renewal or a look counts only when leadership was confirmed after it was asked for: a later
 *       leader, which begins with the whole time, was elected after it.
 *   K3  While the end of a lease is on its way, nothing is said of the lease.
 *   K4  A promise given at revision c is covered by a committed bound, so the lease ends above c, whoever
 *       leads then; promiseEnd of its end is at or above every promise that was given.
 *   K5  What is said of a lease to a tenant that it is not of is what is said of none, after the same steps.
 */
export class LeaseKeeper {
  readonly #context: ReplicaContext;
  readonly #rounds: ReadRounds;
  readonly #closer: Closer;
  readonly #term: () => number;
  #tenure: Tenure | null = null;
  #lookDueMs = 0;

  constructor(
    context: ReplicaContext,
    rounds: ReadRounds,
    closer: Closer,
    /** The core's current term. */
    term: () => number,
  ) {
    this.#context = context;
    this.#rounds = rounds;
    this.#closer = closer;
    this.#term = term;
  }

  /** Whether `tick` would do anything now. */
  isDue(nowMs: number): boolean {
    if (!this.#leads()) return this.#tenure !== null;
    const tenure = this.#tenure;
    return tenure?.term !== this.#term() || (tenure.table.size > 0 && nowMs >= this.#lookDueMs);
  }

  /** Called on ticks, with a monotonic time. */
  tick(nowMs: number): void {
    const tenure = this.#current();
    if (tenure === null || !tenure.isLoaded || nowMs < this.#lookDueMs) return;
    this.#lookDueMs = nowMs + LOOK_EVERY_MS;
    if (!this.#context.clockTrusted()) return;
    const due = tenure.table.due(nowMs, LIMITS.leaseStepMax);
    if (due.length > 0) this.#end(tenure, due, 'expired', () => {});
  }

  /** Ended leases whose keys are to be removed, of a leader; the oldest first. */
  ended(): readonly EndedLease[] {
    const tenure = this.#tenure;
    if (tenure === null || !this.#leads() || tenure.term !== this.#term()) return [];
    return tenure.ended();
  }

  handle(body: LeaseRequest, reply: Reply): void {
    const tenure = this.#current();
    if (tenure === null) return reply(notLeader(this.#context));
    const askedMs = this.#context.ports.clock.monotonicMs();
    const serve = (): void => {
      if (this.#tenure !== tenure) return reply(notLeader(this.#context));
      this.#serve(tenure, body, askedMs, reply);
    };
    if (tenure.isLoaded) serve();
    else tenure.wait(serve);
  }

  #serve(tenure: Tenure, body: LeaseRequest, askedMs: number, reply: Reply): void {
    switch (body.type) {
      case 'LeaseGrant':
        return this.#grant(tenure, body, reply);
      case 'LeaseRevoke':
        return this.#revoke(tenure, body, reply);
      case 'LeaseCheck':
        return this.#confirmed(reply, () => this.#check(tenure, body, askedMs, reply));
      case 'LeaseList':
        return this.#confirmed(reply, () => this.#list(tenure, body, reply));
      case 'LeaseForget':
        return this.#forget(tenure, body, reply);
    }
  }

  #leads(): boolean {
    return this.#context.isLeader() && this.#context.group !== META_GROUP;
  }

  /** What this leadership knows; null where this replica does not lead. Begins to load it when it is new. */
  #current(): Tenure | null {
    if (!this.#leads()) {
      this.#leave();
      return null;
    }
    const term = this.#term();
    if (this.#tenure?.term === term) return this.#tenure;
    this.#leave();
    const tenure = new Tenure(term, this.#context.ports.clock.monotonicMs());
    this.#tenure = tenure;
    this.#load(tenure);
    return tenure;
  }

  #leave(): void {
    const left = this.#tenure;
    this.#tenure = null;
    left?.serveWaiting();
  }

  /** A read round is over when everything of earlier leaders is applied. */
  #load(tenure: Tenure): void {
    this.#rounds.join(
      () => {
        const { ports } = this.#context;
        allLeases(this.#context.state).then(
          (leases) => this.#loaded(tenure, leases),
          (error: unknown) => ports.fatal('the applied state could not be read', error),
        );
      },
      () => {
        if (this.#tenure === tenure) this.#leave();
      },
    );
    this.#poke();
  }

  #loaded(tenure: Tenure, leases: readonly StoredLease[]): void {
    if (this.#tenure !== tenure) return;
    tenure.load(leases, this.#context.ports.clock.monotonicMs());
    this.#wake(tenure);
  }

  #wake(tenure: Tenure): void {
    if (tenure.serveWaiting()) this.#poke();
  }

  /** Read rounds begin at the end of a batch: this asks for one, outside of any. */
  #poke(): void {
    this.#context.command({ type: 'Tick' });
  }

  /** Runs `serve` when leadership was confirmed after now, in the same tenure. */
  #confirmed(reply: Reply, serve: () => void): void {
    const tenure = this.#tenure;
    this.#rounds.join(
      () => {
        if (this.#tenure === tenure && this.#current() === tenure) serve();
        else reply(notLeader(this.#context));
      },
      () => reply(notLeader(this.#context)),
    );
  }

  #grant(tenure: Tenure, body: RequestOf<'LeaseGrant'>, reply: Reply): void {
    const { lease, ttlMs, epoch } = body;
    const { clock, ports, group } = this.#context;
    if (!this.#context.clockTrusted()) return reply(noClock());
    const refusal = roomRefusal(this.#context);
    if (refusal !== null) return reply(refusal);
    if (tenure.table.size >= LIMITS.leasesPerGroupMax) {
      return reply(rejected('overloaded', `group ${group} has leasesPerGroupMax leases`));
    }
    const revision = clock.assign(1, trustedWallMs(this.#context));
    const tenant = tenantOfLease(body);
    const command: Command = { type: 'leaseGrant', revision, epoch, lease, ttlMs, tenant };
    this.#context.propose(command, (outcome) => {
      if (outcome.type !== 'applied') return reply(notApplied(this.#context, outcome));
      const result = outcome.applied.results[0];
      if (result?.type === 'wrong_shard') {
        return reply(rejected('wrong_shard', 'the lease is elsewhere', { hint: result.epoch }));
      }
      if (result?.type === 'lease_stale') return reply(over());
      if (result?.type !== 'put') return reply(rejected('conflict', 'the lease id is taken'));
      const grantRevision = result.revision;
      tenure.table.add(lease, ttlMs, grantRevision, ports.clock.monotonicMs());
      const granted = { lease, ttlMs, remainingMs: ttlMs, grantRevision };
      reply({ type: 'Lease', lease: granted, until: 0, clock: clock.clock });
    });
  }

  #revoke(tenure: Tenure, body: RequestOf<'LeaseRevoke'>, reply: Reply): void {
    const { lease, epoch } = body;
    const { state } = this.#context;
    if (!state.isOwned(homeOfLease(lease), epoch)) return reply(elsewhere(state.epoch));
    if (!this.#context.clockTrusted()) return reply(noClock());
    // One that is not there costs no entry. Its grant may be another leader's, of whom this one has not heard.
    const tenant = tenantOfLease(body);
    if (this.#rowOf(lease, tenant) === null) {
      return this.#confirmed(reply, () => {
        if (this.#rowOf(lease, tenant) === null) reply(gone(lease));
        else this.#revoke(tenure, body, reply);
      });
    }
    if (tenure.table.isEnding(lease)) {
      tenure.wait(() => this.handle(body, reply));
      return;
    }
    this.#end(tenure, [lease], 'revoked', (outcome) => {
      if (outcome.type !== 'applied') return reply(notApplied(this.#context, outcome));
      const result = outcome.applied.results[0];
      const row = readLease(state, lease);
      // Asked for again it is done, as long as its row is there; one that had expired was not revoked.
      const isDone = result?.type === 'deleted' && (result.deleted || row?.why === 'revoked');
      reply(isDone ? { type: 'Done', revision: result.revision } : gone(lease));
    });
  }

  /** Proposes the end of leases; what of it happened is known only when it is applied. */
  #end(
    tenure: Tenure,
    leases: readonly number[],
    why: LeaseEnd,
    then: (outcome: ProposalOutcome) => void,
  ): void {
    const { clock, ports } = this.#context;
    for (const lease of leases) tenure.table.beginEnd(lease);
    const revision = clock.assign(1, trustedWallMs(this.#context));
    const command: Command = {
      type: 'leaseEnd',
      revision,
      leases: leases.map((lease) => ({ lease, why })),
    };
    this.#context.propose(command, (outcome) => {
      for (const [i, lease] of leases.entries()) {
        const result = outcome.type === 'applied' ? outcome.applied.results[i] : undefined;
        tenure.table.ended(lease, outcome.type === 'applied');
        if (result?.type === 'deleted' && result.deleted) {
          tenure.noteEnd({ lease, endRevision: result.revision, why });
        }
      }
      // Nobody knows: what the table says is worth nothing any more.
      if (outcome.type === 'unknown' && this.#tenure === tenure) this.#leave();
      else this.#wake(tenure);
      if (outcome.type === 'applied') ports.telemetry.count('leases_ended', leases.length, { why });
      then(outcome);
    });
  }

  /** Leadership was confirmed after it was asked for. */
  #check(tenure: Tenure, body: RequestOf<'LeaseCheck'>, askedMs: number, reply: Reply): void {
    const { lease, epoch, purpose } = body;
    const { state } = this.#context;
    if (!state.isOwned(homeOfLease(lease), epoch)) return reply(elsewhere(state.epoch));
    const tenant = tenantOfLease(body);
    const row = this.#rowOf(lease, tenant);
    if (row !== null && tenure.table.isEnding(lease)) {
      tenure.wait(() => this.handle(body, reply));
      return;
    }
    if (row?.endRevision !== 0) return reply(gone(lease));
    if (purpose === 'renew') tenure.table.renew(lease, askedMs);
    if (purpose !== 'attach') return this.#tell(tenure, lease, 0, reply);
    const revision = thisMoment(this.#context);
    this.#closer.reserve(revision, (settled) => {
      if (settled !== 'ok' || this.#current() !== tenure) return reply(notLeader(this.#context));
      if (tenure.table.isEnding(lease)) tenure.wait(() => this.handle(body, reply));
      else if (this.#rowOf(lease, tenant)?.endRevision !== 0) reply(gone(lease));
      else this.#tell(tenure, lease, promiseEnd(revision), reply);
    });
  }

  /** As applied so far, ended or not; null: the tenant has none of this id. */
  #rowOf(lease: number, tenant: string): LeaseRow | null {
    const row = readLease(this.#context.state, lease);
    return row?.tenant === tenant ? row : null;
  }

  #tell(tenure: Tenure, lease: number, until: Revision, reply: Reply): void {
    const { clock, ports } = this.#context;
    const known = tenure.table.get(lease, ports.clock.monotonicMs());
    if (known === null) return reply(gone(lease));
    reply({ type: 'Lease', lease: { lease, ...known }, until, clock: clock.clock });
  }

  #list(tenure: Tenure, body: RequestOf<'LeaseList'>, reply: Reply): void {
    const { ports, clock } = this.#context;
    const limit = Math.min(Math.max(1, body.limit), LIMITS.pageItemsMax);
    answerFromView(this.#context, reply, async (view) => {
      const rows = await readLeases(view, body.after, LIMITS.leasesPerGroupMax * 2);
      const nowMs = ports.clock.monotonicMs();
      const tenant = tenantOfLease(body);
      const living = rows.filter((row) => row.endRevision === 0 && row.tenant === tenant);
      const leases = living.slice(0, limit).map(({ lease, ttlMs, grantRevision }) => ({
        ...{ lease, ttlMs, grantRevision },
        remainingMs: tenure.table.get(lease, nowMs)?.remainingMs ?? 0,
      }));
      return { type: 'Leases', leases, more: living.length > limit, clock: clock.clock };
    });
  }

  #forget(tenure: Tenure, { leases }: RequestOf<'LeaseForget'>, reply: Reply): void {
    this.#context.propose({ type: 'leaseForget', leases }, (outcome) => {
      if (outcome.type !== 'applied') return reply(notApplied(this.#context, outcome));
      tenure.forget(leases);
      reply({ type: 'Done', revision: outcome.applied.clock });
    });
  }
}

function gone(lease: number): ReplyBody {
  return rejected('lease_not_found', `there is no lease ${lease}, or it has ended`);
}

/** The grant was asked for again, after its lease's end. */
function over(): ReplyBody {
  return rejected('lease_not_found', 'the lease that this request was granted has ended');
}

function elsewhere(epoch: number): ReplyBody {
  return rejected('wrong_shard', 'the lease has another home', { hint: epoch });
}

function noClock(): ReplyBody {
  return rejected('clock_skew', 'this leader has no trusted clock and hands over');
}
