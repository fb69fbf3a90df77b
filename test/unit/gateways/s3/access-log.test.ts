import { request } from 'node:http';
import * as aws from '@aws-sdk/client-s3';
import { beforeEach, describe, expect, it } from 'vitest';
import { AccessLog } from '../../../../gateways/s3/access-log.ts';
import type { LoggingEnabled } from '../../../../gateways/s3/logging.ts';
import { StoredPolicies } from '../../../../gateways/s3/stored-policy.ts';
import { AppError } from '../../../../protocol/errors.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import { seededRandom } from '../../../../protocol/random.ts';
import { DEFAULT_TENANT as tenant } from '../../../../protocol/vshard.ts';
import { HandClock } from '../../../kit/hand-clock.ts';
import { ModelObjects } from '../../../kit/model-objects.ts';
import { type RecordingTelemetry, recordingTelemetry } from '../../../kit/recording-telemetry.ts';
import { refused, type S3Server, startS3Server } from '../../../kit/s3-start.ts';

const CONTEXT = { deadlineMs: 1000, traceparent: null, idempotency: null };

let clock: HandClock;
let objects: ModelObjects;
let telemetry: RecordingTelemetry;
let log: AccessLog;

const to = (more: Partial<LoggingEnabled> = {}): LoggingEnabled => ({
  ...{ targetBucket: 'logs', targetGrants: [], targetPrefix: 'p/', targetObjectKeyFormat: null },
  ...more,
});

const source = (bucket: string) => ({ tenant: 'default', bucket, owner: 'abc' });

async function make(name: string, documents: Record<string, string> = {}) {
  await objects.buckets.create({}, { tenant, name, owner: 'abc', objectLock: false, documents });
}

beforeEach(async () => {
  clock = new HandClock();
  objects = new ModelObjects(() => clock.wallMs());
  telemetry = recordingTelemetry();
  log = new AccessLog({
    ...{ objects, clock, random: seededRandom(1), telemetry },
    ...{ region: 'us-east-1', policies: new StoredPolicies(), keys: null },
  });
  await make('logs');
});

async function delivered(of: ModelObjects = objects, space = 'logs') {
  const query = { tenant, space, prefix: '', delimiter: null, start: '', limit: 1000 };
  const page = await of.list({}, query);
  const found: { key: string; text: string; acl: string | null }[] = [];
  for (const entry of page.entries) {
    if (entry.type !== 'version') continue;
    const { key } = entry;
    const read = await of.read({}, { tenant: 'default', space, key }, { versionId: null });
    if (read.type === 'none') continue;
    const { inline, record } = read.version;
    const [piece] = record.pieces;
    let text = Buffer.from(inline ?? []).toString();
    if (inline === null && piece !== undefined) {
      const bytes: Uint8Array[] = [];
      const range = { start: 0, end: record.size };
      for await (const part of of.data.read(CONTEXT, { tenant, space, key }, piece, range)) {
        bytes.push(part);
      }
      text = Buffer.concat(bytes).toString();
    }
    found.push({ key, text, acl: record.head.acl });
  }
  return found;
}

async function settled(ms: number): Promise<void> {
  await clock.pass(ms);
  await log.deliver();
}

