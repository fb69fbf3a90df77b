import type { RootKeys } from '../gateways/encryption/root-keys.ts';
import type { Random } from '../protocol/random.ts';
import { derivedKey, NONCE_BYTES, open, seal, TAG_BYTES } from '../storage/at-rest/aead.ts';
import { CommandFailed } from './failures.ts';

/**
 * A sealed export: a header, then chunks, each of ciphertext and tag; all but the last of CHUNK_BYTES in clear, the last
 * one shorter, or empty.
 *
 *   0 8 bytes magic   8 8 bytes id of the key   16 32 bytes salt
 *
 * The export's own key is derived from the configured one, for this purpose, with the salt; a chunk's nonce is its number and whether it is the
 * last, and the header is bound to each. So what is cut off, put elsewhere, left out or changed does not open (the
 * STREAM construction: Hoang, Reyhanitabar, Rogaway, Vizar 2015).
 */
const MAGIC = Buffer.from('\x89MKX\r\n\x1a\x01', 'latin1');
const ID_BYTES = 8;
const SALT_BYTES = 32;
const HEADER_BYTES = MAGIC.length + ID_BYTES + SALT_BYTES;
export const CHUNK_BYTES = 64 * 1024;
const SEALED_BYTES = CHUNK_BYTES + TAG_BYTES;
const PURPOSE = 'export';

/** Seals what is written, and gives the bytes to `write` in their order. */
export class SealedWriter {
  readonly #header: Buffer;
  readonly #key: Uint8Array;
  readonly #write: (bytes: Uint8Array) => Promise<void>;
  #rest = Buffer.alloc(0);
  #count = 0;
  #hasHeader = false;

  constructor(keys: RootKeys, random: Random, write: (bytes: Uint8Array) => Promise<void>) {
    const salt = random.bytes(SALT_BYTES);
    this.#header = Buffer.concat([MAGIC, Buffer.from(keys.currentId, 'hex'), salt]);
    this.#key = derivedKey(keys.purpose(keys.currentId, PURPOSE) as Uint8Array, PURPOSE, salt);
    this.#write = write;
  }

  async write(bytes: Uint8Array): Promise<void> {
    let rest = Buffer.concat([this.#rest, bytes]);
    while (rest.length > CHUNK_BYTES) {
      await this.#chunk(rest.subarray(0, CHUNK_BYTES), false);
      rest = rest.subarray(CHUNK_BYTES);
    }
    this.#rest = Buffer.from(rest);
  }

  /** Without it, what was written counts as cut short. */
  async end(): Promise<void> {
    if (this.#rest.length === CHUNK_BYTES) {
      await this.#chunk(this.#rest, false);
      this.#rest = Buffer.alloc(0);
    }
    await this.#chunk(this.#rest, true);
  }

  async #chunk(plain: Uint8Array, isLast: boolean): Promise<void> {
    const nonce = nonceOf(this.#count++, isLast);
    const { bytes, tag } = seal(this.#key, nonce, this.#header, plain);
    const front = this.#hasHeader ? [] : [this.#header];
    this.#hasHeader = true;
    await this.#write(Buffer.concat([...front, bytes, tag]));
  }
}

/**
 * What a stream holds: itself where it is not sealed. Throws CommandFailed, before it has given a byte that was
 * changed, where it does not open: without keys (null) or under another one, changed, out of order, or cut short; with
 * `isExpected` also where it is not sealed, as something that was put in its place would be.
 */
export async function* unsealed(
  chunks: AsyncIterable<Uint8Array>,
  keys: RootKeys | null,
  isExpected = false,
): AsyncGenerator<Uint8Array> {
  let held: Buffer = Buffer.alloc(0);
  let opener: Opener | 'clear' | null = null;
  for await (const chunk of chunks) {
    held = held.length === 0 ? asBuffer(chunk) : Buffer.concat([held, chunk]);
    if (opener === null) {
      const mayBeSealed = isSealed(held);
      if (mayBeSealed && held.length < HEADER_BYTES) continue;
      if (!mayBeSealed && isExpected) throw new CommandFailed(IN_CLEAR);
      opener = mayBeSealed ? new Opener(held.subarray(0, HEADER_BYTES), keys) : 'clear';
      if (mayBeSealed) held = held.subarray(HEADER_BYTES);
    }
    if (opener === 'clear') {
      yield held;
      held = Buffer.alloc(0);
      continue;
    }
    // One that is followed by something is not the last.
    while (held.length > SEALED_BYTES) {
      yield opener.chunk(held.subarray(0, SEALED_BYTES), false);
      held = held.subarray(SEALED_BYTES);
    }
  }
  if (opener === null && (held.length > 0 || isExpected)) throw new CommandFailed(CUT_SHORT);
  if (opener === null || opener === 'clear') yield held;
  else yield opener.chunk(held, true);
}

/** Of the first bytes of an export, as far as they tell. */
export function isSealed(front: Uint8Array): boolean {
  const known = MAGIC.subarray(0, front.length);
  return known.equals(front.subarray(0, known.length));
}

const IN_CLEAR =
  'a key was named, and this is not encrypted: it is no such export, or was put in the place of one';
const CUT_SHORT = 'the encrypted export is cut short: it ends before its end';

class Opener {
  readonly #header: Buffer;
  readonly #key: Uint8Array;
  #count = 0;

  constructor(header: Buffer, keys: RootKeys | null) {
    const id = header.toString('hex', MAGIC.length, MAGIC.length + ID_BYTES);
    if (keys === null) {
      throw new CommandFailed(
        `the export is encrypted under key ${id}, and none was given: ` +
          '--encryption-key-file, --encryption-key-command or MINIKV_EXPORT_KEY has to give it',
      );
    }
    const under = keys.purpose(id, PURPOSE);
    if (under === null) {
      throw new CommandFailed(
        `the export is encrypted under key ${id}, which is not among those given ` +
          `(the first of them is ${keys.currentId})`,
      );
    }
    this.#header = Buffer.from(header);
    this.#key = derivedKey(under, PURPOSE, header.subarray(MAGIC.length + ID_BYTES));
  }

  chunk(sealed: Buffer, isLast: boolean): Buffer {
    const number = this.#count++;
    const plain = this.#opened(sealed, number, isLast);
    if (plain !== null) return plain;
    // What opens as another than the last one was followed by more once.
    if (isLast && (sealed.length === 0 || this.#opened(sealed, number, false) !== null)) {
      throw new CommandFailed(CUT_SHORT);
    }
    const why = isLast
      ? 'was changed, is out of order, or is cut short'
      : 'was changed, or is out of order';
    throw new CommandFailed(`chunk ${number + 1} of the encrypted export ${why}`);
  }

  #opened(sealed: Buffer, number: number, isLast: boolean): Buffer | null {
    if (sealed.length < TAG_BYTES) return null;
    const bytes = sealed.subarray(0, -TAG_BYTES);
    const tag = sealed.subarray(-TAG_BYTES);
    return open(this.#key, nonceOf(number, isLast), this.#header, { bytes, tag });
  }
}

function nonceOf(number: number, isLast: boolean): Uint8Array {
  const nonce = Buffer.alloc(NONCE_BYTES);
  nonce.writeUIntBE(number, NONCE_BYTES - 7, 6);
  nonce[NONCE_BYTES - 1] = isLast ? 1 : 0;
  return nonce;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
