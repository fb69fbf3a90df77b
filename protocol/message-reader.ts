import type { DecodeBounds } from './codec.ts';

/** Input from outside that cannot be decoded. The only error a decoder throws. */
export class DecodeError extends Error {
  override readonly name = 'DecodeError';
}

const STRICT = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const { latin1Slice } = Buffer.prototype as unknown as {
  latin1Slice(this: Uint8Array, start: number, end: number): string;
};

/** Longer texts are hardly the same again. */
const NAME_BYTES_MAX = 16;
/** The last short ASCII texts that were read as names, each in the slot that its bytes say. */
const names = new Array<string>(256).fill('');

/**
 * Reads one MessagePack message, in one pass, stricter than the format. R1: a declared length is compared
 * with the bounds and with what is left before anything is allocated (`dd 00 ff ff ff` alone would reserve
 * 16 M slots). R2: nothing is changed silently: text that is not UTF-8, integers beyond 2^53, keys that are
 * not text or come twice, and bytes after the message are refused. R3: no extension types. R4: recursion ends at depthMax.
 */
export class MessageReader {
  readonly #bytes: Uint8Array;
  readonly #itemsMax: number;
  readonly #exactNumbers: boolean;
  #depthLeft: number;
  #at = 0;

  constructor(bytes: Uint8Array, bounds: DecodeBounds) {
    if (bytes.length > bounds.bytesMax) throw new DecodeError('message is too large');
    this.#bytes = bytes;
    this.#itemsMax = bounds.itemsMax;
    this.#exactNumbers = bounds.exactNumbers === true;
    this.#depthLeft = bounds.depthMax;
  }

  readMessage(): unknown {
    const value = this.value();
    this.end();
    return value;
  }

  /** The first items of a list that has at least so many; what follows is not looked at. */
  readFirst(count: number): unknown[] {
    const length = this.beginList();
    if (length < count) throw new DecodeError('a list is too short');
    const items = new Array<unknown>(count);
    for (let i = 0; i < count; i++) items[i] = this.value();
    return items;
  }

  /** Nothing may follow. For those who read a message piece by piece. */
  end(): void {
    if (this.#at !== this.#bytes.length) throw new DecodeError('bytes after the message');
  }

  /** A list follows: its length. Whoever has read its items, all of them, says so with `endList`. */
  beginList(): number {
    const length = this.#listLength();
    this.#enter(length, length);
    return length;
  }

  /** `unread`: items that are left and of no interest. */
  endList(unread: number): void {
    for (let i = 0; i < unread; i++) this.value();
    this.#depthLeft++;
  }

  /** Whether null follows; then it is read. */
  isNull(): boolean {
    if (this.#bytes[this.#at] !== 0xc0) return false;
    this.#at++;
    return true;
  }

  /** A safe integer of at least 0. */
  count(): number {
    const tag = this.#bytes[this.#at];
    if (tag !== undefined && tag < 0x80) {
      this.#at++;
      return tag;
    }
    const value = this.value();
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
    throw new DecodeError('expected a count');
  }

  /** Text of at most `max` UTF-16 units. The same short text is the same string again, mostly. */
  text(max: number): string {
    const tag = this.#bytes[this.#at] ?? 0;
    if (tag >= 0xa0 && tag < 0xc0) {
      this.#at++;
      const text = this.#name(tag & 0x1f);
      if (text.length <= max) return text;
    } else if (tag >= 0xd9 && tag <= 0xdb) {
      const text = this.value() as string;
      if (text.length <= max) return text;
    }
    throw new DecodeError(`expected text of at most ${max}`);
  }

  /** At most `max` bytes, as a latin1 string. */
  latin1(max: number): string {
    const length = this.#binaryLength(max);
    const end = this.#take(length);
    return latin1Slice.call(this.#bytes, end - length, end);
  }

  /** At most `max` bytes, as a view. */
  binary(max: number): Uint8Array {
    return this.#binary(this.#binaryLength(max));
  }

  #binaryLength(max: number): number {
    const tag = this.#bytes[this.#at] ?? 0;
    if (tag >= 0xc4 && tag <= 0xc6) {
      this.#at++;
      const length = this.#uint(1 << (tag - 0xc4));
      if (length <= max) return length;
    }
    throw new DecodeError(`expected at most ${max} bytes`);
  }

  #listLength(): number {
    const tag = this.#bytes[this.#at] ?? 0;
    this.#at++;
    if (tag >= 0x90 && tag < 0xa0) return tag & 0x0f;
    if (tag === 0xdc) return this.#uint(2);
    if (tag === 0xdd) return this.#uint(4);
    throw new DecodeError('expected a list');
  }

  /** Whatever follows. */
  value(): unknown {
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
        return this.#float(this.#view(4).getFloat32(0));
      case 0xcb:
        return this.#float(this.#view(8).getFloat64(0));
      default:
        throw new DecodeError('extension types are not used here');
    }
  }

  #float(value: number): number {
    if (!this.#exactNumbers || Math.abs(value) <= Number.MAX_SAFE_INTEGER) return value;
    throw new DecodeError('a number is beyond 2^53 - 1 and would not be kept exactly');
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

  /** A text that is likely to have been read before: a name. */
  #name(length: number): string {
    if (length > NAME_BYTES_MAX) return this.#text(length);
    const bytes = this.#bytes;
    const start = this.#take(length) - length;
    let hash = length;
    for (let i = start; i < start + length; i++) hash = (hash * 31 + (bytes[i] as number)) | 0;
    const slot = hash & (names.length - 1);
    const known = names[slot] as string;
    if (known.length === length) {
      let i = 0;
      while (i < length && known.charCodeAt(i) === bytes[start + i]) i++;
      if (i === length) return known;
    }
    this.#at = start;
    const name = this.#text(length);
    // Of other texts a char is no byte.
    if (isAscii(name)) names[slot] = name;
    return name;
  }

  #list(count: number): unknown[] {
    this.#enter(count, count);
    const items = new Array<unknown>(count);
    for (let i = 0; i < count; i++) items[i] = this.value();
    this.#depthLeft++;
    return items;
  }

  #map(count: number): Record<string, unknown> {
    this.#enter(count, count * 2);
    const fields: Record<string, unknown> = {};
    for (let i = 0; i < count; i++) {
      const tag = this.#bytes[this.#at] ?? 0;
      const isShort = tag >= 0xa0 && tag < 0xc0;
      if (isShort) this.#at++;
      const name = isShort ? this.#name(tag & 0x1f) : this.value();
      if (typeof name !== 'string') throw new DecodeError('a key must be text');
      if (name === '__proto__') throw new DecodeError('the key __proto__ is not allowed');
      if (Object.hasOwn(fields, name)) throw new DecodeError('an object has the same key twice');
      fields[name] = this.value();
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

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) >= 0x80) return false;
  return true;
}

function cutShort(): DecodeError {
  return new DecodeError('message is cut short');
}
