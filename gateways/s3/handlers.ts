import { emptyAnswer, xmlAnswer } from './answer.ts';
import { getObjectAttributes } from './attributes-handler.ts';
import {
  createBucket,
  deleteBucket,
  getBucketLocation,
  headBucket,
  listBuckets,
} from './bucket-handlers.ts';
import * as bucket from './bucket-settings.ts';
import type { Handler } from './call.ts';
import { completeMultipartUpload } from './complete-upload.ts';
import { copyObject } from './copy-object.ts';
import { deleteObject, deleteObjects } from './delete-handlers.ts';
import type { S3ErrorCode } from './error-table.ts';
import { s3Error } from './errors.ts';
import { getObject, headObject } from './get-object.ts';
import * as lifecycle from './lifecycle-handlers.ts';
import { listObjects, listObjectsV2 } from './list-handlers.ts';
import { listMultipartUploads, listObjectVersions } from './list-version-handlers.ts';
import * as notification from './notification-handlers.ts';
import * as object from './object-settings.ts';
import type { Operation } from './operations.ts';
import * as policy from './policy-handlers.ts';
import { postObject } from './post-object.ts';
import { putObject } from './put-object.ts';
import * as upload from './upload-handlers.ts';
import { leaf, s3Document } from './xml-writer.ts';

/** What would be kept and not acted upon. */
const notImplemented: Handler = async (call) => {
  await call.bucket();
  throw s3Error('NotImplemented', `${call.route.operation} is not implemented`);
};

/** Such a configuration cannot be there. */
function none(code: S3ErrorCode): Handler {
  return async (call) => {
    await call.bucket();
    throw s3Error(code, undefined, { BucketName: call.route.bucket });
  };
}

/** Nothing was there, so it is gone. */
const nothingToDelete: Handler = async (call) => {
  await call.bucket();
  return emptyAnswer(204);
};

function constant(document: string): Handler {
  return async (call) => {
    await call.bucket();
    return xmlAnswer(document);
  };
}

/** All configurations of a kind that nobody can make. */
function emptyList(root: string): string {
  return s3Document(root, [leaf('IsTruncated', false)]);
}

