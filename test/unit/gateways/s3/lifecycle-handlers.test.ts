import * as aws from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { refused, type S3Server, startS3Server } from '../../../kit/s3-start.ts';

let server: S3Server;
let s3: aws.S3Client;

beforeAll(async () => {
  server = await startS3Server();
  s3 = server.client();
});
afterAll(() => server.stop());

const DAY = 86_400_000;

describe('lifecycle rules of a bucket', () => {
  const Bucket = 'ruled';
  const rules: aws.LifecycleRule[] = [
    { ID: 'b 1', Status: 'Enabled', Filter: { Prefix: 'a/' }, Expiration: { Days: 3 } },
    {
      ...{ ID: 'tagged', Status: 'Enabled', Expiration: { Days: 1 } },
      Filter: { Tag: { Key: 'k', Value: 'v' } },
    },
  ];

  beforeAll(async () => {
    await s3.send(new aws.CreateBucketCommand({ Bucket }));
    const LifecycleConfiguration = { Rules: rules };
    const wanted = { Bucket, LifecycleConfiguration };
    await s3.send(new aws.PutBucketLifecycleConfigurationCommand(wanted));
  });

  it('come back as they were put', async () => {
    const got = await s3.send(new aws.GetBucketLifecycleConfigurationCommand({ Bucket }));
    expect(got.Rules).toEqual(rules);
  });

  it('are told with what they are for, by put, get, head and copy: the soonest, at a midnight', async () => {
    const told = /^expiry-date="([^"]+ 00:00:00 GMT)", rule-id="([^"]+)"$/;
    const Key = 'a/x';
    const put = await s3.send(new aws.PutObjectCommand({ Bucket, Key, Body: 'x' }));
    const [, date = '', id] = told.exec(put.Expiration ?? '') ?? [];
    expect(id).toBe('b%201');
    const days = (Date.parse(date) - Date.now()) / DAY;
    expect(days).toBeGreaterThan(2.99);
    expect(days).toBeLessThanOrEqual(4);
    const get = await s3.send(new aws.GetObjectCommand({ Bucket, Key }));
    const head = await s3.send(new aws.HeadObjectCommand({ Bucket, Key }));
    expect([get.Expiration, head.Expiration]).toEqual([put.Expiration, put.Expiration]);
    const CopySource = `${Bucket}/${Key}`;
    const copy = await s3.send(new aws.CopyObjectCommand({ Bucket, Key: 'a/y', CopySource }));
    expect(told.exec(copy.Expiration ?? '')?.[2]).toBe('b%201');
    const tagged = { Bucket, Key: 'a/t', Body: 'x', Tagging: 'k=v' };
    const both = await s3.send(new aws.PutObjectCommand(tagged));
    expect(told.exec(both.Expiration ?? '')?.[2]).toBe('tagged');
  });

  it('are not told with what they are not for', async () => {
    const put = await s3.send(new aws.PutObjectCommand({ Bucket, Key: 'b', Body: 'x' }));
    expect(put.Expiration).toBeUndefined();
  });

  it('without an id get one; with a transition they are refused, for nothing would be moved', async () => {
    const unnamed = { Status: 'Enabled', Filter: { Prefix: '' }, Expiration: { Days: 1 } } as const;
    const put = (rule: aws.LifecycleRule) =>
      s3.send(
        new aws.PutBucketLifecycleConfigurationCommand({
          ...{ Bucket: 'others', LifecycleConfiguration: { Rules: [rule] } },
        }),
      );
    await s3.send(new aws.CreateBucketCommand({ Bucket: 'others' }));
    await put(unnamed);
    const command = new aws.GetBucketLifecycleConfigurationCommand({ Bucket: 'others' });
    const { Rules } = await s3.send(command);
    expect(Rules?.[0]?.ID).toMatch(/^[0-9a-f]{24}$/);
    const moves = { ...unnamed, Transitions: [{ Days: 1, StorageClass: 'GLACIER' as const }] };
    expect(await refused(put(moves))).toEqual({ name: 'NotImplemented', status: 501 });
    await s3.send(new aws.DeleteBucketLifecycleCommand({ Bucket: 'others' }));
    const gone = s3.send(command);
    expect(await refused(gone)).toEqual({ name: 'NoSuchLifecycleConfiguration', status: 404 });
  });
});
