import { prefixEnd } from '../../protocol/bytes.ts';
import { amountsOf, type QuotaScope } from '../../protocol/quotas.ts';
import { KV_SPACE } from '../../protocol/vshard.ts';
import { spaceRange } from '../../storage/kv/keyspace.ts';
import { decodeUsage, scopeOf, usageKey } from '../../storage/kv/usage-rows.ts';
import type { EngineRow } from '../../storage/ports.ts';
import type { GroupView } from './group-state.ts';
import type { Share } from './quota-table.ts';
import { newTally, usageOf, weigh } from './usage.ts';

const ROWS_AT_ONCE = 256;

/** A share that wants to be counted, as it was when a view was taken. */
export interface Counting {
  readonly scope: string;
  readonly parsed: QuotaScope;
  readonly since: number;
  /** The change since it began. */
  readonly used: readonly number[];
}

export function countingOf({ scope, parsed, since, used }: Share): Counting {
  return { scope, parsed, since, used: [...used] };
}

/**
 * What was there when a share began: what its rows weigh in a view, less what was added since. It is the same in
 * whichever view it is counted, so whoever leads may do it, and begin anew. `isOver`: nobody wants it any more; null then.
 */
export async function countBase(
  view: GroupView,
  { parsed, used }: Counting,
  isOver: () => boolean,
): Promise<number[] | null> {
  const found = await countScope(view, parsed, isOver);
  return found === null ? null : found.map((amount, kind) => amount - (used[kind] as number));
}

/** What the rows of a scope weigh, by a scan of usage rows or of keys. */
export async function countScope(
  view: GroupView,
  scope: QuotaScope,
  isOver: () => boolean,
): Promise<number[] | null> {
  const tally = newTally();
  if (scope.kind === 'prefix') {
    const space = scopeOf(scope.tenant, KV_SPACE);
    const at = { tenant: scope.tenant, space: KV_SPACE };
    const range = spaceRange(view.prefix, 'c', at, scope.prefix, prefixEnd(scope.prefix));
    const isAll = await eachRow(view, range, isOver, ([key, value]) => {
      weigh(tally, space, key, value, 1);
    });
    return isAll ? amountsOf(usageOf(tally)) : null;
  }
  const sum = [0, 0, 0];
  const add = ([, value]: EngineRow): void => {
    const amounts = amountsOf(decodeUsage(value));
    for (let kind = 0; kind < sum.length; kind++) {
      sum[kind] = (sum[kind] as number) + (amounts[kind] as number);
    }
  };
  if (scope.kind === 'bucket') {
    const key = usageKey(view.prefix, scopeOf(scope.tenant, scope.bucket));
    const value = view.get(key);
    if (value !== null) add([key, value]);
    return sum;
  }
  const start = usageKey(view.prefix, `${scope.tenant}\x00`);
  const end = usageKey(view.prefix, `${scope.tenant}\x01`);
  return (await eachRow(view, [start, end], isOver, add)) ? sum : null;
}

/** Resolves with whether it saw all of them. */
async function eachRow(
  view: GroupView,
  [start, end]: readonly [string, string],
  isOver: () => boolean,
  use: (row: EngineRow) => void,
): Promise<boolean> {
  const cursor = view.cursor({ start, end, reverse: false });
  try {
    for (;;) {
      const rows = await cursor.next(ROWS_AT_ONCE);
      if (rows.length === 0) return true;
      if (isOver()) return false;
      for (const row of rows) use(row);
    }
  } finally {
    await cursor.close();
  }
}

/** The first share that does not say what a scan finds, and both; null: there is none (S1). */
export async function quotaFlaw(view: GroupView, shares: readonly Share[]): Promise<string | null> {
  for (const share of shares) {
    if (!share.isCounted) continue;
    const used = [...share.used].join(' ');
    const found = (await countScope(view, share.parsed, () => false))?.join(' ');
    if (found !== used) return `the share of ${share.scope} uses ${used}, a scan finds ${found}`;
  }
  return null;
}
