/** A trigram: three bytes as one number. */
export type Trigram = number;

/** Its first two bytes, under which the postings of a segment lie. */
export function pairOf(trigram: Trigram): number {
  return trigram >>> 8;
}

/** Bytes of a pair in a row key, latin1. */
export function pairText(pair: number): string {
  return String.fromCharCode(pair >>> 8, pair & 0xff);
}

const PAIRS = 0x1_0000;

/**
 * Which of some documents hold each trigram, pair by pair in order: `use` gets the trigrams that begin with
 * the pair, each with its documents, ascending. A document is its position in `values`, below 65,536.
 * Sorts by counting: O(bytes), without a lookup per byte.
 */
export function eachPair(
  values: readonly Uint8Array[],
  use: (pair: number, postings: readonly (readonly [Trigram, readonly number[]])[]) => void,
): void {
  const ends = new Int32Array(PAIRS + 1);
  for (const value of values) {
    for (let i = 2; i < value.length; i++) {
      const pair = ((value[i - 2] as number) << 8) | (value[i - 1] as number);
      ends[pair + 1] = (ends[pair + 1] as number) + 1;
    }
  }
  for (let pair = 0; pair < PAIRS; pair++) {
    ends[pair + 1] = (ends[pair + 1] as number) + (ends[pair] as number);
  }
  // Until now ends[pair] is where the pair begins; placing its entries moves it to where it ends.
  const entries = new Uint32Array(ends[PAIRS] as number);
  for (let document = 0; document < values.length; document++) {
    const value = values[document] as Uint8Array;
    for (let i = 2; i < value.length; i++) {
      const pair = ((value[i - 2] as number) << 8) | (value[i - 1] as number);
      const at = ends[pair] as number;
      entries[at] = ((value[i] as number) << 16) | document;
      ends[pair] = at + 1;
    }
  }
  for (let pair = 0, from = 0; pair < PAIRS; pair++) {
    const to = ends[pair] as number;
    if (to > from) use(pair, postingsOf(pair, entries, from, to));
    from = to;
  }
}

/** Entries of one pair are in order of their documents. */
function postingsOf(
  pair: number,
  entries: Uint32Array,
  from: number,
  to: number,
): (readonly [Trigram, number[]])[] {
  const byThird: (number[] | undefined)[] = [];
  const postings: (readonly [Trigram, number[]])[] = [];
  for (let at = from; at < to; at++) {
    const entry = entries[at] as number;
    const third = entry >>> 16;
    const document = entry & 0xffff;
    const documents = byThird[third];
    if (documents === undefined) {
      const fresh = [document];
      byThird[third] = fresh;
      postings.push([(pair << 8) | third, fresh]);
    } else if (documents[documents.length - 1] !== document) documents.push(document);
  }
  return postings;
}

/**
 * At most `max` trigrams of a text that is searched for, spread over it: documents that hold it hold all of
 * them. None for a text shorter than three bytes.
 */
export function trigramsOf(text: Uint8Array, max: number): Trigram[] {
  const count = text.length - 2;
  const out = new Set<Trigram>();
  for (let i = 0; i < Math.min(count, max); i++) {
    const at = count <= max ? i : Math.floor((i * (count - 1)) / (max - 1));
    const [a, b, c] = text.subarray(at, at + 3) as unknown as [number, number, number];
    out.add((a << 16) | (b << 8) | c);
  }
  return [...out];
}

/** Below this many documents a list is shorter than a bitmap of `size`. */
const LIST = 0;
const BITMAP = 1;

/** Numbers below `size`, ascending: a list of u16 or a bitmap, whichever is shorter. */
export function encodePosting(documents: readonly number[], size: number): Uint8Array {
  const bitmapBytes = (size + 7) >>> 3;
  if (documents.length * 2 <= bitmapBytes) {
    const out = Buffer.allocUnsafe(1 + documents.length * 2);
    out[0] = LIST;
    for (let i = 0; i < documents.length; i++) out.writeUInt16BE(documents[i] as number, 1 + i * 2);
    return out;
  }
  const out = Buffer.alloc(1 + bitmapBytes);
  out[0] = BITMAP;
  for (let i = 0; i < documents.length; i++) {
    const at = documents[i] as number;
    out[1 + (at >>> 3)] = (out[1 + (at >>> 3)] as number) | (1 << (at & 7));
  }
  return out;
}

/** The documents of a posting, ascending. */
export function decodePosting(row: Uint8Array): number[] {
  const out: number[] = [];
  if (row[0] === LIST) {
    for (let i = 1; i + 1 < row.length; i += 2) {
      out.push(((row[i] as number) << 8) | (row[i + 1] as number));
    }
    return out;
  }
  for (let i = 1; i < row.length; i++) {
    const byte = row[i] as number;
    for (let bit = 0; byte >>> bit !== 0; bit++) {
      if (((byte >>> bit) & 1) !== 0) out.push((i - 1) * 8 + bit);
    }
  }
  return out;
}

/** The postings of trigrams with one pair: each its third byte, length u16, the posting. */
export function encodePostings(
  postings: readonly (readonly [trigram: Trigram, posting: Uint8Array])[],
): Uint8Array {
  let size = 0;
  for (let i = 0; i < postings.length; i++) size += 3 + (postings[i]?.[1].length ?? 0);
  const out = Buffer.allocUnsafe(size);
  let at = 0;
  for (let i = 0; i < postings.length; i++) {
    const [trigram, posting] = postings[i] as readonly [Trigram, Uint8Array];
    out[at] = trigram & 0xff;
    out.writeUInt16BE(posting.length, at + 1);
    out.set(posting, at + 3);
    at += 3 + posting.length;
  }
  return out;
}

/** The documents of one trigram in such a row, ascending; none where it is not there. */
export function documentsIn(row: Uint8Array, trigram: Trigram): number[] {
  const third = trigram & 0xff;
  for (let at = 0; at + 3 <= row.length; ) {
    const end = at + 3 + (((row[at + 1] as number) << 8) | (row[at + 2] as number));
    if (row[at] === third) return decodePosting(row.subarray(at + 3, end));
    at = end;
  }
  return [];
}

/** What two ascending lists have in common. */
export function intersect(a: readonly number[], b: readonly number[]): number[] {
  const out: number[] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const [x, y] = [a[i] as number, b[j] as number];
    if (x === y) out.push(x);
    if (x <= y) i++;
    if (y <= x) j++;
  }
  return out;
}
