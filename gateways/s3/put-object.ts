import { checkNewAcl, resolvedPut } from './acl-rules.ts';
import type { Answer, HeaderPair } from './answer.ts';
import { emptyAnswer } from './answer.ts';
import type { Call } from './call.ts';
import { CHECKSUMS } from './checksums.ts';
import { quoted } from './entity-tags.ts';
import { expirationHeader } from './lifecycle-handlers.ts';
import { newSealing } from './object-encryption.ts';
import { objectHeadOf } from './object-head.ts';
import { ownerOfNew } from './object-owner.ts';
import { putHeadersOf } from './put-headers.ts';
import { PUT_BYTES_MAX } from './request-body.ts';
import { versionHeader } from './versions.ts';
import { conditionOf, type WrittenObject, writeObject } from './write-object.ts';

export async function putObject(call: Call): Promise<Answer> {
  const put = await resolvedPut(call, putHeadersOf(call.headers, call.nowMs));
  const condition = conditionOf(call);
  const said = objectHeadOf(put);
  call.body.checkFramed();
  const bucket = await call.bucketForPut();
  checkNewAcl(bucket, put.acl);
  const head = { ...said, owner: ownerOfNew(bucket, call.who, put.acl) };
  const sealing = await newSealing(call, bucket, call.ref, put.encryption);
  const hasETag = sealing === null || !sealing.hasOwnETag;
  const payload = call.body.payload({
    ...{ defaultChecksum: null, hasETag, bytesMax: PUT_BYTES_MAX },
  });
  const ttlMs = put.ttlSeconds === null ? null : put.ttlSeconds * 1000;
  const written = await writeObject(
    call,
    bucket,
    { ref: call.ref, head, ttlMs, condition, sealing },
    payload,
  );
  return emptyAnswer(200, [
    ...writtenHeaders(written),
    ...(sealing?.headers ?? []),
    ...versionHeader(bucket, written.versionId),
    ...expirationHeader(call, bucket, { key: call.ref.key, head, ...written }),
  ]);
}

/** The ETag, and the checksum that was sent or computed. */
export function writtenHeaders({ etag, facts }: WrittenObject): HeaderPair[] {
  const headers: HeaderPair[] = [['etag', quoted(etag)]];
  if (facts.checksum !== null) {
    const { algorithm, value } = facts.checksum;
    headers.push([CHECKSUMS[algorithm].header, value.toString('base64')]);
    headers.push(['x-amz-checksum-type', 'FULL_OBJECT']);
  }
  return headers;
}
