import type { Telemetry } from '../../observability/port.ts';
import { onlyRefusals } from '../../protocol/errors.ts';
import type { GroupId } from '../../protocol/types.ts';
import type { GroupView } from '../apply/group-state.ts';
import { type Counting, countBase, countingOf } from '../apply/quota-count.ts';
import type { QuotaTable } from '../apply/quota-table.ts';
import type { RoutedQuotas } from './quotas.ts';

/** A group with keys that has a replica here. */
export interface QuotaGroup {
  readonly group: GroupId;
  isLed(): boolean;
  quotas(): QuotaTable;
  view(): GroupView;
  /** Enters in the group's log what was there when the share began; resolves when that is over. */
  counted(scope: string, since: number, base: readonly number[]): Promise<void>;
}

export interface QuotaKeeperHost {
  readonly quotas: Pick<RoutedQuotas, 'finishAll'>;
  readonly telemetry: Telemetry;
  leadsMeta(): boolean;
  groups(): readonly QuotaGroup[];
}

/** Looks at unfinished quotas are so many ticks apart, and take so long at most. */
const RESTING_TICKS = 20;
const LOOK_MS = 5_000;

/**
 * On each node: counts what shares hold, for the groups that are led there. Beside the meta group's leader: finishes
 * quotas whose gateway went away. All of it may be done twice.
 */
export class QuotaKeeper {
  readonly #host: QuotaKeeperHost;
  /** How often the shares of a group's state had changed when all of them were counted. */
  readonly #seen = new WeakMap<QuotaTable, number>();
  readonly #counting = new Set<GroupId>();
  #waited = 0;
  #finishing = false;
  #stopped = false;

  constructor(host: QuotaKeeperHost) {
    this.#host = host;
  }

  /** Called some times a second. */
  tick(): void {
    if (this.#stopped) return;
    for (const group of this.#host.groups()) this.#look(group);
    if (this.#finishing || ++this.#waited < RESTING_TICKS || !this.#host.leadsMeta()) return;
    this.#waited = 0;
    this.#finishing = true;
    this.#host.quotas
      .finishAll(LOOK_MS)
      .then((finished) => {
        if (finished > 0) this.#host.telemetry.count('quotas_finished', finished);
      })
      .catch(onlyRefusals)
      .finally(() => {
        this.#finishing = false;
      });
  }

  stop(): void {
    this.#stopped = true;
  }

  #look(group: QuotaGroup): void {
    if (this.#counting.has(group.group) || !group.isLed()) return;
    const table = group.quotas();
    const { changes } = table;
    if (this.#seen.get(table) === changes) return;
    const next = [...table.all()].find((share) => !share.isCounted);
    if (next === undefined) {
      this.#seen.set(table, changes);
      return;
    }
    this.#counting.add(group.group);
    const view = group.view();
    this.#count(group, view, countingOf(next))
      .catch((error: unknown) => {
        // The replica is being taken away, or its store closed: whoever leads next begins anew.
        if (!(error instanceof Error)) throw error;
        this.#host.telemetry.log('warn', 'a quota could not be counted', { error: error.message });
      })
      .finally(() => this.#counting.delete(group.group));
  }

  async #count(group: QuotaGroup, view: GroupView, counting: Counting): Promise<void> {
    let base: number[] | null;
    try {
      base = await countBase(view, counting, () => this.#stopped || !group.isLed());
    } finally {
      await view.close();
    }
    if (base === null || this.#stopped || !group.isLed()) return;
    await group.counted(counting.scope, counting.since, base);
    this.#host.telemetry.count('quota_counts', 1, { group: group.group });
  }
}
