import type { Bucket, ObjectVersion } from '../../protocol/object-access.ts';
import type { ObjectHead } from '../../protocol/objects.ts';
import { versionIdOf } from '../../protocol/objects.ts';
import { checkNewAcl, resolvedPut } from './acl-rules.ts';
import { type Answer, xmlAnswer } from './answer.ts';
import { BodyDigests, type BodyFacts } from './body-digests.ts';
import type { Call } from './call.ts';
import type { ChecksumAlgorithm } from './checksums.ts';
import { isChecksumAlgorithm } from './checksums.ts';
import { checkCopySource } from './conditions.ts';
import { type CopyHeaders, type CopySource, copyHeadersOf } from './copy-headers.ts';
import { s3Error } from './errors.ts';
import { expirationHeader } from './lifecycle-handlers.ts';
import { renderCopyObject } from './multipart-documents.ts';
import { bytesOf, type VersionRange } from './object-bytes.ts';
import { newSealing, openedWith, type Reading, type Sealing } from './object-encryption.ts';
import { objectHeadOf } from './object-head.ts';
import { ownerOfNew } from './object-owner.ts';
import { checkMayDo } from './permissions.ts';
import { ACTIONS } from './policy-actions.ts';
import { type PutHeaders, putHeadersOf } from './put-headers.ts';
import { type Payload, PUT_BYTES_MAX } from './request-body.ts';
import { shownAlgorithm } from './stored-checksum.ts';
import { lastModifiedMs, sourceOf, versionHeader } from './versions.ts';
import { conditionOf, writeObject } from './write-object.ts';

export async function copyObject(call: Call): Promise<Answer> {
  const put = await resolvedPut(call, putHeadersOf(call.headers, call.nowMs));
  const copy = copyHeadersOf(call.headers, call.nowMs);
  const condition = conditionOf(call);
  const named = namedAlgorithm(call);
  checkChanges(call, copy);
  const bucket = await call.bucket();
  checkNewAcl(bucket, put.acl);
  const source = await readSource(call, copy);
  const { version } = source;
  if (copy.taggingDirective === 'COPY') await checkMayCopyTags(call, bucket, source, copy.source);
  const { key } = await sourceReading(call, copy, version);
  const sealing = await newSealing(call, bucket, call.ref, put.encryption);
  if (version.record.size > PUT_BYTES_MAX) {
    throw s3Error(
      'InvalidRequest',
      `The specified copy source is larger than the maximum allowable size for a copy source: ${PUT_BYTES_MAX}`,
    );
  }
  const stored = version.record.checksum;
  const algorithm = named ?? (stored === null ? null : shownAlgorithm(stored.algorithm));
  const range = { start: 0, end: version.record.size };
  const what = { version, range, key };
  const payload = copiedPayload(call, copy.source, what, sealing, algorithm);
  const owner = ownerOfNew(bucket, call.who, put.acl);
  const head = { ...copiedHead(put, copy, version.record.head), owner };
  const ttlMs = put.ttlSeconds === null ? null : put.ttlSeconds * 1000;
  const object = { ref: call.ref, head, ttlMs, condition, sealing };
  const written = await writeObject(call, bucket, object, payload);
  const { checksum } = written.facts;
  const shown =
    checksum === null
      ? null
      : { algorithm: checksum.algorithm, value: checksum.value.toString('base64') };
  return xmlAnswer(
    renderCopyObject({
      eTag: written.etag,
      lastModifiedMs: written.lastModifiedMs,
      checksum: shown,
      checksumType: shown === null ? null : 'FULL_OBJECT',
    }),
    [
      ...sourceHeaders(source),
      ...versionHeader(bucket, written.versionId),
      ...(sealing?.headers ?? []),
      ...expirationHeader(call, bucket, { key: call.ref.key, head, ...written }),
    ],
  );
}

/** Tags that go along are read and written like any. Throws AccessDenied. */
async function checkMayCopyTags(
  call: Call,
  bucket: Bucket,
  source: { readonly bucket: Bucket; readonly version: ObjectVersion },
  { key, versionId }: CopySource,
): Promise<void> {
  const tags = source.version.record.head.tags.map(({ name, value }) => ({ key: name, value }));
  if (tags.length === 0) return;
  const read = { bucket: source.bucket, key, versionId, existingTags: tags };
  await checkMayDo(call, ACTIONS.GetObjectTagging, read);
  const write = { bucket, key: call.route.key, versionId: null, newTags: tags };
  await checkMayDo(call, ACTIONS.PutObjectTagging, write);
}

