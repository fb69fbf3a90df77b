import { utf8 } from '../../protocol/bytes.ts';
import { packBytes } from '../../protocol/codec.ts';
import { AppError } from '../../protocol/errors.ts';
import { parseJson } from '../http/strict-json.ts';
import { parseMsgpack } from '../http/strict-msgpack.ts';
import type { Shape } from '../kv/shapes.ts';

/** Bodies of requests and answers: JSON, or MessagePack. Everything is bounded before it is read. */

export type BodyType = 'application/json' | 'application/msgpack';

/** The type a Content-Type header names; JSON when there is none. Throws AppError. */
export function bodyTypeOf(header: string | null): BodyType {
  const name = (header ?? 'application/json').split(';', 1)[0]?.trim().toLowerCase();
  if (name === 'application/json' || name === 'application/msgpack') return name;
  throw new AppError('unsupported_media_type', 'send application/json or application/msgpack');
}

/** The body as an object; an empty body is an empty object. Throws AppError. */
export function readBody(bytes: Uint8Array, type: BodyType): Shape {
  if (bytes.length === 0) return {};
  const raw = type === 'application/json' ? parseJson(bytes) : parseMsgpack(bytes);
  const isObject = typeof raw === 'object' && raw !== null && !Array.isArray(raw);
  if (!isObject || raw instanceof Uint8Array) {
    throw new AppError('malformed', 'the body must be an object');
  }
  return raw as Shape;
}

export function writeBody(shape: Shape, type: BodyType): Uint8Array {
  return type === 'application/json' ? utf8(JSON.stringify(shape)) : packBytes(shape);
}
