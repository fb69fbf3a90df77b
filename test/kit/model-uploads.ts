import { LIMITS } from '../../protocol/limits.ts';
import type { ObjectOpOf, ObjectResult } from '../../protocol/object-ops.ts';
import {
  type At,
  answerOf,
  checked,
  type ModelKey,
  type ModelUpload,
  type ModelVersion,
  pushVersion,
  withDefaults,
} from './model-object-rules.ts';

export function applyPart(
  upload: ModelUpload | null,
  op: ObjectOpOf<'uploadPart'>,
  revision: number,
): ObjectResult {
  if (upload === null) return { type: 'no_such_upload' };
  const { number, size, etag, checksum, data } = op;
  const piece = {
    ...{ number, size, data: data?.id ?? null, bytes: data?.bytes ?? 0, checksum },
    chunkBytes: data?.chunkBytes ?? 0,
  };
  upload.parts.set(number, { number, at: revision, etag, piece });
  if (data?.inline) upload.inline.set(number, data.inline);
  return { type: 'uploaded', revision, etag };
}

export function applyComplete(
  key: ModelKey,
  upload: ModelUpload | null,
  op: ObjectOpOf<'uploadComplete'>,
  at: At,
): ObjectResult {
  if (upload === null) return { type: 'no_such_upload' };
  const broken = checked(key, op.condition);
  if (broken !== null) return broken;
  const pieces = [];
  for (const [index, { number, etag }] of op.parts.entries()) {
    const part = upload.parts.get(number);
    if (part === undefined || part.etag !== etag) return { type: 'invalid_part', number };
    const isLast = index === op.parts.length - 1;
    if (!isLast && part.piece.size < LIMITS.objectPartBytesMin) {
      return { type: 'entity_too_small', number, size: part.piece.size };
    }
    pieces.push(part.piece);
  }
  const head = withDefaults(upload.head, at);
  if ('type' in head) return head;
  const last = op.parts[op.parts.length - 1]?.number ?? 0;
  const version: ModelVersion = {
    record: {
      ...{ putAt: at.revision, isNull: false, isMarker: false, head, pieces, upload: op.upload },
      ...{ size: pieces.reduce((sum, { size }) => sum + size, 0), etag: op.etag },
      checksum: op.checksum,
    },
    revision: at.revision,
    expiresAtMs: op.ttlMs === null ? null : at.wallMs + op.ttlMs,
    isLatest: true,
    inline: upload.inline.get(last) ?? null,
  };
  pushVersion(key, version, at);
  return answerOf(version, at);
}