describe('lines of access logs', () => {
  it('become one object for each bucket and target, after a minute', async () => {
    log.record(source('a'), to(), 'one\n');
    log.record(source('a'), to(), 'two\n');
    log.record(source('b'), to({ targetPrefix: 'q/' }), 'three\n');
    await settled(LIMITS.accessLogDelayMs - 1);
    expect(await delivered()).toEqual([]);
    await settled(1);
    const found = await delivered();
    expect(found.map(({ text }) => text)).toEqual(['one\ntwo\n', 'three\n']);
    expect(found[0]?.key).toMatch(/^p\/\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d-[0-9A-F]{16}$/);
    expect(found[1]?.key).toMatch(/^q\//);
    expect(clock.timerCount).toBe(0);
    log.record(source('a'), to(), 'four\n');
    await settled(LIMITS.accessLogDelayMs);
    expect(await delivered()).toHaveLength(3);
  });

  it('have a key by account, region, bucket and day where that is asked for', async () => {
    const partitionedPrefix = { partitionDateSource: null };
    const targetObjectKeyFormat = { simplePrefix: null, partitionedPrefix };
    log.record(source('a'), to({ targetObjectKeyFormat }), 'one\n');
    await log.flush();
    const [only] = await delivered();
    expect(only?.key).toMatch(/^p\/abc\/us-east-1\/a\/\d{4}\/\d\d\/\d\d\/\d{4}-/);
  });

  it('have the grants of the target', async () => {
    const uri = 'http://acs.amazonaws.com/groups/global/AllUsers';
    const targetGrants = [{ grantee: { type: 'Group', uri }, permission: 'READ' }] as const;
    log.record(source('a'), to({ targetGrants }), 'one\n');
    await log.flush();
    const [only] = await delivered();
    expect(JSON.parse(only?.acl ?? '').grants).toHaveLength(2);
  });

  it('are delivered at once where they fill an object', async () => {
    const line = `${'x'.repeat(1023)}\n`;
    const count = LIMITS.accessLogObjectBytes / line.length;
    for (let i = 0; i < count; i++) log.record(source('a'), to(), line);
    await log.deliver();
    const [only] = await delivered();
    expect(only?.text.length).toBe(LIMITS.accessLogObjectBytes);
  });

  it('wait for a store that is away, under the same key, and are bounded meanwhile', async () => {
    const { apply } = objects;
    const keys: string[] = [];
    objects.apply = async (ctx, bucket, op) => {
      keys.push(op.ref.key);
      if (keys.length <= 2) throw new AppError('unavailable', 'no leader');
      return apply.call(objects, ctx, bucket, op);
    };
    log.record(source('a'), to(), 'one\n');
    for (let i = 0; i < 3; i++) await settled(LIMITS.accessLogDelayMs);
    expect((await delivered()).map(({ text }) => text)).toEqual(['one\n']);
    expect([keys.length, new Set(keys).size]).toEqual([3, 1]);
    objects.apply = async () => {
      throw new AppError('unavailable', 'no leader');
    };
    const line = 'y'.repeat(1024 * 1024 - 1);
    const room = Math.floor(LIMITS.accessLogBytesMax / line.length);
    for (let i = 0; i < room + 5; i++) log.record(source('a'), to(), line);
    expect(telemetry.total('s3_access_log_lines_lost')).toBe(5);
    await log.close();
    expect(telemetry.total('s3_access_log_lines_lost')).toBe(room + 5);
    expect(clock.timerCount).toBe(0);
  });

  it('are lost, and counted, where the target is gone or its policy denies them', async () => {
    log.record(source('a'), to({ targetBucket: 'gone' }), 'one\n');
    await log.flush();
    expect(telemetry.total('s3_access_log_lines_lost')).toBe(1);
    const statement = {
      ...{ Effect: 'Deny', Principal: { Service: 'logging.s3.amazonaws.com' } },
      ...{ Action: 's3:PutObject', Resource: 'arn:aws:s3:::shut/*' },
      Condition: { ArnLike: { 'aws:SourceArn': 'arn:aws:s3:::a' } },
    };
    await make('shut', { policy: JSON.stringify({ Statement: [statement] }) });
    log.record(source('a'), to({ targetBucket: 'shut' }), 'one\n');
    log.record(source('b'), to({ targetBucket: 'shut' }), 'two\n');
    await log.flush();
    expect((await delivered(objects, 'shut')).map(({ text }) => text)).toEqual(['two\n']);
    expect(telemetry.total('s3_access_log_lines_lost')).toBe(2);
  });
});

function page({ url }: S3Server, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const asked = request(`${url}/x`, { headers: { host } }, (answer) => {
      answer.resume().on('end', resolve);
    });
    asked.on('error', reject).end();
  });
}

