import type { Operation } from './operations.ts';

/** What a policy calls an operation, and when it is known whether it may be done. */
export interface PolicyAction {
  readonly level: 'bucket' | 'object';
  readonly name: string;
  /** Its name where the request names a version. */
  readonly ofVersion: string;
  /**
   * `first`: before its handler runs. `found`: once the object is read, since its tags and its ACL count.
   * `body`: by its handler, since what it is about is in the body.
   */
  readonly judged: 'first' | 'found' | 'body';
}

function bucket(name: string): PolicyAction {
  return { level: 'bucket', name: `s3:${name}`, ofVersion: `s3:${name}`, judged: 'first' };
}

function object(
  name: string,
  ofVersion = name,
  judged: PolicyAction['judged'] = 'first',
): PolicyAction {
  return { level: 'object', name: `s3:${name}`, ofVersion: `s3:${ofVersion}`, judged };
}

/** One row for each operation; null: no bucket's policy speaks of it, it is the owner's. */
export const ACTIONS = {
  ListBuckets: null,
  CreateBucket: null,
  HeadBucket: bucket('ListBucket'),
  ListObjects: bucket('ListBucket'),
  ListObjectsV2: bucket('ListBucket'),
  ListObjectVersions: bucket('ListBucketVersions'),
  ListMultipartUploads: bucket('ListBucketMultipartUploads'),
  DeleteBucket: bucket('DeleteBucket'),
  GetBucketLocation: bucket('GetBucketLocation'),
  GetBucketVersioning: bucket('GetBucketVersioning'),
  PutBucketVersioning: bucket('PutBucketVersioning'),
  GetObjectLockConfiguration: bucket('GetBucketObjectLockConfiguration'),
  PutObjectLockConfiguration: bucket('PutBucketObjectLockConfiguration'),
  GetBucketAcl: bucket('GetBucketAcl'),
  PutBucketAcl: bucket('PutBucketAcl'),
  GetBucketCors: bucket('GetBucketCORS'),
  PutBucketCors: bucket('PutBucketCORS'),
  DeleteBucketCors: bucket('PutBucketCORS'),
  GetBucketTagging: bucket('GetBucketTagging'),
  PutBucketTagging: bucket('PutBucketTagging'),
  DeleteBucketTagging: bucket('PutBucketTagging'),
  GetBucketOwnershipControls: bucket('GetBucketOwnershipControls'),
  PutBucketOwnershipControls: bucket('PutBucketOwnershipControls'),
  DeleteBucketOwnershipControls: bucket('PutBucketOwnershipControls'),
  GetPublicAccessBlock: bucket('GetBucketPublicAccessBlock'),
  PutPublicAccessBlock: bucket('PutBucketPublicAccessBlock'),
  DeletePublicAccessBlock: bucket('PutBucketPublicAccessBlock'),
  GetBucketRequestPayment: bucket('GetBucketRequestPayment'),
  PutBucketRequestPayment: bucket('PutBucketRequestPayment'),
  GetBucketEncryption: bucket('GetEncryptionConfiguration'),
  PutBucketEncryption: bucket('PutEncryptionConfiguration'),
  DeleteBucketEncryption: bucket('PutEncryptionConfiguration'),
  GetBucketLifecycleConfiguration: bucket('GetLifecycleConfiguration'),
  PutBucketLifecycleConfiguration: bucket('PutLifecycleConfiguration'),
  DeleteBucketLifecycle: bucket('PutLifecycleConfiguration'),
  GetBucketPolicy: bucket('GetBucketPolicy'),
  PutBucketPolicy: bucket('PutBucketPolicy'),
  DeleteBucketPolicy: bucket('DeleteBucketPolicy'),
  GetBucketPolicyStatus: bucket('GetBucketPolicyStatus'),
  GetBucketWebsite: bucket('GetBucketWebsite'),
  PutBucketWebsite: bucket('PutBucketWebsite'),
  DeleteBucketWebsite: bucket('DeleteBucketWebsite'),
  GetBucketLogging: bucket('GetBucketLogging'),
  PutBucketLogging: bucket('PutBucketLogging'),
  GetBucketNotificationConfiguration: bucket('GetBucketNotification'),
  PutBucketNotificationConfiguration: bucket('PutBucketNotification'),
  GetBucketReplication: bucket('GetReplicationConfiguration'),
  PutBucketReplication: bucket('PutReplicationConfiguration'),
  DeleteBucketReplication: bucket('PutReplicationConfiguration'),
  GetBucketAccelerateConfiguration: bucket('GetAccelerateConfiguration'),
  PutBucketAccelerateConfiguration: bucket('PutAccelerateConfiguration'),
  GetBucketAbac: bucket('GetBucketAbac'),
  PutBucketAbac: bucket('PutBucketAbac'),
  ListBucketAnalyticsConfigurations: bucket('GetAnalyticsConfiguration'),
  GetBucketAnalyticsConfiguration: bucket('GetAnalyticsConfiguration'),
  PutBucketAnalyticsConfiguration: bucket('PutAnalyticsConfiguration'),
  DeleteBucketAnalyticsConfiguration: bucket('PutAnalyticsConfiguration'),
  ListBucketIntelligentTieringConfigurations: bucket('GetIntelligentTieringConfiguration'),
  GetBucketIntelligentTieringConfiguration: bucket('GetIntelligentTieringConfiguration'),
  PutBucketIntelligentTieringConfiguration: bucket('PutIntelligentTieringConfiguration'),
  DeleteBucketIntelligentTieringConfiguration: bucket('PutIntelligentTieringConfiguration'),
  ListBucketInventoryConfigurations: bucket('GetInventoryConfiguration'),
  GetBucketInventoryConfiguration: bucket('GetInventoryConfiguration'),
  PutBucketInventoryConfiguration: bucket('PutInventoryConfiguration'),
  DeleteBucketInventoryConfiguration: bucket('PutInventoryConfiguration'),
  ListBucketMetricsConfigurations: bucket('GetMetricsConfiguration'),
  GetBucketMetricsConfiguration: bucket('GetMetricsConfiguration'),
  PutBucketMetricsConfiguration: bucket('PutMetricsConfiguration'),
  DeleteBucketMetricsConfiguration: bucket('PutMetricsConfiguration'),

  GetObject: object('GetObject', 'GetObjectVersion', 'found'),
  HeadObject: object('GetObject', 'GetObjectVersion', 'found'),
  GetObjectAttributes: object('GetObjectAttributes', 'GetObjectVersionAttributes', 'found'),
  GetObjectTagging: object('GetObjectTagging', 'GetObjectVersionTagging', 'found'),
  GetObjectAcl: object('GetObjectAcl', 'GetObjectVersionAcl', 'found'),
  GetObjectRetention: object('GetObjectRetention', 'GetObjectRetention', 'found'),
  GetObjectLegalHold: object('GetObjectLegalHold', 'GetObjectLegalHold', 'found'),
  PutObject: object('PutObject'),
  PostObject: object('PutObject', 'PutObject', 'body'),
  CopyObject: object('PutObject'),
  CreateMultipartUpload: object('PutObject'),
  UploadPart: object('PutObject'),
  UploadPartCopy: object('PutObject'),
  CompleteMultipartUpload: object('PutObject'),
  AbortMultipartUpload: object('AbortMultipartUpload'),
  ListParts: object('ListMultipartUploadParts'),
  DeleteObject: object('DeleteObject', 'DeleteObjectVersion'),
  DeleteObjects: object('DeleteObject', 'DeleteObjectVersion', 'body'),
  PutObjectTagging: object('PutObjectTagging', 'PutObjectVersionTagging', 'body'),
  DeleteObjectTagging: object('DeleteObjectTagging', 'DeleteObjectVersionTagging'),
  PutObjectAcl: object('PutObjectAcl', 'PutObjectVersionAcl'),
  PutObjectRetention: object('PutObjectRetention', 'PutObjectRetention', 'body'),
  PutObjectLegalHold: object('PutObjectLegalHold', 'PutObjectLegalHold', 'body'),
  RestoreObject: object('RestoreObject', 'RestoreObject', 'found'),
} as const satisfies Readonly<Record<Exclude<Operation, 'OptionsObject'>, PolicyAction | null>>;

