import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createClient, type Minikv } from '../../client/client.ts';
import { ProcessCluster } from '../kit/process-cluster.ts';
import { SseReader } from '../kit/sse-reader.ts';
import { until } from '../kit/wait.ts';

const VERSIONING = (status: string) =>
  `<VersioningConfiguration><Status>${status}</Status></VersioningConfiguration>`;

describe('keys and objects in one transaction, three nodes', () => {
  let cluster: ProcessCluster;
  let kv: Minikv;
  beforeAll(async () => {
    cluster = await ProcessCluster.start({ nodes: 3, groups: 4 });
    kv = createClient({ endpoints: cluster.urls(), timeoutMs: 20_000 });
    for (const bucket of ['plain', 'kept']) await s3('PUT', bucket);
    await s3('PUT', 'kept?versioning', VERSIONING('Enabled'));
  });
  afterAll(() => cluster.dispose());

  let turn = 0;
  /** Each at the next node. */
  async function s3(
    method: string,
    path: string,
    body: string | null = null,
    headers: Record<string, string> = {},
  ): Promise<Response> {
    const url = `${cluster.urls()[turn++ % 3]}/s3/${path}`;
    return fetch(url, { method, headers, ...(body === null ? {} : { body }) });
  }

  async function put(path: string, text: string): Promise<{ etag: string; versionId: string }> {
    const { status, headers } = await s3('PUT', path, text);
    expect(status).toBe(200);
    const versionId = headers.get('x-amz-version-id') ?? 'null';
    return { etag: headers.get('etag') ?? '', versionId };
  }

  test('a key is put and an object deleted if it is still the same, at one revision, also in the events', async () => {
    const watcher = new SseReader([cluster.node(2).url], 'bucket=plain');
    await watcher.opened;
    const { etag } = await put('plain/report', 'draft');
    const object = { bucket: 'plain', key: 'report' };
    const key = 'reports/closed';
    const done = await kv.txn({
      compare: [
        { object, etag },
        { key, exists: false },
      ],
      success: [
        { op: 'put', key, value: 'yes' },
        { op: 'deleteObject', ...object },
      ],
    });
    expect(done.succeeded).toBe(true);
    const { revision } = done;
    expect(done.results[1]).toEqual({
      ...{ op: 'deleteObject', deleted: true, revision, deleteMarker: false },
    });
    expect((await kv.get(key))?.revision).toBe(revision);
    expect((await s3('GET', 'plain/report')).status).toBe(404);
    expect(await (await s3('GET', 'plain?list-type=2')).text()).not.toContain('report');
    const isSeen = () =>
      watcher.events.some(({ type, data }) => type === 'delete' && data['revision'] === revision);
    await until(isSeen, 'the event of the object');
    watcher.close();
    const again = kv.txn({ compare: [{ object, etag }], success: [{ op: 'delete', key }] });
    await expect(again).rejects.toMatchObject({ code: 'compare_failed', definite: true });
  });

  test('tags and heads: the transaction sees what S3 shows, and S3 what it did', async () => {
    const { versionId } = await put('kept/a', 'one');
    const object = { bucket: 'kept', key: 'a' };
    const tags = { state: 'checked', by: 'Ada' };
    const done = await kv.txn({
      compare: [{ object, versionId }],
      success: [
        { op: 'putObjectTags', ...object, tags },
        { op: 'put', key: 'checked/a', value: versionId },
      ],
    });
    expect(done.results[0]).toMatchObject({ op: 'putObjectTags', versionId });
    const shown = await (await s3('GET', 'kept/a?tagging')).text();
    expect(shown).toContain('<Key>state</Key><Value>checked</Value>');
    const { results } = await kv.txn({
      success: [
        { op: 'headObject', ...object },
        { op: 'headObject', bucket: 'kept', key: 'none' },
      ],
    });
    expect(results[0]).toMatchObject({ object: { size: 3, versionId, tags } });
    expect(results[1]).toEqual({ op: 'headObject', revision: 0, object: null });
  });

  test('where there are versions a deletion is a marker, which S3 lists and removes', async () => {
    await put('kept/b', 'one');
    const object = { bucket: 'kept', key: 'b' };
    const { results } = await kv.txn({
      success: [
        { op: 'put', key: 'gone/b', value: '1' },
        { op: 'deleteObject', ...object },
      ],
    });
    const [, result] = results;
    if (result?.op !== 'deleteObject') throw new Error('another operation was answered');
    expect(result).toMatchObject({ deleted: true, deleteMarker: true });
    const versions = await (await s3('GET', 'kept?versions&prefix=b')).text();
    expect(versions).toContain(`<VersionId>${result.versionId}</VersionId>`);
    const gone = await s3('GET', 'kept/b');
    expect([gone.status, gone.headers.get('x-amz-delete-marker')]).toEqual([404, 'true']);
    await s3('DELETE', `kept/b?versionId=${result.versionId}`);
    expect(await (await s3('GET', 'kept/b')).text()).toBe('one');
  });

  test('a legal hold, a missing object and a missing bucket each refuse all of it', async () => {
    await s3('PUT', 'held', null, { 'x-amz-bucket-object-lock-enabled': 'true' });
    const { versionId } = await put('held/c', 'one');
    const hold = '<LegalHold><Status>ON</Status></LegalHold>';
    const md5 = createHash('md5').update(hold).digest('base64');
    expect((await s3('PUT', 'held/c?legal-hold', hold, { 'content-md5': md5 })).status).toBe(200);
    const write = { op: 'put', key: 'never', value: '1' } as const;
    const tags = { a: 'b' };
    const rows = [
      [{ op: 'deleteObject', bucket: 'held', key: 'c', versionId }, 'object_locked'],
      [{ op: 'putObjectTags', bucket: 'held', key: 'none', tags }, 'object_not_found'],
      [{ op: 'deleteObject', bucket: 'no-such-bucket', key: 'c' }, 'bucket_not_found'],
    ] as const;
    for (const [operation, code] of rows) {
      const sent = kv.txn({ success: [write, operation] });
      await expect(sent).rejects.toMatchObject({ code, definite: true });
    }
    expect(await kv.get('never')).toBeNull();
    expect(await (await s3('GET', 'held/c')).text()).toBe('one');
  });
});
