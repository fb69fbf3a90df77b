import { createHmac } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { S3 } from '@aws-sdk/client-s3';
import { connect, type NatsConnection } from 'nats';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createClient } from '../../client/client.ts';
import { freePort } from '../kit/nats-server.ts';
import { ProcessCluster } from '../kit/process-cluster.ts';
import { sleep, until } from '../kit/wait.ts';
import { eventsIn, firstSaid, type SaidEvent, WebhookServer } from '../kit/webhook-server.ts';

let cluster: ProcessCluster | null = null;
let hook: WebhookServer;
let nats: NatsConnection | null = null;

beforeEach(async () => {
  hook = await WebhookServer.start();
});

afterEach(async () => {
  await nats?.close();
  nats = null;
  await cluster?.dispose();
  cluster = null;
  await hook.stop();
});

const HOOK_ARN = 'arn:minikv:webhook:::main';

function client(url: string): S3 {
  return new S3({
    ...{ endpoint: `${url}/s3`, region: 'us-east-1', forcePathStyle: true },
    credentials: { accessKeyId: 'nobody', secretAccessKey: 'has to sign' },
    // Loopback: nobody has to sign, and no key was given that would verify.
    signer: { sign: async (request) => request },
  });
}

const rule = (prefix: string, QueueArn: string, Events: readonly string[]) => ({
  ...{ QueueArn, Events: Events as 's3:ObjectCreated:*'[] },
  Filter: { Key: { FilterRules: [{ Name: 'prefix' as const, Value: prefix }] } },
});

