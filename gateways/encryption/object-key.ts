import { derivedKey } from './key-wrap.ts';
import {
  opened,
  SealBroken,
  SegmentOpener,
  SegmentSealer,
  type Span,
  sealedBytes,
  sealedSpan,
} from './segments.ts';

/** Bytes of a piece as the record tells of them; see protocol/objects.ts. */
export interface SealedPiece {
  readonly number: number;
  readonly size: number;
  readonly bytes: number;
  readonly data: Uint8Array | null;
}

/**
 * The data key of one object. Each piece is sealed with a key of its own, made from the id of its data and the part's
 * number: bytes that were another object's, another part's, or an earlier attempt's do not open.
 */
export class ObjectKey {
  readonly #key: Uint8Array;

  constructor(key: Uint8Array) {
    this.#key = key;
  }

  sealer(dataId: Uint8Array, partNumber: number): SegmentSealer {
    return new SegmentSealer(this.#pieceKey(dataId, partNumber), dataId);
  }

  /** [start, end) of a piece that is at hand. Throws SealBroken. */
  openInline(piece: SealedPiece, stored: Uint8Array, span: Span): Uint8Array {
    const out: Uint8Array[] = [];
    const { start, end } = sealedSpan(span, piece.size);
    const opener = this.#opener(piece, span);
    opener.push(stored.subarray(start, end), out);
    opener.end();
    return out.length === 1 ? (out[0] as Uint8Array) : Buffer.concat(out);
  }

  /** The same of one that is read: `read` gives stored bytes of a range. */
  open(
    piece: SealedPiece,
    span: Span,
    read: (stored: Span) => AsyncIterable<Uint8Array>,
  ): AsyncIterable<Uint8Array> {
    const opener = this.#opener(piece, span);
    return opened(read(sealedSpan(span, piece.size)), opener);
  }

  #opener({ number, size, bytes, data }: SealedPiece, span: Span): SegmentOpener {
    if (data === null || bytes !== sealedBytes(size)) throw new SealBroken('not a sealed piece');
    return new SegmentOpener(this.#pieceKey(data, number), span, size);
  }

  #pieceKey(dataId: Uint8Array, partNumber: number): Buffer {
    return derivedKey(this.#key, `piece ${partNumber}`, dataId);
  }
}
