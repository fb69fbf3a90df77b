/** What a request is about. */
export type Level = 'service' | 'bucket' | 'object';

/**
 * Operations by level and method, with the API's names: without a sub-resource, and with one, which is a
 * field of the query such as `?acl`.
 */
export const OPERATIONS = {
  service: {
    GET: { plain: 'ListBuckets', by: {} },
  },
  bucket: {
    GET: {
      plain: 'ListObjects',
      by: {
        abac: 'GetBucketAbac',
        accelerate: 'GetBucketAccelerateConfiguration',
        acl: 'GetBucketAcl',
        analytics: 'ListBucketAnalyticsConfigurations',
        cors: 'GetBucketCors',
        encryption: 'GetBucketEncryption',
        'intelligent-tiering': 'ListBucketIntelligentTieringConfigurations',
        inventory: 'ListBucketInventoryConfigurations',
        lifecycle: 'GetBucketLifecycleConfiguration',
        location: 'GetBucketLocation',
        logging: 'GetBucketLogging',
        metrics: 'ListBucketMetricsConfigurations',
        notification: 'GetBucketNotificationConfiguration',
        'object-lock': 'GetObjectLockConfiguration',
        ownershipControls: 'GetBucketOwnershipControls',
        policy: 'GetBucketPolicy',
        policyStatus: 'GetBucketPolicyStatus',
        publicAccessBlock: 'GetPublicAccessBlock',
        replication: 'GetBucketReplication',
        requestPayment: 'GetBucketRequestPayment',
        tagging: 'GetBucketTagging',
        uploads: 'ListMultipartUploads',
        versioning: 'GetBucketVersioning',
        versions: 'ListObjectVersions',
        website: 'GetBucketWebsite',
      },
    },
    HEAD: { plain: 'HeadBucket', by: {} },
    PUT: {
      plain: 'CreateBucket',
      by: {
        abac: 'PutBucketAbac',
        accelerate: 'PutBucketAccelerateConfiguration',
        acl: 'PutBucketAcl',
        analytics: 'PutBucketAnalyticsConfiguration',
        cors: 'PutBucketCors',
        encryption: 'PutBucketEncryption',
        'intelligent-tiering': 'PutBucketIntelligentTieringConfiguration',
        inventory: 'PutBucketInventoryConfiguration',
        lifecycle: 'PutBucketLifecycleConfiguration',
        logging: 'PutBucketLogging',
        metrics: 'PutBucketMetricsConfiguration',
        notification: 'PutBucketNotificationConfiguration',
        'object-lock': 'PutObjectLockConfiguration',
        ownershipControls: 'PutBucketOwnershipControls',
        policy: 'PutBucketPolicy',
        publicAccessBlock: 'PutPublicAccessBlock',
        replication: 'PutBucketReplication',
        requestPayment: 'PutBucketRequestPayment',
        tagging: 'PutBucketTagging',
        versioning: 'PutBucketVersioning',
        website: 'PutBucketWebsite',
      },
    },
    POST: { plain: 'PostObject', by: { delete: 'DeleteObjects' } },
    DELETE: {
      plain: 'DeleteBucket',
      by: {
        analytics: 'DeleteBucketAnalyticsConfiguration',
        cors: 'DeleteBucketCors',
        encryption: 'DeleteBucketEncryption',
        'intelligent-tiering': 'DeleteBucketIntelligentTieringConfiguration',
        inventory: 'DeleteBucketInventoryConfiguration',
        lifecycle: 'DeleteBucketLifecycle',
        metrics: 'DeleteBucketMetricsConfiguration',
        ownershipControls: 'DeleteBucketOwnershipControls',
        policy: 'DeleteBucketPolicy',
        publicAccessBlock: 'DeletePublicAccessBlock',
        replication: 'DeleteBucketReplication',
        tagging: 'DeleteBucketTagging',
        website: 'DeleteBucketWebsite',
      },
    },
    OPTIONS: { plain: 'OptionsObject', by: {} },
  },
  object: {
    GET: {
      plain: 'GetObject',
      by: {
        acl: 'GetObjectAcl',
        attributes: 'GetObjectAttributes',
        'legal-hold': 'GetObjectLegalHold',
        retention: 'GetObjectRetention',
        tagging: 'GetObjectTagging',
        uploadId: 'ListParts',
      },
    },
    HEAD: { plain: 'HeadObject', by: {} },
    PUT: {
      plain: 'PutObject',
      by: {
        acl: 'PutObjectAcl',
        'legal-hold': 'PutObjectLegalHold',
        retention: 'PutObjectRetention',
        tagging: 'PutObjectTagging',
        uploadId: 'UploadPart',
      },
    },
    POST: {
      plain: null,
      by: {
        restore: 'RestoreObject',
        uploadId: 'CompleteMultipartUpload',
        uploads: 'CreateMultipartUpload',
      },
    },
    DELETE: {
      plain: 'DeleteObject',
      by: { tagging: 'DeleteObjectTagging', uploadId: 'AbortMultipartUpload' },
    },
    OPTIONS: { plain: 'OptionsObject', by: {} },
  },
} as const;

/** Told apart from the operation of the table by more than the sub-resource. */
export const BY_HEADER = { PutObject: 'CopyObject', UploadPart: 'UploadPartCopy' } as const;
/** With `id` in the query it is one configuration that is asked for, and not all of its kind. */
export const BY_ID = {
  ListBucketAnalyticsConfigurations: 'GetBucketAnalyticsConfiguration',
  ListBucketIntelligentTieringConfigurations: 'GetBucketIntelligentTieringConfiguration',
  ListBucketInventoryConfigurations: 'GetBucketInventoryConfiguration',
  ListBucketMetricsConfigurations: 'GetBucketMetricsConfiguration',
} as const;
export const LIST_V2 = 'ListObjectsV2';

type Methods<L extends Level> = (typeof OPERATIONS)[L];
type OfMethod<M> = M extends { plain: infer P; by: infer B } ? P | B[keyof B] : never;
type OfLevel<L extends Level> = {
  [M in keyof Methods<L>]: OfMethod<Methods<L>[M]>;
}[keyof Methods<L>];

export type Operation =
  | Exclude<{ [L in Level]: OfLevel<L> }[Level], null>
  | (typeof BY_HEADER)[keyof typeof BY_HEADER]
  | (typeof BY_ID)[keyof typeof BY_ID]
  | typeof LIST_V2;

/** Sub-resources of S3 that have no operation here, whatever the method: NotImplemented. */
export const NOT_OFFERED: Readonly<Record<Level, ReadonlySet<string>>> = {
  service: new Set(),
  bucket: new Set([
    ...['metadataTable', 'metadataConfiguration', 'metadataInventoryTable'],
    ...['metadataJournalTable', 'metadataAnnotationTable', 'session'],
  ]),
  object: new Set([...['annotation', 'encryption', 'renameObject', 'select', 'torrent']]),
};

function namesOf(level: Level): string[] {
  const methods: Readonly<Record<string, { readonly by: object }>> = OPERATIONS[level];
  return Object.values(methods).flatMap(({ by }) => Object.keys(by));
}

/** Every field of a query that names a sub-resource at this level. */
export const SUB_RESOURCES: Readonly<Record<Level, ReadonlySet<string>>> = {
  service: new Set(),
  bucket: new Set([...namesOf('bucket'), ...NOT_OFFERED.bucket]),
  object: new Set([...namesOf('object'), ...NOT_OFFERED.object]),
};