describe('one node and a webhook', () => {
  async function start(env: Record<string, string> = {}): Promise<S3> {
    const own = { MINIKV_NOTIFY_WEBHOOKS: `main=${hook.url}`, ...env };
    cluster = await ProcessCluster.start({ nodes: 1, groups: 2, env: own });
    return client(cluster.urls()[0]!);
  }

  test('every change of an object is told once as what it was, in S3 words', async () => {
    const s3 = await start();
    const Bucket = 'told';
    await s3.createBucket({ Bucket });
    const Events = ['ObjectCreated', 'ObjectRemoved', 'ObjectTagging', 'LifecycleExpiration'];
    await s3.putBucketNotificationConfiguration({
      Bucket,
      NotificationConfiguration: {
        QueueConfigurations: [
          rule('', HOOK_ARN, [...Events.map((name) => `s3:${name}:*`), 's3:ObjectAcl:Put']),
        ],
      },
    });
    expect(JSON.parse(hook.received[0]?.text ?? '')).toMatchObject({
      ...{ Service: 'Amazon S3', Event: 's3:TestEvent', Bucket },
    });
    const put = await s3.putObject({ Bucket, Key: 'a b/ü+c', Body: 'hello' });
    await s3.copyObject({
      Bucket,
      Key: 'copy',
      CopySource: `${Bucket}/${encodeURIComponent('a b/ü+c')}`,
    });
    const { UploadId } = await s3.createMultipartUpload({ Bucket, Key: 'parts' });
    const part = { Bucket, Key: 'parts', UploadId };
    const { ETag } = await s3.uploadPart({ ...part, PartNumber: 1, Body: 'part' });
    const Parts = [{ PartNumber: 1, ETag }];
    await s3.completeMultipartUpload({ ...part, MultipartUpload: { Parts } });
    const TagSet = [{ Key: 'k', Value: 'v' }];
    await s3.putObjectTagging({ Bucket, Key: 'copy', Tagging: { TagSet } });
    await s3.deleteObjectTagging({ Bucket, Key: 'copy' });
    await s3.deleteObject({ Bucket, Key: 'parts' });
    await s3.deleteObject({ Bucket, Key: 'never there' });
    await s3.deleteObjects({ Bucket, Delete: { Objects: [{ Key: 'copy' }] } });
    const url = cluster!.urls()[0]!;
    const brief = { method: 'PUT', body: 'x', headers: { 'x-minikv-ttl': '1' } };
    expect((await fetch(`${url}/s3/${Bucket}/brief`, brief)).status).toBe(200);
    const form = new FormData();
    form.set('key', 'posted');
    form.set('file', new Blob(['form']));
    expect((await fetch(`${url}/s3/${Bucket}`, { method: 'POST', body: form })).status).toBe(204);
    await createClient({ endpoints: [url] }).txn({
      success: [{ op: 'deleteObject', bucket: Bucket, key: 'posted' }],
    });
    await until(() => hook.events().length >= 11, 'all events', 15_000);
    const names = (key: string) =>
      hook
        .events()
        .flatMap(({ eventName, s3: { object } }) => (object.key === key ? [eventName] : []));
    expect(names('a+b/%C3%BC%2Bc')).toEqual(['ObjectCreated:Put']);
    expect(names('copy')).toEqual([
      ...['ObjectCreated:Copy', 'ObjectTagging:Put', 'ObjectTagging:Delete'],
      'ObjectRemoved:Delete',
    ]);
    expect(names('parts')).toEqual([
      'ObjectCreated:CompleteMultipartUpload',
      'ObjectRemoved:Delete',
    ]);
    expect(names('brief')).toEqual(['ObjectCreated:Put', 'LifecycleExpiration:Delete']);
    expect(names('posted')).toEqual(['ObjectCreated:Post', 'ObjectRemoved:Delete']);
    expect(hook.events().length).toBe(11);
    const first = hook
      .events()
      .find(({ s3: { object } }) => object.key.startsWith('a+b')) as SaidEvent;
    expect(first.s3.object).toMatchObject({ size: 5, eTag: put.ETag?.replaceAll('"', '') });
    expect(first.requestParameters.sourceIPAddress).toBe('127.0.0.1');
    expect(first.responseElements['x-amz-request-id']).toBe(put.$metadata.requestId);
    expect(first.s3.bucket).toMatchObject({ name: Bucket, arn: `arn:aws:s3:::${Bucket}` });
  });

  test('versions and markers are told with their ids, by a rule of a prefix and a suffix', async () => {
    const s3 = await start();
    const Bucket = 'versions';
    await s3.createBucket({ Bucket });
    await s3.putBucketVersioning({ Bucket, VersioningConfiguration: { Status: 'Enabled' } });
    const Filter = {
      Key: {
        FilterRules: [
          { Name: 'prefix' as const, Value: 'in/' },
          { Name: 'suffix' as const, Value: '.jpg' },
        ],
      },
    };
    const wanted = {
      TopicConfigurations: [
        {
          ...{ Id: 'pictures', TopicArn: 'arn:minio:sqs::main:webhook', Filter },
          Events: ['s3:ObjectCreated:*' as const, 's3:ObjectRemoved:*' as const],
        },
      ],
    };
    await s3.putBucketNotificationConfiguration({ Bucket, NotificationConfiguration: wanted });
    const seen = await s3.getBucketNotificationConfiguration({ Bucket });
    expect(seen.TopicConfigurations).toEqual(wanted.TopicConfigurations);
    for (const Key of ['in/a.png', 'out/a.jpg']) await s3.putObject({ Bucket, Key, Body: 'no' });
    const Key = 'in/a.jpg';
    const { VersionId: one } = await s3.putObject({ Bucket, Key, Body: '1' });
    const { VersionId: two } = await s3.putObject({ Bucket, Key, Body: '22' });
    const { VersionId: marker } = await s3.deleteObject({ Bucket, Key });
    await s3.deleteObject({ Bucket, Key, VersionId: one! });
    await s3.deleteObject({ Bucket, Key, VersionId: marker! });
    await until(() => hook.events().length >= 5, 'all events');
    const said = hook.events().map(({ eventName, s3: { object, configurationId } }) => {
      return [eventName, object.key, object.versionId, object.size, configurationId];
    });
    expect(said).toEqual([
      ['ObjectCreated:Put', Key, one, 1, 'pictures'],
      ['ObjectCreated:Put', Key, two, 2, 'pictures'],
      ['ObjectRemoved:DeleteMarkerCreated', Key, marker, undefined, 'pictures'],
      ['ObjectRemoved:Delete', Key, one, undefined, 'pictures'],
      ['ObjectRemoved:Delete', Key, marker, undefined, 'pictures'],
    ]);
    const order = hook.events().map(({ s3: { object } }) => object.sequencer);
    expect(order).toEqual([...order].sort());
    await s3.putBucketNotificationConfiguration({ Bucket, NotificationConfiguration: {} });
    await s3.putObject({ Bucket, Key, Body: 'told to nobody' });
    expect((await s3.getBucketNotificationConfiguration({ Bucket })).TopicConfigurations).toBe(
      undefined,
    );
    expect(hook.events().length).toBe(5);
  });

  test('what is posted is signed; a target that refuses or redirects has not taken it', async () => {
    const s3 = await start({ MINIKV_NOTIFY_WEBHOOK_SECRETS: 'main=very secret' });
    const Bucket = 'signed';
    await s3.createBucket({ Bucket });
    const NotificationConfiguration = {
      QueueConfigurations: [rule('', HOOK_ARN, ['s3:ObjectCreated:*'])],
    };
    hook.answer = () => 307;
    const refused = s3.putBucketNotificationConfiguration({ Bucket, NotificationConfiguration });
    await expect(refused).rejects.toMatchObject({ name: 'InvalidArgument' });
    await s3.putBucketNotificationConfiguration({
      ...{ Bucket, NotificationConfiguration, SkipDestinationValidation: true },
    });
    let answers = 0;
    hook.answer = () => (answers++ < 2 ? (answers === 1 ? 503 : 307) : 200);
    await s3.putObject({ Bucket, Key: 'k', Body: 'v' });
    await until(() => hook.received.length > 0, 'the third attempt');
    const [{ text, headers } = { text: '', headers: {} }] = hook.received;
    expect(eventsIn(text).map(({ s3: { object } }) => object.key)).toEqual(['k']);
    const [, at, mac] =
      /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(headers['minikv-signature'])) ?? [];
    const wanted = createHmac('sha256', 'very secret').update(`${at}.${text}`).digest('hex');
    expect(mac).toBe(wanted);
    expect(answers).toBe(3);
    const counts = { waiting: 0, sent: 1, dropped: 0, waiting_bytes: 0 };
    for (let i = 0; ; i++) {
      const status = await fetch(`${cluster!.urls()[0]!}/admin/status`);
      const { notifications } = (await status.json()) as { notifications: unknown[] };
      if (isDeepStrictEqual(notifications, [{ target: 'webhook:main', ...counts }])) break;
      expect(i, JSON.stringify(notifications)).toBeLessThan(100);
      await sleep(100);
    }
  });
});

