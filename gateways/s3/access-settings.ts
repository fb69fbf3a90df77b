import type { Bucket } from '../../protocol/object-access.ts';
import { ownershipControls, publicAccessBlock } from './bucket-documents.ts';

/** Settings of a bucket that stand above its ACLs and its policy. */
type Settings = Pick<Bucket, 'documents'>;

export function publicAccessOf({ documents }: Settings) {
  const stored = documents['publicAccessBlock'];
  return stored === undefined ? null : publicAccessBlock.read(Buffer.from(stored));
}

/** Its ACLs, and those of its objects, are switched off: they may still be there, and give nothing. */
export function isOwnerEnforced({ documents }: Settings): boolean {
  const stored = documents['ownershipControls'];
  if (stored === undefined) return false;
  const { rules } = ownershipControls.read(Buffer.from(stored));
  return rules.some(({ objectOwnership }) => objectOwnership === 'BucketOwnerEnforced');
}

/** Whether what ACLs give to everybody counts for nothing. */
export function ignoresPublicAcls(bucket: Settings): boolean {
  return publicAccessOf(bucket)?.ignorePublicAcls === true || isOwnerEnforced(bucket);
}

/** The ACL that counts; null is the owner's alone. */
export function countingAcl(bucket: Settings, stored: string | null): string | null {
  return isOwnerEnforced(bucket) ? null : stored;
}
