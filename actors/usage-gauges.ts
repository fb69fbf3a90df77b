import type { Telemetry } from '../observability/port.ts';
import { type GroupId, META_GROUP } from '../protocol/types.ts';
import {
  addUsage,
  NO_USAGE,
  objectBytesOf,
  type SpaceUsage,
  USAGE_PAGE_MAX,
} from '../protocol/usage.ts';
import { KV_SPACE } from '../protocol/vshard.ts';
import { readUsage } from './apply/usage-read.ts';
import type { Replica } from './replica/replica.ts';

/** How often they are looked at, ms. */
const EVERY_MS = 10_000;

/**
 * Gauges of buckets, of the groups that this node leads: over all nodes they add up to the whole. A bucket that has gone
 * from them says 0.
 */
export class UsageGauges {
  readonly #telemetry: Telemetry;
  readonly #known = new Map<GroupId, { changes: number; items: readonly SpaceUsage[] }>();
  /** Those that were not 0 when they were told last, by their names. */
  #told = new Map<string, SpaceUsage>();
  #lookMs = Number.NEGATIVE_INFINITY;
  #running = false;

  constructor(telemetry: Telemetry) {
    this.#telemetry = telemetry;
  }

  /** Called often; looks now and then. `nowMs` is monotonic. */
  tick(replicas: readonly Replica[], nowMs: number, onError: (error: unknown) => void): void {
    if (this.#running || nowMs - this.#lookMs < EVERY_MS) return;
    this.#lookMs = nowMs;
    this.#running = true;
    this.report(replicas)
      .catch(onError)
      .finally(() => {
        this.#running = false;
      });
  }

  async report(replicas: readonly Replica[]): Promise<void> {
    const sums = new Map<string, SpaceUsage>();
    for (const replica of replicas) {
      if (replica.group === META_GROUP || !replica.isLeader()) continue;
      for (const item of await this.#itemsOf(replica)) {
        if (item.space === KV_SPACE) continue;
        const name = `${item.tenant}\x00${item.space}`;
        const usage = addUsage(sums.get(name)?.usage ?? NO_USAGE, item.usage);
        sums.set(name, { ...item, usage });
      }
    }
    for (const [name, item] of this.#told) {
      if (!sums.has(name)) this.#tell({ ...item, usage: NO_USAGE });
    }
    for (const item of sums.values()) this.#tell(item);
    this.#told = sums;
  }

  #tell({ tenant, space, usage }: SpaceUsage): void {
    const labels = { tenant, bucket: space };
    this.#telemetry.gauge('bucket_objects', usage.objects, labels);
    this.#telemetry.gauge('bucket_versions', usage.versions + usage.markers, labels);
    this.#telemetry.gauge('bucket_bytes', objectBytesOf(usage), labels);
  }

  /** Of a group's first spaces: there are no more series than those (observability/metrics.ts). */
  async #itemsOf({ group, state }: Replica): Promise<readonly SpaceUsage[]> {
    const { changes } = state.usage;
    const known = this.#known.get(group);
    if (known?.changes === changes) return known.items;
    const view = state.view();
    try {
      const { items } = await readUsage(view, null, USAGE_PAGE_MAX);
      this.#known.set(group, { changes, items });
      return items;
    } finally {
      await view.close();
    }
  }
}
