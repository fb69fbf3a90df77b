import type { Telemetry } from '../../observability/port.ts';
import { onlyRefusals } from '../../protocol/errors.ts';
import { promiseEnd } from '../../protocol/lease.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { GroupId, Revision } from '../../protocol/types.ts';
import type { Calls } from '../router/calls.ts';
import { type SweepActor, type SweepEffects, startSweepMachine } from './machine.ts';
import { sweepGroup } from './sweep-group.ts';
import type { EndedLease } from './tenure.ts';

const CALL_MS = 2_000;

export const SWEEP_OPTIONS = {
  deadlineMs: CALL_MS,
  traceparent: null,
  target: 'leader',
  repeatable: true,
} as const;

export interface GroupSweepHost {
  readonly calls: Calls;
  readonly telemetry: Telemetry;
  /** Ended leases of the homes that are led here. */
  ended(): readonly EndedLease[];
}

/**
 * Ended leases in one group that may hold keys of them: each is swept at once, and a last time when all promises about
 * it have run out. Every group has its own, so that one which is silent holds up no other; and what a
 * group could not do for some leases is tried again behind the others, in smaller steps.
 */
export class GroupSweep implements SweepEffects {
  readonly #host: GroupSweepHost;
  readonly #group: GroupId;
  readonly #actor: SweepActor;
  /** The ends that were swept, by lease: a first time, which costs little to be done again; and the last. */
  readonly #first = new Map<number, Revision>();
  readonly #last = new Map<number, Revision>();
  #stepMax: number = LIMITS.leaseStepMax;
  #from = 0;
  #stopped = false;

  constructor(host: GroupSweepHost, group: GroupId) {
    this.#host = host;
    this.#group = group;
    this.#actor = startSweepMachine(this);
  }

  /** Most ticks find nothing, and cost no event. */
  tick(): void {
    if (!this.#stopped && this.hasEnded()) this.#actor.send({ type: 'tick' });
  }

  stop(): void {
    this.#stopped = true;
    this.#actor.stop();
  }

  /** Nothing is attached here to this lease any more, nor can be. */
  isDone({ lease, endRevision }: EndedLease): boolean {
    return this.#last.get(lease) === endRevision;
  }

  /** Drops what is known of leases that are not among these. */
  keep(ended: ReadonlySet<number>): void {
    for (const lease of this.#first.keys()) if (!ended.has(lease)) this.#first.delete(lease);
    for (const lease of this.#last.keys()) if (!ended.has(lease)) this.#last.delete(lease);
  }

  // SweepEffects.

  hasEnded(): boolean {
    const nowRevision = this.#host.calls.wallRevision();
    return this.#host.ended().some((one) => this.#isFresh(one) || this.#isRipe(one, nowRevision));
  }

  sweep(): void {
    this.#pass().then((isSwept) => this.#tell(isSwept ? 'swept' : 'failed'));
  }

  #tell(type: 'swept' | 'failed'): void {
    if (!this.#stopped) this.#actor.send({ type });
  }

  #isFresh({ lease, endRevision }: EndedLease): boolean {
    return this.#first.get(lease) !== endRevision && this.#last.get(lease) !== endRevision;
  }

  /** All promises about it have run out, and the last sweep is yet to come. No clock is pushed ahead of the wall for it. */
  #isRipe(one: EndedLease, nowRevision: Revision): boolean {
    return promiseEnd(one.endRevision) <= nowRevision && !this.isDone(one);
  }

  /** Whether all that it looked for is removed. */
  async #pass(): Promise<boolean> {
    const nowRevision = this.#host.calls.wallRevision();
    const ended = this.#host.ended();
    const ripe = this.#next(ended.filter((one) => this.#isRipe(one, nowRevision)));
    const fresh = this.#next(
      ended.filter((one) => this.#isFresh(one) && !this.#isRipe(one, nowRevision)),
    );
    const close = ripe.reduce((max, one) => Math.max(max, promiseEnd(one.endRevision)), 0);
    const hasSwept = await Promise.all([this.#remove(fresh, 0), this.#remove(ripe, close)]);
    if (hasSwept[0]) note(this.#first, fresh);
    if (hasSwept[1]) note(this.#last, ripe);
    if (hasSwept.every(Boolean)) {
      this.#stepMax = Math.min(this.#stepMax * 2, LIMITS.leaseStepMax);
      return true;
    }
    this.#stepMax = 1;
    this.#from++;
    return false;
  }

  #next(wanted: readonly EndedLease[]): EndedLease[] {
    const from = wanted.length === 0 ? 0 : this.#from % wanted.length;
    return [...wanted.slice(from), ...wanted.slice(0, from)].slice(0, this.#stepMax);
  }

  async #remove(leases: readonly EndedLease[], close: Revision): Promise<boolean> {
    if (leases.length === 0) return true;
    const { calls, telemetry } = this.#host;
    try {
      const swept = await sweepGroup(calls, this.#group, leases, close, SWEEP_OPTIONS);
      if (swept.removed > 0) telemetry.count('lease_keys_removed', swept.removed);
      return swept.isAll;
    } catch (error) {
      onlyRefusals(error);
      return false;
    }
  }
}

function note(swept: Map<number, Revision>, leases: readonly EndedLease[]): void {
  for (const { lease, endRevision } of leases) swept.set(lease, endRevision);
}
