import { Encoder } from '@msgpack/msgpack';
import { MessageReader } from './message-reader.ts';

export { DecodeError } from './message-reader.ts';

/** What one decode may cost; every bound is checked before it allocates. */
export interface DecodeBounds {
  readonly bytesMax: number;
  readonly itemsMax: number;
  readonly depthMax: number;
}

const encoder = new Encoder({ ignoreUndefined: false, initialBufferSize: 4096 });

/** MessagePack bytes (a fresh array). The only door to @msgpack/msgpack. */
export function packBytes(value: unknown): Uint8Array {
  return encoder.encode(value);
}

/**
 * MessagePack to plain arrays, strings, numbers, booleans, null, Uint8Array (views on `bytes`) and
 * objects. Throws DecodeError, never anything else.
 */
export function unpackBytes(bytes: Uint8Array, bounds: DecodeBounds): unknown {
  return new MessageReader(bytes, bounds).readMessage();
}