/** Of operations that are not here, or that are part of others: a policy may name them all the same. */
const OTHERS: Readonly<Record<PolicyAction['level'], readonly string[]>> = {
  bucket: [...['CreateBucket', 'DeleteBucketTagging']],
  object: [
    ...['BypassGovernanceRetention', 'GetObjectTorrent'],
    ...['GetObjectVersionTorrent', 'GetObjectVersionForReplication', 'ReplicateObject'],
    ...['ReplicateDelete', 'ReplicateTags', 'ObjectOwnerOverrideToBucketOwner'],
    ...['InitiateReplication', 'UpdateObjectEncryption'],
  ],
};

const ROWS = Object.values(ACTIONS).filter((row) => row !== null);

function namesOf(level: PolicyAction['level']): ReadonlySet<string> {
  const own = ROWS.filter((row) => row.level === level);
  const names = own.flatMap(({ name, ofVersion }) => [name, ofVersion]);
  const others = OTHERS[level].map((name) => `s3:${name}`);
  return new Set([...names, ...others].map((name) => name.toLowerCase()));
}

/** All names of actions by level, in lower case: policies may write them in any. */
export const ACTION_NAMES: Readonly<Record<PolicyAction['level'], ReadonlySet<string>>> = {
  bucket: namesOf('bucket'),
  object: namesOf('object'),
};

/** The owner may always do these: no policy locks its own author out. */
export const OWNERS_OWN: ReadonlySet<string> = new Set([
  ...['s3:GetBucketPolicy', 's3:PutBucketPolicy', 's3:DeleteBucketPolicy'],
]);

/** Headers that ask for more than the operation itself does. */
const BY_HEADER: readonly (readonly [RegExp, string, ReadonlySet<Operation>])[] = (() => {
  const puts: ReadonlySet<Operation> = new Set([
    ...(['PutObject', 'PostObject', 'CopyObject', 'CreateMultipartUpload'] as const),
  ]);
  const removals: ReadonlySet<Operation> = new Set([
    ...(['DeleteObject', 'DeleteObjects', 'PutObjectRetention'] as const),
  ]);
  return [
    [/^x-amz-(?:acl|grant-.*)$/, 's3:PutObjectAcl', puts],
    [/^x-amz-tagging$/, 's3:PutObjectTagging', puts],
    [/^x-amz-object-lock-(?:mode|retain-until-date)$/, 's3:PutObjectRetention', puts],
    [/^x-amz-object-lock-legal-hold$/, 's3:PutObjectLegalHold', puts],
    [/^x-amz-bypass-governance-retention$/, 's3:BypassGovernanceRetention', removals],
  ];
})();

/** Names of further actions that these headers ask for with an operation. */
export function furtherActions(operation: Operation, headers: readonly string[]): string[] {
  return BY_HEADER.filter(
    ([pattern, , operations]) =>
      operations.has(operation) && headers.some((header) => pattern.test(header)),
  ).map(([, name]) => name);
}
