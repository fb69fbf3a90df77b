import type { Bucket } from '../../protocol/object-access.ts';
import { type ObjectOwnership, ownershipControls, publicAccessBlock } from './bucket-documents.ts';

/** Settings of a bucket that stand above its ACLs and its policy. */
type Settings = Pick<Bucket, 'documents'>;

export function publicAccessOf({ documents }: Settings) {
  const stored = documents['publicAccessBlock'];
  return stored === undefined ? null : publicAccessBlock.read(Buffer.from(stored));
}

/** Null: nothing was said, and whoever writes an object owns it. */
export function objectOwnershipOf({ documents }: Settings): ObjectOwnership | null {
  const stored = documents['ownershipControls'];
  if (stored === undefined) return null;
  const { rules } = ownershipControls.read(Buffer.from(stored));
  return rules[0]?.objectOwnership ?? null;
}

/** Its ACLs, and those of its objects, are switched off: they may still be there, and give nothing. */
export function isOwnerEnforced(bucket: Settings): boolean {
  return objectOwnershipOf(bucket) === 'BucketOwnerEnforced';
}

/** Whether what ACLs give to everybody counts for nothing. */
export function ignoresPublicAcls(bucket: Settings): boolean {
  return publicAccessOf(bucket)?.ignorePublicAcls === true || isOwnerEnforced(bucket);
}

/** The ACL that counts; null is the owner's alone. */
export function countingAcl(bucket: Settings, stored: string | null): string | null {
  return isOwnerEnforced(bucket) ? null : stored;
}
