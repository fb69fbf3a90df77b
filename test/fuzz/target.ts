/**
 * Something that takes bytes from outside, and what must hold of it whatever they are: it answers with one of its own
 * errors, or with a value that encodes again to the same. Nothing else is ever thrown, it ends within a second,
 * and it keeps no memory.
 */
export interface DecoderTarget {
  readonly name: string;
  /** Valid input, to begin with; `draw` makes more of it. */
  readonly seeds: readonly Uint8Array[];
  readonly draw?: (pick: Pick) => Uint8Array;
  /** Puts the checksums of changed input right, so that what is behind them is met too. */
  readonly repair?: (bytes: Uint8Array) => Uint8Array;
  /** Words that mean something to it. */
  readonly words?: readonly string[];
  /**
   * Decodes, and checks what came out: a Broken says what does not hold. Everything else that it throws has to be
   * `isRefusal`.
   */
  readonly take: (bytes: Buffer) => void | Promise<void>;
  readonly isRefusal: (error: unknown) => boolean;
}

/** A property that does not hold. */
export class Broken extends Error {
  override readonly name = 'Broken';
}

/** Draws of one case; equal seeds give equal draws. */
export interface Pick {
  /** A whole number in [0, below). */
  below(below: number): number;
  one<T>(of: readonly T[]): T;
  chance(share: number): boolean;
  bytes(length: number): Uint8Array;
}

/** The value decodes to the same again once it is encoded. `shown`: what the two are compared by. */
export function checkAgain<T>(
  value: T,
  encode: (value: T) => Uint8Array | string,
  decode: (bytes: Buffer) => T,
): void {
  const again = decode(Buffer.from(encode(value) as Uint8Array));
  const [before, after] = [shown(value), shown(again)];
  if (before !== after)
    throw new Broken(`${before.slice(0, 300)} came back as ${after.slice(0, 300)}`);
}

/** Text that is equal for equal values: bytes by content, missing members as null. */
export function shown(value: unknown): string {
  return JSON.stringify(value, (_name, inner: unknown) => {
    if (inner instanceof Uint8Array) return `bytes:${Buffer.from(inner).toString('hex')}`;
    if (isBufferJson(inner)) return `bytes:${Buffer.from(inner.data).toString('hex')}`;
    if (inner instanceof Map) return [...inner];
    return typeof inner === 'number' && !Number.isFinite(inner) ? String(inner) : inner;
  });
}

/** What a Buffer made of itself before the replacer saw it. */
function isBufferJson(value: unknown): value is { readonly data: readonly number[] } {
  return (
    typeof value === 'object' &&
    value !== null &&
    (value as { type?: unknown }).type === 'Buffer' &&
    Array.isArray((value as { data?: unknown }).data)
  );
}
