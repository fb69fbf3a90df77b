import * as aws from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type MirrorFlags, mirror } from '../../../cli/commands/mirror.ts';
import { lockHeaders } from '../../../cli/mirror/kept-headers.ts';
import { bytesOf, make, putParts } from '../../kit/s3-content.ts';
import { ACCESS_KEY, type S3Server, SECRET_KEY, startS3Server } from '../../kit/s3-start.ts';
import { testIo } from './fake-io.ts';

const MIB = 1024 * 1024;
const DAY_MS = 86_400_000;
const ENV = {
  MINIKV_FROM_ACCESS_KEY: ACCESS_KEY,
  MINIKV_FROM_SECRET_KEY: SECRET_KEY,
  MINIKV_S3_ACCESS_KEY: ACCESS_KEY,
  MINIKV_S3_SECRET_KEY: SECRET_KEY,
};

let source: S3Server;
let target: S3Server;

beforeEach(async () => {
  source = await startS3Server({ allowUnsigned: false });
  target = await startS3Server({ allowUnsigned: false });
});

afterEach(async () => {
  await source.stop();
  await target.stop();
});

async function run(buckets: readonly string[], flags: Partial<MirrorFlags>) {
  const io = testIo({ env: ENV });
  let failure: unknown = null;
  await mirror(io, buckets, {
    ...{ from: source.url, to: target.url, fromRegion: 'us-east-1', toRegion: 'us-east-1' },
    ...{ parallel: '4', wholeMax: '1024', partSize: '16', json: true, ...flags },
  }).catch((error: unknown) => {
    failure = error;
  });
  return { summary: JSON.parse(io.written.out) as Record<string, unknown>, failure };
}

const POLICY = JSON.stringify({
  Version: '2012-10-17',
  Statement: [
    {
      ...{ Sid: 'read', Effect: 'Allow', Principal: '*', Action: 's3:GetObject' },
      Resource: 'arn:aws:s3:::photos/open/*',
    },
  ],
});
const ENCRYPTION: aws.ServerSideEncryptionConfiguration = {
  Rules: [{ ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } }],
};
const LIFECYCLE: aws.BucketLifecycleConfiguration = {
  Rules: [{ ID: 'old', Status: 'Enabled', Filter: { Prefix: 'old/' }, Expiration: { Days: 3 } }],
};

async function configure(s3: aws.S3Client, Bucket: string): Promise<void> {
  const send = s3.send.bind(s3);
  const TagSet = [{ Key: 'team', Value: 'red + blue' }];
  const CORSRules = [{ AllowedMethods: ['GET'], AllowedOrigins: ['https://a.example'] }];
  await send(new aws.PutBucketTaggingCommand({ Bucket, Tagging: { TagSet } }));
  await send(new aws.PutBucketCorsCommand({ Bucket, CORSConfiguration: { CORSRules } }));
  await send(new aws.PutBucketPolicyCommand({ Bucket, Policy: POLICY }));
  await send(
    new aws.PutBucketLifecycleConfigurationCommand({ Bucket, LifecycleConfiguration: LIFECYCLE }),
  );
  await send(
    new aws.PutBucketEncryptionCommand({ Bucket, ServerSideEncryptionConfiguration: ENCRYPTION }),
  );
  for (const Status of ['Enabled', 'Suspended'] as const) {
    const VersioningConfiguration = { Status };
    await send(new aws.PutBucketVersioningCommand({ Bucket, VersioningConfiguration }));
  }
}

async function settingsOf(s3: aws.S3Client, Bucket: string) {
  const of = { Bucket };
  const [tags, cors, policy, lifecycle, encryption, versioning] = await Promise.all([
    s3.send(new aws.GetBucketTaggingCommand(of)),
    s3.send(new aws.GetBucketCorsCommand(of)),
    s3.send(new aws.GetBucketPolicyCommand(of)),
    s3.send(new aws.GetBucketLifecycleConfigurationCommand(of)),
    s3.send(new aws.GetBucketEncryptionCommand(of)),
    s3.send(new aws.GetBucketVersioningCommand(of)),
  ]);
  return {
    ...{ tags: tags.TagSet, cors: cors.CORSRules, policy: policy.Policy, rules: lifecycle.Rules },
    ...{ encryption: encryption.ServerSideEncryptionConfiguration, status: versioning.Status },
  };
}

describe('minikv mirror --settings', () => {
  it('gives the copy the settings of the original, again and again; without the flag it has none', async () => {
    const from = await make(source, 'photos');
    await configure(from, 'photos');
    await from.send(new aws.PutObjectCommand({ Bucket: 'photos', Key: 'a', Body: 'a' }));
    expect((await run(['photos'], {})).summary).toMatchObject({ settings: 0, failed: 0 });
    const to = target.client();
    const bare = to.send(new aws.GetBucketPolicyCommand({ Bucket: 'photos' }));
    await expect(bare).rejects.toThrow('policy does not exist');
    for (let i = 0; i < 2; i++) {
      const { summary, failure } = await run(['photos'], { settings: true });
      expect(failure).toBeNull();
      expect(summary).toMatchObject({ settings: 6, failed: 0, failures: [] });
      expect(await settingsOf(to, 'photos')).toEqual(await settingsOf(from, 'photos'));
    }
  });

  it('names what the target refuses, and brings the rest: a policy that is about another bucket', async () => {
    await configure(await make(source, 'photos'), 'photos');
    const { summary, failure } = await run(['photos'], { settings: true, into: 'pictures' });
    expect(String(failure)).toContain('photos/?policy');
    expect(summary).toMatchObject({ settings: 5, failed: 1 });
    expect(summary['failures']).toMatchObject([{ key: '?policy', code: 'MalformedPolicy' }]);
    const tags = new aws.GetBucketTaggingCommand({ Bucket: 'pictures' });
    expect((await target.client().send(tags)).TagSet).toHaveLength(1);
  });
});

