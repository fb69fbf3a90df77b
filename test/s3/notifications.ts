import type { NotificationConfiguration } from '@aws-sdk/client-s3';
import { area, assert, each, refused } from './suite.ts';
import { isRefused, md5Base64, type World } from './world.ts';

/** What may be asked for; that it is done is for test/e2e/s3-notifications.test.ts, with targets that take it. */

/** A target that nobody has configured, wherever this runs. */
const NOBODY = 'arn:aws:sqs:us-east-1:000000000000:nobody-has-this-queue';

type Event = 's3:ObjectCreated:*';

const queue = (events: readonly string[], ...rules: [name: string, value: string][]) => ({
  ...{ QueueArn: NOBODY, Events: events as Event[] },
  Filter: {
    Key: { FilterRules: rules.map(([Name, Value]) => ({ Name: Name as 'prefix', Value })) },
  },
});

const put = async (
  w: World,
  NotificationConfiguration: NotificationConfiguration,
  Bucket?: string,
) =>
  w.sdk.putBucketNotificationConfiguration({
    ...{ Bucket: Bucket ?? (await w.bucket()), NotificationConfiguration },
  });

const CREATED = ['s3:ObjectCreated:*'];

const OVERLAPS: readonly (readonly [string, NotificationConfiguration['QueueConfigurations']])[] = [
  ['twice the same', [queue(CREATED), queue(CREATED)]],
  ['all of a kind, and one of it', [queue(CREATED), queue(['s3:ObjectCreated:Put'])]],
  [
    'one prefix within the other',
    [queue(CREATED, ['prefix', 'a/']), queue(CREATED, ['prefix', 'a/b'])],
  ],
  [
    'one suffix within the other',
    [queue(CREATED, ['suffix', '.gz']), queue(CREATED, ['suffix', '.tar.gz'])],
  ],
  ['a prefix and a suffix', [queue(CREATED, ['prefix', 'a']), queue(CREATED, ['suffix', 'z'])]],
];

const APART: readonly (readonly [string, NotificationConfiguration['QueueConfigurations']])[] = [
  ['other events', [queue(CREATED), queue(['s3:ObjectRemoved:*'])]],
  ['other prefixes', [queue(CREATED, ['prefix', 'a']), queue(CREATED, ['prefix', 'b'])]],
  ['other suffixes', [queue(CREATED, ['suffix', '.jpg']), queue(CREATED, ['suffix', '.png'])]],
  [
    'one prefix and other suffixes',
    [
      queue(CREATED, ['prefix', 'a'], ['suffix', '.jpg']),
      queue(CREATED, ['prefix', 'a'], ['suffix', '.png']),
    ],
  ],
];

const raw = async (w: World, inside: string, bucket?: string) => {
  const body = `<NotificationConfiguration>${inside}</NotificationConfiguration>`;
  const headers = { 'content-md5': md5Base64(body) };
  const query = { notification: '' };
  return w.call('PUT', bucket ?? (await w.bucket()), '', { query, body, headers });
};

const queueXml = (inside: string) =>
  `<QueueConfiguration><Queue>${NOBODY}</Queue>${inside}</QueueConfiguration>`;
const EVENT = '<Event>s3:ObjectCreated:*</Event>';
const filterXml = (...rules: [string, string][]) => {
  const all = rules.map(
    ([name, value]) => `<FilterRule><Name>${name}</Name><Value>${value}</Value></FilterRule>`,
  );
  return `<Filter><S3Key>${all.join('')}</S3Key></Filter>`;
};

export const notifications = area('notifications', {
  'a bucket tells nobody at first': async (w) => {
    const seen = await w.sdk.getBucketNotificationConfiguration({ Bucket: await w.bucket() });
    const { QueueConfigurations, TopicConfigurations, LambdaFunctionConfigurations } = seen;
    const all = [QueueConfigurations, TopicConfigurations, LambdaFunctionConfigurations];
    assert.deepEqual(all, [undefined, undefined, undefined]);
  },
  'no bucket, no configuration': async (w) => {
    const Bucket = w.name();
    await refused(w.sdk.getBucketNotificationConfiguration({ Bucket }), 404, 'NoSuchBucket');
    await refused(put(w, {}, Bucket), 404, 'NoSuchBucket');
  },
  'a queue that is not there is InvalidArgument': async (w) => {
    const refusal = await refused(
      put(w, { QueueConfigurations: [queue(CREATED)] }),
      400,
      'InvalidArgument',
    );
    assert.match(refusal.message, /destination configurations/);
  },
  'a topic that is not there is InvalidArgument': async (w) => {
    const TopicArn = 'arn:aws:sns:us-east-1:000000000000:nobody-has-this-topic';
    const TopicConfigurations = [{ TopicArn, Events: CREATED as Event[] }];
    await refused(put(w, { TopicConfigurations }), 400, 'InvalidArgument');
  },
  'a function that is not there is InvalidArgument': async (w) => {
    const LambdaFunctionArn = 'arn:aws:lambda:us-east-1:000000000000:function:nobody-has-it';
    const LambdaFunctionConfigurations = [{ LambdaFunctionArn, Events: CREATED as Event[] }];
    await refused(put(w, { LambdaFunctionConfigurations }), 400, 'InvalidArgument');
  },
  'what is refused leaves what was there': async (w) => {
    const Bucket = await w.bucket();
    await put(w, {}, Bucket);
    await refused(
      put(w, { QueueConfigurations: [queue(CREATED)] }, Bucket),
      400,
      'InvalidArgument',
    );
    const seen = await w.sdk.getBucketNotificationConfiguration({ Bucket });
    assert.equal(seen.QueueConfigurations, undefined);
  },
  ...each(
    OVERLAPS,
    ([what]) => `two rules for one change are refused: ${what}`,
    async (w, [, QueueConfigurations]) => {
      const refusal = await refused(put(w, { QueueConfigurations }), 400, 'InvalidArgument');
      assert.match(refusal.message, /overlap/i);
    },
  ),
  ...each(
    APART,
    ([what]) => `two rules for different changes are no overlap: ${what}`,
    async (w, [, QueueConfigurations]) => {
      const refusal = await refused(put(w, { QueueConfigurations }), 400, 'InvalidArgument');
      assert.doesNotMatch(refusal.message, /overlap/i);
    },
  ),
  'a filter by something else is InvalidArgument': async (w) => {
    const reply = await raw(w, queueXml(EVENT + filterXml(['size', '5'])));
    isRefused(reply, 400, 'InvalidArgument');
  },
  'two prefixes in one filter are InvalidArgument': async (w) => {
    const reply = await raw(w, queueXml(EVENT + filterXml(['prefix', 'a'], ['prefix', 'b'])));
    isRefused(reply, 400, 'InvalidArgument');
  },
  'two rules of one id are InvalidArgument': async (w) => {
    const one = queueXml(`<Id>same</Id>${EVENT}${filterXml(['prefix', 'a'])}`);
    const other = queueXml(`<Id>same</Id>${EVENT}${filterXml(['prefix', 'b'])}`);
    isRefused(await raw(w, one + other), 400, 'InvalidArgument');
  },
  'a rule without an event is MalformedXML': async (w) => {
    isRefused(await raw(w, queueXml('')), 400, 'MalformedXML');
  },
  'a rule without a target is MalformedXML': async (w) => {
    const reply = await raw(w, `<QueueConfiguration>${EVENT}</QueueConfiguration>`);
    isRefused(reply, 400, 'MalformedXML');
  },
});
