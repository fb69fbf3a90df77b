import type {
  ListedPrefix,
  ListedUpload,
  ListedVersion,
  VersionPosition,
} from '../../protocol/object-access.ts';
import type { GroupId } from '../../protocol/types.ts';
import { firstAsk } from './scan.ts';

/** Pages over all groups: each group's part merged in order, with common prefixes that several have shown once. */

interface Part<E, P> {
  readonly entries: readonly (E | ListedPrefix)[];
  /** Where what is left out begins; null: nothing is. */
  readonly next: P | null;
}

/** How entries and positions of one kind of listing are ordered. */
interface Order<E, P> {
  compare(a: E, b: E): number;
  /** Whether an entry comes before a position. */
  isBefore(entry: E | ListedPrefix, at: P): boolean;
  comparePositions(a: P, b: P): number;
  /** Where a page begins whose first entry this is; `before`: the one in front of it. */
  startOf(entry: E | ListedPrefix, before: E | ListedPrefix | undefined): P;
}

type Keyed = { readonly type: string; readonly key: string };

function nameOf(entry: Keyed | ListedPrefix): string {
  return 'prefix' in entry ? entry.prefix : entry.key;
}

function compareNames(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** By key, newest first. `below` 0 is the newest. */
export const VERSION_ORDER: Order<ListedVersion, VersionPosition> = {
  compare: (a, b) => b.putAt - a.putAt,
  isBefore(entry, { key, below }) {
    const name = nameOf(entry);
    if (name !== key) return name < key;
    return below > 0 && entry.type === 'version' && entry.putAt >= below;
  },
  comparePositions(a, b) {
    if (a.key !== b.key) return compareNames(a.key, b.key);
    if (a.below === 0 || b.below === 0) return a.below - b.below;
    return b.below - a.below;
  },
  startOf(entry, before) {
    const key = nameOf(entry);
    const isSame = before?.type === 'version' && before.key === key;
    return { key, below: isSame ? before.putAt : 0 };
  },
};

/** By key and upload id. `after` '' is the first. */
export const UPLOAD_ORDER: Order<ListedUpload, { readonly key: string; readonly after: string }> = {
  compare: (a, b) => compareNames(a.upload, b.upload),
  isBefore(entry, { key, after }) {
    const name = nameOf(entry);
    if (name !== key) return name < key;
    return after !== '' && entry.type === 'upload' && entry.upload <= after;
  },
  comparePositions: (a, b) => compareNames(a.key, b.key) || compareNames(a.after, b.after),
  startOf(entry, before) {
    const key = nameOf(entry);
    const isSame = before?.type === 'upload' && before.key === key;
    return { key, after: isSame ? before.upload : '' };
  },
};

/** Parts that were cut by their bytes are cut again: then the page is a short one. */
const ROUNDS_MAX = 3;

/**
 * A page over all groups. Each is asked for about its share, as keys are spread by hash; those that had more, which could
 * be on the page, are asked on for what is missing. Common prefixes are in most groups, so they need that second round.
 */
export async function mergedPage<E extends Keyed, P>(
  groups: readonly GroupId[],
  wanted: number,
  order: Order<E, P>,
  ask: (group: GroupId, count: number, from: P | null) => Promise<Part<E, P>>,
): Promise<{ readonly entries: readonly (E | ListedPrefix)[]; readonly next: P | null }> {
  const limit = Math.max(1, wanted);
  const first = firstAsk(limit, groups.length);
  let parts = await Promise.all(groups.map((group) => ask(group, first, null)));
  for (let round = 1; ; round++) {
    const merged = mergeParts(parts, limit, order);
    const missing = limit - merged.entries.length;
    if (missing === 0 || merged.next === null || round === ROUNDS_MAX) return merged;
    const far = inOrder(parts, order)[limit - 1];
    parts = await Promise.all(
      parts.map(async (part, i) => {
        const { next } = part;
        if (next === null || (far !== undefined && order.isBefore(far, next))) return part;
        const rest = await ask(groups[i] as GroupId, missing, next);
        return { entries: part.entries.concat(rest.entries), next: rest.next };
      }),
    );
  }
}

/** A part says nothing about what is not before its `next`, so the merged page ends at the nearest of those. */
export function mergeParts<E extends Keyed, P>(
  parts: readonly Part<E, P>[],
  limit: number,
  order: Order<E, P>,
): { readonly entries: (E | ListedPrefix)[]; readonly next: P | null } {
  let bound: P | null = null;
  for (const { next } of parts) {
    if (next !== null && (bound === null || order.comparePositions(next, bound) < 0)) bound = next;
  }
  const all = inOrder(parts, order);
  const end = bound;
  const known = end === null ? all : all.filter((entry) => order.isBefore(entry, end));
  if (known.length <= limit) return { entries: known, next: bound };
  const left = known[limit] as E | ListedPrefix;
  return { entries: known.slice(0, limit), next: order.startOf(left, known[limit - 1]) };
}

/** All entries, each common prefix once. */
function inOrder<E extends Keyed, P>(
  parts: readonly Part<E, P>[],
  order: Order<E, P>,
): (E | ListedPrefix)[] {
  const all = parts.flatMap(({ entries }) => entries);
  all.sort((a, b) => {
    const byName = compareNames(nameOf(a), nameOf(b));
    if (byName !== 0 || a.type === 'prefix' || b.type === 'prefix') return byName;
    return order.compare(a as E, b as E);
  });
  return all.filter((entry, i) => {
    const before = all[i - 1];
    return entry.type !== 'prefix' || before?.type !== 'prefix' || nameOf(before) !== nameOf(entry);
  });
}
