import * as sdk from '@aws-sdk/client-s3';
import { describe, expect, it } from 'vitest';
import { accessControlPolicy, GROUPS } from '../../../../gateways/s3/acl.ts';
import {
  createBucketConfiguration,
  ownershipControls,
  publicAccessBlock,
  renderLocationConstraint,
  renderPolicyStatus,
  requestPaymentConfiguration,
  versioningConfiguration,
} from '../../../../gateways/s3/bucket-documents.ts';
import { corsConfiguration } from '../../../../gateways/s3/cors.ts';
import { serverSideEncryptionConfiguration } from '../../../../gateways/s3/encryption.ts';
import { lifecycleConfiguration } from '../../../../gateways/s3/lifecycle.ts';
import { bucketLoggingStatus } from '../../../../gateways/s3/logging.ts';
import { keyFilterOf, notificationConfiguration } from '../../../../gateways/s3/notification.ts';
import {
  legalHold,
  objectLockConfiguration,
  retention,
} from '../../../../gateways/s3/object-lock.ts';
import { bucketTagging, objectTagging } from '../../../../gateways/s3/tagging.ts';
import { websiteConfiguration } from '../../../../gateways/s3/website.ts';
import type { Document } from '../../../../gateways/s3/xml-shape.ts';
import { selectionOf } from '../../../../protocol/lifecycle.ts';
import { SdkOracle } from '../../../kit/s3-sdk.ts';

const oracle = new SdkOracle();
const Bucket = 'bucket';
const Key = 'key';

/**
 * The SDK writes a configuration, we read it and write it again, and the SDK reads that: what comes out is what
 * went in. `put` and `get` are the commands' inputs and outputs.
 */
async function expectThrough<T>(
  document: Document<T>,
  put: object,
  get: object,
  expected: object,
): Promise<T> {
  const { body } = await oracle.sent(put);
  const value = document.read(body);
  expect(await oracle.read(get, document.write(value))).toEqual(expected);
  return value;
}

