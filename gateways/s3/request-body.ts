import { BodyStream } from '../http/body-stream.ts';
import type { EdgeRequest, EdgeResponse } from '../http/exchange.ts';
import type { Meters } from '../limits/rate-limits.ts';
import { BodyDigests, type BodyFacts } from './body-digests.ts';
import type { ChecksumAlgorithm } from './checksums.ts';
import { ChunkedDecoder, chunkedBodyOf } from './chunked-decoder.ts';
import { contentMd5Of, declaredChecksumOf } from './declared-checksum.ts';
import type { S3Edge } from './edge.ts';
import { S3Error, s3Error } from './errors.ts';
import type { Sender } from './identity.ts';
import { decodedBytesOf } from './payload-form.ts';

/** Of one put, or of one part. */
export const PUT_BYTES_MAX = 5 * 1024 ** 3;
/** A shorter body is hashed sooner than another thread would answer. */
const THREADED_BYTES_MIN = 512 * 1024;

/** The payload of a body, checked at its end against all that the client said of it. */
export interface Payload extends AsyncIterable<Uint8Array> {
  /** Once it has been read to its end. */
  facts(): BodyFacts;
}

export interface PayloadOptions {
  /** Computed where the client sends no checksum; null: none. */
  readonly defaultChecksum: ChecksumAlgorithm | null;
  readonly hasETag: boolean;
  readonly bytesMax: number;
}

const NO_TRAILERS: ReadonlyMap<string, string> = new Map();

/** The body of one request. It is asked for (`100 Continue`) when it is first read, and not before. */
export class RequestBody {
  readonly #edge: S3Edge;
  readonly #req: EdgeRequest;
  readonly #res: EdgeResponse;
  readonly #sender: Sender;
  #stream: BodyStream | null = null;
  /** What counts its bytes, and says at which pace they may come; null: they are not limited. */
  meters: Meters | null = null;

  constructor(edge: S3Edge, req: EdgeRequest, res: EdgeResponse, sender: Sender) {
    this.#edge = edge;
    this.#req = req;
    this.#res = res;
    this.#sender = sender;
  }

  /** Bytes without framing; null where the client does not say. Throws for what is no length. */
  get declaredBytes(): number | null {
    const { payload, headers } = this.#sender;
    if (payload?.kind === 'chunked') return decodedBytesOf(headers);
    const length = headers.get('content-length');
    return length === undefined ? null : Number(length);
  }

  /** Throws MissingContentLength for a body of unknown length, also where HTTP's own chunks say where it ends. */
  checkFramed(): void {
    if (this.declaredBytes === null) throw s3Error('MissingContentLength');
  }

  payload(options: PayloadOptions): Payload {
    const { payload, headers, seed } = this.#sender;
    const declared = this.declaredBytes ?? 0;
    if (declared > options.bytesMax) throw tooLarge(declared, options.bytesMax);
    const digests = new BodyDigests(
      {
        payload,
        contentMd5: contentMd5Of(headers),
        checksum: declaredChecksumOf(headers),
        ...options,
      },
      declared >= THREADED_BYTES_MIN ? this.#edge.hashing : null,
    );
    const decoder =
      payload?.kind === 'chunked'
        ? new ChunkedDecoder(chunkedBodyOf(payload, headers, seed))
        : null;
    let facts: BodyFacts | null = null;
    const pieces = (): AsyncIterator<Uint8Array> =>
      this.#pieces(digests, decoder, options.bytesMax, (found) => {
        facts = found;
      });
    return {
      [Symbol.asyncIterator]: pieces,
      facts() {
        if (facts === null) throw s3Error('IncompleteBody');
        return facts;
      },
    };
  }

  async *#pieces(
    digests: BodyDigests,
    decoder: ChunkedDecoder | null,
    bytesMax: number,
    done: (facts: BodyFacts) => void,
  ): AsyncGenerator<Uint8Array> {
    try {
      const stream = this.#open();
      const decoded: Buffer[] = [];
      let bytes = 0;
      for (;;) {
        const piece = await stream.next();
        if (piece === null) break;
        const pause = this.meters?.pace('bytesIn', piece.length) ?? null;
        if (pause !== null) await pause;
        if (decoder === null) decoded.push(piece);
        else decoder.push(piece, (payload) => decoded.push(payload));
        for (const payload of decoded) {
          bytes += payload.length;
          if (bytes > bytesMax) throw tooLarge(bytes, bytesMax);
          const behind = digests.update(payload);
          if (behind !== null) await behind;
          yield payload;
        }
        decoded.length = 0;
      }
      await digests.settle();
      done(digests.finish(decoder === null ? NO_TRAILERS : decoder.finish()));
    } finally {
      digests.close();
    }
  }

  /** A whole small body, checked like any other. Throws MaxMessageLengthExceeded. */
  async document(bytesMax: number): Promise<Buffer> {
    const options = { defaultChecksum: null, hasETag: false, bytesMax };
    if ((this.declaredBytes ?? 0) > bytesMax) throw s3Error('MaxMessageLengthExceeded');
    const pieces: Uint8Array[] = [];
    try {
      for await (const piece of this.payload(options)) pieces.push(piece);
    } catch (error) {
      if (!(error instanceof S3Error) || error.code !== 'EntityTooLarge') throw error;
      throw s3Error('MaxMessageLengthExceeded');
    }
    return Buffer.concat(pieces);
  }

  /** One that S3 only takes with a digest of it. Throws InvalidRequest. */
  async checkedDocument(bytesMax: number): Promise<Buffer> {
    const { headers } = this.#sender;
    if (contentMd5Of(headers) === null && declaredChecksumOf(headers) === null) {
      throw s3Error(
        'InvalidRequest',
        'Missing required header for this request: Content-MD5 OR x-amz-checksum-*',
      );
    }
    return this.document(bytesMax);
  }

  /** As it came, for a form: it has no framing and no checksum of S3's. */
  raw(): BodyStream {
    this.meters?.move('bytesIn', this.declaredBytes ?? 0);
    return this.#open();
  }

  #open(): BodyStream {
    if (this.#req.awaitsContinue) {
      this.#req.awaitsContinue = false;
      this.#res.writeContinue();
    }
    this.#stream ??= new BodyStream(this.#edge.http, this.#req);
    return this.#stream;
  }

  /**
   * After the answer: what was not read is dropped. False where the connection has to end, since the client
   * still waits to be asked for its body.
   */
  finish(): boolean {
    if (this.#req.awaitsContinue) return false;
    if (this.#req.complete && this.#stream === null) {
      this.#req.resume();
      return true;
    }
    this.#stream ??= new BodyStream(this.#edge.http, this.#req);
    this.#stream.drop();
    return true;
  }
}

function tooLarge(bytes: number, bytesMax: number) {
  return s3Error('EntityTooLarge', undefined, { ProposedSize: bytes, MaxSizeAllowed: bytesMax });
}
