import { area, assert, each, refused } from './suite.ts';
import { isRefused, isStatus, md5Base64 } from './world.ts';
import { textOf } from './xml.ts';

/** Sub-resources of which a new bucket has nothing, with the error that says so. */
const ABSENT: readonly (readonly [string, string])[] = [
  ['cors', 'NoSuchCORSConfiguration'],
  ['encryption', 'ServerSideEncryptionConfigurationNotFoundError'],
  ['lifecycle', 'NoSuchLifecycleConfiguration'],
  ['object-lock', 'ObjectLockConfigurationNotFoundError'],
  ['policy', 'NoSuchBucketPolicy'],
  ['tagging', 'NoSuchTagSet'],
  ['website', 'NoSuchWebsiteConfiguration'],
  ['publicAccessBlock', 'NoSuchPublicAccessBlockConfiguration'],
  ['ownershipControls', 'OwnershipControlsNotFoundError'],
  ['replication', 'ReplicationConfigurationNotFoundError'],
];

/** Those that a new bucket has, empty. */
const EMPTY: readonly (readonly [string, string])[] = [
  ['logging', 'BucketLoggingStatus'],
  ['notification', 'NotificationConfiguration'],
  ['versioning', 'VersioningConfiguration'],
  ['requestPayment', 'RequestPaymentConfiguration'],
  ['accelerate', 'AccelerateConfiguration'],
];

/** Configurations that have ids, with the root of their listing: none can be made. */
const BY_ID: readonly (readonly [string, string])[] = [
  ['analytics', 'ListBucketAnalyticsConfigurationResult'],
  ['intelligent-tiering', 'ListBucketIntelligentTieringConfigurationsOutput'],
  ['inventory', 'ListInventoryConfigurationsResult'],
  ['metrics', 'ListMetricsConfigurationsResult'],
];

const DELETABLE = ['cors', 'encryption', 'lifecycle', 'policy', 'tagging', 'website'];

