import { s3Error } from './errors.ts';
import { BUCKET_TAGS_MAX, checkTags, type Tag, tagShape } from './tagging.ts';
import { choice, flag, text } from './xml-scalars.ts';
import { document, many, maybe, one, otherwise, struct, wrapped } from './xml-shape.ts';
import { leaf, s3Document } from './xml-writer.ts';

export interface CreateBucketConfiguration {
  readonly locationConstraint: string | null;
  readonly tags: readonly Tag[];
}

/** An empty body asks for nothing: the caller does not read it. Directory buckets are not offered. */
export const createBucketConfiguration = document<CreateBucketConfiguration>(
  'CreateBucketConfiguration',
  struct<CreateBucketConfiguration>(
    {
      locationConstraint: maybe('LocationConstraint', text(0, 256)),
      tags: wrapped('Tags', many('Tag', tagShape, 0, 1000)),
    },
    ['Location', 'Bucket'],
  ),
  { check: ({ tags }) => checkTags(tags, BUCKET_TAGS_MAX) },
);

export interface VersioningConfiguration {
  /** Null where versioning was never enabled. */
  readonly status: 'Enabled' | 'Suspended' | null;
  readonly mfaDelete: 'Enabled' | 'Disabled' | null;
}

const versioningShape = struct<VersioningConfiguration>({
  status: maybe('Status', choice(['Enabled', 'Suspended'])),
  mfaDelete: maybe('MfaDelete', choice(['Enabled', 'Disabled'])),
});

/** A request that says no status changes nothing: S3 calls it invalid. There are no MFA devices here. */
export const versioningConfiguration = document('VersioningConfiguration', versioningShape, {
  check({ status, mfaDelete }) {
    if (mfaDelete === 'Enabled') throw s3Error('NotImplemented', 'MFA delete is not implemented');
    if (status === null) throw s3Error('IllegalVersioningConfigurationException');
  },
});

export type ObjectOwnership = 'BucketOwnerPreferred' | 'ObjectWriter' | 'BucketOwnerEnforced';

export interface OwnershipControls {
  readonly rules: readonly { readonly objectOwnership: ObjectOwnership }[];
}

const ownershipRule = struct<{ readonly objectOwnership: ObjectOwnership }>({
  objectOwnership: one(
    'ObjectOwnership',
    choice(['BucketOwnerPreferred', 'ObjectWriter', 'BucketOwnerEnforced']),
  ),
});

export const ownershipControls = document<OwnershipControls>(
  'OwnershipControls',
  struct({ rules: many('Rule', ownershipRule, 1, 1) }),
);

export interface PublicAccessBlock {
  readonly blockPublicAcls: boolean;
  readonly ignorePublicAcls: boolean;
  readonly blockPublicPolicy: boolean;
  readonly restrictPublicBuckets: boolean;
}

const offUnlessGiven = (name: string) => otherwise(maybe(name, flag), false);

export const publicAccessBlock = document<PublicAccessBlock>(
  'PublicAccessBlockConfiguration',
  struct({
    blockPublicAcls: offUnlessGiven('BlockPublicAcls'),
    ignorePublicAcls: offUnlessGiven('IgnorePublicAcls'),
    blockPublicPolicy: offUnlessGiven('BlockPublicPolicy'),
    restrictPublicBuckets: offUnlessGiven('RestrictPublicBuckets'),
  }),
);

export interface RequestPaymentConfiguration {
  readonly payer: 'Requester' | 'BucketOwner';
}

export const requestPaymentConfiguration = document<RequestPaymentConfiguration>(
  'RequestPaymentConfiguration',
  struct({ payer: one('Payer', choice(['Requester', 'BucketOwner'])) }),
);

const location = document<string>('LocationConstraint', text(0, 256));

/** The region as GetBucketLocation tells it; `us-east-1` is shown as nothing. */
export function renderLocationConstraint(region: string): string {
  return location.write(region === 'us-east-1' ? '' : region);
}

export function renderPolicyStatus(isPublic: boolean): string {
  return s3Document('PolicyStatus', [leaf('IsPublic', isPublic)]);
}
