import { assert } from '../../protocol/assert.ts';
import { ChunkSignatures } from './chunk-signatures.ts';
import { s3Error } from './errors.ts';
import { LineReader } from './line-reader.ts';
import { decodedBytesOf, type PayloadForm, trailerNamesOf } from './payload-form.ts';
import type { Headers } from './signed-request.ts';
import type { ChunkSeed } from './sigv4.ts';
import { Trailers } from './trailers.ts';

/** A chunk's header or one trailer: a size or a name, a signature, an extension that nobody knows. */
const LINE_BYTES_MAX = 1024;
/** S3 takes no smaller signed chunk, but as the last: each one costs a signature. */
const SIGNED_CHUNK_BYTES_MIN = 8192;

const SIGNED_HEADER = /^([0-9a-fA-F]{1,16});chunk-signature=([0-9a-f]{64})\r$/;
const HEADER = /^([0-9a-fA-F]{1,16})(?:;[^\r]*)?\r$/;

export interface ChunkedBody {
  /** `x-amz-decoded-content-length`: the payload has exactly as many bytes. */
  readonly decodedBytes: number;
  /** Null: the chunks are not signed. */
  readonly seed: ChunkSeed | null;
  /** Names in `x-amz-trailer`, in lower case; null: the body has no trailers. */
  readonly trailers: readonly string[] | null;
}

/** Throws what is wrong with the headers of such a body. `seed`: of the request's signature, if it has one. */
export function chunkedBodyOf(
  form: Extract<PayloadForm, { kind: 'chunked' }>,
  headers: Headers,
  seed: ChunkSeed | null,
): ChunkedBody {
  assert(!form.isSigned || seed !== null, 'signed chunks follow from a signed request');
  return {
    decodedBytes: decodedBytesOf(headers),
    seed: form.isSigned ? seed : null,
    trailers: form.hasTrailer ? trailerNamesOf(headers) : null,
  };
}

type State = 'header' | 'payload' | 'payload-cr' | 'payload-lf' | 'trailer' | 'end' | 'done';

/**
 * Takes an aws-chunked body apart while it comes, however it is cut. Payload is handed on as views of what came
 * in, before its chunk's signature is known: whoever takes it must not show it before `finish` has returned.
 *
 *     size[;chunk-signature=hex] CRLF payload CRLF ... 0[;chunk-signature=hex] CRLF trailers CRLF
 *
 * Throws `IncompleteBody` for what is not framed like this or has another length than declared,
 * `InvalidChunkSizeError`, `SignatureDoesNotMatch`, `MalformedTrailerError`. After a throw it takes nothing more.
 */
export class ChunkedDecoder {
  readonly #lines = new LineReader(LINE_BYTES_MAX);
  readonly #signatures: ChunkSignatures | null;
  readonly #trailers: Trailers | null;
  #state: State = 'header';
  #failure: unknown = null;
  /** Payload that is still to come, in all and of this chunk. */
  #remaining: number;
  #chunkRemaining = 0;
  #chunkBytes = 0;
  #chunkNumber = 0;
  #chunkSignature = '';

  constructor(body: ChunkedBody) {
    this.#remaining = body.decodedBytes;
    this.#signatures = body.seed === null ? null : new ChunkSignatures(body.seed);
    this.#trailers = body.trailers === null ? null : new Trailers(body.trailers, this.#signatures);
  }

  /** Hands payload in `bytes` to `emit`, in order, as views. */
  push(bytes: Buffer, emit: (payload: Buffer) => void): void {
    if (this.#failure !== null) throw this.#failure;
    try {
      let at = 0;
      while (at < bytes.length) at = this.#step(bytes, at, emit);
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }

  /** The trailers, by lower-case name. Throws `IncompleteBody` where something is missing. */
  finish(): ReadonlyMap<string, string> {
    if (this.#failure !== null) throw this.#failure;
    const isWhole = this.#state === 'done' || this.#isAtMissingEnd();
    if (!isWhole) {
      this.#failure = s3Error('IncompleteBody');
      throw this.#failure;
    }
    return this.#trailers?.values ?? new Map();
  }

  #isAtMissingEnd(): boolean {
    return this.#state === 'trailer' && this.#lines.isEmpty && this.#trailers?.isComplete === true;
  }

  /** Returns where to go on. */
  #step(bytes: Buffer, at: number, emit: (payload: Buffer) => void): number {
    switch (this.#state) {
      case 'payload':
        return this.#takePayload(bytes, at, emit);
      case 'payload-cr':
        if (bytes[at] !== 0x0d) throw s3Error('IncompleteBody');
        this.#state = 'payload-lf';
        return at + 1;
      case 'payload-lf':
        if (bytes[at] !== 0x0a) throw s3Error('IncompleteBody');
        this.#endChunk();
        return at + 1;
      case 'done':
        throw s3Error('IncompleteBody', 'The request body goes on behind its last chunk');
      default:
        return this.#takeLine(bytes, at);
    }
  }

  #takePayload(bytes: Buffer, at: number, emit: (payload: Buffer) => void): number {
    const end = Math.min(bytes.length, at + this.#chunkRemaining);
    const payload = bytes.subarray(at, end);
    this.#chunkRemaining -= payload.length;
    this.#remaining -= payload.length;
    this.#signatures?.update(payload);
    if (this.#chunkRemaining === 0) this.#state = 'payload-cr';
    emit(payload);
    return end;
  }

  #takeLine(bytes: Buffer, at: number): number {
    const isTrailer = this.#state === 'trailer';
    const read = this.#lines.read(bytes, at);
    if (read === null) throw s3Error(isTrailer ? 'MalformedTrailerError' : 'IncompleteBody');
    const { line, next } = read;
    if (line === null) return next;
    if (this.#state === 'header') this.#startChunk(line);
    else if (this.#trailers !== null) {
      if (this.#trailers.take(line)) this.#state = 'done';
    } else if (line === '\r') this.#state = 'done';
    else throw s3Error('IncompleteBody');
    return next;
  }

  #startChunk(line: string): void {
    const match = (this.#signatures === null ? HEADER : SIGNED_HEADER).exec(line);
    if (match === null) throw s3Error('IncompleteBody', 'A chunk has no valid header');
    const size = Number.parseInt(match[1] as string, 16);
    if (size > this.#remaining) {
      throw s3Error('IncompleteBody', 'The chunks are longer than x-amz-decoded-content-length');
    }
    this.#checkSizeBefore(size);
    this.#chunkNumber++;
    this.#chunkBytes = size;
    this.#chunkRemaining = size;
    this.#chunkSignature = match[2] ?? '';
    if (size > 0) {
      this.#state = 'payload';
      return;
    }
    if (this.#remaining > 0) {
      throw s3Error('IncompleteBody', 'The chunks are shorter than x-amz-decoded-content-length');
    }
    this.#signatures?.verifyChunk(this.#chunkSignature);
    this.#state = this.#trailers === null ? 'end' : 'trailer';
  }

  /** That a chunk was not the last is known when another one with payload comes. */
  #checkSizeBefore(size: number): void {
    if (this.#signatures === null || size === 0 || this.#chunkNumber === 0) return;
    if (this.#chunkBytes >= SIGNED_CHUNK_BYTES_MIN) return;
    throw s3Error('InvalidChunkSizeError', undefined, {
      Chunk: String(this.#chunkNumber),
      BadChunkSize: String(this.#chunkBytes),
    });
  }

  #endChunk(): void {
    this.#signatures?.verifyChunk(this.#chunkSignature);
    this.#state = 'header';
  }
}
