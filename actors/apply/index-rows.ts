import { covers, type IndexDefinition } from '../../protocol/indexes.ts';
import type { Revision } from '../../protocol/types.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import { entryKey, owedKey, pastEntryKey } from '../../storage/kv/keyspace.ts';
import { decodeCurrent } from '../../storage/kv/rows.ts';
import type { GroupState } from './group-state.ts';
import type { GroupIndex } from './index-codec.ts';
import { type Document, documentOf, entriesOf } from './index-entries.ts';
import { isReserved } from './reservations.ts';
import { changeDocument } from './text-rows.ts';

/** Rows of an index say all in their keys. */
const NOTHING = new Uint8Array(0);

/**
 * A current row changes: `before` is its bytes (null: there was none), `value` the new version's (null: it
 * is removed). The entries of every index that covers the key change with it, in the same batch (I1).
 * Entries that stay are not written again; those that end become past entries, ended at `revision`, and of a
 * unique index also owed ones.
 */
export function changeEntries(
  state: GroupState,
  ref: KeyRef,
  before: Uint8Array | null,
  value: Uint8Array | null,
  revision: Revision,
): void {
  const { list } = state.indexes;
  let was: Document;
  let is: Document;
  let isParsed = false;
  for (let i = 0; i < list.length; i++) {
    const { definition } = list[i] as GroupIndex;
    if (!covers(definition, ref)) continue;
    if (definition.kind === 'text') {
      changeDocument(state, definition.id, ref.key, before !== null, value, revision);
      continue;
    }
    if (!isParsed) {
      isParsed = true;
      was = before === null ? undefined : documentOf(decodeCurrent(before).value);
      is = value === null ? undefined : documentOf(value);
    }
    const ended = before === null ? NO_ENTRIES : entriesOf(definition, was);
    const begun = value === null ? NO_ENTRIES : entriesOf(definition, is);
    writeEntries(state, definition, ref.key, ended, begun, revision);
  }
}

const NO_ENTRIES: readonly string[] = Object.freeze([]);

/** Both lists are in order and distinct. */
function writeEntries(
  state: GroupState,
  { id, unique }: IndexDefinition,
  key: string,
  ended: readonly string[],
  begun: readonly string[],
  revision: Revision,
): void {
  const { prefix } = state;
  const owes = unique === true && ended.length > 0 && isReserved(ended[0] as string);
  if (owes) state.mayOwe = true;
  for (let i = 0, j = 0; i < ended.length || j < begun.length; ) {
    const old = ended[i];
    const fresh = begun[j];
    if (old === fresh) {
      i++;
      j++;
    } else if (fresh === undefined || (old !== undefined && old < fresh)) {
      state.stage(entryKey(prefix, id, old as string, key), null);
      state.stage(pastEntryKey(prefix, id, old as string, key, revision), NOTHING);
      if (owes) state.stage(owedKey(prefix, id, old as string, key), NOTHING);
      i++;
    } else {
      state.stage(entryKey(prefix, id, fresh, key), NOTHING);
      j++;
    }
  }
}

/** The backfill's part: the entries of a key's current row, there already or not. */
export function enterKey(
  state: GroupState,
  index: GroupIndex,
  ref: KeyRef,
  bytes: Uint8Array,
): void {
  const { definition } = index;
  if (definition.kind === 'text') {
    const { revision, value } = decodeCurrent(bytes);
    // What was written since it was defined is in it already (I1).
    if (revision <= index.definedAt) {
      changeDocument(state, definition.id, ref.key, false, value, revision);
    }
    return;
  }
  const entries = entriesOf(definition, documentOf(decodeCurrent(bytes).value));
  for (let i = 0; i < entries.length; i++) {
    state.stage(entryKey(state.prefix, definition.id, entries[i] as string, ref.key), NOTHING);
  }
}
