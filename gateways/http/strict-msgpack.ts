import { DecodeError, unpackBytes } from '../../protocol/codec.ts';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';

const ITEMS_MAX = LIMITS.batchOpsMax * 16;

/**
 * The door for MessagePack from clients. The reader is as strict as strict-json (valid UTF-8, no name twice, no
 * integer that would be rounded); what it lets through, floats that JSON could not carry, is refused here.
 */
export function parseMsgpack(bytes: Uint8Array): unknown {
  let value: unknown;
  try {
    const bounds = { bytesMax: bytes.length, itemsMax: ITEMS_MAX, depthMax: LIMITS.jsonDepthMax };
    value = unpackBytes(bytes, bounds);
  } catch (error) {
    if (error instanceof DecodeError) throw malformed(error.message);
    throw error;
  }
  checkNumbers(value);
  return value;
}

/** As deep as the reader went, which is bounded. */
function checkNumbers(value: unknown): void {
  if (typeof value === 'number') {
    if (!(Math.abs(value) <= Number.MAX_SAFE_INTEGER)) {
      throw malformed('a number is beyond 2^53 - 1 and would not be kept exactly');
    }
  } else if (Array.isArray(value)) {
    for (const item of value) checkNumbers(item);
  } else if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array)) {
    for (const name in value) checkNumbers((value as Record<string, unknown>)[name]);
  }
}

function malformed(message: string): AppError {
  return new AppError('malformed', message);
}
