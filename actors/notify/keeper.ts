import { LIMITS } from '../../protocol/limits.ts';
import type { OutboxPosition } from '../../protocol/notifications.ts';
import type { NotificationBacklog } from '../../protocol/service.ts';
import type { GroupId } from '../../protocol/types.ts';
import type { GroupView } from '../apply/group-state.ts';
import { addTotals, NO_TOTALS, type OutboxTotals, outboxTotals } from '../apply/outbox.ts';
import { LedWorkers } from '../kit/led-workers.ts';
import { Lane, type LaneHost, targetLabel } from './lane.ts';

/** A group that is looked after here. */
export interface NotifyGroup {
  readonly group: GroupId;
  /** Whether it is led here, by a leader whose clock is trusted. */
  isLed(): boolean;
  /** Another number: something was added since. */
  changes(): number;
  view(): GroupView;
  /** Takes rows away by an entry. False: nobody can tell whether they went. */
  trim(
    target: string,
    rows: readonly (OutboxPosition & { readonly isDropped: boolean })[],
  ): Promise<boolean>;
}

export interface NotifyHost extends LaneHost {
  /** All groups with keys that have a replica here. */
  groups(): readonly NotifyGroup[];
}

/** Totals are looked at anew now and then, for those who want to see them. */
const LOOK_MS = 5_000;

/** Sends the notifications of buckets: on each node, for the groups that are led there. */
export class NotifyKeeper {
  readonly #host: NotifyHost;
  readonly #workers: LedWorkers<NotifyGroup, GroupWorker>;
  /** Labels that have a gauge: other nodes may lead their groups by now. */
  readonly #shown = new Set<string>();

  constructor(host: NotifyHost) {
    this.#host = host;
    this.#workers = new LedWorkers(
      () => host.groups(),
      () => new GroupWorker(host),
    );
  }

  /** Called many times a second: how soon it is seen that there is something to send. */
  tick(): void {
    this.#workers.tick();
  }

  stop(): void {
    this.#workers.stop();
  }

  /** What waits and what was dropped, of the groups that are led here. */
  reportGauges(): void {
    const shown = new Map([...this.#shown].map((label) => [label, NO_TOTALS]));
    for (const [target, own] of this.totals()) {
      const label = targetLabel(target);
      shown.set(label, addTotals(shown.get(label) ?? NO_TOTALS, own));
    }
    const { telemetry } = this.#host;
    for (const [target, { waiting, dropped }] of shown) {
      this.#shown.add(target);
      telemetry.gauge('notifications_waiting', waiting, { target });
      telemetry.gauge('notifications_dropped', dropped, { target });
    }
  }

  /** For status pages: the largest backlogs first, then what was dropped most. */
  backlogs(): NotificationBacklog[] {
    const all = [...this.totals()].map(([target, own]) => ({ target, ...own }));
    all.sort(
      (a, b) => b.waiting - a.waiting || b.dropped - a.dropped || compare(a.target, b.target),
    );
    return all.slice(0, LIMITS.notificationTargetsShown);
  }

  /** Of the groups that are led here, by target, as they were seen last. */
  totals(): Map<string, OutboxTotals> {
    const all = new Map<string, OutboxTotals>();
    for (const { totals } of this.#workers) {
      for (const [target, own] of totals) {
        all.set(target, addTotals(all.get(target) ?? NO_TOTALS, own));
      }
    }
    return all;
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : 1;
}

/** One group, for as long as it is led here: a lane for each target. */
class GroupWorker {
  readonly #host: NotifyHost;
  readonly #lanes = new Map<string, Lane>();
  totals: ReadonlyMap<string, OutboxTotals> = new Map();
  #seen = -1;
  #lookedMs = 0;
  #isLooking = false;
  #stopped = false;

  constructor(host: NotifyHost) {
    this.#host = host;
  }

  tick(group: NotifyGroup): void {
    if (!group.isLed()) return this.#rest();
    for (const lane of this.#lanes.values()) lane.tick(group);
    const nowMs = this.#host.clock.monotonicMs();
    const isOld = this.totals.size > 0 && nowMs >= this.#lookedMs + LOOK_MS;
    if (this.#isLooking || (group.changes() === this.#seen && !isOld)) return;
    this.#isLooking = true;
    this.#lookedMs = nowMs;
    this.#look(group)
      .catch((error: unknown) => {
        this.#seen = -1;
        const { telemetry } = this.#host;
        telemetry.log('warn', 'the outbox could not be read', { group: group.group, error });
      })
      .finally(() => {
        this.#isLooking = false;
      });
  }

  stop(): void {
    this.#stopped = true;
    this.#rest();
  }

  #rest(): void {
    for (const lane of this.#lanes.values()) lane.stop();
    this.#lanes.clear();
    this.#seen = -1;
    this.totals = new Map();
  }

  async #look(group: NotifyGroup): Promise<void> {
    this.#seen = group.changes();
    const view = group.view();
    let totals: Map<string, OutboxTotals>;
    try {
      totals = await outboxTotals(view);
    } finally {
      await view.close();
    }
    if (this.#stopped || !group.isLed()) return;
    this.totals = totals;
    for (const [target, { waiting }] of totals) {
      if (waiting === 0) continue;
      let lane = this.#lanes.get(target);
      if (lane === undefined) {
        lane = new Lane(this.#host, group, target);
        this.#lanes.set(target, lane);
      }
      lane.wake();
    }
  }
}
