import { createHash, type Hash } from 'node:crypto';
import { s3Error } from './errors.ts';
import { isSameSignature, signatureOf } from './signing-key.ts';
import type { ChunkSeed } from './sigv4.ts';

const EMPTY_SHA256 = createHash('sha256').digest('hex');

/** The chain of signatures of an aws-chunked body: each signs its chunk and the signature before. */
export class ChunkSignatures {
  readonly #seed: ChunkSeed;
  #previous: string;
  #hash: Hash = createHash('sha256');

  constructor(seed: ChunkSeed) {
    this.#seed = seed;
    this.#previous = seed.signature;
  }

  /** Bytes of the chunk that is under way. */
  update(bytes: Buffer): void {
    this.#hash.update(bytes);
  }

  /** Ends a chunk. Throws `SignatureDoesNotMatch`. */
  verifyChunk(signature: string): void {
    const hash = this.#hash.digest('hex');
    this.#hash = createHash('sha256');
    this.#verify('AWS4-HMAC-SHA256-PAYLOAD', `${EMPTY_SHA256}\n${hash}`, signature);
  }

  /** `lines`: the trailers as they are signed, each `name:value\n`. Throws `SignatureDoesNotMatch`. */
  verifyTrailer(lines: string, signature: string): void {
    const hash = createHash('sha256').update(lines, 'latin1').digest('hex');
    this.#verify('AWS4-HMAC-SHA256-TRAILER', hash, signature);
  }

  #verify(algorithm: string, hashes: string, signature: string): void {
    const { timestamp, scope, signingKey } = this.#seed;
    const text = [algorithm, timestamp, scope, this.#previous, hashes].join('\n');
    const expected = signatureOf(signingKey, text);
    if (!isSameSignature(expected, signature)) {
      throw s3Error('SignatureDoesNotMatch', undefined, {
        StringToSign: text,
        SignatureProvided: signature,
      });
    }
    this.#previous = signature;
  }
}
