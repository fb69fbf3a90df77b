import { DecodeError, unpackBytes } from '../../protocol/codec.ts';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';

const ITEMS_MAX = LIMITS.batchOpsMax * 16;

/**
 * The door for MessagePack from clients. The reader is as strict as strict-json (valid UTF-8, no name twice, no
 * integer that would be rounded), and floats that JSON could not carry are refused too.
 */
export function parseMsgpack(bytes: Uint8Array): unknown {
  try {
    return unpackBytes(bytes, {
      ...{ bytesMax: bytes.length, itemsMax: ITEMS_MAX, depthMax: LIMITS.jsonDepthMax },
      exactNumbers: true,
    });
  } catch (error) {
    if (error instanceof DecodeError) throw new AppError('malformed', error.message);
    throw error;
  }
}
