import { textOrNull, utf8 } from '../../protocol/bytes.ts';
import { packBytes, unpackBytes } from '../../protocol/codec.ts';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Shape } from '../kv/shapes.ts';

/** Bodies of requests and answers: JSON, or MessagePack. Everything is bounded before it is read. */

export type BodyType = 'application/json' | 'application/msgpack';

const BOUNDS = {
  bytesMax: LIMITS.busPayloadBytesMax,
  itemsMax: LIMITS.batchOpsMax,
  depthMax: LIMITS.jsonDepthMax,
};

/** The type a Content-Type header names; JSON when there is none. Throws AppError. */
export function bodyTypeOf(header: string | null): BodyType {
  const name = (header ?? 'application/json').split(';', 1)[0]?.trim().toLowerCase();
  if (name === 'application/json' || name === 'application/msgpack') return name;
  throw new AppError('unsupported_media_type', 'send application/json or application/msgpack');
}

/** The body as an object; an empty body is an empty object. Throws AppError or DecodeError. */
export function readBody(bytes: Uint8Array, type: BodyType): Shape {
  if (bytes.length === 0) return {};
  const raw = type === 'application/json' ? parseJson(bytes) : unpackBytes(bytes, BOUNDS);
  const isObject = typeof raw === 'object' && raw !== null && !Array.isArray(raw);
  if (!isObject || raw instanceof Uint8Array) {
    throw new AppError('malformed', 'the body must be an object');
  }
  return raw as Shape;
}

export function writeBody(shape: Shape, type: BodyType): Uint8Array {
  return type === 'application/json' ? utf8(JSON.stringify(shape)) : packBytes(shape);
}

function parseJson(bytes: Uint8Array): unknown {
  const text = textOrNull(bytes);
  if (text === null) throw new AppError('malformed', 'the body is not valid UTF-8');
  checkDepth(text);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AppError('malformed', 'the body is not valid JSON', { cause });
  }
}

/** Refuses deep nesting before the parser recurses into it. Brackets inside strings do not count. */
function checkDepth(text: string): void {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (inString) {
      if (code === 0x5c) i++;
      else if (code === 0x22) inString = false;
    } else if (code === 0x22) inString = true;
    else if (code === 0x7b || code === 0x5b) {
      if (++depth > LIMITS.jsonDepthMax) throw new AppError('malformed', 'nested too deep');
    } else if (code === 0x7d || code === 0x5d) depth--;
  }
}