/** Configurations of buckets that few clients use, and all of them in general. */
export const configurations = area('configurations', {
  ...each(
    ABSENT,
    ([name, code]) => `?${name} of a new bucket is ${code}`,
    async (w, [name, code]) => {
      const reply = await w.call('GET', await w.bucket(), '', { query: { [name]: '' } });
      isRefused(reply, 404, code);
    },
  ),
  ...each(
    EMPTY,
    ([name, root]) => `?${name} of a new bucket is an empty ${root}`,
    async (w, [name, root]) => {
      const reply = await w.call('GET', await w.bucket(), '', { query: { [name]: '' } });
      assert.ok(isStatus(reply, 200).text.includes(`<${root}`));
    },
  ),
  ...each(
    DELETABLE,
    (name) => `a delete of ?${name} that is not there is 204`,
    async (w, name) => {
      isStatus(await w.call('DELETE', await w.bucket(), '', { query: { [name]: '' } }), 204);
    },
  ),
  ...each(
    [...ABSENT, ...EMPTY].map(([name]) => name),
    (name) => `?${name} of no bucket is NoSuchBucket`,
    async (w, name) => {
      const reply = await w.call('GET', w.name(), '', { query: { [name]: '' } });
      isRefused(reply, 404, 'NoSuchBucket');
    },
  ),
  ...each(
    BY_ID,
    ([name, root]) => `?${name} lists none in an ${root}`,
    async (w, [name, root]) => {
      const reply = await w.call('GET', await w.bucket(), '', { query: { [name]: '' } });
      assert.ok(isStatus(reply, 200).text.includes(`<${root} `));
      assert.equal(textOf(reply.text, 'IsTruncated'), 'false');
      isRefused(await w.call('GET', w.name(), '', { query: { [name]: '' } }), 404, 'NoSuchBucket');
    },
  ),
  ...each(
    BY_ID.map(([name]) => name),
    (name) => `?${name} with an id is NoSuchConfiguration, also when it is deleted`,
    async (w, name) => {
      const bucket = await w.bucket();
      const query = { [name]: '', id: 'one' };
      for (const method of ['GET', 'DELETE']) {
        isRefused(await w.call(method, bucket, '', { query }), 404, 'NoSuchConfiguration');
      }
    },
  ),
  'attributes in access control are off': async (w) => {
    const reply = await w.call('GET', await w.bucket(), '', { query: { abac: '' } });
    assert.equal(textOf(isStatus(reply, 200).text, 'Status'), 'Disabled');
  },
  'the SDK reads all of these listings': async (w) => {
    const Bucket = await w.bucket();
    const all = await Promise.all([
      w.sdk.listBucketAnalyticsConfigurations({ Bucket }),
      w.sdk.listBucketIntelligentTieringConfigurations({ Bucket }),
      w.sdk.listBucketInventoryConfigurations({ Bucket }),
      w.sdk.listBucketMetricsConfigurations({ Bucket }),
    ]);
    assert.deepEqual(
      all.map(({ IsTruncated }) => IsTruncated),
      [false, false, false, false],
    );
  },
  'a website comes back, and goes': async (w) => {
    const Bucket = await w.bucket();
    const WebsiteConfiguration = {
      IndexDocument: { Suffix: 'index.html' },
      ErrorDocument: { Key: 'error.html' },
      RoutingRules: [
        {
          Condition: { KeyPrefixEquals: 'docs/' },
          Redirect: { ReplaceKeyPrefixWith: 'documents/' },
        },
      ],
    };
    await w.sdk.putBucketWebsite({ Bucket, WebsiteConfiguration });
    const seen = await w.sdk.getBucketWebsite({ Bucket });
    assert.deepEqual(seen.IndexDocument, WebsiteConfiguration.IndexDocument);
    assert.deepEqual(seen.ErrorDocument, WebsiteConfiguration.ErrorDocument);
    assert.deepEqual(seen.RoutingRules, WebsiteConfiguration.RoutingRules);
    await w.sdk.deleteBucketWebsite({ Bucket });
    const call = w.sdk.getBucketWebsite({ Bucket });
    await refused(call, 404, 'NoSuchWebsiteConfiguration');
  },
  'a website with a slash in its index is InvalidArgument': async (w) => {
    const WebsiteConfiguration = { IndexDocument: { Suffix: 'a/index.html' } };
    const call = w.sdk.putBucketWebsite({ Bucket: await w.bucket(), WebsiteConfiguration });
    await refused(call, 400, 'InvalidArgument');
  },
  'request payment is the owner’s, and can be the requester’s': async (w) => {
    const Bucket = await w.bucket();
    const payer = async () => (await w.sdk.getBucketRequestPayment({ Bucket })).Payer;
    assert.equal(await payer(), 'BucketOwner');
    const RequestPaymentConfiguration = { Payer: 'Requester' as const };
    await w.sdk.putBucketRequestPayment({ Bucket, RequestPaymentConfiguration });
    assert.equal(await payer(), 'Requester');
  },
  'an unknown payer is MalformedXML': async (w) => {
    const body = '<RequestPaymentConfiguration><Payer>Nobody</Payer></RequestPaymentConfiguration>';
    const query = { requestPayment: '' };
    isRefused(await w.call('PUT', await w.bucket(), '', { query, body }), 400, 'MalformedXML');
  },
  'logging into another bucket comes back': async (w) => {
    const [Bucket, TargetBucket] = [await w.bucket(), await w.bucket()];
    const LoggingEnabled = { TargetBucket, TargetPrefix: 'log/' };
    await w.sdk.putBucketLogging({ Bucket, BucketLoggingStatus: { LoggingEnabled } });
    const seen = await w.sdk.getBucketLogging({ Bucket });
    assert.deepEqual(seen.LoggingEnabled, LoggingEnabled);
    await w.sdk.putBucketLogging({ Bucket, BucketLoggingStatus: {} });
    assert.equal((await w.sdk.getBucketLogging({ Bucket })).LoggingEnabled, undefined);
  },
  'logging into no bucket is InvalidTargetBucketForLogging': async (w) => {
    const LoggingEnabled = { TargetBucket: w.name(), TargetPrefix: 'log/' };
    const Bucket = await w.bucket();
    const call = w.sdk.putBucketLogging({ Bucket, BucketLoggingStatus: { LoggingEnabled } });
    await refused(call, 400, 'InvalidTargetBucketForLogging');
  },
  'an empty notification is taken': async (w) => {
    const Bucket = await w.bucket();
    await w.sdk.putBucketNotificationConfiguration({ Bucket, NotificationConfiguration: {} });
    const seen = await w.sdk.getBucketNotificationConfiguration({ Bucket });
    assert.deepEqual([seen.QueueConfigurations, seen.TopicConfigurations], [undefined, undefined]);
  },
  'a notification of an unknown event is InvalidArgument': async (w) => {
    const inside =
      '<QueueConfiguration><Id>a</Id><Queue>arn:minikv:sqs::1:nats</Queue>' +
      '<Event>s3:ObjectDanced:*</Event></QueueConfiguration>';
    const body = `<NotificationConfiguration>${inside}</NotificationConfiguration>`;
    const headers = { 'content-md5': md5Base64(body) };
    const query = { notification: '' };
    const reply = await w.call('PUT', await w.bucket(), '', { query, body, headers });
    isRefused(reply, 400, 'InvalidArgument');
  },
  'a default encryption of an unknown kind is refused': async (w) => {
    const body =
      '<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>' +
      '<SSEAlgorithm>ROT13</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule>' +
      '</ServerSideEncryptionConfiguration>';
    const headers = { 'content-md5': md5Base64(body) };
    const query = { encryption: '' };
    const reply = await w.call('PUT', await w.bucket(), '', { query, body, headers });
    isRefused(reply, 400, 'MalformedXML');
  },
  'a bucket whose owner owns all says so': async (w) => {
    const bucket = await w.bucket({ ObjectOwnership: 'BucketOwnerEnforced' });
    const query = { ownershipControls: '' };
    const { text } = isStatus(await w.call('GET', bucket, '', { query }), 200);
    assert.equal(textOf(text, 'ObjectOwnership'), 'BucketOwnerEnforced');
  },
});
