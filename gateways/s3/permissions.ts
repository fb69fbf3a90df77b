import type { Bucket, ObjectVersion } from '../../protocol/object-access.ts';
import { publicAccessBlock } from './bucket-documents.ts';
import type { Call } from './call.ts';
import { s3Error } from './errors.ts';
import type { Operation } from './operations.ts';
import { isPublic } from './stored-acl.ts';

/** What those who did not sign need, where signatures are asked for; all else is the owner's. */
const PUBLIC: Partial<Record<Operation, 'object' | 'READ' | 'WRITE'>> = {
  GetObject: 'object',
  HeadObject: 'object',
  OptionsObject: 'object',
  HeadBucket: 'READ',
  ListObjects: 'READ',
  ListObjectsV2: 'READ',
  PutObject: 'WRITE',
  PostObject: 'WRITE',
  DeleteObject: 'WRITE',
  DeleteObjects: 'object',
};

/** Throws AccessDenied, before a byte of the body is read. */
export async function checkMay(call: Call): Promise<void> {
  if (call.sender.isOwner) return;
  const needed = PUBLIC[call.route.operation];
  if (needed === undefined) throw s3Error('AccessDenied');
  // Told of each object, once it is looked at; a form brings its own signature.
  if (needed === 'object' || call.route.operation === 'PostObject') return;
  const bucket = await call.findBucket();
  if (bucket === null || !isBucketPublic(call, bucket, needed)) throw s3Error('AccessDenied');
}

export function isBucketPublic(call: Call, bucket: Bucket, permission: 'READ' | 'WRITE'): boolean {
  if (ignoresPublicAcls(bucket)) return false;
  return isPublic(bucket.documents['acl'] ?? null, call.edge.owner, permission);
}

/** Throws AccessDenied. */
export function checkMayRead(call: Call, bucket: Bucket, { record }: ObjectVersion): void {
  if (call.sender.isOwner) return;
  if (ignoresPublicAcls(bucket) || !isPublic(record.head.acl, call.edge.owner, 'READ')) {
    throw s3Error('AccessDenied');
  }
}

export function publicAccessOf(bucket: Pick<Bucket, 'documents'>) {
  const stored = bucket.documents['publicAccessBlock'];
  return stored === undefined ? null : publicAccessBlock.read(Buffer.from(stored));
}

function ignoresPublicAcls(bucket: Bucket): boolean {
  return publicAccessOf(bucket)?.ignorePublicAcls ?? false;
}
