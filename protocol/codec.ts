import { MessageReader } from './message-reader.ts';
import { MessageWriter } from './message-writer.ts';
import type { Codec } from './schema.ts';

export { DecodeError } from './message-reader.ts';

/** What one decode may cost; every bound is checked before it allocates. */
export interface DecodeBounds {
  readonly bytesMax: number;
  readonly itemsMax: number;
  readonly depthMax: number;
  /** Numbers are refused that JSON could not carry, or that would be rounded. */
  readonly exactNumbers?: boolean;
}

const writer = new MessageWriter();

/** MessagePack bytes (a fresh array). */
export function packBytes(value: unknown): Uint8Array {
  return writer.write(value);
}

/** The MessagePack bytes of what a codec packs. */
export function encodeWith<T>(codec: Codec<T>, value: T): Uint8Array {
  writer.begin();
  codec.write(writer, value);
  return writer.end();
}

/**
 * MessagePack to plain arrays, strings, numbers, booleans, null, Uint8Array (views on `bytes`) and
 * objects. Throws DecodeError, never anything else.
 */
export function unpackBytes(bytes: Uint8Array, bounds: DecodeBounds): unknown {
  return new MessageReader(bytes, bounds).readMessage();
}

/** What a codec unpacks of a message, read in one pass. Throws DecodeError, never anything else. */
export function decodeWith<T>(codec: Codec<T>, bytes: Uint8Array, bounds: DecodeBounds): T {
  const reader = new MessageReader(bytes, bounds);
  const value = codec.read(reader);
  reader.end();
  return value;
}
