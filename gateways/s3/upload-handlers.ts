import type { Bucket, UploadParts } from '../../protocol/object-access.ts';
import { UPLOAD_ID } from '../../protocol/object-ops.ts';
import { randomHex } from '../../protocol/random.ts';
import { wallMsOfRevision } from '../../protocol/revision.ts';
import { checkNewAcl, resolvedPut } from './acl-rules.ts';
import { type Answer, emptyAnswer, type HeaderPair, xmlAnswer } from './answer.ts';
import type { Call } from './call.ts';
import { CHECKSUMS, type ChecksumAlgorithm, type ChecksumType } from './checksums.ts';
import { copyHeadersOf } from './copy-headers.ts';
import {
  copiedPayload,
  namedAlgorithm,
  readSource,
  sourceHeaders,
  sourceReading,
} from './copy-object.ts';
import { declaredChecksumOf } from './declared-checksum.ts';
import { quoted } from './entity-tags.ts';
import { s3Error } from './errors.ts';
import { abortHeaders } from './lifecycle-handlers.ts';
import { numberOf, pageOf } from './list-fields.ts';
import { checksumTypeOf } from './multipart-checksums.ts';
import { renderCopyPart, renderInitiated, renderListParts } from './multipart-documents.ts';
import { newSealing, partSealing, sealedHead } from './object-encryption.ts';
import { objectHeadOf, storageClassOf } from './object-head.ts';
import { initiatorIdOf, ownerIdOf, ownerOfUpload } from './object-owner.ts';
import { ownerNamed } from './principals.ts';
import { putHeadersOf } from './put-headers.ts';
import { copySourceRange, parsePartNumber } from './ranges.ts';
import { PUT_BYTES_MAX } from './request-body.ts';
import { refusalOf } from './result-errors.ts';
import { shownAlgorithm, shownKind, storedAlgorithm, storedKind } from './stored-checksum.ts';
import { apply, type NewBytes, withData } from './write-object.ts';

export async function createMultipartUpload(call: Call): Promise<Answer> {
  const put = await resolvedPut(call, putHeadersOf(call.headers, call.nowMs));
  if (put.ttlSeconds !== null) {
    throw s3Error('NotImplemented', 'X-Minikv-TTL belongs to the completion of an upload');
  }
  const plainHead = objectHeadOf(put);
  const algorithm = namedAlgorithm(call);
  const type = typeOf(call, algorithm);
  const { who } = call;
  const bucket = await call.bucket();
  checkNewAcl(bucket, put.acl);
  const sealing = await newSealing(call, bucket, call.ref, put.encryption);
  // In the order of their beginnings, as listings show those of one key.
  const drawn = randomHex(call.edge.http.random, 18);
  const upload = call.nowMs.toString(16).padStart(12, '0') + drawn;
  const checksum =
    algorithm === null || type === null
      ? null
      : { algorithm: storedAlgorithm(algorithm), kind: storedKind(type) };
  const result = await apply(call, bucket, {
    ...{ type: 'uploadCreate', ref: call.ref, upload, checksum },
    head: { ...sealedHead(plainHead, sealing), owner: ownerOfUpload(bucket, who, put.acl) },
  });
  if (result.type !== 'uploaded') throw refusalOf(result);
  const headers: HeaderPair[] = [...(sealing?.headers ?? [])];
  if (algorithm !== null) headers.push(['x-amz-checksum-algorithm', algorithm]);
  if (type !== null) headers.push(['x-amz-checksum-type', type]);
  const atMs = wallMsOfRevision(result.revision);
  headers.push(...abortHeaders(call, bucket, { key: call.ref.key, atMs }));
  const { bucket: name, key } = call.route;
  return xmlAnswer(renderInitiated({ bucket: name, key, uploadId: upload }), headers);
}

function typeOf(call: Call, algorithm: ChecksumAlgorithm | null): ChecksumType | null {
  const given = call.header('x-amz-checksum-type');
  if (algorithm !== null) return checksumTypeOf(algorithm, given ?? undefined);
  if (given === null) return null;
  throw s3Error(
    'InvalidRequest',
    'The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.',
  );
}

/** Throws NoSuchUpload for what is no id of ours. */
export function uploadIdOf(call: Call): string {
  const upload = call.route.query.get('uploadId') ?? '';
  if (!UPLOAD_ID.test(upload)) throw noSuchUpload(upload);
  return upload;
}

export function noSuchUpload(upload: string) {
  return s3Error('NoSuchUpload', undefined, { UploadId: upload.slice(0, 256) });
}

function partNumberOf(call: Call): number {
  return parsePartNumber(call.route.query.get('partNumber') ?? '') as number;
}

async function uploadOf(call: Call, bucket: Bucket, upload: string): Promise<UploadParts> {
  const page = { after: 0, limit: 1 };
  const found = await call.objects.listParts(call.context(), bucket, call.ref, upload, page);
  if (found === null) throw noSuchUpload(upload);
  return found;
}

