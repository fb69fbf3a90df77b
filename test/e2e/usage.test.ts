import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, describe, expect, test } from 'vitest';
import { ProcessCluster } from '../kit/process-cluster.ts';
import { sleep } from '../kit/wait.ts';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const MIB = 1024 * 1024;

let cluster: ProcessCluster | null = null;

afterEach(async () => {
  await cluster?.dispose();
  cluster = null;
});

interface Counts {
  readonly space: string;
  readonly objects: number;
  readonly bytes: number;
}

async function json<T>(url: string): Promise<T> {
  const answer = await fetch(url);
  expect(answer.status).toBe(200);
  return (await answer.json()) as T;
}

/** Every space that `GET /admin/usage` tells of, `limit` to a page. */
async function usage(url: string, limit: number): Promise<Counts[]> {
  const all: Counts[] = [];
  for (let cursor = ''; ; ) {
    const page = await json<{ items: Counts[]; cursor?: string }>(
      `${url}/admin/usage?limit=${limit}${cursor}`,
    );
    all.push(...page.items);
    if (page.cursor === undefined) return all;
    cursor = `&cursor=${encodeURIComponent(page.cursor)}`;
  }
}

async function send(method: string, url: string, body: string | Buffer | null = null) {
  const answer = await fetch(url, { method, body });
  expect(answer.status).toBeLessThan(300);
  return answer;
}

describe('what is stored', () => {
  test('is told alike by all nodes, exactly, also after a kill of all', async () => {
    cluster = await ProcessCluster.start({ nodes: 3, groups: 3 });
    const [a, b, c] = cluster.urls() as [string, string, string];
    await send('PUT', `${a}/s3/plain`);
    await send('PUT', `${a}/s3/versioned`);
    const enabled = '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>';
    await send('PUT', `${a}/s3/versioned?versioning`, enabled);
    await Promise.all(
      Array.from({ length: 30 }, (_, i) => {
        const url = [a, b, c][i % 3] as string;
        return send('PUT', `${url}/s3/plain/o${i}`, 'x'.repeat(i));
      }),
    );
    // Overwritten, deleted, and put beside a large one that is in chunks.
    await send('PUT', `${b}/s3/plain/o29`, 'y');
    await send('DELETE', `${c}/s3/plain/o28`);
    await send('PUT', `${c}/s3/plain/large`, Buffer.alloc(MIB, 1));
    for (const body of ['one', 'three']) await send('PUT', `${a}/s3/versioned/v`, body);
    await send('DELETE', `${b}/s3/versioned/v`);
    await send('PUT', `${b}/s3/versioned/w`, 'four');
    const begun = await send('POST', `${c}/s3/plain/parts?uploads`);
    const id = /<UploadId>(.*?)<\/UploadId>/.exec(await begun.text())?.[1] as string;
    await send('PUT', `${c}/s3/plain/parts?partNumber=1&uploadId=${id}`, 'part');
    await send('PUT', `${a}/v1/kv/key`, 'value');

    const small = (27 * 28) / 2;
    const none = { keys: 0, keyBytes: 0, versions: 0, versionBytes: 0, deleteMarkers: 0 };
    const wanted = [
      expect.objectContaining({ space: 'kv', keys: 1, keyBytes: 8, objects: 0, bytes: 0 }),
      {
        ...{ tenant: 'default', space: 'plain', ...none, objects: 30, uploads: 1, parts: 1 },
        ...{ objectBytes: small + 1 + MIB, partBytes: 4, bytes: small + 5 + MIB },
      },
      {
        ...{ tenant: 'default', space: 'versioned', ...none, objects: 1, objectBytes: 4 },
        ...{ versions: 2, versionBytes: 8, deleteMarkers: 1, uploads: 0, parts: 0, partBytes: 0 },
        bytes: 12,
      },
    ];
    const status = { nb_s3_objects: 31, s3_bytes: small + 17 + MIB, nb_keys: 1, key_bytes: 8 };
    for (const url of [a, b, c]) {
      expect(await usage(url, 1_000)).toEqual(wanted);
      expect(await usage(url, 1)).toEqual(wanted);
      expect(await json(`${url}/admin/status`)).toMatchObject(status);
    }
    await Promise.all([0, 1, 2].map((i) => cluster?.kill(i)));
    for (const i of [0, 1, 2]) cluster.spawn(i);
    await cluster.ready();
    for (const url of cluster.urls()) {
      expect(await usage(url, 2)).toEqual(wanted);
      expect(await json(`${url}/admin/status`)).toMatchObject(status);
    }
    await send('DELETE', `${b}/s3/plain/parts?uploadId=${id}`);
    expect((await usage(c, 10))[1]).toMatchObject({ uploads: 0, parts: 0, partBytes: 0 });
  }, 120_000);

  test('is what `minikv usage` prints and what is scraped', async () => {
    cluster = await ProcessCluster.start({ nodes: 1, groups: 2 });
    const [url] = cluster.urls() as [string];
    await send('PUT', `${url}/s3/demo/a`, 'x'.repeat(2048));
    await send('PUT', `${url}/s3/demo/b`, '');
    const run = promisify(execFile);
    const args = [MAIN, 'usage', '--endpoint', url];
    const text = (await run(process.execPath, args)).stdout;
    expect(text).toMatch(/demo +│ 2 +│ 0 +│ 0 +│ 0 +│ 2\.0 KiB/);
    expect(text).toMatch(/^0 keys, 0 B with their values/);
    const lines = (await run(process.execPath, [...args, '--json'])).stdout.trim().split('\n');
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      expect.objectContaining({ tenant: 'default', space: 'demo', objects: 2, bytes: 2048 }),
      { total: expect.objectContaining({ objects: 2, objectBytes: 2048, bytes: 2048 }) },
    ]);
    let scraped = '';
    const isTold = () => /^minikv_bucket_bytes\{.*bucket="demo".*\} 2048\b/m.test(scraped);
    for (let i = 0; i < 150 && !isTold(); i++) {
      await sleep(100);
      scraped = await (await fetch(`${url}/metrics`)).text();
    }
    expect(scraped).toMatch(/^minikv_bucket_objects\{.*bucket="demo".*\} 2\b/m);
    expect(isTold()).toBe(true);
  }, 60_000);
});