describe('configurations as the SDK writes and reads them', () => {
  it('versioning', async () => {
    for (const Status of ['Enabled', 'Suspended'] as const) {
      await expectThrough(
        versioningConfiguration,
        new sdk.PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status } }),
        new sdk.GetBucketVersioningCommand({ Bucket }),
        { Status },
      );
    }
    const none = versioningConfiguration.write({ status: null, mfaDelete: null });
    expect(await oracle.read(new sdk.GetBucketVersioningCommand({ Bucket }), none)).toEqual({});
  });

  it('tags of a bucket and of an object', async () => {
    const TagSet = [
      { Key: 'ключ +-=._:/@', Value: '値 1' },
      { Key: 'empty', Value: '' },
    ];
    await expectThrough(
      bucketTagging,
      new sdk.PutBucketTaggingCommand({ Bucket, Tagging: { TagSet } }),
      new sdk.GetBucketTaggingCommand({ Bucket }),
      { TagSet },
    );
    await expectThrough(
      objectTagging,
      new sdk.PutObjectTaggingCommand({ Bucket, Key, Tagging: { TagSet } }),
      new sdk.GetObjectTaggingCommand({ Bucket, Key }),
      { TagSet },
    );
  });

  it('lifecycle', async () => {
    const Rules: sdk.LifecycleRule[] = [
      { ID: 'old', Status: 'Enabled', Prefix: 'logs/', Expiration: { Days: 3 } },
      {
        ID: 'by date',
        Status: 'Disabled',
        Filter: { Prefix: 'a&b/' },
        Expiration: { Date: new Date('2027-01-01T00:00:00Z') },
        AbortIncompleteMultipartUpload: { DaysAfterInitiation: 7 },
      },
      {
        ID: 'by all',
        Status: 'Enabled',
        Filter: {
          And: {
            Prefix: 'p',
            Tags: [
              { Key: 'k', Value: 'v' },
              { Key: 'l', Value: '' },
            ],
            ObjectSizeGreaterThan: 500,
            ObjectSizeLessThan: 64_000,
          },
        },
        NoncurrentVersionExpiration: { NoncurrentDays: 30, NewerNoncurrentVersions: 5 },
      },
      {
        ID: 'markers',
        Status: 'Enabled',
        Filter: {},
        Expiration: { ExpiredObjectDeleteMarker: true },
      },
      { Status: 'Enabled', Filter: { Tag: { Key: 'x', Value: 'y' } }, Expiration: { Days: 1 } },
    ];
    const { rules } = await expectThrough(
      lifecycleConfiguration,
      new sdk.PutBucketLifecycleConfigurationCommand({ Bucket, LifecycleConfiguration: { Rules } }),
      new sdk.GetBucketLifecycleConfigurationCommand({ Bucket }),
      { Rules },
    );
    expect(rules.map(selectionOf).map(({ prefix }) => prefix)).toEqual([
      'logs/',
      'a&b/',
      'p',
      null,
      null,
    ]);
    expect(rules.map(selectionOf).map(({ tags }) => tags.length)).toEqual([0, 0, 2, 0, 1]);
    expect(selectionOf(rules[2] as (typeof rules)[0]).objectSizeLessThan).toBe(64_000);
  });

  it('CORS', async () => {
    const CORSRules: sdk.CORSRule[] = [
      {
        ID: 'one',
        AllowedMethods: ['GET', 'PUT'],
        AllowedOrigins: ['https://*.example.com', '*'],
        AllowedHeaders: ['x-amz-*', 'content-type'],
        ExposeHeaders: ['etag'],
        MaxAgeSeconds: 600,
      },
      { AllowedMethods: ['DELETE'], AllowedOrigins: ['null'] },
    ];
    await expectThrough(
      corsConfiguration,
      new sdk.PutBucketCorsCommand({ Bucket, CORSConfiguration: { CORSRules } }),
      new sdk.GetBucketCorsCommand({ Bucket }),
      { CORSRules },
    );
  });

  it('ACLs', async () => {
    const Owner = { ID: 'owner-id', DisplayName: 'owner' };
    const Grants: sdk.Grant[] = [
      {
        Grantee: { Type: 'CanonicalUser', ID: 'owner-id', DisplayName: 'o' },
        Permission: 'FULL_CONTROL',
      },
      { Grantee: { Type: 'Group', URI: GROUPS.allUsers }, Permission: 'READ' },
      { Grantee: { Type: 'CanonicalUser', ID: 'x' }, Permission: 'WRITE_ACP' },
      { Grantee: { Type: 'AmazonCustomerByEmail', EmailAddress: 'a@b' }, Permission: 'READ_ACP' },
    ];
    const AccessControlPolicy = { Owner, Grants };
    await expectThrough(
      accessControlPolicy,
      new sdk.PutBucketAclCommand({ Bucket, AccessControlPolicy }),
      new sdk.GetBucketAclCommand({ Bucket }),
      { Owner, Grants },
    );
    await expectThrough(
      accessControlPolicy,
      new sdk.PutObjectAclCommand({ Bucket, Key, AccessControlPolicy }),
      new sdk.GetObjectAclCommand({ Bucket, Key }),
      { Owner, Grants },
    );
  });

  it('ownership, public access, payment', async () => {
    const OwnershipControls: sdk.OwnershipControls = {
      Rules: [{ ObjectOwnership: 'BucketOwnerEnforced' }],
    };
    await expectThrough(
      ownershipControls,
      new sdk.PutBucketOwnershipControlsCommand({ Bucket, OwnershipControls }),
      new sdk.GetBucketOwnershipControlsCommand({ Bucket }),
      { OwnershipControls },
    );
    const given = { BlockPublicAcls: true, RestrictPublicBuckets: true };
    await expectThrough(
      publicAccessBlock,
      new sdk.PutPublicAccessBlockCommand({ Bucket, PublicAccessBlockConfiguration: given }),
      new sdk.GetPublicAccessBlockCommand({ Bucket }),
      {
        PublicAccessBlockConfiguration: {
          ...given,
          IgnorePublicAcls: false,
          BlockPublicPolicy: false,
        },
      },
    );
    const RequestPaymentConfiguration = { Payer: 'Requester' } as const;
    await expectThrough(
      requestPaymentConfiguration,
      new sdk.PutBucketRequestPaymentCommand({ Bucket, RequestPaymentConfiguration }),
      new sdk.GetBucketRequestPaymentCommand({ Bucket }),
      RequestPaymentConfiguration,
    );
  });

  it('object lock, retention, legal hold', async () => {
    for (const DefaultRetention of [
      { Mode: 'GOVERNANCE', Days: 1 },
      { Mode: 'COMPLIANCE', Years: 100 },
    ] as const) {
      const ObjectLockConfiguration = {
        ObjectLockEnabled: 'Enabled',
        Rule: { DefaultRetention },
      } as const;
      await expectThrough(
        objectLockConfiguration,
        new sdk.PutObjectLockConfigurationCommand({ Bucket, ObjectLockConfiguration }),
        new sdk.GetObjectLockConfigurationCommand({ Bucket }),
        { ObjectLockConfiguration },
      );
    }
    const Retention = {
      Mode: 'COMPLIANCE',
      RetainUntilDate: new Date('2030-02-03T04:05:06Z'),
    } as const;
    await expectThrough(
      retention,
      new sdk.PutObjectRetentionCommand({ Bucket, Key, Retention }),
      new sdk.GetObjectRetentionCommand({ Bucket, Key }),
      { Retention },
    );
    const none = { mode: null, retainUntilMs: null };
    const { body } = await oracle.sent(
      new sdk.PutObjectRetentionCommand({ Bucket, Key, Retention: {} }),
    );
    expect(retention.read(body)).toEqual(none);
    await expectThrough(
      legalHold,
      new sdk.PutObjectLegalHoldCommand({ Bucket, Key, LegalHold: { Status: 'ON' } }),
      new sdk.GetObjectLegalHoldCommand({ Bucket, Key }),
      { LegalHold: { Status: 'ON' } },
    );
  });

  it('default encryption', async () => {
    const Rules: sdk.ServerSideEncryptionRule[] = [
      {
        ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms', KMSMasterKeyID: 'key-1' },
        BucketKeyEnabled: true,
        BlockedEncryptionTypes: { EncryptionType: ['SSE-C'] },
      },
    ];
    const ServerSideEncryptionConfiguration = { Rules };
    await expectThrough(
      serverSideEncryptionConfiguration,
      new sdk.PutBucketEncryptionCommand({ Bucket, ServerSideEncryptionConfiguration }),
      new sdk.GetBucketEncryptionCommand({ Bucket }),
      { ServerSideEncryptionConfiguration },
    );
  });

  it('notifications', async () => {
    const target = {
      Id: 'n',
      Events: ['s3:ObjectCreated:*', 's3:ObjectRemoved:Delete'] as sdk.Event[],
      Filter: {
        Key: {
          FilterRules: [
            { Name: 'prefix', Value: 'in/' },
            { Name: 'suffix', Value: '.jpg' },
          ] as sdk.FilterRule[],
        },
      },
    };
    const NotificationConfiguration: sdk.NotificationConfiguration = {
      TopicConfigurations: [{ ...target, TopicArn: 'arn:minikv:sns:::t' }],
      QueueConfigurations: [{ Id: 'q', Events: target.Events, QueueArn: 'arn:minikv:sqs:::q' }],
      LambdaFunctionConfigurations: [
        { Id: 'f', Events: target.Events, LambdaFunctionArn: 'arn:minikv:lambda:::f' },
      ],
      EventBridgeConfiguration: {},
    };
    const { topics, queues } = await expectThrough(
      notificationConfiguration,
      new sdk.PutBucketNotificationConfigurationCommand({ Bucket, NotificationConfiguration }),
      new sdk.GetBucketNotificationConfigurationCommand({ Bucket }),
      NotificationConfiguration,
    );
    expect(topics.map(keyFilterOf)).toEqual([{ prefix: 'in/', suffix: '.jpg' }]);
    expect(queues.map(keyFilterOf)).toEqual([{ prefix: '', suffix: '' }]);
  });

  it('website', async () => {
    const WebsiteConfiguration: sdk.WebsiteConfiguration = {
      IndexDocument: { Suffix: 'index.html' },
      ErrorDocument: { Key: 'error.html' },
      RoutingRules: [
        {
          Condition: { KeyPrefixEquals: 'docs/', HttpErrorCodeReturnedEquals: '404' },
          Redirect: {
            ReplaceKeyPrefixWith: 'documents/',
            HttpRedirectCode: '302',
            Protocol: 'https',
          },
        },
        { Redirect: { HostName: 'example.com' } },
      ],
    };
    await expectThrough(
      websiteConfiguration,
      new sdk.PutBucketWebsiteCommand({ Bucket, WebsiteConfiguration }),
      new sdk.GetBucketWebsiteCommand({ Bucket }),
      WebsiteConfiguration,
    );
    const redirect = {
      RedirectAllRequestsTo: { HostName: 'example.com', Protocol: 'http' },
    } as const;
    await expectThrough(
      websiteConfiguration,
      new sdk.PutBucketWebsiteCommand({ Bucket, WebsiteConfiguration: redirect }),
      new sdk.GetBucketWebsiteCommand({ Bucket }),
      redirect,
    );
  });

  it('logging', async () => {
    const BucketLoggingStatus: sdk.BucketLoggingStatus = {
      LoggingEnabled: {
        TargetBucket: 'logs',
        TargetPrefix: 'p/',
        TargetGrants: [{ Grantee: { Type: 'CanonicalUser', ID: 'x' }, Permission: 'FULL_CONTROL' }],
        TargetObjectKeyFormat: { PartitionedPrefix: { PartitionDateSource: 'EventTime' } },
      },
    };
    const { loggingEnabled } = await expectThrough(
      bucketLoggingStatus,
      new sdk.PutBucketLoggingCommand({ Bucket, BucketLoggingStatus }),
      new sdk.GetBucketLoggingCommand({ Bucket }),
      BucketLoggingStatus,
    );
    expect(loggingEnabled?.targetGrants).toHaveLength(1);
    await expectThrough(
      bucketLoggingStatus,
      new sdk.PutBucketLoggingCommand({ Bucket, BucketLoggingStatus: {} }),
      new sdk.GetBucketLoggingCommand({ Bucket }),
      {},
    );
  });

  it('a new bucket, its location, the status of its policy', async () => {
    const { body } = await oracle.sent(
      new sdk.CreateBucketCommand({
        Bucket,
        CreateBucketConfiguration: {
          LocationConstraint: 'eu-west-1',
          Tags: [{ Key: 'a', Value: 'b' }],
        },
      }),
    );
    expect(createBucketConfiguration.read(body)).toEqual({
      locationConstraint: 'eu-west-1',
      tags: [{ key: 'a', value: 'b' }],
    });
    const location = new sdk.GetBucketLocationCommand({ Bucket });
    expect(await oracle.read(location, renderLocationConstraint('eu-west-1'))).toEqual({
      LocationConstraint: 'eu-west-1',
    });
    expect(renderLocationConstraint('us-east-1')).toMatch(/<LocationConstraint xmlns="[^"]+"\/>$/);
    const policy = new sdk.GetBucketPolicyStatusCommand({ Bucket });
    for (const IsPublic of [true, false]) {
      const read = await oracle.read(policy, renderPolicyStatus(IsPublic));
      expect(read).toEqual({ PolicyStatus: { IsPublic } });
    }
  });
});