export async function uploadPart(call: Call): Promise<Answer> {
  const upload = uploadIdOf(call);
  const number = partNumberOf(call);
  call.body.checkFramed();
  const declared = declaredChecksumOf(call.sender.headers);
  const bucket = await call.bucket();
  // Known before the body comes: what its checksum must be, and that there is an upload.
  const { checksum, head } = await uploadOf(call, bucket, upload);
  const sealing = await partSealing(call, call.ref, head);
  const algorithm = checksum === null ? null : shownAlgorithm(checksum.algorithm);
  if (declared !== null && algorithm !== null && declared.algorithm !== algorithm) {
    throw s3Error(
      'InvalidRequest',
      `Checksum Type mismatch occurred, expected checksum Type: ${algorithm.toLowerCase()}, actual checksum Type: ${declared.algorithm.toLowerCase()}`,
    );
  }
  const payload = call.body.payload({
    ...{ defaultChecksum: algorithm, bytesMax: PUT_BYTES_MAX },
    hasETag: sealing === null || !sealing.hasOwnETag,
  });
  const part = { upload, number, payload, sealing, algorithm };
  const { etag } = await writePart(call, bucket, part);
  const { checksum: computed } = payload.facts();
  const headers: HeaderPair[] = [['etag', quoted(etag)], ...(sealing?.headers ?? [])];
  if (computed !== null) {
    headers.push([CHECKSUMS[computed.algorithm].header, computed.value.toString('base64')]);
  }
  return emptyAnswer(200, headers);
}

interface NewPart extends NewBytes {
  readonly upload: string;
  /** The upload's; null: parts are kept without a checksum. */
  readonly algorithm: ChecksumAlgorithm | null;
}

interface WrittenPart {
  readonly etag: string;
  readonly revision: number | null;
}

async function writePart(call: Call, bucket: Bucket, part: NewPart): Promise<WrittenPart> {
  const { upload, number, payload, algorithm } = part;
  const { ref } = call;
  return withData(call, ref, part, async (data, etag) => {
    const facts = payload.facts();
    const checksum = algorithm === null ? null : (facts.checksum?.value ?? null);
    const result = await apply(call, bucket, {
      ...{ type: 'uploadPart', ref, upload, number, size: facts.bytes, etag, checksum, data },
    });
    if (result.type === 'uploaded') return { etag, revision: result.revision };
    // An earlier attempt was done, and its answer was lost.
    if (result.type === 'data_taken') return { etag, revision: null };
    throw refusalOf(result);
  });
}

export async function uploadPartCopy(call: Call): Promise<Answer> {
  const upload = uploadIdOf(call);
  const number = partNumberOf(call);
  const copy = copyHeadersOf(call.headers, call.nowMs);
  const bucket = await call.bucket();
  const { checksum, head } = await uploadOf(call, bucket, upload);
  const sealing = await partSealing(call, call.ref, head);
  const algorithm = checksum === null ? null : shownAlgorithm(checksum.algorithm);
  const source = await readSource(call, copy);
  const { key } = await sourceReading(call, copy, source.version);
  const { size } = source.version.record;
  const given = call.header('x-amz-copy-source-range');
  const range = given === null ? { start: 0, end: size } : copySourceRange(given, size);
  if (range.end - range.start > PUT_BYTES_MAX) throw s3Error('EntityTooLarge');
  const what = { version: source.version, range, key };
  const payload = copiedPayload(call, copy.source, what, sealing, algorithm);
  const part = { upload, number, payload, sealing, algorithm };
  const written = await writePart(call, bucket, part);
  const { etag: eTag, revision } = written;
  const lastModifiedMs = revision === null ? call.nowMs : wallMsOfRevision(revision);
  const { checksum: computed } = payload.facts();
  const shown =
    computed === null
      ? null
      : { algorithm: computed.algorithm, value: computed.value.toString('base64') };
  return xmlAnswer(renderCopyPart({ eTag, lastModifiedMs, checksum: shown }), [
    ...sourceHeaders(source),
    ...(sealing?.headers ?? []),
  ]);
}

export async function abortMultipartUpload(call: Call): Promise<Answer> {
  const upload = uploadIdOf(call);
  const bucket = await call.bucket();
  const result = await apply(call, bucket, { type: 'uploadAbort', ref: call.ref, upload });
  if (result.type !== 'aborted') throw refusalOf(result);
  return emptyAnswer(204);
}

export async function listParts(call: Call): Promise<Answer> {
  const { query, bucket: name, key } = call.route;
  const upload = uploadIdOf(call);
  const maxParts = pageOf(query, 'max-parts');
  const after = numberOf(query, 'part-number-marker') ?? 0;
  const bucket = await call.bucket();
  const limit = Math.max(1, maxParts);
  const found = await call.objects.listParts(call.context(), bucket, call.ref, upload, {
    ...{ after, limit },
  });
  if (found === null) throw noSuchUpload(upload);
  const { checksum } = found;
  const parts = maxParts === 0 ? [] : found.parts;
  const algorithm = checksum === null ? null : shownAlgorithm(checksum.algorithm);
  return xmlAnswer(
    renderListParts({
      ...{ bucket: name, key, uploadId: upload, partNumberMarker: after, maxParts },
      nextPartNumberMarker: parts[parts.length - 1]?.number ?? null,
      isTruncated: maxParts > 0 && found.more,
      parts: parts.map(({ number, at, etag, piece }) => ({
        ...{ partNumber: number, lastModifiedMs: wallMsOfRevision(at), eTag: etag },
        bytes: piece.size,
        checksum:
          algorithm === null || piece.checksum === null
            ? null
            : { algorithm, value: Buffer.from(piece.checksum).toString('base64') },
      })),
      owner: ownerNamed(call, ownerIdOf(bucket, found.head)),
      initiator: ownerNamed(call, initiatorIdOf(bucket, found.head)),
      ...{ storageClass: storageClassOf(found.head.headers) },
      checksumAlgorithm: algorithm,
      checksumType: checksum === null ? null : shownKind(checksum.kind),
    }),
    abortHeaders(call, bucket, { key: call.ref.key, atMs: wallMsOfRevision(found.at) }),
  );
}
