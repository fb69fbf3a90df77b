import type { Bucket, ListedPart, UploadParts } from '../../protocol/object-access.ts';
import { type Checksum as StoredChecksum, versionIdOf } from '../../protocol/objects.ts';
import { wallMsOfRevision } from '../../protocol/revision.ts';
import { type Answer, type HeaderPair, xmlAnswer } from './answer.ts';
import type { Call } from './call.ts';
import { CHECKSUM_ALGORITHMS, CHECKSUMS } from './checksums.ts';
import { customerKeyOf } from './encryption-headers.ts';
import { type S3Error, s3Error } from './errors.ts';
import { expirationHeader } from './lifecycle-handlers.ts';
import { multipartChecksum, multipartETag } from './multipart-checksums.ts';
import {
  COMPLETE_BODY_BYTES_MAX,
  type CompletedPart,
  readComplete,
  renderCompleted,
} from './multipart-documents.ts';
import { shownEncryption } from './object-encryption.ts';
import { putHeadersOf } from './put-headers.ts';
import { refusalOf } from './result-errors.ts';
import { shownAlgorithm, shownChecksum, shownKind } from './stored-checksum.ts';
import { noSuchUpload, uploadIdOf } from './upload-handlers.ts';
import { versionHeader } from './versions.ts';
import { apply, conditionOf } from './write-object.ts';

export async function completeMultipartUpload(call: Call): Promise<Answer> {
  const upload = uploadIdOf(call);
  const condition = conditionOf(call);
  const { ttlSeconds } = putHeadersOf(call.headers, call.nowMs);
  const body = await call.body.document(COMPLETE_BODY_BYTES_MAX);
  const named = readComplete(body);
  const bucket = await call.bucket();
  const found = await allParts(call, bucket, upload);
  if (found === null) return completedBefore(call, bucket, upload);
  const parts = namedParts(named, found);
  checkObjectSize(call, parts);
  const checksum = checksumOf(call, found, named, parts);
  const etag = multipartETag(parts.map((part) => Buffer.from(part.etag, 'hex')));
  const shown = shownEncryption(found.head.encryption, customerKeyOf(call.headers));
  const result = await apply(call, bucket, {
    ...{ type: 'uploadComplete', ref: call.ref, upload, etag, checksum, condition },
    parts: parts.map(({ number, etag: partETag, piece }) => ({
      ...{ number, etag: partETag, checksum: piece.checksum },
    })),
    ttlMs: ttlSeconds === null ? null : ttlSeconds * 1000,
  });
  // Another completion of the same upload was first.
  if (result.type === 'no_such_upload') return completedBefore(call, bucket, upload);
  if (result.type !== 'put') throw refusalOf(result, condition.match !== null);
  const made = { etag, checksum, parts: parts.length, shown };
  const answer = completed(call, bucket, made, result.versionId);
  const { size, revision } = result;
  const current = { key: call.ref.key, size, lastModifiedMs: wallMsOfRevision(revision) };
  const expiration = expirationHeader(call, bucket, { ...current, head: found.head });
  return { ...answer, headers: [...answer.headers, ...expiration] };
}

interface Completed {
  readonly etag: string;
  readonly checksum: StoredChecksum | null;
  readonly parts: number;
  /** What is said of its encryption. */
  readonly shown: readonly HeaderPair[];
}

function completed(
  call: Call,
  bucket: Bucket,
  { etag, checksum, parts, shown }: Completed,
  versionId: string | null,
): Answer {
  const { bucket: name, key } = call.route;
  const path = key.split('/').map(encodeURIComponent).join('/');
  return xmlAnswer(
    renderCompleted({
      ...{ location: `${call.origin()}/${name}/${path}`, bucket: name, key, eTag: etag },
      checksum: checksum === null ? null : shownChecksum(checksum, parts),
      checksumType: checksum === null ? null : shownKind(checksum.kind),
    }),
    [...versionHeader(bucket, versionId), ...shown],
  );
}

/** A client whose first answer was lost asks again: it is told what that came to. Throws NoSuchUpload. */
async function completedBefore(call: Call, bucket: Bucket, upload: string): Promise<Answer> {
  const read = await call.objects.read(call.context(), call.ref, {
    ...{ versionId: null, revision: null },
  });
  if (read.type === 'none' || read.version.record.upload !== upload) throw noSuchUpload(upload);
  const { record } = read.version;
  const { etag, checksum, pieces } = record;
  const shown = shownEncryption(record.head.encryption, customerKeyOf(call.headers));
  const made = { etag, checksum, parts: pieces.length, shown };
  return completed(call, bucket, made, versionIdOf(record));
}

