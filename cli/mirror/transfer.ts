import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { pipeline, type Readable, Transform } from 'node:stream';
import type { Io } from '../io.ts';
import { keptHeaders, lockHeaders, tagCountOf } from './kept-headers.ts';
import { S3Failure } from './s3-client.ts';
import type { Progress } from './state.ts';
import type { ObjectRef, S3Store } from './store.ts';

export interface CopyParts {
  readonly io: Io;
  readonly from: S3Store;
  readonly to: S3Store;
  /** Objects beyond this are copied in parts, although the source has them in one. */
  readonly wholeBytesMax: number;
  /** Of such parts, at least. */
  readonly partBytes: number;
  readonly progress: Progress;
  /** Retention and legal holds go along. */
  readonly locks: boolean;
  /** Bytes that have arrived at the target. */
  onBytes(bytes: number): void;
}

/** `gone`: the source has it no more. `unproven`: copied whole, but the source's ETag does not tell of which bytes. */
export type Copied = 'copied' | 'gone' | 'unproven';

/** All that a copy is put with: headers and metadata of the original, its tags and its locks. */
export async function copyHeaders(
  { from, io, locks }: CopyParts,
  source: ObjectRef,
  headers: IncomingHttpHeaders,
): Promise<Record<string, string>> {
  return {
    ...keptHeaders(headers),
    ...(tagCountOf(headers) === 0 ? {} : { 'x-amz-tagging': await from.tags(source) }),
    ...(locks ? lockHeaders(headers, io.clock.wallMs()) : {}),
  };
}

export function expectETag(target: ObjectRef, etag: string, expected: string): void {
  if (etag === expected) return;
  const text = `${target.bucket}/${target.key} arrived as ${etag}, not ${expected}`;
  throw new S3Failure(text, 'BadDigest', 400);
}

/** The stream, and the MD5 of what has gone through it. */
export function hashing(source: Readable): { stream: Readable; md5(): string } {
  const hash = createHash('md5');
  const through = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  pipeline(source, through, () => {}); // whoever reads it hears of an error
  return { stream: through, md5: () => hash.digest('hex') };
}
