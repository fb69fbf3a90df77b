import type { RequestContext } from '../../protocol/service.ts';
import type { GroupId } from '../../protocol/types.ts';
import {
  addUsage,
  NO_USAGE,
  type SpaceUsage,
  type Usage,
  type UsageReads,
} from '../../protocol/usage.ts';
import type { Calls } from './calls.ts';
import { readOptions } from './options.ts';
import { dataGroups } from './scan.ts';
import type { ShardMap } from './shard-map.ts';

export interface UsageHost {
  map(): ShardMap;
}

type Names = Pick<SpaceUsage, 'tenant' | 'space'>;

/** Usage over calls to all groups: a bucket's objects are in several of them, and each counts its own. */
export class RoutedUsage implements UsageReads {
  readonly #calls: Calls;
  readonly #host: UsageHost;
  readonly #localOf: (group: GroupId) => Usage | null;

  /** `localOf`: of the replica that this node has of a group; null: it has none. */
  constructor(calls: Calls, host: UsageHost, localOf: (group: GroupId) => Usage | null) {
    this.#calls = calls;
    this.#host = host;
    this.#localOf = localOf;
  }

  async whole(ctx: RequestContext): Promise<Usage> {
    const found = await this.#ask(ctx, null, 0);
    return found.reduce((sum, { whole }) => addUsage(sum, whole), NO_USAGE);
  }

  async page(ctx: RequestContext, after: Names | null, limit: number) {
    return mergeUsage(await this.#ask(ctx, after, limit), limit);
  }

  here(): Usage | null {
    let sum = NO_USAGE;
    for (const group of dataGroups(this.#host.map())) {
      const local = this.#localOf(group);
      if (local === null) return null;
      sum = addUsage(sum, local);
    }
    return sum;
  }

  #ask(ctx: RequestContext, after: Names | null, limit: number) {
    const body = { type: 'UsageLook' as const, after, limit };
    return Promise.all(
      dataGroups(this.#host.map()).map((group) =>
        this.#calls.call(group, body, 'UsageFound', readOptions(ctx, 'leader')),
      ),
    );
  }
}

export interface UsagePart {
  readonly items: readonly SpaceUsage[];
  readonly more: boolean;
}

/**
 * One page of parts that begin behind the same space. A part that has more says nothing of what is behind its last
 * space, so the page ends with the first of those.
 */
export function mergeUsage(parts: readonly UsagePart[], limit: number): UsagePart {
  let end: Names | null = null;
  const sums = new Map<string, SpaceUsage>();
  for (const { items, more } of parts) {
    const last = items[items.length - 1];
    if (more && last !== undefined && (end === null || compare(last, end) < 0)) end = last;
    for (const item of items) {
      const name = `${item.tenant}\x00${item.space}`;
      const usage = addUsage(sums.get(name)?.usage ?? NO_USAGE, item.usage);
      sums.set(name, { ...item, usage });
    }
  }
  const sorted = [...sums.values()].sort(compare);
  const complete = sorted.filter((item) => end === null || compare(item, end) <= 0);
  const items = complete.slice(0, limit);
  return { items, more: items.length < sorted.length || end !== null };
}

/** As their rows are ordered. */
function compare(a: Names, b: Names): number {
  const [x, y] = [`${a.tenant}\x00${a.space}`, `${b.tenant}\x00${b.space}`];
  return x < y ? -1 : x > y ? 1 : 0;
}
