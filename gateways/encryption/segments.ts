import {
  type CipherGCMTypes,
  createCipheriv,
  createDecipheriv,
  createHash,
  type Hash,
} from 'node:crypto';

/**
 * The stored form of encrypted bytes (ADR 0035): segments of 64 KiB, each with its tag behind it. A key seals one
 * stream and no other, so a segment's number is nonce enough. Number and finality are authenticated: segments
 * that are reordered, left out, cut off or of another stream do not open.
 */

export const SEGMENT_BYTES = 65_536;
export const TAG_BYTES = 16;
const SEALED_BYTES = SEGMENT_BYTES + TAG_BYTES;
const ALGORITHM: CipherGCMTypes = 'aes-256-gcm';
const FORMAT = 1;

/** Bytes of what does not open: damaged, moved, or sealed with another key. */
export class SealBroken extends Error {
  override readonly name = 'SealBroken';
}

/** How many bytes `size` bytes are once they are sealed. */
export function sealedBytes(size: number): number {
  return size + Math.ceil(size / SEGMENT_BYTES) * TAG_BYTES;
}

function nonceOf(number: number): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUIntBE(number, 6, 6);
  return nonce;
}

function placeOf(number: number, isLast: boolean): Buffer {
  const place = Buffer.alloc(10);
  place[0] = FORMAT;
  place[1] = isLast ? 1 : 0;
  place.writeUIntBE(number, 4, 6);
  return place;
}

/** Seals one stream. What is pushed must not change until it has been sealed. */
export class SegmentSealer {
  readonly #key: Uint8Array;
  readonly #digest: Hash;
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #number = 0;

  /** `name` tells streams apart that have no bytes. */
  constructor(key: Uint8Array, name: Uint8Array) {
    this.#key = key;
    this.#digest = createHash('sha256').update(name);
  }

  /** A full segment is held until more comes: only then it is not the last. */
  push(bytes: Uint8Array, out: Uint8Array[]): void {
    let rest = bytes;
    while (this.#heldBytes + rest.length > SEGMENT_BYTES) {
      const room = SEGMENT_BYTES - this.#heldBytes;
      if (room > 0) this.#hold(rest.subarray(0, room));
      rest = rest.subarray(room);
      this.#seal(false, out);
    }
    if (rest.length > 0) this.#hold(rest);
  }

  end(out: Uint8Array[]): void {
    if (this.#heldBytes > 0) this.#seal(true, out);
  }

  /** After the end: 32 bytes that differ with the stream, and say nothing of what is in it. */
  digest(): Buffer {
    return this.#digest.digest();
  }

  #hold(bytes: Uint8Array): void {
    this.#held.push(bytes);
    this.#heldBytes += bytes.length;
  }

  #seal(isLast: boolean, out: Uint8Array[]): void {
    const number = this.#number++;
    const cipher = createCipheriv(ALGORITHM, this.#key, nonceOf(number));
    cipher.setAAD(placeOf(number, isLast));
    for (const bytes of this.#held) out.push(cipher.update(bytes));
    cipher.final();
    const tag = cipher.getAuthTag();
    this.#digest.update(tag);
    out.push(tag);
    this.#held = [];
    this.#heldBytes = 0;
  }
}

export interface Span {
  readonly start: number;
  readonly end: number;
}

/** The sealed bytes that are needed to open [start, end) of `size` bytes: whole segments. */
export function sealedSpan({ start, end }: Span, size: number): Span {
  if (start >= end) return { start: 0, end: 0 };
  const first = Math.floor(start / SEGMENT_BYTES);
  const behind = Math.ceil(end / SEGMENT_BYTES);
  return {
    start: first * SEALED_BYTES,
    end: Math.min(behind * SEALED_BYTES, sealedBytes(size)),
  };
}

/** Opens [start, end) of a stream of `size` bytes; is given the bytes of `sealedSpan`, cut anyhow. */
export class SegmentOpener {
  readonly #key: Uint8Array;
  readonly #span: Span;
  readonly #size: number;
  #number: number;
  #held: Uint8Array[] = [];
  #heldBytes = 0;

  constructor(key: Uint8Array, span: Span, size: number) {
    this.#key = key;
    this.#span = span;
    this.#size = size;
    this.#number = Math.floor(span.start / SEGMENT_BYTES);
  }

  /** What is given has been verified. Throws SealBroken. */
  push(bytes: Uint8Array, out: Uint8Array[]): void {
    let rest = bytes;
    while (rest.length > 0) {
      const wanted = this.#sealedBytesOf(this.#number) - this.#heldBytes;
      if (wanted <= 0) throw new SealBroken('there are more bytes than were sealed');
      const taken = rest.subarray(0, wanted);
      this.#held.push(taken);
      this.#heldBytes += taken.length;
      rest = rest.subarray(taken.length);
      if (taken.length === wanted) this.#open(out);
    }
  }

  /** Throws SealBroken where something is missing. */
  end(): void {
    const opened = Math.min(this.#number * SEGMENT_BYTES, this.#size);
    if (this.#heldBytes > 0 || (this.#span.end > this.#span.start && opened < this.#span.end)) {
      throw new SealBroken('sealed bytes are missing');
    }
  }

  /** 0 behind the last one. */
  #sealedBytesOf(number: number): number {
    const left = this.#size - number * SEGMENT_BYTES;
    return left <= 0 ? 0 : Math.min(left, SEGMENT_BYTES) + TAG_BYTES;
  }

  #open(out: Uint8Array[]): void {
    const number = this.#number++;
    const sealed =
      this.#held.length === 1 ? (this.#held[0] as Uint8Array) : Buffer.concat(this.#held);
    this.#held = [];
    this.#heldBytes = 0;
    const at = number * SEGMENT_BYTES;
    const isLast = at + SEGMENT_BYTES >= this.#size;
    const opened = openSegment(this.#key, number, isLast, sealed);
    const start = Math.max(0, this.#span.start - at);
    const end = Math.min(opened.length, this.#span.end - at);
    if (start < end) out.push(opened.subarray(start, end));
  }
}

function openSegment(
  key: Uint8Array,
  number: number,
  isLast: boolean,
  sealed: Uint8Array,
): Uint8Array {
  const bytes = sealed.length - TAG_BYTES;
  const decipher = createDecipheriv(ALGORITHM, key, nonceOf(number), { authTagLength: TAG_BYTES });
  decipher.setAAD(placeOf(number, isLast));
  decipher.setAuthTag(sealed.subarray(bytes));
  const opened = decipher.update(sealed.subarray(0, bytes));
  try {
    decipher.final();
  } catch {
    throw new SealBroken(`segment ${number} does not open`);
  }
  return opened;
}

/** The sealed form of a stream, as it comes. */
export async function* sealed(
  source: AsyncIterable<Uint8Array>,
  sealer: SegmentSealer,
): AsyncGenerator<Uint8Array, void> {
  const out: Uint8Array[] = [];
  for await (const bytes of source) {
    sealer.push(bytes, out);
    yield* out;
    out.length = 0;
  }
  sealer.end(out);
  yield* out;
}

/** The way back. Throws SealBroken; what came before it was verified. */
export async function* opened(
  source: AsyncIterable<Uint8Array>,
  opener: SegmentOpener,
): AsyncGenerator<Uint8Array, void> {
  const out: Uint8Array[] = [];
  for await (const bytes of source) {
    opener.push(bytes, out);
    yield* out;
    out.length = 0;
  }
  opener.end();
}
