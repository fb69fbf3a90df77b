import { DecodeError } from '../../protocol/codec.ts';
import type { GroupId } from '../../protocol/types.ts';
import { GENERATION_MIN, pointerKey } from '../../storage/kv/keyspace.ts';
import { decodeCounts, encodeCounts } from '../../storage/kv/rows.ts';
import type { StateStore } from '../../storage/ports.ts';

/** Which generation is in use, and which one a snapshot is being loaded into (0 is none). */
export interface Pointer {
  readonly current: number;
  readonly loading: number;
}

/** Throws DecodeError. */
export function readPointer(store: StateStore, group: GroupId): Pointer {
  const row = store.get(pointerKey(group));
  if (row === null) return { current: GENERATION_MIN, loading: 0 };
  const [current, loading] = decodeCounts(row, 2) as [number, number];
  if (current < GENERATION_MIN || current > 0xffff || loading > 0xffff) {
    throw new DecodeError('not a generation pointer');
  }
  return { current, loading };
}

export function writePointer(store: StateStore, group: GroupId, pointer: Pointer): void {
  const value = encodeCounts([pointer.current, pointer.loading]);
  store.write([{ key: pointerKey(group), value }]);
}
