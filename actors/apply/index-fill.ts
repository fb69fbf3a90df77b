import { prefixEnd } from '../../protocol/bytes.ts';
import type { Command } from '../../protocol/commands.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { BODY_OFFSET, refOfStoredTriple, spaceRange } from '../../storage/kv/keyspace.ts';
import type { GroupView } from './group-state.ts';
import type { GroupIndex } from './index-codec.ts';
import { RowReader } from './row-reader.ts';

export type IndexFillCommand = Extract<Command, { type: 'indexFill' }>;

/** The next step of an index's backfill: what its leader proposes. Null when there is none to take. */
export async function nextFill(
  view: GroupView,
  { definition, cursor }: GroupIndex,
): Promise<IndexFillCommand | null> {
  if (cursor === null) return null;
  const { id, prefix } = definition;
  // One trip to another thread, which leaves in the engine's cache what apply reads again.
  const rows = LIMITS.indexStepKeys + 1;
  const [start, end] = spaceRange(view.prefix, 'c', definition, cursor, prefixEndOf(prefix));
  const keys: string[] = [];
  let next: string | null = null;
  let bytes = 0;
  const reader = new RowReader(view, {
    start,
    end: end < start ? start : end,
    reverse: false,
    rows,
  });
  try {
    for (;;) {
      if (reader.needsFill) await reader.ready();
      const row = reader.head;
      if (row === undefined) break;
      const { key } = refOfStoredTriple(row[0].slice(BODY_OFFSET));
      bytes += row[1].length;
      const isFull = keys.length >= LIMITS.indexStepKeys || bytes > LIMITS.indexStepBytes;
      if (keys.length > 0 && isFull) {
        next = key;
        break;
      }
      keys.push(key);
      reader.advance();
    }
  } finally {
    await reader.close();
  }
  return { type: 'indexFill', id, from: cursor, next, keys };
}

function prefixEndOf(prefix: string): string | null {
  return prefix === '' ? null : prefixEnd(prefix);
}
