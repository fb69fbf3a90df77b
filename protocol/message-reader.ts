import type { DecodeBounds } from './codec.ts';

/** Input from outside that cannot be decoded. The only error a decoder throws. */
export class DecodeError extends Error {
  override readonly name = 'DecodeError';
}

const STRICT = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const { latin1Slice } = Buffer.prototype as unknown as {
  latin1Slice(this: Uint8Array, start: number, end: number): string;
};

/**
 * Reads one MessagePack message, in one pass, stricter than the format. R1: a declared length is compared
 * with the bounds and with what is left before anything is allocated (`dd 00 ff ff ff` alone would reserve
 * 16 M slots). R2: nothing is changed silently: text that is not UTF-8, integers beyond 2^53, keys that are
 * not text or come twice, and bytes after the message are refused. R3: no extension types. R4: recursion ends at depthMax.
 */
export class MessageReader {
  readonly #bytes: Uint8Array;
  readonly #itemsMax: number;
  #depthLeft: number;
  #at = 0;

  constructor(bytes: Uint8Array, bounds: DecodeBounds) {
    if (bytes.length > bounds.bytesMax) throw new DecodeError('message is too large');
    this.#bytes = bytes;
    this.#itemsMax = bounds.itemsMax;
    this.#depthLeft = bounds.depthMax;
  }

  readMessage(): unknown {
    const value = this.#value();
    if (this.#at !== this.#bytes.length) throw new DecodeError('bytes after the message');
    return value;
  }

  /** The first items of a list that has at least so many; what follows is not looked at. */
  readFirst(count: number): unknown[] {
    const length = this.#listLength();
    if (length < count) throw new DecodeError('a list is too short');
    this.#enter(length, length);
    const items = new Array<unknown>(count);
    for (let i = 0; i < count; i++) items[i] = this.#value();
    return items;
  }

  #listLength(): number {
    const tag = this.#bytes[this.#at] ?? 0;
    this.#at++;
    if (tag >= 0x90 && tag < 0xa0) return tag & 0x0f;
    if (tag === 0xdc) return this.#uint(2);
    if (tag === 0xdd) return this.#uint(4);
    throw new DecodeError('expected a list');
  }

  #value(): unknown {
    const tag = this.#bytes[this.#at];
    if (tag === undefined) throw cutShort();
    this.#at++;
    if (tag < 0x80) return tag;
    if (tag < 0x90) return this.#map(tag & 0x0f);
    if (tag < 0xa0) return this.#list(tag & 0x0f);
    if (tag < 0xc0) return this.#text(tag & 0x1f);
    if (tag >= 0xe0) return tag - 0x100;
    return this.#tagged(tag);
  }

  #tagged(tag: number): unknown {
    switch (tag) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
        return this.#binary(this.#uint(1));
      case 0xc5:
        return this.#binary(this.#uint(2));
      case 0xc6:
        return this.#binary(this.#uint(4));
      case 0xd9:
        return this.#text(this.#uint(1));
      case 0xda:
        return this.#text(this.#uint(2));
      case 0xdb:
        return this.#text(this.#uint(4));
      case 0xdc:
        return this.#list(this.#uint(2));
      case 0xdd:
        return this.#list(this.#uint(4));
      case 0xde:
        return this.#map(this.#uint(2));
      case 0xdf:
        return this.#map(this.#uint(4));
      default:
        return this.#number(tag);
    }
  }

  #number(tag: number): number {
    switch (tag) {
      case 0xcc:
        return this.#uint(1);
      case 0xcd:
        return this.#uint(2);
      case 0xce:
        return this.#uint(4);
      case 0xcf:
        return safe(this.#uint(4) * 0x1_0000_0000 + this.#uint(4));
      case 0xd0:
        return (this.#uint(1) << 24) >> 24;
      case 0xd1:
        return (this.#uint(2) << 16) >> 16;
      case 0xd2:
        return this.#uint(4) | 0;
      case 0xd3:
        return safe((this.#uint(4) | 0) * 0x1_0000_0000 + this.#uint(4));
      case 0xca:
        return this.#view(4).getFloat32(0);
      case 0xcb:
        return this.#view(8).getFloat64(0);
      default:
        throw new DecodeError('extension types are not used here');
    }
  }

  /** An unsigned big-endian integer of `width` bytes, at most 4. */
  #uint(width: number): number {
    const end = this.#take(width);
    const bytes = this.#bytes;
    let value = 0;
    for (let i = end - width; i < end; i++) value = value * 256 + (bytes[i] as number);
    return value;
  }

  /** Moves past `length` bytes, which must be there; returns where they end. */
  #take(length: number): number {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw cutShort();
    this.#at = end;
    return end;
  }

  #view(length: number): DataView {
    const end = this.#take(length);
    return new DataView(this.#bytes.buffer, this.#bytes.byteOffset + end - length, length);
  }

  #binary(length: number): Uint8Array {
    const start = this.#take(length) - length;
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + start, length);
  }

  #text(length: number): string {
    const bytes = this.#bytes;
    const end = this.#take(length);
    const start = end - length;
    for (let i = start; i < end; i++) {
      if ((bytes[i] as number) >= 0x80) return utf8Text(bytes.subarray(start, end));
    }
    return latin1Slice.call(bytes, start, end);
  }

  #list(count: number): unknown[] {
    this.#enter(count, count);
    const items = new Array<unknown>(count);
    for (let i = 0; i < count; i++) items[i] = this.#value();
    this.#depthLeft++;
    return items;
  }

  #map(count: number): Record<string, unknown> {
    this.#enter(count, count * 2);
    const fields: Record<string, unknown> = {};
    for (let i = 0; i < count; i++) {
      const name = this.#value();
      if (typeof name !== 'string') throw new DecodeError('a key must be text');
      if (name === '__proto__') throw new DecodeError('the key __proto__ is not allowed');
      if (Object.hasOwn(fields, name)) throw new DecodeError('an object has the same key twice');
      fields[name] = this.#value();
    }
    this.#depthLeft++;
    return fields;
  }

  /** Each child takes at least a byte, so more children than bytes are left cannot be there. */
  #enter(count: number, children: number): void {
    if (count > this.#itemsMax || children > this.#bytes.length - this.#at) {
      throw new DecodeError('more items than allowed');
    }
    if (this.#depthLeft === 0) throw new DecodeError('nested too deep');
    this.#depthLeft--;
  }
}

function safe(value: number): number {
  if (!Number.isSafeInteger(value)) throw new DecodeError('an integer is too large');
  return value;
}

function utf8Text(bytes: Uint8Array): string {
  try {
    return STRICT.decode(bytes);
  } catch (cause) {
    throw new DecodeError('text is not valid UTF-8', { cause });
  }
}

function cutShort(): DecodeError {
  return new DecodeError('message is cut short');
}
