import { assert } from '../../protocol/assert.ts';
import type { ChangeEvent, Item, Position } from '../../protocol/messages/request.ts';
import type { Revision } from '../../protocol/types.ts';
import { type KeyRef, VSHARD_COUNT } from '../../protocol/vshard.ts';
import {
  currentKey,
  feedKey,
  feedStart,
  historyKey,
  parseFeedKey,
  refOfStoredTriple,
} from '../../storage/kv/keyspace.ts';
import {
  decodeCurrent,
  decodeFeed,
  decodeVersion,
  type VersionRow,
} from '../../storage/kv/rows.ts';
import type { EngineRow } from '../../storage/ports.ts';
import type { GroupView } from './group-state.ts';
import { itemOf } from './item.ts';
import { RowReader } from './row-reader.ts';

/**
 * Events after a position with revision <= `closed`, in (revision, vshard, key) order, at most
 * `limit` and about `bytesMax` bytes (the first event always fits). Exactly those that apply
 * yielded, with the values of their own revisions; `prev` false leaves the replaced versions out.
 * 'compacted' when the position is below the floor: some events after it are gone (FAULTS B19).
 */
export async function readFeed(
  view: GroupView,
  after: Position,
  closed: Revision,
  limit: number,
  bytesMax: number,
  prev: boolean,
): Promise<ChangeEvent[] | 'compacted'> {
  if (after.revision < view.floor) return 'compacted';
  const events: ChangeEvent[] = [];
  if (after.revision > closed) return events;
  const start = afterKey(view.prefix, after);
  const end = feedStart(view.prefix, closed + 1);
  if (start >= end) return events;
  const reader = new RowReader(view, { start, end, reverse: false });
  let bytes = 0;
  try {
    while (events.length < limit) {
      if (reader.needsFill) await reader.ready();
      const row = reader.head;
      if (row === undefined) break;
      reader.advance();
      const event = eventOf(view, row, prev);
      bytes += sizeOf(event);
      if (events.length > 0 && bytes > bytesMax) break;
      events.push(event);
    }
  } finally {
    await reader.close();
  }
  return events;
}

/** The least feed key after a position. */
function afterKey(prefix: string, after: Position): string {
  if (after.vshard >= VSHARD_COUNT) return feedStart(prefix, after.revision + 1);
  const key = feedKey(prefix, after.revision, after.vshard, after.triple);
  return after.triple === '' ? key : `${key}\x00`;
}

function eventOf(view: GroupView, [key, value]: EngineRow, withPrev: boolean): ChangeEvent {
  const { revision, vshard, triple } = parseFeedKey(key);
  const { kind, sequence, prevRevision } = decodeFeed(value);
  const ref = refOfStoredTriple(triple);
  const item = kind === 'put' ? itemAt(view, ref, triple, revision) : null;
  const prev = withPrev && prevRevision > 0 ? itemAt(view, ref, triple, prevRevision) : null;
  return { kind, ref, vshard, revision, prevRevision, sequence, item, prev };
}

/** The version written at exactly this revision; rule G3 keeps it while an event names it. */
function itemAt(view: GroupView, ref: KeyRef, triple: string, revision: Revision): Item {
  const row = versionAt(view, triple, revision);
  assert(row !== null, 'the feed names a version that is gone');
  return itemOf(ref, row);
}

function versionAt(view: GroupView, triple: string, revision: Revision): VersionRow | null {
  const current = view.get(currentKey(view.prefix, triple));
  if (current !== null) {
    const row = decodeCurrent(current);
    if (row.revision === revision) return row;
  }
  const past = view.get(historyKey(view.prefix, triple, revision));
  return past === null ? null : decodeVersion(past);
}

/** Bytes on the wire, roughly and not below. */
function sizeOf(event: ChangeEvent): number {
  const { tenant, space, key } = event.ref;
  const names = tenant.length + space.length + key.length;
  let bytes = 128 + names;
  if (event.item !== null) bytes += 128 + names + event.item.value.length;
  if (event.prev !== null) bytes += 128 + names + event.prev.value.length;
  return bytes;
}
