import type { Telemetry } from '../../observability/port.ts';
import { promiseEnd } from '../../protocol/lease.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { GroupId, Revision } from '../../protocol/types.ts';
import type { Calls } from '../router/calls.ts';
import type { EndedLease } from './keeper.ts';
import { type SweepActor, type SweepEffects, startSweepMachine } from './machine.ts';
import { sweepGroup } from './sweep-group.ts';

const CALL_MS = 2_000;

export interface SweeperHost {
  readonly calls: Calls;
  readonly telemetry: Telemetry;
  /** All groups that hold keys. */
  dataGroups(): readonly GroupId[];
  /** Ended leases of the groups that are led here. */
  ended(): readonly { readonly group: GroupId; readonly leases: readonly EndedLease[] }[];
}

/**
 * Drives the removal of what was attached to ended leases (ADR 0030). A lease is swept twice: at once, and when
 * all promises about it have run out, after which its row can go.
 */
export class LeaseSweeper implements SweepEffects {
  readonly #host: SweeperHost;
  readonly #actor: SweepActor;
  /** Leases that were swept a first time from here; to be done again costs little. */
  readonly #sweptOnce = new Set<number>();
  #stopped = false;

  constructor(host: SweeperHost) {
    this.#host = host;
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

  // SweepEffects.

  hasEnded(): boolean {
    return this.#host.ended().some(({ leases }) => leases.some((one) => this.#isWanted(one)));
  }

  sweep(): void {
    this.#sweep().then(
      () => this.#tell('swept'),
      () => this.#tell('failed'),
    );
  }

  #tell(type: 'swept' | 'failed'): void {
    if (!this.#stopped) this.#actor.send({ type });
  }

  #isWanted(lease: EndedLease): boolean {
    return !this.#sweptOnce.has(lease.lease) || this.#isRipe(lease);
  }

  /** No group's clock is pushed ahead of the wall for it. */
  #isRipe({ endRevision }: EndedLease): boolean {
    return promiseEnd(endRevision) <= this.#host.calls.wallRevision();
  }

  async #sweep(): Promise<void> {
    for (const { group, leases } of this.#host.ended()) {
      const fresh = leases.filter((one) => !this.#isRipe(one) && !this.#sweptOnce.has(one.lease));
      const first = fresh.slice(0, LIMITS.leaseStepMax);
      if (first.length > 0) {
        await this.#everywhere(first, 0);
        for (const { lease } of first) this.#sweptOnce.add(lease);
      }
      const ripe = leases.filter((one) => this.#isRipe(one)).slice(0, LIMITS.leaseStepMax);
      if (ripe.length > 0) await this.#finish(group, ripe);
    }
  }

  /** The last sweep: afterwards nothing is attached to them, and nothing can be. */
  async #finish(group: GroupId, ripe: readonly EndedLease[]): Promise<void> {
    const close = ripe.reduce((max, one) => Math.max(max, promiseEnd(one.endRevision)), 0);
    await this.#everywhere(ripe, close);
    const leases = ripe.map(({ lease }) => lease);
    await this.#host.calls.call(group, { type: 'LeaseForget', leases }, 'Done', OPTIONS);
    for (const lease of leases) this.#sweptOnce.delete(lease);
  }

  async #everywhere(ended: readonly EndedLease[], close: Revision): Promise<void> {
    const groups = this.#host.dataGroups();
    const removed = await Promise.all(
      groups.map((group) => sweepGroup(this.#host.calls, group, ended, close, OPTIONS)),
    );
    const count = removed.reduce((sum, one) => sum + one, 0);
    if (count > 0) this.#host.telemetry.count('lease_keys_removed', count);
  }
}

const OPTIONS = {
  deadlineMs: CALL_MS,
  traceparent: null,
  target: 'leader',
  repeatable: true,
} as const;
