import type { Command } from '../../protocol/commands.ts';
import { currentKey, tripleOf } from '../../storage/kv/keyspace.ts';
import type { GroupState } from './group-state.ts';
import { type GroupIndex, groupIndexes, indexById, NO_TEXT } from './index-codec.ts';
import { enterKey } from './index-rows.ts';

/** A catalog no newer than the one in force changes nothing: it was overtaken on its way. */
export function applyIndexes(
  state: GroupState,
  command: Extract<Command, { type: 'indexes' }>,
): void {
  const { epoch } = command;
  if (epoch <= state.indexes.epoch) return;
  const isEmpty = state.keyCount === 0;
  const list = command.indexes.map((definition): GroupIndex => {
    const known = indexById(state.indexes, definition.id);
    if (known !== null) return known;
    const since = isEmpty ? state.clock : 0;
    const cursor = isEmpty ? null : definition.prefix;
    const text = definition.kind === 'text' ? NO_TEXT : null;
    return { definition, definedAt: state.clock, cursor, keys: 0, since, text, epoch };
  });
  state.replaceIndexes(groupIndexes(epoch, list));
}

/** A step that does not go on where the backfill stands is a late or repeated one: it changes nothing. */
export function applyIndexFill(
  state: GroupState,
  command: Extract<Command, { type: 'indexFill' }>,
): void {
  const index = indexById(state.indexes, command.id);
  if (index === null || index.cursor === null || index.cursor !== command.from) return;
  const { tenant, space } = index.definition;
  for (let i = 0; i < command.keys.length; i++) {
    const ref = { tenant, space, key: command.keys[i] as string };
    const bytes = state.glance(currentKey(state.prefix, tripleOf(ref)));
    if (bytes !== null) enterKey(state, index, ref, bytes);
  }
  // Entering documents of text has moved it on.
  const entered = indexById(state.indexes, command.id) as GroupIndex;
  const filled: GroupIndex = {
    definition: index.definition,
    definedAt: index.definedAt,
    cursor: command.next,
    keys: index.keys + command.keys.length,
    since: command.next === null ? state.clock : 0,
    text: entered.text,
    epoch: index.epoch ?? null,
  };
  state.replaceIndex(filled);
}
