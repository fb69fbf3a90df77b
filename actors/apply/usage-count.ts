import type { GroupId } from '../../protocol/types.ts';
import { generationPrefix, metaKey } from '../../storage/kv/keyspace.ts';
import { decodeCounts, encodeCounts } from '../../storage/kv/rows.ts';
import {
  decodeWholeUsage,
  encodeWholeUsage,
  namesOfScope,
  scopeOfUsageKey,
  usageKey,
  WHOLE_GROUP,
} from '../../storage/kv/usage-rows.ts';
import type { EngineRow, EngineWrite, StateStore } from '../../storage/ports.ts';
import { readPointer } from './generation-pointer.ts';
import type { GroupView } from './group-state.ts';
import {
  isCountedAt,
  isEmpty,
  newTally,
  scopeOfRow,
  type Tally,
  USAGE_FORMAT,
  weigh,
} from './usage.ts';

const ROWS_AT_ONCE = 256;
const APPLIED_FIELDS = 8;
const TALLY_LENGTH = newTally().length;

/**
 * Counts a state that an older version has left, or sent, without counts or with those of an earlier index: before
 * GroupState.open, while nothing is applied. What comes of it depends on the rows alone, so it is the same on every
 * replica at one applied index, whoever counts. The rows are one write: a crash before it begins anew.
 * Resolves with how many rows were counted; null: they had been. Throws DecodeError.
 */
export async function countUncounted(store: StateStore, group: GroupId): Promise<number | null> {
  const prefix = generationPrefix(group, readPointer(store, group).current);
  const row = store.get(metaKey(prefix, 'applied'));
  if (row === null) return null;
  const [appliedIndex] = decodeCounts(row, APPLIED_FIELDS) as [number];
  const wholeKey = usageKey(prefix, WHOLE_GROUP);
  if (isCountedAt(store.get(wholeKey), appliedIndex)) return null;
  const writes: EngineWrite[] = [];
  const view = store.view();
  const rows: RowSource = { prefix, cursor: (range) => view.cursor(range) };
  try {
    await eachRow(rows, [`${prefix}U`, `${prefix}V`], ([key]) => {
      writes.push({ key, value: null });
    });
    const counted = await countRows(rows);
    for (const [scope, tally] of counted.tallies) {
      if (scope === WHOLE_GROUP) continue;
      writes.push({ key: usageKey(prefix, scope), value: encodeCounts(tally) });
    }
    const counts = Array.from(counted.tallies.get(WHOLE_GROUP) ?? newTally());
    const whole = encodeWholeUsage({ counts, format: USAGE_FORMAT, appliedIndex });
    writes.push({ key: wholeKey, value: whole });
    store.write(writes);
    return counted.rows;
  } finally {
    await view.close();
  }
}

type RowSource = Pick<GroupView, 'prefix' | 'cursor'>;

/** By scope, as a scan finds it: what usage rows must say. Those that are empty are left out. */
async function countRows(view: RowSource): Promise<{ tallies: Map<string, Tally>; rows: number }> {
  const tallies = new Map<string, Tally>();
  const tallyOf = (scope: string): Tally => {
    const known = tallies.get(scope) ?? newTally();
    tallies.set(scope, known);
    return known;
  };
  let rows = 0;
  for (const kind of ['c', 'n', 'q', 'w'] as const) {
    const end = view.prefix + String.fromCharCode(kind.charCodeAt(0) + 1);
    await eachRow(view, [view.prefix + kind, end], ([key, value]) => {
      const scope = scopeOfRow(key);
      rows++;
      weigh(tallyOf(scope), scope, key, value, 1);
      weigh(tallyOf(WHOLE_GROUP), scope, key, value, 1);
    });
  }
  for (const [scope, tally] of tallies) if (isEmpty(tally)) tallies.delete(scope);
  return { tallies, rows };
}

/** The first scope whose usage row is not what a scan finds, and both; null: there is none (Q3). Reads every row. */
export async function usageFlaw(view: GroupView): Promise<string | null> {
  const { tallies } = await countRows(view);
  const kept = new Map<string, string>();
  await eachRow(view, [`${view.prefix}U`, `${view.prefix}V`], ([key, value]) => {
    const scope = scopeOfUsageKey(key);
    const isWhole = scope === WHOLE_GROUP;
    const counts = isWhole ? decodeWholeUsage(value).counts : decodeCounts(value, TALLY_LENGTH);
    kept.set(scope, counts.join(' '));
  });
  for (const scope of new Set([...tallies.keys(), ...kept.keys()])) {
    const found = (tallies.get(scope) ?? newTally()).join(' ');
    const said = kept.get(scope) ?? newTally().join(' ');
    if (found === said) continue;
    return `usage of ${nameOf(scope)} is ${said}, a scan finds ${found}`;
  }
  return null;
}

function nameOf(scope: string): string {
  if (scope === WHOLE_GROUP) return 'the whole group';
  const { tenant, space } = namesOfScope(scope);
  return `${tenant}/${space}`;
}

async function eachRow(
  rows: Pick<RowSource, 'cursor'>,
  [start, end]: readonly [string, string],
  use: (row: EngineRow) => void,
): Promise<void> {
  const cursor = rows.cursor({ start, end, reverse: false });
  try {
    for (;;) {
      const chunk = await cursor.next(ROWS_AT_ONCE);
      if (chunk.length === 0) return;
      for (let i = 0; i < chunk.length; i++) use(chunk[i] as EngineRow);
    }
  } finally {
    await cursor.close();
  }
}
