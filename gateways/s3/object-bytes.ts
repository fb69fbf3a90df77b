import type { ObjectService, ObjectVersion } from '../../protocol/object-access.ts';
import type { Piece } from '../../protocol/objects.ts';
import type { RequestContext } from '../../protocol/service.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import type { ObjectKey } from '../encryption/object-key.ts';
import type { Span } from '../encryption/segments.ts';
import type { ByteRange } from './ranges.ts';

/** What is read of a version. */
export interface VersionRange {
  readonly version: ObjectVersion;
  readonly range: ByteRange;
  /** Null: it is not encrypted. */
  readonly key: ObjectKey | null;
}

/** The bytes of a version in a range, piece by piece. Each is verified by the store before it is given. */
export async function* bytesOf(
  objects: ObjectService,
  context: () => RequestContext,
  ref: KeyRef,
  { version, range, key }: VersionRange,
): AsyncGenerator<Uint8Array> {
  let at = 0;
  for (const piece of version.record.pieces) {
    const start = Math.max(0, range.start - at);
    const end = Math.min(piece.size, range.end - at);
    at += piece.size;
    if (start >= end) continue;
    const span = { start, end };
    const read = (stored: Span) => objects.data.read(context(), ref, piece, stored);
    if (isInline(piece)) yield inlineOf(version, piece, span, key);
    else yield* key === null ? read(span) : key.open(piece, span, read);
    if (at >= range.end) return;
  }
}

const NOTHING = new Uint8Array(0);

function inlineOf(
  { inline }: ObjectVersion,
  piece: Piece,
  span: Span,
  key: ObjectKey | null,
): Uint8Array {
  const stored = inline ?? NOTHING;
  return key === null ? stored.subarray(span.start, span.end) : key.openInline(piece, stored, span);
}

function isInline(piece: Piece): boolean {
  return piece.chunkBytes === 0;
}

/** All of it, where it is at hand without another question: small objects leave with their head. */
export function inlineBytes(
  version: ObjectVersion,
  range: ByteRange,
  key: ObjectKey | null,
): Uint8Array | null {
  const [piece, more] = version.record.pieces;
  if (piece === undefined) return NOTHING;
  if (more !== undefined || !isInline(piece) || version.inline === null) return null;
  return inlineOf(version, piece, range, key);
}

/** Sizes of the parts; of an object that was put in one piece, its own. */
export function partSizes({ record }: ObjectVersion): readonly number[] {
  return record.upload === null ? [record.size] : record.pieces.map(({ size }) => size);
}

/** How many parts it was completed from; 0: it was put in one piece. */
export function partCount({ record }: ObjectVersion): number {
  return record.upload === null ? 0 : record.pieces.length;
}
