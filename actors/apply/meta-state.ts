import { prefixEnd } from '../../protocol/bytes.ts';
import type { Command, OpResult } from '../../protocol/commands.ts';
import {
  encodeChanges,
  IDENTITY_CHANGES,
  IDENTITY_PREFIX,
  NO_CHANGES,
  parseChanges,
  withChange,
} from '../../protocol/identity-changes.ts';
import type { Revision } from '../../protocol/types.ts';
import { metaStateKey, metaStateName } from '../../storage/kv/keyspace.ts';
import { decodeMetaState, encodeMetaState } from '../../storage/kv/rows.ts';
import type { Outcome } from './apply.ts';
import type { GroupState, GroupView } from './group-state.ts';

export type MetaPutCommand = Extract<Command, { type: 'metaPut' }>;

/** One row of the meta state. */
export interface MetaRow {
  readonly name: string;
  readonly json: string;
  readonly revision: Revision;
}

/**
 * Replaces one row, when `ifRevision` is null or the row's revision (0 = absent). One result: `put`,
 * or `precondition_failed` with the row's revision. Meta rows have no history and no events. The change of an identity is
 * noted in the list of those, in the same batch.
 */
export function applyMetaPut(state: GroupState, command: MetaPutCommand): Outcome {
  const { revision, name, json } = command;
  const current = readMeta(state, name)?.revision ?? 0;
  if (command.ifRevision !== null && command.ifRevision !== current) {
    return outcome({ type: 'precondition_failed', revision: current });
  }
  if (name.startsWith(IDENTITY_PREFIX)) {
    const list = readMeta(state, IDENTITY_CHANGES);
    const changes = list === null ? NO_CHANGES : parseChanges(list.json);
    const changed = withChange(changes, revision, name.slice(IDENTITY_PREFIX.length));
    stage(state, revision, IDENTITY_CHANGES, encodeChanges(changed));
  }
  return outcome(stage(state, revision, name, json));
}

function stage(state: GroupState, revision: Revision, name: string, json: string): OpResult {
  const key = metaStateKey(state.prefix, name);
  const bytes = state.row(key);
  const before = bytes === null ? null : decodeMetaState(bytes);
  const createRevision = before === null ? revision : before.createRevision;
  const version = before === null ? 1 : before.version + 1;
  state.stageRow(key, encodeMetaState({ revision, createRevision, version, json }));
  return { type: 'put', revision, createRevision, version };
}

function outcome(result: OpResult): Outcome {
  return { results: [result], repeated: false, rejection: null, events: [], txn: null };
}

/** The row as applied so far, or null. */
export function readMeta(state: GroupState, name: string): MetaRow | null {
  const bytes = state.row(metaStateKey(state.prefix, name));
  if (bytes === null) return null;
  const row = decodeMetaState(bytes);
  return { name, json: row.json, revision: row.revision };
}

/** Rows whose names begin with `namePrefix`, by name, at most `limit`. */
export async function readMetaRows(
  view: GroupView,
  namePrefix: string,
  limit: number,
): Promise<MetaRow[]> {
  const start = metaStateKey(view.prefix, namePrefix);
  const cursor = view.cursor({ start, end: prefixEnd(start) as string, reverse: false });
  const out: MetaRow[] = [];
  try {
    while (out.length < limit) {
      const rows = await cursor.next(Math.min(64, limit - out.length));
      if (rows.length === 0) break;
      for (const [key, value] of rows) {
        const row = decodeMetaState(value);
        out.push({ name: metaStateName(key), json: row.json, revision: row.revision });
      }
    }
  } finally {
    await cursor.close();
  }
  return out;
}

/** Rows with this prefix and names above `after`, by name; ends before the row that would pass `bytesMax`. */
export async function listMetaRows(
  view: GroupView,
  namePrefix: string,
  after: string,
  limit: number,
  bytesMax: number,
): Promise<{ rows: MetaRow[]; more: boolean }> {
  const first = metaStateKey(view.prefix, namePrefix);
  const end = prefixEnd(first) as string;
  const behind = `${metaStateKey(view.prefix, after)}\x00`;
  const start = after === '' || behind < first ? first : behind;
  const rows: MetaRow[] = [];
  if (start >= end) return { rows, more: false };
  const cursor = view.cursor({ start, end, reverse: false });
  let bytes = 0;
  try {
    for (;;) {
      const found = await cursor.next(16);
      if (found.length === 0) return { rows, more: false };
      for (const [key, value] of found) {
        bytes += value.length;
        if (rows.length >= limit || (rows.length > 0 && bytes > bytesMax)) {
          return { rows, more: true };
        }
        const row = decodeMetaState(value);
        rows.push({ name: metaStateName(key), json: row.json, revision: row.revision });
      }
    }
  } finally {
    await cursor.close();
  }
}
