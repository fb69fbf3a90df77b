import { assert } from './assert.ts';

/** No message of ours is nested deeper; a cycle ends here. */
const DEPTH_MAX = 100;
/** Texts up to here are written byte by byte while they are ASCII, which beats a native call. */
const SHORT_TEXT_MAX = 48;
const BUFFER_BYTES_MIN = 64 * 1024;

/**
 * Writes MessagePack in its shortest forms into one buffer that is kept between messages. Takes null,
 * undefined (written as null), booleans, numbers, text, Uint8Array, arrays and plain objects; anything else
 * is a mistake of the caller. Numbers that are no safe integers travel as float 64.
 */
export class MessageWriter {
  #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES_MIN);
  #at = 0;
  #depth = 0;

  /** The message, as bytes of its own. Short ones come from Node's pool: a malloc each costs more than the rest. */
  write(value: unknown): Uint8Array {
    this.begin();
    this.value(value);
    return this.end();
  }

  /** Starts a message, for those who write it piece by piece. */
  begin(): void {
    this.#at = 0;
    this.#depth = 0;
  }

  /** What was written since `begin`, as `write` gives it. */
  end(): Uint8Array {
    const message = Buffer.allocUnsafe(this.#at);
    this.#buffer.copy(message, 0, 0, this.#at);
    // One large message must not pin its buffer for ever.
    if (this.#buffer.length > 32 * BUFFER_BYTES_MIN) {
      this.#buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES_MIN);
    }
    return message;
  }

  value(value: unknown): void {
    if (typeof value === 'number') this.number(value);
    else if (typeof value === 'string') this.text(value);
    else if (value === null || value === undefined) this.#tag(0xc0);
    else if (typeof value === 'boolean') this.#tag(value ? 0xc3 : 0xc2);
    else if (Array.isArray(value)) this.#list(value);
    else if (value instanceof Uint8Array) this.binary(value);
    else this.#map(value);
  }

  number(value: number): void {
    if (!Number.isSafeInteger(value)) {
      this.#reserve(9);
      this.#tag(0xcb);
      this.#at = this.#buffer.writeDoubleBE(value, this.#at);
    } else if (value >= 0) {
      if (value < 0x80) this.#tag(value);
      else if (value < 0x100) this.#sized(0xcc, value, 1);
      else if (value < 0x1_0000) this.#sized(0xcd, value, 2);
      else if (value < 0x1_0000_0000) this.#sized(0xce, value, 4);
      else this.#wide(0xcf, value);
    } else if (value >= -0x20) this.#tag(value + 0x100);
    else if (value >= -0x80) this.#sized(0xd0, value + 0x100, 1);
    else if (value >= -0x8000) this.#sized(0xd1, value + 0x1_0000, 2);
    else if (value >= -0x8000_0000) this.#sized(0xd2, value + 0x1_0000_0000, 4);
    else this.#wide(0xd3, value);
  }

  text(text: string): void {
    if (text.length <= SHORT_TEXT_MAX && this.#ascii(text)) return;
    const length = Buffer.byteLength(text);
    if (length < 0x20) this.#tag(0xa0 | length);
    else if (length < 0x100) this.#sized(0xd9, length, 1);
    else if (length < 0x1_0000) this.#sized(0xda, length, 2);
    else this.#sized(0xdb, length, 4);
    this.#reserve(length);
    this.#at += this.#buffer.write(text, this.#at, length, 'utf8');
  }

  /** False, with nothing written, when a character is not ASCII. */
  #ascii(text: string): boolean {
    const { length } = text;
    this.#reserve(length + 2);
    const buffer = this.#buffer;
    let at = this.#at;
    if (length < 0x20) buffer[at++] = 0xa0 | length;
    else {
      buffer[at++] = 0xd9;
      buffer[at++] = length;
    }
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i);
      if (code >= 0x80) return false;
      buffer[at++] = code;
    }
    this.#at = at;
    return true;
  }

  /** A latin1 byte string, as binary. */
  latin1(text: string): void {
    const { length } = text;
    this.#binaryHead(length);
    if (length > SHORT_TEXT_MAX) {
      this.#at += this.#buffer.write(text, this.#at, 'latin1');
      return;
    }
    const buffer = this.#buffer;
    let at = this.#at;
    for (let i = 0; i < length; i++) buffer[at++] = text.charCodeAt(i);
    this.#at = at;
  }

  #binaryHead(length: number): void {
    if (length < 0x100) this.#sized(0xc4, length, 1);
    else if (length < 0x1_0000) this.#sized(0xc5, length, 2);
    else this.#sized(0xc6, length, 4);
    this.#reserve(length);
  }

  binary(bytes: Uint8Array): void {
    const { length } = bytes;
    this.#binaryHead(length);
    this.#buffer.set(bytes, this.#at);
    this.#at += length;
  }

  #list(items: readonly unknown[]): void {
    this.beginList(items.length);
    for (let i = 0; i < items.length; i++) this.value(items[i]);
    this.endList();
  }

  /** A list whose items the caller writes. */
  beginList(count: number): void {
    this.#head(0x90, 0xdc, count);
  }

  endList(): void {
    this.#depth--;
  }

  /** A map whose names and values the caller writes, each in its turn. */
  beginMap(count: number): void {
    this.#head(0x80, 0xde, count);
  }

  endMap(): void {
    this.#depth--;
  }

  #map(value: unknown): void {
    const isPlain = typeof value === 'object' && value !== null && !ArrayBuffer.isView(value);
    assert(isPlain && !(value instanceof Date), `${typeof value} cannot be written`);
    const fields = value as Record<string, unknown>;
    const names = Object.keys(fields);
    this.#head(0x80, 0xde, names.length);
    for (const name of names) {
      this.text(name);
      this.value(fields[name]);
    }
    this.#depth--;
  }

  /** Head of a list or map; `wideTag` takes a 16-bit count, the tag after it a 32-bit one. */
  #head(shortTag: number, wideTag: number, count: number): void {
    assert(++this.#depth <= DEPTH_MAX, 'a message is nested too deep to be written');
    if (count < 0x10) this.#tag(shortTag | count);
    else if (count < 0x1_0000) this.#sized(wideTag, count, 2);
    else this.#sized(wideTag + 1, count, 4);
  }

  #tag(tag: number): void {
    this.#reserve(1);
    this.#buffer[this.#at++] = tag;
  }

  #sized(tag: number, value: number, width: 1 | 2 | 4): void {
    this.#reserve(5);
    const buffer = this.#buffer;
    let at = this.#at;
    buffer[at++] = tag;
    if (width === 4) {
      buffer[at++] = value >>> 24;
      buffer[at++] = value >>> 16;
    }
    if (width >= 2) buffer[at++] = value >>> 8;
    buffer[at++] = value;
    this.#at = at;
  }

  #wide(tag: number, value: number): void {
    this.#reserve(9);
    this.#buffer[this.#at++] = tag;
    this.#at = this.#buffer.writeInt32BE(Math.floor(value / 0x1_0000_0000), this.#at);
    this.#at = this.#buffer.writeUInt32BE(value >>> 0, this.#at);
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#buffer.length * 2, this.#at + bytes));
    larger.set(this.#buffer.subarray(0, this.#at));
    this.#buffer = larger;
  }
}
