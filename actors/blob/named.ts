import { type DataId, dataIdOf } from '../../protocol/blob.ts';
import { fromLatin1, latin1 } from '../../protocol/bytes.ts';
import type { NodeId, Revision } from '../../protocol/types.ts';
import { nodeOf } from '../../protocol/types.ts';
import { dataKey } from '../../storage/kv/object-keys.ts';
import type { GroupState } from '../apply/group-state.ts';
import { dataRowCodec, decodeRow } from '../apply/object-codec.ts';

/** Data as its group's rows have it: what names it is a matter of the group. */
export interface NamedData {
  readonly id: DataId;
  readonly bytes: number;
  /** Of each chunk but the last; 0: it is inline. */
  readonly chunkBytes: number;
  /** The revision at which the last name of it went; 0 while it has one. */
  readonly endedAt: Revision;
  /** Nodes that had all of it when it was named. */
  readonly holders: readonly NodeId[];
  /** The key that names it: tenant NUL bucket NUL key, latin1. */
  readonly triple: string;
}

export interface NamedPage {
  readonly rows: readonly NamedData[];
  /** Where the next page begins; null: there is none. */
  readonly next: string | null;
}

/** Rows of data of a group in the order of their ids, from the engine key `from` (null: the first), at most `max`. */
export async function namedPage(
  state: GroupState,
  from: string | null,
  max: number,
): Promise<NamedPage> {
  const view = state.view();
  try {
    const start = from ?? dataKey(state.prefix, 'D', '');
    const end = `${state.prefix}E`;
    const cursor = view.cursor({ start, end, reverse: false, rows: max });
    try {
      const found = await cursor.next(max);
      const last = found[found.length - 1];
      const next = last === undefined ? null : `${last[0]}\0`;
      return { rows: found.map(([key, value]) => namedOf(state.prefix, key, value)), next };
    } finally {
      await cursor.close();
    }
  } finally {
    await view.close();
  }
}

/** The engine key of the first row of data that was drawn at or after this (Unix ms). */
export function namedSince(state: GroupState, wallMs: number): string {
  const id = Buffer.alloc(6);
  id.writeUIntBE(Math.max(0, Math.floor(wallMs)), 0, 6);
  return dataKey(state.prefix, 'D', latin1(id));
}

function namedOf(prefix: string, key: string, value: Uint8Array): NamedData {
  const id = dataIdOf(fromLatin1(key.slice(dataKey(prefix, 'D', '').length)));
  const { bytes, chunkBytes, endedAt, holders, triple } = decodeRow(dataRowCodec, value);
  return { id, bytes, chunkBytes, endedAt, holders: holders.map(nodeOf), triple };
}

/** Bytes of one chunk of it. */
export function bytesOfChunk({ bytes, chunkBytes }: NamedData, number: number): number {
  return Math.min(chunkBytes, bytes - number * chunkBytes);
}

export function chunksOf({ bytes, chunkBytes }: NamedData): number {
  return chunkBytes === 0 ? 0 : Math.ceil(bytes / chunkBytes);
}
