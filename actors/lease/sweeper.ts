import type { Telemetry } from '../../observability/port.ts';
import { onlyRefusals } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { GroupId } from '../../protocol/types.ts';
import type { Calls } from '../router/calls.ts';
import { GroupSweep, SWEEP_OPTIONS } from './group-sweep.ts';
import type { EndedLease } from './tenure.ts';

/** Ended leases that are looked at per tick, over all groups; many more are looked at less often. */
const LOOKS_PER_TICK = 50_000;

export interface SweeperHost {
  readonly calls: Calls;
  readonly telemetry: Telemetry;
  /** All groups that hold keys. */
  dataGroups(): readonly GroupId[];
  /** Ended leases of the groups that are led here. */
  ended(): readonly { readonly group: GroupId; readonly leases: readonly EndedLease[] }[];
}

/**
 * Drives the removal of what was attached to ended leases (ADR 0030): in each group by itself, twice. A lease whose
 * last sweep is done in all groups is forgotten by its home.
 */
export class LeaseSweeper {
  readonly #host: SweeperHost;
  readonly #sweeps = new Map<GroupId, GroupSweep>();
  /** Homes that are being asked to forget some. */
  readonly #forgetting = new Set<GroupId>();
  #ended: readonly EndedLease[] = [];
  #pauseTicks = 0;
  #stopped = false;

  constructor(host: SweeperHost) {
    this.#host = host;
  }

  tick(): void {
    if (this.#stopped || this.#pauseTicks-- > 0) return;
    this.#pauseTicks = 0;
    const homes = this.#host.ended();
    this.#ended = homes.flatMap(({ leases }) => leases);
    const known = new Set(this.#ended.map(({ lease }) => lease));
    for (const sweep of this.#sweeps.values()) sweep.keep(known);
    if (known.size === 0) return;
    const sweeps = this.#host.dataGroups().map((group) => this.#sweepOf(group));
    this.#pauseTicks = Math.floor((known.size * sweeps.length) / LOOKS_PER_TICK);
    for (const sweep of sweeps) sweep.tick();
    for (const { group, leases } of homes) {
      if (this.#forgetting.has(group)) continue;
      const done = leases.filter((one) => sweeps.every((sweep) => sweep.isDone(one)));
      if (done.length > 0) this.#forget(group, done.slice(0, LIMITS.leaseStepMax));
    }
  }

  stop(): void {
    this.#stopped = true;
    for (const sweep of this.#sweeps.values()) sweep.stop();
  }

  #sweepOf(group: GroupId): GroupSweep {
    let sweep = this.#sweeps.get(group);
    if (sweep === undefined) {
      const { calls, telemetry } = this.#host;
      sweep = new GroupSweep({ calls, telemetry, ended: () => this.#ended }, group);
      this.#sweeps.set(group, sweep);
    }
    return sweep;
  }

  /** What could not be forgotten now is still ended, and comes again. */
  #forget(home: GroupId, done: readonly EndedLease[]): void {
    const leases = done.map(({ lease }) => lease);
    this.#forgetting.add(home);
    this.#host.calls
      .call(home, { type: 'LeaseForget', leases }, 'Done', SWEEP_OPTIONS)
      .catch(onlyRefusals)
      .finally(() => this.#forgetting.delete(home));
  }
}
