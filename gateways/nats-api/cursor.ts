import { DecodeError, packBytes, unpackBytes } from '../../protocol/codec.ts';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import * as s from '../../protocol/schema.ts';
import type { Revision } from '../../protocol/types.ts';

/**
 * Where a scan goes on: the page's revision and the next key. It grants nothing: whoever makes one up could
 * have asked for that range and revision outright.
 */
const cursorCodec = s.record({
  version: s.count,
  revision: s.count,
  reverse: s.bool,
  next: s.latin1Str(LIMITS.keyBytesMax + 1),
});

const BOUNDS = { bytesMax: LIMITS.keyBytesMax + 64, itemsMax: 8, depthMax: 2 };
const VERSION = 1;

export function cursorOf(revision: Revision, reverse: boolean, next: string): string {
  const packed = packBytes(cursorCodec.pack({ version: VERSION, revision, reverse, next }));
  return Buffer.from(packed).toString('base64url');
}

/** Throws AppError for anything that is no cursor of a scan in this direction. */
export function readCursor(raw: unknown, reverse: boolean): { revision: Revision; next: string } {
  if (typeof raw !== 'string') throw notACursor();
  try {
    const bytes = Buffer.from(raw, 'base64url');
    const cursor = cursorCodec.unpack(unpackBytes(bytes, BOUNDS));
    if (cursor.version !== VERSION || cursor.reverse !== reverse) throw notACursor();
    return cursor;
  } catch (error) {
    if (error instanceof DecodeError) throw notACursor(error);
    throw error;
  }
}

function notACursor(cause?: unknown): AppError {
  return new AppError('invalid_argument', 'the cursor does not belong to this scan', { cause });
}
