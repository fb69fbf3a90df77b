import { isUtf8 } from 'node:buffer';
import { latin1 } from '../../protocol/bytes.ts';
import { DecodeError, unpackBytes } from '../../protocol/codec.ts';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';

const ITEMS_MAX = LIMITS.batchOpsMax * 16;

/**
 * The door for MessagePack from clients: bounded by protocol/codec.ts, and then held to what strict-json
 * asks for too: valid UTF-8, no name twice, no number that would be rounded.
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
  new Walk(bytes).value();
  return value;
}

/** A second look at bytes that are known to be complete, bounded MessagePack. */
class Walk {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;
  /** Where the last text began, its head excluded. */
  #textStart = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  value(): void {
    const tag = this.#uint(1);
    if (tag < 0x80 || tag >= 0xe0) return;
    if (tag < 0x90) return this.#map(tag & 0x0f);
    if (tag < 0xa0) return this.#list(tag & 0x0f);
    if (tag < 0xc0) return this.#text(tag & 0x1f);
    if (tag < 0xc4) return;
    if (tag <= 0xc6) return this.#skip(this.#uint(1 << (tag - 0xc4)));
    if (tag <= 0xcb) return this.#float(tag);
    if (tag <= 0xcf) return this.#integer(1 << (tag - 0xcc));
    if (tag <= 0xd3) return this.#integer(1 << (tag - 0xd0));
    if (tag <= 0xdb) return this.#text(this.#uint(1 << (tag - 0xd9)));
    if (tag <= 0xdd) return this.#list(this.#uint(tag === 0xdc ? 2 : 4));
    this.#map(this.#uint(tag === 0xde ? 2 : 4));
  }

  #list(count: number): void {
    for (let i = 0; i < count; i++) this.value();
  }

  #map(count: number): void {
    const names = new Set<string>();
    for (let i = 0; i < count; i++) {
      const start = this.#at;
      const tag = this.#bytes[start] ?? 0;
      const isText = (tag >= 0xa0 && tag < 0xc0) || (tag >= 0xd9 && tag <= 0xdb);
      if (!isText) throw malformed('names must be text');
      this.value();
      const name = latin1(this.#bytes.subarray(this.#textStart, this.#at));
      if (names.has(name)) throw malformed('an object has the same name twice');
      names.add(name);
      this.value();
    }
  }

  #text(length: number): void {
    this.#textStart = this.#at;
    this.#skip(length);
    const part = this.#bytes.subarray(this.#textStart, this.#at);
    if (!isUtf8(part)) throw malformed('text is not valid UTF-8');
  }

  #integer(width: number): void {
    if (width === 8) {
      const high = this.#view.getInt32(this.#at);
      if (high >= 0x200000 || high < -0x200000) throw beyond();
      if (high === -0x200000 && this.#view.getUint32(this.#at + 4) === 0) throw beyond();
    }
    this.#skip(width);
  }

  #float(tag: number): void {
    const isDouble = tag === 0xcb;
    const value = isDouble ? this.#view.getFloat64(this.#at) : this.#view.getFloat32(this.#at);
    if (!(Math.abs(value) <= Number.MAX_SAFE_INTEGER)) throw beyond();
    this.#skip(isDouble ? 8 : 4);
  }

  #uint(width: number): number {
    let value = 0;
    for (let i = 0; i < width; i++) value = value * 256 + (this.#bytes[this.#at + i] ?? 0);
    this.#at += width;
    return value;
  }

  #skip(count: number): void {
    this.#at += count;
  }
}

function beyond(): AppError {
  return malformed('a number is beyond 2^53 - 1 and would not be kept exactly');
}

function malformed(message: string): AppError {
  return new AppError('malformed', message);
}
