import { NO_USAGE, type SpaceUsage, type Usage } from '../../protocol/usage.ts';
import {
  decodeUsage,
  decodeWholeUsage,
  namesOfScope,
  scopeOf,
  scopeOfUsageKey,
  usageKey,
  usageOfCounts,
  usageRange,
  WHOLE_GROUP,
} from '../../storage/kv/usage-rows.ts';
import type { GroupView } from './group-state.ts';

/** Of all of the group. */
export function readWholeUsage(view: Pick<GroupView, 'prefix' | 'get'>): Usage {
  const row = view.get(usageKey(view.prefix, WHOLE_GROUP));
  return row === null ? NO_USAGE : usageOfCounts(decodeWholeUsage(row).counts);
}

/** That, and up to `limit` spaces behind `after` by (tenant, space); `more`: there are further ones. */
export async function readUsage(
  view: GroupView,
  after: { readonly tenant: string; readonly space: string } | null,
  limit: number,
): Promise<{ whole: Usage; items: SpaceUsage[]; more: boolean }> {
  const whole = readWholeUsage(view);
  const from = after === null ? WHOLE_GROUP : scopeOf(after.tenant, after.space);
  const [start, end] = usageRange(view.prefix, from);
  const items: SpaceUsage[] = [];
  const cursor = view.cursor({ start, end, reverse: false, rows: limit + 1 });
  try {
    while (items.length <= limit) {
      const rows = await cursor.next(limit + 1 - items.length);
      if (rows.length === 0) break;
      for (const [key, value] of rows) {
        items.push({ ...namesOfScope(scopeOfUsageKey(key)), usage: decodeUsage(value) });
      }
    }
  } finally {
    await cursor.close();
  }
  const more = items.length > limit;
  return { whole, items: items.slice(0, limit), more };
}
