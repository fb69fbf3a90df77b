import { LIMITS } from '../../protocol/limits.ts';
import { revisionAtWallMs, wallMsOfRevision } from '../../protocol/revision.ts';
import {
  decisionStart,
  feedStart,
  historyKey,
  idempotencyAgeStart,
  idempotencyKey,
  parseFeedKey,
  parseIdempotencyAgeKey,
} from '../../storage/kv/keyspace.ts';
import { dataKey, endedDataStart, parseEndedDataKey } from '../../storage/kv/object-keys.ts';
import { decodeFeed, decodeIdempotency } from '../../storage/kv/rows.ts';
import type { EngineRow, EngineWrite } from '../../storage/ports.ts';
import type { GroupState } from './group-state.ts';
import { isRemembered } from './idempotency.ts';
import {
  collectDroppedIndexes,
  collectPastEntries,
  collectRetiredSegment,
} from './index-collect.ts';
import { dataRowCodec, decodeRow } from './object-codec.ts';
import * as txn from './txn.ts';
import { decodeDecision } from './txn-table.ts';
import { unhurried, type WorkMeter } from './work-meter.ts';

/**
 * Physical removal of what nobody can ask for any more. Local and lazy: replicas run it at their
 * own pace, and logical reads, hashes and later applies are the same with and without it.
 *
 *   C1  Only rows that apply never writes again are deleted: history and feed rows below the floor,
 *       and idempotency rows and finished decisions whose window has passed at the group clock. Between the look and the
 *       deletion nothing awaits, so an idempotency row renewed meanwhile is seen and kept.
 *   C2  A feed row at r < floor names what r superseded (rule G3): that version was readable only
 *       below r. Feed rows go in order, so when a removal's own tombstone goes, every older
 *       version of the key has gone before it.
 *   C3  Feed rows at or above the floor stay whole, with all versions they name.
 *   C4  Rows of a dropped index go as they are met: nothing reads or writes them. Segments of a text
 *       index go when the floor has reached what they were retired at.
 *   C5  The row of an object's data goes when the floor has passed the revision at which the last name of the data
 *       went; until then a read of the past may want it. Apply takes such a row for none.
 *
 * Removes up to about `limit` feed and idempotency rows with what hangs on them and resolves with
 * how many; 0 means there is nothing to do before the floor or the clock moves. Gives way to others
 * between rows whose values have to be parsed.
 */
export async function gcStep(
  state: GroupState,
  limit: number,
  meter: WorkMeter = unhurried(),
): Promise<number> {
  const removed = await collectFeed(state, limit, meter);
  if (removed >= limit) return removed;
  const others = removed + (await collectIdempotency(state, limit - removed));
  if (others >= limit) return others;
  const decided = others + (await collectDecisions(state, limit - others));
  if (decided >= limit) return decided;
  const dropped = decided + (await collectDroppedIndexes(state, limit - decided));
  if (dropped >= limit) return dropped;
  const ended = dropped + (await collectEndedData(state, limit - dropped));
  return ended >= limit ? ended : ended + (await collectRetiredSegment(state));
}

/** C5. What was named again meanwhile has another end, or none. */
async function collectEndedData(state: GroupState, limit: number): Promise<number> {
  const { prefix, floor } = state;
  const start = endedDataStart(prefix, 0);
  const rows = await firstRows(state, start, endedDataStart(prefix, floor), limit);
  const writes: EngineWrite[] = [];
  for (let i = 0; i < rows.length; i++) {
    const [key] = rows[i] as EngineRow;
    const { at, id } = parseEndedDataKey(key);
    const dataRow = dataKey(prefix, 'D', id);
    const row = state.store.get(dataRow);
    if (row !== null && decodeRow(dataRowCodec, row).endedAt === at) {
      writes.push({ key: dataRow, value: null }, { key: dataKey(prefix, 'I', id), value: null });
    }
    writes.push({ key, value: null });
  }
  if (writes.length > 0) state.store.write(writes);
  return rows.length;
}

