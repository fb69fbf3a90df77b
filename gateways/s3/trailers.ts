import type { ChunkSignatures } from './chunk-signatures.ts';
import { s3Error } from './errors.ts';

const TRAILERS_MAX = 16;
const SIGNATURE_NAME = 'x-amz-trailer-signature';
const TRAILER = /^([A-Za-z0-9-]+):[ \t]*([\x21-\x7e]*)$/;

/**
 * The lines behind the last chunk of an aws-chunked body:
 *
 *     name:value CRLF ... [x-amz-trailer-signature:hex CRLF] CRLF
 *
 * minio-go ends its lines with LF and puts an empty line before the signature: both are taken.
 */
export class Trailers {
  readonly #promised: readonly string[];
  readonly #signatures: ChunkSignatures | null;
  readonly #values = new Map<string, string>();
  /** As they are signed. */
  #signedLines = '';
  #isSigned = false;
  /** Ended with LF alone. */
  #isBareLine = false;
  #isDone = false;

  /** `promised`: the names in `x-amz-trailer`, in lower case. `signatures`: null for a body without. */
  constructor(promised: readonly string[], signatures: ChunkSignatures | null) {
    this.#promised = promised;
    this.#signatures = signatures;
  }

  get values(): ReadonlyMap<string, string> {
    return this.#values;
  }

  /** All that has to come has come. The last empty line may be missing behind a signature. */
  get isComplete(): boolean {
    return this.#isDone || this.#isSigned;
  }

  /** True when the line was the last. Throws `MalformedTrailerError`, `SignatureDoesNotMatch`. */
  take(line: string): boolean {
    if (line === '\r') return this.#takeEmpty();
    const isBare = !line.endsWith('\r');
    const text = isBare ? line : line.slice(0, -1);
    const match = TRAILER.exec(text);
    if (match === null || this.#isSigned) throw s3Error('MalformedTrailerError');
    const [, name, value] = match as unknown as [string, string, string];
    const lower = name.toLowerCase();
    if (lower === SIGNATURE_NAME && this.#signatures !== null) {
      if (isBare) throw s3Error('MalformedTrailerError');
      this.#checkPromised();
      this.#signatures.verifyTrailer(this.#signedLines, value);
      this.#isSigned = true;
      return false;
    }
    if (this.#isBareLine && !isBare) throw s3Error('MalformedTrailerError');
    this.#isBareLine = isBare;
    if (!this.#promised.includes(lower) || this.#values.has(lower)) {
      throw s3Error('MalformedTrailerError');
    }
    if (this.#values.size >= TRAILERS_MAX) throw s3Error('MalformedTrailerError');
    this.#values.set(lower, value);
    this.#signedLines += `${text}\n`;
    return false;
  }

  #takeEmpty(): boolean {
    if (this.#signatures !== null && !this.#isSigned) {
      // Not yet the end: the signature is missing, so only minio-go's empty line can be here, once.
      if (!this.#isBareLine) throw s3Error('MalformedTrailerError');
      this.#isBareLine = false;
      return false;
    }
    this.#checkPromised();
    this.#isDone = true;
    return true;
  }

  #checkPromised(): void {
    if (this.#values.size !== this.#promised.length) throw s3Error('MalformedTrailerError');
  }
}