describe('three nodes', () => {
  test('F01: every change reaches webhook and NATS in the order of its key, with the leader killed; a dead webhook holds up nobody, and gets all when it is back', async () => {
    const deadPort = await freePort();
    const env = {
      MINIKV_NOTIFY_WEBHOOKS: `main=${hook.url},dead=http://127.0.0.1:${deadPort}/hook`,
    };
    cluster = await ProcessCluster.start({ nodes: 3, groups: 2, env });
    nats = await connect({ servers: cluster.nats!.url });
    const published: SaidEvent[] = [];
    nats.subscribe('s3.told', {
      callback: (_error, message) => void published.push(...eventsIn(message.string())),
    });
    await nats.flush();
    const urls = cluster.urls();
    const s3 = urls.map(client);
    const Bucket = 'told';
    await s3[0]!.createBucket({ Bucket });
    const all = ['s3:ObjectCreated:*', 's3:ObjectRemoved:*'];
    const configure = (subject: string) =>
      s3[1]!.putBucketNotificationConfiguration({
        ...{ Bucket, SkipDestinationValidation: true },
        NotificationConfiguration: {
          QueueConfigurations: [
            rule('w/', HOOK_ARN, all),
            rule('n/', `arn:minikv:nats:::${subject}`, all),
            rule('d/', 'arn:minikv:webhook:::dead', all),
          ],
        },
      });
    for (const secret of [
      'minikv.minikv.node.n1.raft',
      'minikv.events.x',
      '$JS.API',
      '_INBOX.x',
      'orders.new',
    ]) {
      await expect(configure(secret)).rejects.toMatchObject({ name: 'InvalidArgument' });
    }
    await configure('s3.told');
    const kinds = ['w', 'n', 'd'] as const;
    const done = new Map<string, number>();
    /** Each key is put and put again, each time at another node. */
    const round = async (turn: number): Promise<void> => {
      for (let k = 0; k < 8; k++) {
        for (const kind of kinds) {
          const Key = `${kind}/${k}`;
          for (let i = 0; ; i++) {
            const at = s3[(turn + k + i) % 3]!;
            const put = await at.putObject({ Bucket, Key, Body: `${turn}` }).catch(() => null);
            if (put !== null) break;
            if (i === 100) throw new Error(`${Key} could not be put`);
          }
          done.set(Key, (done.get(Key) ?? 0) + 1);
        }
      }
    };
    for (let turn = 0; turn < 5; turn++) await round(turn);
    await cluster.kill(await cluster.leaderOf(1));
    for (let turn = 5; turn < 10; turn++) await round(turn);
    const isWhole = (kind: string, events: readonly SaidEvent[]): boolean => {
      const said = firstSaid(events);
      return [...done].every(([key, times]) => {
        return !key.startsWith(kind) || (said.get(key)?.length ?? 0) >= times;
      });
    };
    await until(() => isWhole('w', hook.events()), 'the webhook has all', 30_000, 50);
    await until(() => isWhole('n', published), 'NATS has all', 30_000, 50);
    const dead = await WebhookServer.start(deadPort);
    try {
      await until(() => isWhole('d', dead.events()), 'the dead one has all', 90_000, 50);
      for (const events of [hook.events(), published, dead.events()]) {
        for (const order of firstSaid(events).values()) expect(order).toEqual([...order].sort());
      }
    } finally {
      await dead.stop();
    }
  }, 180_000);
});