export const HANDLERS: Readonly<Record<Exclude<Operation, 'OptionsObject'>, Handler>> = {
  ListBuckets: listBuckets,

  CreateBucket: createBucket,
  HeadBucket: headBucket,
  DeleteBucket: deleteBucket,
  GetBucketLocation: getBucketLocation,
  ListObjects: listObjects,
  ListObjectsV2: listObjectsV2,
  ListObjectVersions: listObjectVersions,
  ListMultipartUploads: listMultipartUploads,
  DeleteObjects: deleteObjects,
  PostObject: postObject,

  GetBucketVersioning: bucket.getBucketVersioning,
  PutBucketVersioning: bucket.putBucketVersioning,
  GetObjectLockConfiguration: bucket.getObjectLockConfiguration,
  PutObjectLockConfiguration: bucket.putObjectLockConfiguration,
  GetBucketAcl: bucket.getBucketAcl,
  PutBucketAcl: bucket.putBucketAcl,
  GetBucketCors: bucket.cors.get,
  PutBucketCors: bucket.cors.put,
  DeleteBucketCors: bucket.cors.remove,
  GetBucketTagging: bucket.tagging.get,
  PutBucketTagging: bucket.tagging.put,
  DeleteBucketTagging: bucket.tagging.remove,
  GetBucketOwnershipControls: bucket.ownership.get,
  PutBucketOwnershipControls: bucket.ownership.put,
  DeleteBucketOwnershipControls: bucket.ownership.remove,
  GetPublicAccessBlock: bucket.publicAccess.get,
  PutPublicAccessBlock: bucket.publicAccess.put,
  DeletePublicAccessBlock: bucket.publicAccess.remove,
  GetBucketRequestPayment: bucket.getBucketRequestPayment,
  PutBucketRequestPayment: bucket.putBucketRequestPayment,

  GetBucketEncryption: bucket.encryption.get,
  PutBucketEncryption: bucket.encryption.put,
  DeleteBucketEncryption: bucket.encryption.remove,
  GetBucketLifecycleConfiguration: lifecycle.getBucketLifecycle,
  PutBucketLifecycleConfiguration: lifecycle.putBucketLifecycle,
  DeleteBucketLifecycle: lifecycle.deleteBucketLifecycle,
  GetBucketPolicy: policy.getBucketPolicy,
  GetBucketPolicyStatus: policy.getBucketPolicyStatus,
  PutBucketPolicy: policy.putBucketPolicy,
  DeleteBucketPolicy: policy.deleteBucketPolicy,
  GetBucketWebsite: bucket.website.get,
  PutBucketWebsite: bucket.website.put,
  DeleteBucketWebsite: bucket.website.remove,
  GetBucketLogging: bucket.getBucketLogging,
  PutBucketLogging: bucket.putBucketLogging,
  GetBucketNotificationConfiguration: notification.getBucketNotification,
  PutBucketNotificationConfiguration: notification.putBucketNotification,
  GetBucketReplication: none('ReplicationConfigurationNotFoundError'),
  PutBucketReplication: notImplemented,
  DeleteBucketReplication: nothingToDelete,
  GetBucketAccelerateConfiguration: constant(s3Document('AccelerateConfiguration', [])),
  PutBucketAccelerateConfiguration: notImplemented,
  GetBucketAbac: constant(s3Document('AbacStatus', [leaf('Status', 'Disabled')])),
  PutBucketAbac: notImplemented,
  ListBucketAnalyticsConfigurations: constant(emptyList('ListBucketAnalyticsConfigurationResult')),
  GetBucketAnalyticsConfiguration: none('NoSuchConfiguration'),
  PutBucketAnalyticsConfiguration: notImplemented,
  DeleteBucketAnalyticsConfiguration: none('NoSuchConfiguration'),
  ListBucketIntelligentTieringConfigurations: constant(
    emptyList('ListBucketIntelligentTieringConfigurationsOutput'),
  ),
  GetBucketIntelligentTieringConfiguration: none('NoSuchConfiguration'),
  PutBucketIntelligentTieringConfiguration: notImplemented,
  DeleteBucketIntelligentTieringConfiguration: none('NoSuchConfiguration'),
  ListBucketInventoryConfigurations: constant(emptyList('ListInventoryConfigurationsResult')),
  GetBucketInventoryConfiguration: none('NoSuchConfiguration'),
  PutBucketInventoryConfiguration: notImplemented,
  DeleteBucketInventoryConfiguration: none('NoSuchConfiguration'),
  ListBucketMetricsConfigurations: constant(emptyList('ListMetricsConfigurationsResult')),
  GetBucketMetricsConfiguration: none('NoSuchConfiguration'),
  PutBucketMetricsConfiguration: notImplemented,
  DeleteBucketMetricsConfiguration: none('NoSuchConfiguration'),

  PutObject: putObject,
  CopyObject: copyObject,
  GetObject: getObject,
  HeadObject: headObject,
  DeleteObject: deleteObject,
  GetObjectAttributes: getObjectAttributes,
  GetObjectTagging: object.getObjectTagging,
  PutObjectTagging: object.putObjectTagging,
  DeleteObjectTagging: object.deleteObjectTagging,
  GetObjectAcl: object.getObjectAcl,
  PutObjectAcl: object.putObjectAcl,
  GetObjectRetention: object.getObjectRetention,
  PutObjectRetention: object.putObjectRetention,
  GetObjectLegalHold: object.getObjectLegalHold,
  PutObjectLegalHold: object.putObjectLegalHold,
  RestoreObject: object.restoreObject,

  CreateMultipartUpload: upload.createMultipartUpload,
  UploadPart: upload.uploadPart,
  UploadPartCopy: upload.uploadPartCopy,
  CompleteMultipartUpload: completeMultipartUpload,
  AbortMultipartUpload: upload.abortMultipartUpload,
  ListParts: upload.listParts,
};
