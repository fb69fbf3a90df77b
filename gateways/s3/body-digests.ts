import { CHECKSUMS, type ChecksumAlgorithm, type Hasher, hasherOf } from './checksums.ts';
import { checksumValue, type DeclaredChecksum } from './declared-checksum.ts';
import { s3Error } from './errors.ts';
import type { HashThread, ThreadedHashes } from './hash-thread.ts';
import type { PayloadForm } from './payload-form.ts';

export interface ExpectedDigests {
  /** Null: an anonymous request that says nothing of its body. */
  readonly payload: PayloadForm | null;
  readonly contentMd5: Buffer | null;
  readonly checksum: DeclaredChecksum | null;
  /** What is computed where the client sends no checksum; null: nothing. */
  readonly defaultChecksum: ChecksumAlgorithm | null;
  /** The ETag is wanted. */
  readonly hasETag: boolean;
}

export interface BodyFacts {
  readonly bytes: number;
  /** Null where neither ETag nor Content-MD5 asked for it. */
  readonly md5: Buffer | null;
  readonly checksum: { readonly algorithm: ChecksumAlgorithm; readonly value: Buffer } | null;
}

type HashName = ChecksumAlgorithm | 'MD5';

/** Those that take longer than the way to another thread. */
const CRYPTOGRAPHIC: readonly HashName[] = ['MD5', 'SHA1', 'SHA256'];

function lowerCased(name: string): string {
  return name.toLowerCase();
}

/** All hashes that one body needs, each computed once, and what they are compared with. */
export class BodyDigests {
  readonly #expected: ExpectedDigests;
  readonly #algorithm: ChecksumAlgorithm | null;
  readonly #hashers = new Map<HashName, Hasher>();
  readonly #running: Hasher[];
  /** Computed in another thread. */
  readonly #threadedNames: HashName[] = [];
  readonly #threaded: ThreadedHashes | null;
  readonly #threadedDigests = new Map<HashName, Buffer>();
  #bytes = 0;

  /** `thread`: for a body that is large enough to pay for the way there; then `settle` comes before `finish`. */
  constructor(expected: ExpectedDigests, thread: HashThread | null = null) {
    this.#expected = expected;
    this.#algorithm = expected.checksum?.algorithm ?? expected.defaultChecksum;
    if (expected.hasETag || expected.contentMd5 !== null) this.#add('MD5');
    if (expected.payload?.kind === 'hashed') this.#add('SHA256');
    if (this.#algorithm !== null) this.#add(this.#algorithm);
    if (thread !== null) {
      for (const name of CRYPTOGRAPHIC) {
        if (this.#hashers.delete(name)) this.#threadedNames.push(name);
      }
    }
    const names = this.#threadedNames;
    this.#threaded = names.length === 0 ? null : (thread?.begin(names.map(lowerCased)) ?? null);
    this.#running = [...this.#hashers.values()];
  }

  #add(name: HashName): void {
    if (!this.#hashers.has(name)) this.#hashers.set(name, hasherOf(name));
  }

  /** The payload in order, without its framing. Null: go on; else another thread is behind. */
  update(bytes: Uint8Array): Promise<void> | null {
    this.#bytes += bytes.length;
    for (const hasher of this.#running) hasher.update(bytes);
    return this.#threaded?.update(bytes) ?? null;
  }

  /** Behind the last byte: until all is hashed. */
  async settle(): Promise<void> {
    const digests = (await this.#threaded?.finish()) ?? [];
    for (const [i, name] of this.#threadedNames.entries()) {
      this.#threadedDigests.set(name, Buffer.from(digests[i] as Uint8Array));
    }
  }

  /** At the end, whatever it was. */
  close(): void {
    this.#threaded?.close();
  }

  /**
   * At the body's end, with its trailers by lower-case name. Throws `XAmzContentSHA256Mismatch` or `BadDigest`
   * where the client said something else, `MalformedTrailerError` for a checksum that did not come.
   */
  finish(trailers: ReadonlyMap<string, string>): BodyFacts {
    const digests = new Map(this.#threadedDigests);
    for (const [name, hasher] of this.#hashers) digests.set(name, hasher.digest());
    const { payload, contentMd5 } = this.#expected;
    if (payload?.kind === 'hashed') compareSha256(payload.sha256, digests.get('SHA256') as Buffer);
    const md5 = digests.get('MD5') ?? null;
    if (contentMd5 !== null) compareMd5(contentMd5, md5 as Buffer);
    if (this.#algorithm === null) return { bytes: this.#bytes, md5, checksum: null };
    const value = digests.get(this.#algorithm) as Buffer;
    this.#compareChecksum(value, trailers);
    return { bytes: this.#bytes, md5, checksum: { algorithm: this.#algorithm, value } };
  }

  #compareChecksum(computed: Buffer, trailers: ReadonlyMap<string, string>): void {
    const { checksum } = this.#expected;
    if (checksum === null) return;
    const declared = checksum.value ?? trailerValueOf(checksum.algorithm, trailers);
    if (declared.equals(computed)) return;
    throw s3Error(
      'BadDigest',
      `The ${checksum.algorithm} you specified did not match the calculated checksum.`,
    );
  }
}

function trailerValueOf(
  algorithm: ChecksumAlgorithm,
  trailers: ReadonlyMap<string, string>,
): Buffer {
  const text = trailers.get(CHECKSUMS[algorithm].header);
  if (text === undefined) throw s3Error('MalformedTrailerError');
  return checksumValue(algorithm, text, 'trailing header');
}

function compareSha256(declared: Buffer, computed: Buffer): void {
  if (declared.equals(computed)) return;
  throw s3Error('XAmzContentSHA256Mismatch', undefined, {
    ClientComputedContentSHA256: declared.toString('hex'),
    S3ComputedContentSHA256: computed.toString('hex'),
  });
}

function compareMd5(declared: Buffer, computed: Buffer): void {
  if (declared.equals(computed)) return;
  throw s3Error('BadDigest', undefined, {
    ExpectedDigest: declared.toString('base64'),
    CalculatedDigest: computed.toString('base64'),
  });
}