const PAGE = 1000;

/** Null: there is no such upload. */
async function allParts(call: Call, bucket: Bucket, upload: string): Promise<UploadParts | null> {
  const parts: ListedPart[] = [];
  for (;;) {
    const page = { after: parts[parts.length - 1]?.number ?? 0, limit: PAGE };
    const found = await call.objects.listParts(call.context(), bucket, call.ref, upload, page);
    if (found === null) return null;
    parts.push(...found.parts);
    if (!found.more || found.parts.length === 0) return { ...found, parts };
  }
}

/** Throws InvalidPart for one that was not uploaded, or not like this. */
function namedParts(named: readonly CompletedPart[], found: UploadParts): ListedPart[] {
  const byNumber = new Map(found.parts.map((part) => [part.number, part]));
  return named.map(({ partNumber, eTag, checksums }) => {
    const part = byNumber.get(partNumber);
    if (part === undefined || part.etag !== eTag) throw invalidPart(partNumber, eTag);
    for (const { algorithm, value } of checksums) {
      const isOurs =
        found.checksum !== null && shownAlgorithm(found.checksum.algorithm) === algorithm;
      if (!isOurs) continue;
      const own = part.piece.checksum;
      if (own !== null && Buffer.from(own).toString('base64') !== value) {
        throw invalidPart(partNumber, eTag);
      }
    }
    return part;
  });
}

function invalidPart(partNumber: number, eTag: string): S3Error {
  return s3Error('InvalidPart', undefined, { PartNumber: partNumber, ETag: eTag.slice(0, 256) });
}

/** `x-amz-mp-object-size`: what the client believes it to be. */
function checkObjectSize(call: Call, parts: readonly ListedPart[]): void {
  const given = call.header('x-amz-mp-object-size');
  if (given === null) return;
  const size = parts.reduce((sum, { piece }) => sum + piece.size, 0);
  if (/^\d{1,16}$/.test(given) && Number(given) === size) return;
  throw s3Error(
    'InvalidRequest',
    `The provided 'x-amz-mp-object-size' header value ${given.slice(0, 32)} does not match what was computed: ${size}`,
  );
}

/** Of the whole object, from those of its parts. Throws where the client says something else. */
function checksumOf(
  call: Call,
  { checksum }: UploadParts,
  named: readonly CompletedPart[],
  parts: readonly ListedPart[],
): StoredChecksum | null {
  if (checksum === null) return null;
  const algorithm = shownAlgorithm(checksum.algorithm);
  const type = shownKind(checksum.kind);
  if (type === 'COMPOSITE') checkAllGiven(algorithm.toLowerCase(), named);
  const pieces = parts.map(({ piece }) => ({
    value: Buffer.from(piece.checksum ?? []),
    bytes: piece.size,
  }));
  const text = multipartChecksum(algorithm, type, pieces);
  const given = call.header(CHECKSUMS[algorithm].header);
  if (given !== null && given !== text && given !== text.replace(/-\d+$/, '')) {
    throw s3Error(
      'BadDigest',
      `The ${algorithm.toLowerCase()} you specified did not match the calculated checksum.`,
    );
  }
  checkNoOther(call, algorithm);
  const value = Buffer.from(text.replace(/-\d+$/, ''), 'base64');
  return { algorithm: checksum.algorithm, kind: checksum.kind, value };
}

function checkAllGiven(algorithm: string, named: readonly CompletedPart[]): void {
  for (const { partNumber, checksums } of named) {
    if (checksums.some((given) => given.algorithm.toLowerCase() === algorithm)) continue;
    throw s3Error(
      'InvalidRequest',
      `The upload was created using a ${algorithm} checksum. The complete request must include the checksum for each part. It was missing for part ${partNumber} in the request.`,
    );
  }
}

/** The checksum of another algorithm cannot be compared, so it must not be passed over. */
function checkNoOther(call: Call, algorithm: string): void {
  for (const other of CHECKSUM_ALGORITHMS) {
    if (other === algorithm || call.header(CHECKSUMS[other].header) === null) continue;
    throw s3Error('BadDigest', `The upload has no ${other.toLowerCase()} checksum.`);
  }
}