describe('minikv mirror --locks', () => {
  const Bucket = 'vault';

  async function fill(): Promise<{ from: aws.S3Client; until: Date }> {
    const from = source.client();
    await from.send(new aws.CreateBucketCommand({ Bucket, ObjectLockEnabledForBucket: true }));
    const until = new Date(Math.ceil((Date.now() + DAY_MS) / 1000) * 1000);
    const retention = { ObjectLockMode: 'COMPLIANCE', ObjectLockRetainUntilDate: until } as const;
    const put = (Key: string, more: Partial<aws.PutObjectCommandInput>) =>
      from.send(new aws.PutObjectCommand({ Bucket, Key, Body: Key, ...more }));
    await put('kept', retention);
    await put('kept', {});
    await put('held', { ObjectLockLegalHoldStatus: 'ON' });
    await putParts(from, Bucket, 'parts', [5 * MIB, 9]);
    await from.send(
      new aws.PutObjectLegalHoldCommand({ Bucket, Key: 'parts', LegalHold: { Status: 'ON' } }),
    );
    await put('free', { Body: bytesOf('free', 100) });
    const DefaultRetention = { Mode: 'GOVERNANCE', Days: 2 } as const;
    const ObjectLockConfiguration: aws.ObjectLockConfiguration = {
      ...{ ObjectLockEnabled: 'Enabled', Rule: { DefaultRetention } },
    };
    await from.send(new aws.PutObjectLockConfigurationCommand({ Bucket, ObjectLockConfiguration }));
    return { from, until };
  }

  it('every version keeps its retention and its hold; what had none gets none from the default', async () => {
    const { until } = await fill();
    const { summary, failure } = await run([], { locks: true, settings: true, versions: true });
    expect(failure).toBeNull();
    expect(summary).toMatchObject({ copied: 5, failed: 0, unproven: 0 });
    const to = target.client();
    const { Versions = [] } = await to.send(new aws.ListObjectVersionsCommand({ Bucket }));
    const locks = await Promise.all(
      Versions.map(async ({ Key, VersionId }) => {
        const head = await to.send(new aws.HeadObjectCommand({ Bucket, Key, VersionId }));
        const { ObjectLockMode: mode, ObjectLockRetainUntilDate: date } = head;
        return [Key, mode, date?.getTime(), head.ObjectLockLegalHoldStatus];
      }),
    );
    expect(locks).toEqual([
      ['free', undefined, undefined, undefined],
      ['held', undefined, undefined, 'ON'],
      ['kept', undefined, undefined, undefined],
      ['kept', 'COMPLIANCE', until.getTime(), undefined],
      ['parts', undefined, undefined, 'ON'],
    ]);
    const of = await to.send(new aws.GetObjectLockConfigurationCommand({ Bucket }));
    expect(of.ObjectLockConfiguration?.Rule?.DefaultRetention).toMatchObject({ Days: 2 });
    const { VersionId } = Versions.find(({ Key, IsLatest }) => Key === 'kept' && !IsLatest) ?? {};
    const gone = to.send(new aws.DeleteObjectCommand({ Bucket, Key: 'kept', VersionId }));
    await expect(gone).rejects.toThrow('object lock');
  });

  it('names objects whose locks a bucket that is there already cannot take', async () => {
    await fill();
    await make(target, Bucket);
    const { summary, failure } = await run([Bucket], { locks: true });
    expect(failure).not.toBeNull();
    expect(summary).toMatchObject({ failed: 2 });
    const failures = summary['failures'] as { key: string; message: string }[];
    expect(failures.map(({ key }) => key).sort()).toEqual(['held', 'parts']);
    for (const { message } of failures) expect(message).toContain('Object Lock');
  });

  it('retention that has ended, or that the source tells badly, does not go along', () => {
    const until = '2026-01-02T00:00:00.000Z';
    const told = {
      'x-amz-object-lock-mode': 'GOVERNANCE',
      'x-amz-object-lock-retain-until-date': until,
      'x-amz-object-lock-legal-hold': 'OFF',
    };
    expect(lockHeaders(told, Date.parse(until) - 1)).toEqual({
      'x-amz-object-lock-mode': 'GOVERNANCE',
      'x-amz-object-lock-retain-until-date': until,
    });
    expect(lockHeaders(told, Date.parse(until))).toEqual({});
    expect(lockHeaders({ ...told, 'x-amz-object-lock-retain-until-date': 'soon' }, 0)).toEqual({});
    expect(lockHeaders({ 'x-amz-object-lock-legal-hold': 'on' }, 0)).toEqual({
      'x-amz-object-lock-legal-hold': 'ON',
    });
  });
});
