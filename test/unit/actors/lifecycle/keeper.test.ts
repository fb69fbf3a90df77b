import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeLifecycle, LIFECYCLE, type LifecycleRule } from '../../../../protocol/lifecycle.ts';
import type { Bucket, ListedVersion, ObjectService } from '../../../../protocol/object-access.ts';
import { NO_CONDITION, type ObjectOp } from '../../../../protocol/object-ops.ts';
import { NO_HEAD, type ObjectHead } from '../../../../protocol/objects.ts';
import type { RequestContext } from '../../../../protocol/service.ts';
import { MemoryCluster } from '../../../kit/memory-cluster.ts';

const CTX: RequestContext = { deadlineMs: 5_000, traceparent: null, idempotency: null };
const DAY = 2_000;
const OFF = { days: null, dateMs: null, expiredObjectDeleteMarker: null };

function rule(id: string, prefix: string, more: Partial<LifecycleRule>): LifecycleRule {
  return {
    ...{ id, status: 'Enabled', prefix, filter: null, expiration: null },
    ...{ noncurrentVersionExpiration: null, abortIncompleteMultipartUpload: null },
    ...more,
  };
}

const RULES = [
  rule('days', 'd', { expiration: { ...OFF, days: 1 } }),
  rule('old', 'v', {
    noncurrentVersionExpiration: { noncurrentDays: 1, newerNoncurrentVersions: 1 },
  }),
  rule('uploads', 'u', { abortIncompleteMultipartUpload: { daysAfterInitiation: 1 } }),
];

/** Three nodes, and buckets under these rules. */
describe('lifecycle rules, carried out beside the leaders', () => {
  const cluster = new MemoryCluster('n1 n2 n3', { groupCount: 3, lifecycleDayMs: DAY });
  const { time } = cluster;
  const ask = <T>(work: (objects: ObjectService) => Promise<T>) =>
    time.until(work(cluster.node('n2').objects));

  const make = async (name: string, objectLock: boolean): Promise<Bucket> => {
    const documents = { [LIFECYCLE]: encodeLifecycle({ rules: RULES }) };
    const wanted = { tenant: 'default', name, owner: 'me', objectLock, documents };
    return (await ask((objects) => objects.buckets.create(CTX, wanted))).bucket;
  };

  const apply = async (bucket: Bucket, op: ObjectOp) =>
    (await ask((objects) => objects.apply(CTX, bucket, op))).result;

  const ref = (bucket: Bucket, key: string) => ({
    tenant: 'default',
    space: bucket.rule.name,
    key,
  });

  const put = (bucket: Bucket, key: string, etag: string, head: ObjectHead = NO_HEAD) =>
    apply(bucket, {
      ...{ type: 'put', ref: ref(bucket, key), size: 0, etag, checksum: null, head, data: null },
      ...{ ttlMs: null, condition: NO_CONDITION },
    });

  const versions = async (bucket: Bucket) => {
    const query = { tenant: 'default', space: bucket.rule.name, prefix: '', delimiter: null };
    const asked = { ...query, start: '', below: 0, limit: 100 };
    const page = await ask((objects) => objects.listVersions(CTX, asked));
    return page.entries
      .filter((one): one is ListedVersion => one.type === 'version')
      .map(({ key, etag, isMarker }) => `${key} ${isMarker ? 'marker' : etag}`);
  };

  const later = (days: number) => time.pass(days * DAY);

  beforeAll(() => cluster.start());
  afterAll(async () => {
    for (const name of ['n1', 'n2', 'n3']) await time.until(cluster.node(name).stop());
    expect(cluster.fatals).toEqual([]);
  });

  it('takes objects away when their days are over, as an event, and leaves others alone', async () => {
    const bucket = await make('plain-bucket', false);
    for (const key of ['d1', 'd2', 'd3', 'e1']) await put(bucket, key, key);
    expect(await versions(bucket)).toEqual(['d1 d1', 'd2 d2', 'd3 d3', 'e1 e1']);
    await later(5);
    expect(await versions(bucket)).toEqual(['e1 e1']);
    const ended = cluster.published.filter(
      ({ kind, ref: { space } }) => kind === 'expire' && space === 'plain-bucket',
    );
    expect(ended.map((event) => event.ref.key).sort()).toEqual(['d1', 'd2', 'd3']);
  });

  it('puts a marker on versions, and takes it away when it is alone', async () => {
    const bucket = await make('versions-bucket', true);
    await put(bucket, 'd1', 'a');
    await later(2.5);
    expect(await versions(bucket)).toEqual(['d1 marker', 'd1 a']);
    await later(4);
    expect(await versions(bucket)).toEqual(['d1 marker', 'd1 a']);
    const query = { tenant: 'default', space: 'versions-bucket', prefix: '', delimiter: null };
    const asked = { ...query, start: '', below: 0, limit: 10 };
    const { entries } = await ask((objects) => objects.listVersions(CTX, asked));
    const { versionId } = entries[1] as ListedVersion;
    await apply(bucket, {
      ...{ type: 'delete', ref: ref(bucket, 'd1'), versionId },
      ...{ condition: NO_CONDITION, bypass: false },
    });
    await later(3);
    expect(await versions(bucket)).toEqual([]);
  });

  it('takes versions away that are not current, but for what is kept or locked', async () => {
    const bucket = await make('locked-bucket', true);
    const untilMs = time.process().clock.wallMs() + 100 * DAY;
    const locked = { ...NO_HEAD, retention: { mode: 'compliance' as const, untilMs } };
    await put(bucket, 'v', 'a', locked);
    await put(bucket, 'v', 'b', { ...NO_HEAD, legalHold: true });
    for (const etag of ['c', 'd', 'e', 'f']) await put(bucket, 'v', etag);
    await later(5);
    expect(await versions(bucket)).toEqual(['v f', 'v e', 'v b', 'v a']);
  });

  it('aborts uploads that were begun long ago', async () => {
    const bucket = await make('upload-bucket', false);
    for (const [key, upload] of [
      ['u', 'one'],
      ['x', 'two'],
    ] as const) {
      const rest = { head: NO_HEAD, checksum: null };
      await apply(bucket, { type: 'uploadCreate', ref: ref(bucket, key), upload, ...rest });
    }
    await later(4);
    const query = { tenant: 'default', space: 'upload-bucket', prefix: '', delimiter: null };
    const { entries } = await ask((objects) =>
      objects.listUploads(CTX, bucket, { ...query, start: '', after: '', limit: 10 }),
    );
    expect(entries).toMatchObject([{ key: 'x', upload: 'two' }]);
  });

  it('goes by the rules that a bucket has by then', async () => {
    const bucket = await make('changed-bucket', false);
    await ask((objects) =>
      objects.buckets.change(CTX, 'default', 'changed-bucket', {
        documents: { [LIFECYCLE]: null },
      }),
    );
    await put(bucket, 'd1', 'a');
    await later(5);
    expect(await versions(bucket)).toEqual(['d1 a']);
  });
});
