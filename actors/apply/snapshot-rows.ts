import { assert } from '../../protocol/assert.ts';
import { DecodeError } from '../../protocol/codec.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { encodeConfig, type GroupConfig } from '../../protocol/membership.ts';
import type { GroupId } from '../../protocol/types.ts';
import {
  GENERATION_MAX,
  GENERATION_MIN,
  generationOf,
  generationPrefix,
  generationRange,
  metaKey,
  PREFIX_LENGTH,
  ROW_KINDS,
} from '../../storage/kv/keyspace.ts';
import type { EngineCursor, EngineRow, EngineWrite, StateStore } from '../../storage/ports.ts';
import { readPointer, writePointer } from './generation-pointer.ts';
import type { GroupView } from './group-state.ts';

/**
 * A group's rows out into a snapshot and back in. Loading order (FAULTS B11); a crash after any
 * step leaves the old state or the new one, never a mix:
 *
 *   S1  the pointer row marks the next generation as loading, and that generation is emptied;
 *   S2  rows are written into it in bounded batches; nothing reads it;
 *   S3  flush: all its rows are durable;
 *   S4  one row switches the pointer; flush.
 *
 * Everything but the current and the loading generation is garbage, removed in steps.
 */

/** All rows of the view's group, keys without group and generation, in order. Closes with the view. */
export function snapshotRows(view: GroupView): EngineCursor {
  const end = view.prefix + String.fromCharCode(0xff);
  const rows = view.cursor({ start: view.prefix, end, reverse: false });
  return {
    next: async (max) => {
      const chunk = await rows.next(max);
      for (let i = 0; i < chunk.length; i++) {
        const [key, value] = chunk[i] as EngineRow;
        chunk[i] = [key.slice(PREFIX_LENGTH), value];
      }
      return chunk;
    },
    close: () => rows.close(),
  };
}

/**
 * The same rows and the configuration that was in force at their applied index. A group that never
 * changed its members has no such row: its founders know them from elsewhere, a newcomer does not.
 */
export function rowsWithConfig(rows: EngineCursor, config: GroupConfig): EngineCursor {
  let isLast = false;
  return {
    next: async (max) => {
      if (isLast) return [];
      const chunk = await rows.next(max);
      if (chunk.length > 0) return chunk;
      isLast = true;
      return [[metaKey('', 'config'), encodeConfig(config)]];
    },
    close: () => rows.close(),
  };
}

/** Rows of one write while loading and removing. */
const STEP_ROWS = 32;
/** Bytes that the engine does not have yet at which loading waits for it. A flush would be as many tables as there are flushes. */
const LOAD_PENDING_BYTES_MAX = LIMITS.memtableBytesMax / 2;

/**
 * Replaces the group's state by the rows of a snapshot; afterwards GroupState.open reads it. The
 * caller applies nothing to this group meanwhile, loads one snapshot at a time, and closes `rows`.
 * Rejects with DecodeError when the rows are no group's state, or as `rows` does; then the old
 * state stays and what was loaded becomes garbage.
 */
export async function loadSnapshot(
  store: StateStore,
  group: GroupId,
  rows: EngineCursor,
): Promise<void> {
  const { current } = readPointer(store, group);
  const loading = current === GENERATION_MAX ? GENERATION_MIN : current + 1;
  writePointer(store, group, { current, loading });
  try {
    while ((await removeGeneration(store, group, loading, STEP_ROWS)) > 0);
    await loadRows(store, generationPrefix(group, loading), rows);
    await store.flush();
  } catch (error) {
    writePointer(store, group, { current, loading: 0 });
    throw error;
  }
  writePointer(store, group, { current: loading, loading: 0 });
  await store.flush();
}

async function loadRows(store: StateStore, prefix: string, rows: EngineCursor): Promise<void> {
  for (;;) {
    const chunk = await rows.next(STEP_ROWS);
    if (chunk.length === 0) break;
    store.write(prefixed(prefix, chunk));
    if (store.pendingBytes() > LOAD_PENDING_BYTES_MAX) await store.drained();
  }
  if (store.get(metaKey(prefix, 'applied')) === null) {
    throw new DecodeError('the snapshot holds no applied index');
  }
}

function prefixed(prefix: string, chunk: readonly EngineRow[]): EngineWrite[] {
  const writes = new Array<EngineWrite>(chunk.length);
  for (let i = 0; i < chunk.length; i++) {
    const [key, value] = chunk[i] as EngineRow;
    if (key === '' || !ROW_KINDS.includes(key.charAt(0))) {
      throw new DecodeError('unknown kind of row in a snapshot');
    }
    writes[i] = { key: prefix + key, value };
  }
  return writes;
}

/**
 * Removes about `limit` rows of generations that are neither in use nor being loaded; resolves with
 * how many, 0 when there are none. Safe beside apply and beside a load: whose rows they are is
 * looked up in the same turn as they are deleted.
 */
export async function dropOldGenerations(
  store: StateStore,
  group: GroupId,
  limit: number,
): Promise<number> {
  const { current, loading } = readPointer(store, group);
  let removed = 0;
  let from = GENERATION_MIN;
  for (const kept of current < loading ? [current, loading] : [loading, current]) {
    if (from < kept) removed += await removeBetween(store, group, from, kept - 1, limit - removed);
    if (removed >= limit) return removed;
    from = Math.max(from, kept + 1);
  }
  if (from > GENERATION_MAX) return removed;
  return removed + (await removeBetween(store, group, from, GENERATION_MAX, limit - removed));
}

function removeGeneration(
  store: StateStore,
  group: GroupId,
  generation: number,
  limit: number,
): Promise<number> {
  return removeRows(store, group, [generation, generation], limit, generation);
}

function removeBetween(
  store: StateStore,
  group: GroupId,
  first: number,
  last: number,
  limit: number,
): Promise<number> {
  return removeRows(store, group, [first, last], limit, 0);
}

/** Removes the first rows of a span of generations, except of those in use. */
async function removeRows(
  store: StateStore,
  group: GroupId,
  [first, last]: readonly [number, number],
  limit: number,
  loadingAllowed: number,
): Promise<number> {
  const rows = await firstRows(store, group, first, last, limit);
  const { current, loading } = readPointer(store, group);
  const writes: EngineWrite[] = [];
  for (let i = 0; i < rows.length; i++) {
    const [key] = rows[i] as EngineRow;
    const generation = generationOf(key);
    assert(generation >= GENERATION_MIN, 'the pointer row is no generation row');
    if (generation === current) continue;
    if (generation === loading && generation !== loadingAllowed) continue;
    writes.push({ key, value: null });
  }
  if (writes.length > 0) store.write(writes);
  return writes.length;
}

async function firstRows(
  store: StateStore,
  group: GroupId,
  first: number,
  last: number,
  limit: number,
): Promise<EngineRow[]> {
  const [start] = generationRange(group, first);
  const [, end] = generationRange(group, last);
  const view = store.view();
  const cursor = view.cursor({ start, end, reverse: false });
  try {
    return await cursor.next(Math.min(limit, STEP_ROWS));
  } finally {
    await cursor.close();
    await view.close();
  }
}
