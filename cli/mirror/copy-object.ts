import { etagOf } from './answers.ts';
import { lengthOf, md5Of, ORIGIN, partCountOf } from './kept-headers.ts';
import { CHANGED, MultipartCopy } from './multipart-copy.ts';
import { patiently, S3Failure } from './s3-client.ts';
import type { ObjectRef } from './store.ts';
import { type Copied, type CopyParts, copyHeaders, expectETag, hashing } from './transfer.ts';

export interface Listed {
  readonly size: number;
  readonly etag: string;
}

/** How often an object is begun anew that is changed while it is copied. */
const CHANGES_MAX = 5;

/** Copies one object with its headers, metadata and tags. Throws S3Failure once patience is at its end. */
export async function copyObject(
  parts: CopyParts,
  source: ObjectRef,
  target: ObjectRef,
  listed: Listed,
): Promise<Copied> {
  const isWhole = partCountOf(listed.etag) === null && listed.size <= parts.wholeBytesMax;
  for (let changes = 0; ; changes++) {
    try {
      if (isWhole) return await patiently(parts.io, () => copyWhole(parts, source, target));
      return await new MultipartCopy(parts, source, target).run();
    } catch (error) {
      if (!(error instanceof S3Failure)) throw error;
      if (error.status === 404 && (await parts.from.head(source)) === null) return 'gone';
      if (error.code !== CHANGED || changes === CHANGES_MAX) throw error;
    }
  }
}

/** One GET feeds one PUT: what the GET says of the object is what the copy gets, whatever was listed. */
async function copyWhole(parts: CopyParts, source: ObjectRef, target: ObjectRef): Promise<Copied> {
  const { from, to } = parts;
  const { headers, stream } = await from.get(source, {});
  try {
    const bytes = lengthOf(headers);
    const md5 = md5Of(headers);
    const kept = await copyHeaders(parts, source, headers);
    // The target compares before it shows anything: a damaged byte leaves nothing there.
    const proof: Record<string, string> =
      md5 === null
        ? { [ORIGIN]: etagOf(headers) }
        : { 'content-md5': Buffer.from(md5, 'hex').toString('base64') };
    const hashed = md5 === null ? hashing(stream) : { stream, md5: () => md5 };
    const etag = await to.put(target, { ...kept, ...proof }, { stream: hashed.stream, bytes });
    expectETag(target, etag, hashed.md5());
    parts.onBytes(bytes);
    return md5 === null ? 'unproven' : 'copied';
  } finally {
    stream.destroy();
  }
}
