import { type DataId, dataIdBytes } from '../../protocol/blob.ts';
import { latin1 } from '../../protocol/bytes.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { GroupConfig } from '../../protocol/membership.ts';
import type { NewData, ObjectResult } from '../../protocol/object-ops.ts';
import { DATA_ID_BYTES, drawnAtMs, type Piece } from '../../protocol/objects.ts';
import { wallMsOfRevision } from '../../protocol/revision.ts';
import type { ReplicaId, Revision } from '../../protocol/types.ts';
import { dataKey, endedDataKey } from '../../storage/kv/object-keys.ts';
import type { GroupState } from './group-state.ts';
import { dataRowCodec, decodeRow, encodeRow } from './object-codec.ts';

/**
 * Which data is named (O6 to O8 in object-write.ts). A `D` row says of data what names it, or when that ended; it
 * stays until the floor has passed that, and the data with it. Inline bytes are an `I` row beside it.
 */

/** Why data may not be named by this entry; null: it may. */
export function dataRefusal(
  state: GroupState,
  data: NewData | null,
  founders: readonly ReplicaId[] | null,
  revision: Revision,
): ObjectResult | null {
  if (data === null) return null;
  const isInline = data.chunkBytes === 0;
  if (data.id.length !== DATA_ID_BYTES || isInline !== (data.inline !== null)) return MALFORMED;
  if (data.inline !== null && data.inline.length !== data.bytes) return MALFORMED;
  const ageMs = wallMsOfRevision(revision) - drawnAtMs(data.id);
  if (Math.abs(ageMs) >= LIMITS.objectDataAgeMsMax) return { type: 'data_stale' };
  if (isNamed(state, latin1(data.id))) return { type: 'data_taken' };
  if (isInline) return null;
  const config = state.config ?? founded(founders);
  if (isHeld(config, data.holders)) return null;
  return { type: 'copies_missing', voters: votersOf(config) };
}

const MALFORMED: ObjectResult = Object.freeze({ type: 'malformed' });

function founded(founders: readonly ReplicaId[] | null): GroupConfig {
  return { voters: [...(founders ?? [])], votersOld: null, learners: [] };
}

function votersOf({ voters, votersOld }: GroupConfig): ReplicaId[] {
  return [...new Set([...voters, ...(votersOld ?? [])])];
}

/** Whether the holders are a quorum of the voters, of both halves of a joint configuration. */
function isHeld({ voters, votersOld }: GroupConfig, holders: readonly ReplicaId[]): boolean {
  return isMajority(voters, holders) && (votersOld === null || isMajority(votersOld, holders));
}

function isMajority(voters: readonly ReplicaId[], holders: readonly ReplicaId[]): boolean {
  return voters.filter((voter) => holders.includes(voter)).length * 2 > voters.length;
}

function isNamed(state: GroupState, id: string): boolean {
  const bytes = state.row(dataKey(state.prefix, 'D', id));
  return bytes !== null && decodeRow(dataRowCodec, bytes).endedAt === 0;
}

/** Whether the group has a row of this data, named or ended. `rows`: its applied rows, or a view of them. */
export function hasDataRow(rows: DataRows, id: DataId): boolean {
  return rows.get(dataKey(rows.prefix, 'D', latin1(dataIdBytes(id)))) !== null;
}

interface DataRows {
  readonly prefix: string;
  get(key: string): Uint8Array | null;
}

/** From here on a version or a part of this triple names it. */
export function nameData(state: GroupState, triple: string, data: NewData | null): void {
  if (data === null) return;
  const id = latin1(data.id);
  const { bytes, chunkBytes, holders, inline } = data;
  const row = encodeRow(dataRowCodec, { endedAt: 0, bytes, chunkBytes, holders, triple });
  state.stageRow(dataKey(state.prefix, 'D', id), row);
  // A copy: the command's bytes are a view on the whole entry. Chunks have none, whatever had the id before.
  const copy = inline === null ? null : Buffer.from(inline);
  state.stage(dataKey(state.prefix, 'I', id), copy);
}

/** Nothing names the data of these pieces any more. */
export function endData(state: GroupState, pieces: readonly Piece[], revision: Revision): void {
  for (let i = 0; i < pieces.length; i++) {
    const { data } = pieces[i] as Piece;
    if (data === null) continue;
    const id = latin1(data);
    const key = dataKey(state.prefix, 'D', id);
    const bytes = state.row(key);
    if (bytes === null) continue;
    const row = decodeRow(dataRowCodec, bytes);
    if (row.endedAt !== 0) continue;
    state.stageRow(key, encodeRow(dataRowCodec, { ...row, endedAt: revision }));
    state.stage(endedDataKey(state.prefix, revision, id), NOTHING);
  }
}

const NOTHING = new Uint8Array(0);

/** The piece that some data is in a record. */
export function pieceOf(
  number: number,
  size: number,
  data: NewData | null,
  checksum: Uint8Array | null,
): Piece {
  return {
    number,
    size,
    data: data === null ? null : Uint8Array.from(data.id),
    bytes: data?.bytes ?? 0,
    chunkBytes: data?.chunkBytes ?? 0,
    checksum,
  };
}