describe('a bucket with an access log', () => {
  async function logged(use: (server: S3Server, s3: aws.S3Client) => Promise<void>) {
    const server = await startS3Server({ allowUnsigned: false });
    const s3 = server.client();
    for (const Bucket of ['app', 'logs']) await s3.send(new aws.CreateBucketCommand({ Bucket }));
    const LoggingEnabled = { TargetBucket: 'logs', TargetPrefix: '' };
    const on = { Bucket: 'app', BucketLoggingStatus: { LoggingEnabled } };
    await s3.send(new aws.PutBucketLoggingCommand(on));
    await use(server, s3);
    await server.stop();
    const found = await delivered(server.objects);
    return found.flatMap(({ text }) => text.trimEnd().split('\n'));
  }

  it('has a line for each request, refused ones too, until it is switched off', async () => {
    const lines = await logged(async (server, s3) => {
      await s3.send(new aws.PutObjectCommand({ Bucket: 'app', Key: 'k', Body: 'hello' }));
      const got = await s3.send(
        new aws.GetObjectCommand({ Bucket: 'app', Key: 'k', Range: 'bytes=1-2' }),
      );
      await got.Body?.transformToString();
      await refused(s3.send(new aws.GetObjectCommand({ Bucket: 'app', Key: 'none' })));
      await (await fetch(`${server.url}/app/k`)).text();
      await page(server, 'app.s3-website.localhost');
      const off = { Bucket: 'app', BucketLoggingStatus: {} };
      await s3.send(new aws.PutBucketLoggingCommand(off));
      await s3.send(new aws.HeadBucketCommand({ Bucket: 'app' }));
    });
    const parts = lines.map((line) => line.match(/"[^"]*"|\[[^\]]*\]|\S+/g) ?? []);
    const told = parts.map((fields) => [6, 7, 9, 10, 12].map((at) => fields[at]).join(' '));
    expect(told).toEqual([
      'REST.PUT.OBJECT k 200 - 5',
      'REST.GET.OBJECT k 206 - 5',
      'REST.GET.OBJECT none 404 NoSuchKey -',
      'REST.GET.OBJECT k 403 AccessDenied -',
      'WEBSITE.GET.OBJECT x 404 NoSuchWebsiteConfiguration -',
      'REST.PUT.LOGGING_STATUS - 200 - -',
    ]);
    expect(parts.map((fields) => fields[4] === '-')).toEqual([
      ...[false, false, false, true, true, false],
    ]);
  });

  it('is kept as its target encrypts what comes without a word', async () => {
    const server = await startS3Server({ allowUnsigned: false });
    const s3 = server.client();
    await s3.send(new aws.CreateBucketCommand({ Bucket: 'logs' }));
    const ApplyServerSideEncryptionByDefault = { SSEAlgorithm: 'aws:kms' } as const;
    const encryption = { Rules: [{ ApplyServerSideEncryptionByDefault }] };
    await s3.send(
      new aws.PutBucketEncryptionCommand({
        ...{ Bucket: 'logs', ServerSideEncryptionConfiguration: encryption },
      }),
    );
    const own = new AccessLog({
      ...{ objects: server.objects, keys: server.keys, clock, random: seededRandom(3), telemetry },
      ...{ region: 'us-east-1', policies: new StoredPolicies() },
    });
    own.record(source('app'), to(), 'a line\n');
    await own.flush();
    const [raw] = await delivered(server.objects);
    expect(raw?.text).not.toContain('a line');
    const got = await s3.send(new aws.GetObjectCommand({ Bucket: 'logs', Key: raw?.key ?? '' }));
    expect(got).toMatchObject({ ServerSideEncryption: 'aws:kms', SSEKMSKeyId: 'aws/s3' });
    expect(await got.Body?.transformToString()).toBe('a line\n');
    await server.stop();
  });

  it('needs a target that is there, and may grant only what it may grant', async () => {
    const lines = await logged(async (_server, s3) => {
      const on = (TargetBucket: string, TargetGrants?: aws.TargetGrant[]) => {
        const LoggingEnabled = { TargetBucket, TargetPrefix: '', TargetGrants };
        const BucketLoggingStatus = { LoggingEnabled } as aws.BucketLoggingStatus;
        return s3.send(new aws.PutBucketLoggingCommand({ Bucket: 'logs', BucketLoggingStatus }));
      };
      expect((await refused(on('no-such'))).name).toBe('InvalidTargetBucketForLogging');
      const ID = '0'.repeat(64);
      const other = on('app', [{ Grantee: { Type: 'CanonicalUser', ID }, Permission: 'READ' }]);
      expect((await refused(other)).name).toBe('InvalidArgument');
      const none = await s3.send(new aws.GetBucketLoggingCommand({ Bucket: 'logs' }));
      expect(none.LoggingEnabled).toBeUndefined();
    });
    expect(lines).toEqual([]);
  });
});
