import type { Bucket } from '../../protocol/object-access.ts';
import { UPLOAD_ID } from '../../protocol/object-ops.ts';
import type { ObjectHead } from '../../protocol/objects.ts';
import { decodeEnvelope } from '../encryption/envelope.ts';
import type { Call } from './call.ts';
import type { Headers } from './headers.ts';
import { lockHeaders } from './object-head.ts';
import type { Operation } from './operations.ts';
import type { Target } from './policy-request.ts';
import { requestOf } from './stored-acl.ts';

const SSE = 'x-amz-server-side-encryption';

/** Those that go on with an upload: what it is to be was said when it began, and they cannot say otherwise. */
const GOING_ON: ReadonlySet<Operation> = new Set([
  ...(['UploadPart', 'UploadPartCopy', 'CompleteMultipartUpload'] as const),
]);

/** Headers that are said once, for the whole upload. */
const SAID_ONCE: ReadonlySet<string> = new Set([
  ...[SSE, `${SSE}-aws-kms-key-id`, `${SSE}-customer-algorithm`, 'x-amz-acl', 'x-amz-tagging'],
  ...['x-amz-storage-class', 'x-amz-website-redirect-location', 'x-amz-object-lock-mode'],
  ...['x-amz-object-lock-retain-until-date', 'x-amz-object-lock-legal-hold'],
]);

/**
 * What a policy is to hold a part or a completion against: the headers that its upload was begun with, as S3 does,
 * where clients send them with the beginning only. Nothing for other operations, and where there is no such upload.
 */
export async function saidAtBeginning(
  call: Call,
  bucket: Bucket,
): Promise<Pick<Target, 'said' | 'newTags'>> {
  if (!GOING_ON.has(call.route.operation) || bucket.documents['policy'] === undefined) return {};
  const upload = call.route.query.get('uploadId') ?? '';
  if (!UPLOAD_ID.test(upload)) return {};
  const page = { after: 0, limit: 1 };
  const found = await call.objects.listParts(call.context(), bucket, call.ref, upload, page);
  if (found === null) return {};
  const own = Object.entries(call.headers).filter(([name]) => !SAID_ONCE.has(name));
  const newTags = found.head.tags.map(({ name, value }) => ({ key: name, value }));
  return { said: { ...Object.fromEntries(own), ...headersOfHead(found.head) }, newTags };
}

/** Grants are kept as a list, and not in the words of the headers that gave them. */
function headersOfHead(head: ObjectHead): Headers {
  const acl = requestOf(head.acl);
  return {
    ...encryptionHeaders(head.encryption),
    ...Object.fromEntries(head.headers.map(({ name, value }) => [name, value])),
    ...Object.fromEntries(lockHeaders(head)),
    ...(acl?.type === 'canned' ? { 'x-amz-acl': acl.acl } : {}),
  };
}

function encryptionHeaders(encryption: ObjectHead['encryption']): Headers {
  if (encryption === null) return {};
  const envelope = decodeEnvelope(encryption);
  if (envelope.type === 'customer') return { [`${SSE}-customer-algorithm`]: 'AES256' };
  if (envelope.algorithm === 'AES256') return { [SSE]: 'AES256' };
  return { [SSE]: envelope.algorithm, [`${SSE}-aws-kms-key-id`]: envelope.keyId };
}
