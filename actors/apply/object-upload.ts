import { bytesEqual } from '../../protocol/bytes.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { type ObjectOpOf, type ObjectResult, UPLOAD_ID } from '../../protocol/object-ops.ts';
import { type Piece, versionIdOf } from '../../protocol/objects.ts';
import type { Revision } from '../../protocol/types.ts';
import { partKey, uploadKey } from '../../storage/kv/object-keys.ts';
import type { GroupState } from './group-state.ts';
import {
  decodeRow,
  encodeRow,
  type PartRow,
  PartSet,
  partRowCodec,
  type UploadRow,
  uploadRowCodec,
} from './object-codec.ts';
import { conditionRefusal } from './object-condition.ts';
import { lockOfNew } from './object-lock.ts';
import { newVersion } from './object-put.ts';
import { dataRefusal, endData, nameData, pieceOf } from './object-store.ts';
import type { ObjectContext } from './object-write.ts';
import { shortOfObject } from './quota-growth.ts';

/** Multipart uploads: a row for the upload, one for each part, and one that says which parts there are. */

export function createUpload(
  { state, rule, slot, revision }: ObjectContext,
  { upload, head, checksum }: ObjectOpOf<'uploadCreate'>,
): ObjectResult {
  if (!UPLOAD_ID.test(upload)) return { type: 'malformed' };
  const lock = lockOfNew(rule, head, revision);
  if ('type' in lock) return lock;
  const known = readUpload(state, slot.triple, upload);
  if (known !== null && known.bucket !== rule.id) return { type: 'malformed' };
  // The same request again.
  if (known !== null) return { type: 'uploaded', revision: known.at, etag: '' };
  const row = encodeRow(uploadRowCodec, { bucket: rule.id, at: revision, head, checksum });
  state.stageRow(uploadKey(state.prefix, slot.triple, upload), row);
  return { type: 'uploaded', revision, etag: '' };
}

/** An upload of this bucket. */
function ownUpload({ state, rule, slot }: ObjectContext, upload: string): UploadRow | null {
  const row = UPLOAD_ID.test(upload) ? readUpload(state, slot.triple, upload) : null;
  return row !== null && row.bucket === rule.id ? row : null;
}

export function readUpload(state: GroupState, triple: string, upload: string): UploadRow | null {
  const bytes = state.row(uploadKey(state.prefix, triple, upload));
  return bytes === null ? null : decodeRow(uploadRowCodec, bytes);
}

export function putPart(context: ObjectContext, op: ObjectOpOf<'uploadPart'>): ObjectResult {
  const { state, slot, revision, founders } = context;
  const { upload, number, size, etag, checksum, data } = op;
  if (number < 1 || number > LIMITS.objectPartsMax) return { type: 'invalid_part', number };
  if (ownUpload(context, upload) === null) return { type: 'no_such_upload' };
  const refusal = dataRefusal(state, data, founders, revision);
  if (refusal !== null) return refusal;
  const { triple } = slot;
  const before = readPart(state, triple, upload, number);
  if (state.quotas.size > 0) {
    const short = shortOfObject(state, slot.ref, size - (before?.piece.size ?? 0), 0);
    if (short !== null) return { type: 'no_room', short };
  }
  if (before !== null) endData(state, [before.piece], revision);
  else {
    const row = readPartSet(state, triple, upload).with(number);
    state.stageRow(partKey(state.prefix, triple, upload, 0), row);
  }
  nameData(state, triple, data);
  const piece = pieceOf(number, size, data, checksum);
  const row = encodeRow(partRowCodec, { at: revision, etag, piece });
  state.stageRow(partKey(state.prefix, triple, upload, number), row);
  return { type: 'uploaded', revision, etag };
}

function readPart(
  state: GroupState,
  triple: string,
  upload: string,
  number: number,
): PartRow | null {
  const bytes = state.row(partKey(state.prefix, triple, upload, number));
  return bytes === null ? null : decodeRow(partRowCodec, bytes);
}

function readPartSet(state: GroupState, triple: string, upload: string): PartSet {
  return new PartSet(state.row(partKey(state.prefix, triple, upload, 0)));
}

export function completeUpload(
  context: ObjectContext,
  op: ObjectOpOf<'uploadComplete'>,
): ObjectResult {
  const { state, rule, slot, current, revision } = context;
  const { upload, etag, checksum } = op;
  const row = ownUpload(context, upload);
  if (row === null) {
    const record = current?.record;
    if (record === undefined || record.upload !== upload) return { type: 'no_such_upload' };
    // It was completed by an earlier attempt.
    const versionId = rule.versioning === 'off' ? null : versionIdOf(record);
    const expiresAtMs = current?.row.expiresAtMs ?? null;
    const { putAt, size } = record;
    return { type: 'put', revision: putAt, versionId, etag: record.etag, size, expiresAtMs };
  }
  const pieces = takeParts(context, op);
  if ('type' in pieces) return pieces;
  const failed = conditionRefusal(op.condition, current);
  if (failed !== null) return failed;
  const size = pieces.reduce((sum, piece) => sum + piece.size, 0);
  const version = { size, etag, checksum, head: row.head, pieces, upload };
  return newVersion(context, version, op.ttlMs, () => {
    const taken = new Set(pieces.map(({ number }) => number));
    removeUpload(state, slot.triple, upload, revision, taken);
  });
}

/** The parts that are named, as pieces; or what is wrong with them. */
function takeParts(
  { state, slot }: ObjectContext,
  { upload, parts }: ObjectOpOf<'uploadComplete'>,
): Piece[] | ObjectResult {
  if (parts.length === 0) return { type: 'malformed' };
  const pieces: Piece[] = [];
  let last = 0;
  for (let i = 0; i < parts.length; i++) {
    const { number, etag, checksum } = parts[i] as (typeof parts)[number];
    if (number <= last) return { type: 'invalid_part_order' };
    last = number;
    if (number > LIMITS.objectPartsMax) return { type: 'invalid_part', number };
    const part = readPart(state, slot.triple, upload, number);
    if (part === null || part.etag !== etag) return { type: 'invalid_part', number };
    const known = part.piece.checksum;
    if (checksum !== null && (known === null || !bytesEqual(known, checksum))) {
      return { type: 'invalid_part', number };
    }
    const { size } = part.piece;
    if (i < parts.length - 1 && size < LIMITS.objectPartBytesMin) {
      return { type: 'entity_too_small', number, size };
    }
    pieces.push(part.piece);
  }
  return pieces;
}

export function abortUpload(
  context: ObjectContext,
  { upload }: ObjectOpOf<'uploadAbort'>,
): ObjectResult {
  if (ownUpload(context, upload) === null) return { type: 'no_such_upload' };
  const { state, slot, revision } = context;
  removeUpload(state, slot.triple, upload, revision, NONE_TAKEN);
  return { type: 'aborted', revision };
}

const NONE_TAKEN: ReadonlySet<number> = new Set();

/** Takes an upload's rows away. What was taken over keeps its data. */
export function removeUpload(
  state: GroupState,
  triple: string,
  upload: string,
  revision: Revision,
  taken: ReadonlySet<number>,
): void {
  for (const number of readPartSet(state, triple, upload).numbers()) {
    const key = partKey(state.prefix, triple, upload, number);
    const part = taken.has(number) ? null : readPart(state, triple, upload, number);
    if (part !== null) endData(state, [part.piece], revision);
    state.stageRow(key, null);
  }
  state.stageRow(partKey(state.prefix, triple, upload, 0), null);
  state.stageRow(uploadKey(state.prefix, triple, upload), null);
}
