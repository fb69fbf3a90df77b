import {
  KEY_BASE64_BYTES,
  KEY_BYTES,
  KEY_PREFIX,
  writeDigits,
  writeDigitsBase64,
} from './key-digits.ts';

/**
 * A request prepared once and changed in place: keys and values have fixed lengths and known positions.
 * With `base64` both are written in base64, as etcd's JSON has them.
 */
export class Template {
  readonly #base64: boolean;
  readonly #valueBytes: number;
  readonly #parts: Buffer[] = [];
  #length = 0;
  readonly #keysAt: number[] = [];
  readonly #valuesAt: number[] = [];
  #bytes: Buffer | null = null;

  constructor(valueBytes: number, base64 = false) {
    this.#valueBytes = base64 ? Math.ceil(valueBytes / 3) * 4 : valueBytes;
    this.#base64 = base64;
  }

  /** Bytes of a key and of a value as they are written. */
  get keyLength(): number {
    return this.#base64 ? KEY_BASE64_BYTES : KEY_BYTES;
  }

  get valueLength(): number {
    return this.#valueBytes;
  }

  text(text: string): this {
    return this.raw(Buffer.from(text, 'latin1'));
  }

  raw(bytes: Buffer): this {
    this.#parts.push(bytes);
    this.#length += bytes.length;
    return this;
  }

  key(): this {
    const prefix = this.#base64 ? btoa(KEY_PREFIX) : KEY_PREFIX;
    this.text(prefix);
    this.#keysAt.push(this.#length);
    return this.raw(Buffer.alloc(this.keyLength - prefix.length, this.#base64 ? 'A' : '0'));
  }

  value(): this {
    this.#valuesAt.push(this.#length);
    return this.raw(Buffer.alloc(this.#valueBytes, 'A'));
  }

  /** What was put together so far; later additions belong to another template. */
  get bytes(): Buffer {
    this.#bytes ??= Buffer.concat(this.#parts);
    return this.#bytes;
  }

  setKey(slot: number, n: number): void {
    const at = this.#keysAt[slot] as number;
    if (this.#base64) writeDigitsBase64(this.bytes, at, n);
    else writeDigits(this.bytes, at, n);
  }

  /** `value` is already in the form that is written. */
  setValue(slot: number, value: Buffer): void {
    value.copy(this.bytes, this.#valuesAt[slot] as number, 0, this.#valueBytes);
  }
}
