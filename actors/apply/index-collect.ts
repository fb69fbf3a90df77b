import { covers } from '../../protocol/indexes.ts';
import type { Revision } from '../../protocol/types.ts';
import {
  currentKey,
  historyKey,
  type IndexRowKind,
  indexHead,
  indexOfRow,
  pastEntryKey,
  refOfStoredTriple,
} from '../../storage/kv/keyspace.ts';
import { decodeVersion, type FeedRow } from '../../storage/kv/rows.ts';
import type { EngineWrite } from '../../storage/ports.ts';
import type { GroupState, GroupView } from './group-state.ts';
import { indexById } from './index-codec.ts';
import { documentOf, entriesOf } from './index-entries.ts';
import {
  decodeSegment,
  pairListKey,
  postingKey,
  segmentHead,
  segmentKey,
  segmentOf,
} from './text-codec.ts';

/**
 * Past entries that nobody can ask for any more, found as history is: the feed row at `revision` names the
 * version that it superseded; what that one had and the next has not ended at `revision`. Computed
 * from both versions as it was when they were written, so that hardly a row is deleted that is not there.
 * Returns how many bytes of values it parsed.
 */
export function collectPastEntries(
  state: GroupState,
  triple: string,
  revision: Revision,
  { kind, prevRevision }: FeedRow,
  writes: EngineWrite[],
): number {
  const ref = refOfStoredTriple(triple);
  const { list } = state.indexes;
  if (!list.some(({ definition: one }) => one.kind === 'fields' && covers(one, ref))) return 0;
  const before = versionAt(state, triple, prevRevision);
  if (before === null) return 0;
  const after = kind === 'put' ? versionAt(state, triple, revision) : null;
  const was = documentOf(before);
  const is = after === null ? undefined : documentOf(after);
  for (const { definition } of list) {
    if (definition.kind === 'text' || !covers(definition, ref)) continue;
    const kept = new Set(after === null ? [] : entriesOf(definition, is));
    for (const encoded of entriesOf(definition, was)) {
      if (kept.has(encoded)) continue;
      const key = pastEntryKey(state.prefix, definition.id, encoded, ref.key, revision);
      writes.push({ key, value: null });
    }
  }
  return before.length + (after === null ? 0 : after.length);
}

function versionAt(state: GroupState, triple: string, revision: Revision): Uint8Array | null {
  const current = state.store.get(currentKey(state.prefix, triple));
  const row = current === null ? null : decodeVersion(current);
  if (row !== null && row.revision === revision) return row.value;
  const past = state.store.get(historyKey(state.prefix, triple, revision));
  const version = past === null ? null : decodeVersion(past);
  return version === null ? null : version.value;
}

/**
 * Removes the first retired segment of a text index that no read needs any more (T2), with its postings;
 * resolves with how many rows that were, 0 when there is none.
 */
export async function collectRetiredSegment(state: GroupState): Promise<number> {
  const view = state.view();
  try {
    for (const { definition, text } of view.indexes.list) {
      if (text === null) continue;
      const start = segmentHead(view.prefix, definition.id);
      const end = segmentKey(view.prefix, definition.id, text.oldestSegment);
      const cursor = view.cursor({ start, end, reverse: false });
      const [first] = await cursor.next(1).finally(() => cursor.close());
      if (first === undefined || decodeSegment(first[1]).retiredAt > state.floor) continue;
      const writes = segmentRemoval(view, definition.id, first[0]);
      state.store.write(writes);
      return writes.length;
    }
    return 0;
  } finally {
    await view.close();
  }
}

function segmentRemoval(view: GroupView, id: number, rowKey: string): EngineWrite[] {
  const segment = segmentOf(rowKey);
  const listKey = pairListKey(view.prefix, id, segment);
  const list = view.get(listKey);
  const writes: EngineWrite[] = [];
  for (let at = 0; list !== null && at < list.length; at += 2) {
    const pair = ((list[at] as number) << 8) | (list[at + 1] as number);
    const key = postingKey(view.prefix, id, pair, segment);
    writes.push({ key, value: null });
  }
  writes.push({ key: listKey, value: null }, { key: rowKey, value: null });
  return writes;
}

const KINDS: readonly IndexRowKind[] = ['e', 'p', 'r', 'o', 't'];

/**
 * Removes about `limit` rows of indexes that were dropped; resolves with how many, 0 when there are none.
 * An id is never used again, so rows of an unknown one are read and written by nobody.
 */
export async function collectDroppedIndexes(state: GroupState, limit: number): Promise<number> {
  const view = state.view();
  const writes: EngineWrite[] = [];
  try {
    for (const kind of KINDS) await findDropped(state, view, kind, limit, writes);
  } finally {
    await view.close();
  }
  if (writes.length > 0) state.store.write(writes);
  return writes.length;
}

async function findDropped(
  state: GroupState,
  view: GroupView,
  kind: IndexRowKind,
  limit: number,
  writes: EngineWrite[],
): Promise<void> {
  const end = view.prefix + String.fromCharCode(kind.charCodeAt(0) + 1);
  let start = indexHead(view.prefix, kind, 0);
  while (writes.length < limit) {
    const cursor = view.cursor({ start, end, reverse: false });
    try {
      const [first] = await cursor.next(1);
      if (first === undefined) return;
      const id = indexOfRow(first[0]);
      // The view's own list: the index of a row in the view was defined before it.
      if (indexById(view.indexes, id) === null && indexById(state.indexes, id) === null) {
        writes.push({ key: first[0], value: null });
        const head = indexHead(view.prefix, kind, id);
        while (writes.length < limit) {
          const rows = await cursor.next(limit - writes.length);
          if (rows.length === 0) return;
          for (const [key] of rows) {
            if (!key.startsWith(head)) break;
            writes.push({ key, value: null });
          }
          if (!(rows[rows.length - 1] as readonly [string, unknown])[0].startsWith(head)) break;
        }
      }
      start = indexHead(view.prefix, kind, id + 1);
    } finally {
      await cursor.close();
    }
  }
}
