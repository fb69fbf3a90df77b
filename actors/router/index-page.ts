import type { EntryPosition } from '../../protocol/indexes.ts';
import type { ReplyOf } from '../../protocol/messages/request.ts';
import type { GroupId } from '../../protocol/types.ts';
import { comparePositions } from '../apply/index-query.ts';
import { firstAsk } from './scan.ts';

type Part = ReplyOf<'IndexPage'>;
type Hit = Part['hits'][number];

export interface Merged {
  readonly hits: Hit[];
  /** Where the page ends, when there may be more. */
  readonly next: EntryPosition | null;
}

export interface PageOver extends Merged {
  /** What each group has looked at for it. */
  readonly seen: readonly {
    readonly group: GroupId;
    readonly rows: number;
    readonly hits: number;
  }[];
}

/**
 * A page over all groups. Each is asked for about its share, as keys are spread by hash; those that had more,
 * which could be on the page, are asked on once, for what is missing.
 */
export async function pageOver(
  groups: readonly GroupId[],
  { limit, reverse }: { readonly limit: number; readonly reverse: boolean },
  ask: (group: GroupId, count: number, after: EntryPosition | null) => Promise<Part>,
): Promise<PageOver> {
  const first = firstAsk(limit, groups.length);
  let parts = await Promise.all(groups.map((group) => ask(group, first, null)));
  let merged = mergeHits(parts, reverse, limit);
  const missing = limit - merged.hits.length;
  if (merged.next !== null && missing > 0) {
    const far = positionAt(parts, limit, reverse);
    const compare = comparer(reverse);
    parts = await Promise.all(
      parts.map(async (part, i) => {
        const { reached, hits } = part;
        // One that was cut by its bytes or by its work would be so again.
        if (reached === null || hits.length < first) return part;
        if (far !== null && compare(reached, far) >= 0) return part;
        const rest = await ask(groups[i] as GroupId, missing, reached);
        return { ...rest, hits: hits.concat(rest.hits), rows: part.rows + rest.rows };
      }),
    );
    merged = mergeHits(parts, reverse, limit);
  }
  const seen = parts.map(({ rows, hits }, i) => {
    return { group: groups[i] as GroupId, rows, hits: hits.length };
  });
  return { ...merged, seen };
}

/** Of the `count`th hit of all that are known; null when there are fewer. */
function positionAt(parts: readonly Part[], count: number, reverse: boolean): EntryPosition | null {
  const known = parts.flatMap(({ hits }) => hits.map(positionOf));
  return known.sort(comparer(reverse))[count - 1] ?? null;
}

function positionOf({ encoded, item }: Hit): EntryPosition {
  return { encoded, key: item.ref.key };
}

function comparer(reverse: boolean): (a: EntryPosition, b: EntryPosition) => number {
  return (a, b) => (reverse ? -comparePositions(a, b) : comparePositions(a, b));
}

/**
 * Merges the groups' parts in index order. A part that was cut says nothing about what comes after where it
 * ended, so the merged page ends at the nearest such position.
 */
export function mergeHits(parts: readonly Part[], reverse: boolean, limit: number): Merged {
  const compare = comparer(reverse);
  let bound: EntryPosition | null = null;
  for (const { reached } of parts) {
    if (reached !== null && (bound === null || compare(reached, bound) < 0)) bound = reached;
  }
  const hits: Hit[] = [];
  for (const part of parts) {
    for (const hit of part.hits) {
      if (bound === null || compare(positionOf(hit), bound) <= 0) hits.push(hit);
    }
  }
  hits.sort((a, b) => compare(positionOf(a), positionOf(b)));
  if (hits.length <= limit) return { hits, next: bound };
  hits.length = limit;
  return { hits, next: positionOf(hits[limit - 1] as Hit) };
}