/** What the source is opened with. */
export function sourceReading(
  call: Call,
  { source, customerKey }: CopyHeaders,
  { record }: ObjectVersion,
): Promise<Reading> {
  return openedWith(call, call.refOf(source.bucket, source.key), record, customerKey);
}

/** Read and let through by the conditions of the copy. Throws PreconditionFailed. */
export async function readSource(
  call: Call,
  { source, conditions }: CopyHeaders,
): Promise<{ bucket: Bucket; version: ObjectVersion }> {
  const found = await sourceOf(call, source);
  checkCopySource(conditions, {
    ...{ eTag: found.version.record.etag, lastModifiedMs: lastModifiedMs(found.version) },
  });
  return found;
}

export function sourceHeaders(source: { bucket: Bucket; version: ObjectVersion }) {
  return versionHeader(source.bucket, versionIdOf(source.version.record)).map(
    ([, value]): readonly [string, string] => ['x-amz-copy-source-version-id', value],
  );
}

/** `x-amz-checksum-algorithm`: what the copy is to have. */
export function namedAlgorithm(call: Call): ChecksumAlgorithm | null {
  const given = call.header('x-amz-checksum-algorithm')?.toUpperCase() ?? null;
  if (given === null || isChecksumAlgorithm(given)) return given;
  throw s3Error('InvalidRequest', 'Checksum algorithm provided is unsupported.');
}

const CHANGES = [
  ...['x-amz-storage-class', 'x-amz-website-redirect-location', 'x-minikv-ttl'],
  ...['x-amz-server-side-encryption', 'x-amz-server-side-encryption-customer-algorithm'],
];

function checkChanges(call: Call, { source, metadataDirective, taggingDirective }: CopyHeaders) {
  const isSame =
    source.bucket === call.route.bucket &&
    source.key === call.route.key &&
    source.versionId === null;
  const changes =
    metadataDirective === 'REPLACE' ||
    taggingDirective === 'REPLACE' ||
    CHANGES.some((name) => call.header(name) !== null);
  if (!isSame || changes) return;
  throw s3Error(
    'InvalidRequest',
    "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
  );
}

/** Class, ACL, lock and redirect are never copied. */
function copiedHead(put: PutHeaders, copy: CopyHeaders, source: ObjectHead): ObjectHead {
  const own = objectHeadOf(put);
  const tags = copy.taggingDirective === 'COPY' ? source.tags : own.tags;
  if (copy.metadataDirective === 'REPLACE') return { ...own, tags };
  const isOwn = (name: string) => name.startsWith('x-amz-');
  return {
    ...own,
    tags,
    contentType: source.contentType,
    metadata: source.metadata,
    headers: [
      ...source.headers.filter(({ name }) => !isOwn(name)),
      ...own.headers.filter(({ name }) => isOwn(name)),
    ],
  };
}

/** The bytes of a source as the body of a put, hashed on their way. */
export function copiedPayload(
  call: Call,
  source: CopySource,
  what: VersionRange,
  sealing: Sealing | null,
  algorithm: ChecksumAlgorithm | null,
): Payload {
  const { range } = what;
  const hasETag = sealing === null || !sealing.hasOwnETag;
  const ref = call.refOf(source.bucket, source.key);
  let facts: BodyFacts | null = null;
  async function* pieces(): AsyncGenerator<Uint8Array> {
    const digests = new BodyDigests({
      ...{ payload: null, contentMd5: null, checksum: null },
      ...{ defaultChecksum: algorithm, hasETag },
    });
    for await (const bytes of bytesOf(call.objects, () => call.longContext(), ref, what)) {
      digests.update(bytes);
      yield bytes;
    }
    const found = digests.finish(new Map());
    if (found.bytes !== range.end - range.start) throw s3Error('InternalError');
    facts = found;
  }
  return {
    [Symbol.asyncIterator]: pieces,
    facts() {
      if (facts === null) throw s3Error('InternalError');
      return facts;
    },
  };
}