/** Decisions that every participant knows, once nothing as old is prepared any more. */
async function collectDecisions(state: GroupState, limit: number): Promise<number> {
  const endMs = wallMsOfRevision(state.clock) - LIMITS.txnMemoryMs;
  const end = decisionStart(state.prefix, 'd', revisionAtWallMs(endMs + 1));
  const rows = await firstRows(state, decisionStart(state.prefix, 'd', 0), end, limit);
  const writes: EngineWrite[] = [];
  for (let i = 0; i < rows.length; i++) {
    const [key] = rows[i] as EngineRow;
    const row = state.store.get(key);
    if (row === null || txn.isRemembered(decodeDecision(row).id.start, state.clock)) continue;
    writes.push({ key, value: null });
  }
  if (writes.length > 0) state.store.write(writes);
  return writes.length;
}

async function collectFeed(state: GroupState, limit: number, meter: WorkMeter): Promise<number> {
  const floor = state.floor;
  if (state.collectedTo >= floor) return 0;
  const start = feedStart(state.prefix, state.collectedTo);
  const rows = await firstRows(state, start, feedStart(state.prefix, floor), limit);
  let writes: EngineWrite[] = [];
  for (let i = 0; i < rows.length; i++) {
    const [key, value] = rows[i] as EngineRow;
    const { revision, triple } = parseFeedKey(key);
    let work = 0;
    const row = decodeFeed(value);
    const { kind, prevRevision } = row;
    if (prevRevision > 0) {
      if (state.indexes.list.length > 0) {
        work = collectPastEntries(state, triple, revision, row, writes);
      }
      writes.push({ key: historyKey(state.prefix, triple, prevRevision), value: null });
    }
    if (kind !== 'put') {
      writes.push({ key: historyKey(state.prefix, triple, revision), value: null });
    }
    writes.push({ key, value: null });
    if (!meter.add(work)) continue;
    // In the order of rows (C2), also when the state is replaced meanwhile.
    state.store.write(writes);
    writes = [];
    await meter.turn();
  }
  const last = rows[rows.length - 1];
  // A full step may have ended inside a revision, so it starts there again.
  const reached =
    rows.length < limit || last === undefined ? floor : parseFeedKey(last[0]).revision;
  state.collectedTo = Math.max(state.collectedTo, reached);
  if (writes.length > 0) state.store.write(writes);
  return rows.length;
}

async function collectIdempotency(state: GroupState, limit: number): Promise<number> {
  const start = idempotencyAgeStart(state.prefix, 0);
  const windowEndMs = wallMsOfRevision(state.clock) - LIMITS.idempotencyWindowMs;
  const end = idempotencyAgeStart(state.prefix, revisionAtWallMs(windowEndMs + 1));
  const rows = await firstRows(state, start, end, limit);
  const writes: EngineWrite[] = [];
  let removed = 0;
  for (let i = 0; i < rows.length; i++) {
    const [key] = rows[i] as EngineRow;
    const { revision, name } = parseIdempotencyAgeKey(key);
    if (isRemembered(revision, state.clock)) break;
    const rowKey = idempotencyKey(state.prefix, name);
    const row = state.store.get(rowKey);
    if (row !== null && decodeIdempotency(row).revision === revision) {
      writes.push({ key: rowKey, value: null });
    }
    writes.push({ key, value: null });
    removed++;
  }
  if (writes.length > 0) state.store.write(writes);
  return removed;
}

async function firstRows(
  state: GroupState,
  start: string,
  end: string,
  limit: number,
): Promise<EngineRow[]> {
  const view = state.view();
  const cursor = view.cursor({ start, end, reverse: false });
  try {
    const out: EngineRow[] = [];
    while (out.length < limit) {
      const rows = await cursor.next(limit - out.length);
      if (rows.length === 0) break;
      for (let i = 0; i < rows.length; i++) out.push(rows[i] as EngineRow);
    }
    return out;
  } finally {
    await cursor.close();
    await view.close();
  }
}
