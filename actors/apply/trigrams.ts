/** A trigram: three bytes as one number. */
export type Trigram = number;

/** Bytes of a trigram's row key, latin1. */
export function trigramText(trigram: Trigram): string {
  return String.fromCharCode(trigram >>> 16, (trigram >>> 8) & 0xff, trigram & 0xff);
}

/**
 * Which documents of a segment hold each trigram: adds the document's own. Documents must come in order
 * of their numbers; a number is added once, however often the trigram is there. O(bytes).
 */
export function addTrigrams(
  into: Map<Trigram, number[]>,
  value: Uint8Array,
  document: number,
): void {
  if (value.length < 3) return;
  let trigram = ((value[0] as number) << 8) | (value[1] as number);
  for (let i = 2; i < value.length; i++) {
    trigram = ((trigram << 8) | (value[i] as number)) & 0xffffff;
    const documents = into.get(trigram);
    if (documents === undefined) into.set(trigram, [document]);
    else if (documents[documents.length - 1] !== document) documents.push(document);
  }
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
