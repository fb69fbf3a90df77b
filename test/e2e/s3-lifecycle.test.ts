import { createHash } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import { ProcessCluster } from '../kit/process-cluster.ts';
import { SseReader } from '../kit/sse-reader.ts';
import { sleep, until } from '../kit/wait.ts';

let cluster: ProcessCluster | null = null;
let watcher: SseReader | null = null;

afterEach(async () => {
  watcher?.close();
  watcher = null;
  await cluster?.dispose();
  cluster = null;
});

const DAY_SECONDS = 4;
const RULES =
  '<LifecycleConfiguration><Rule><ID>ends</ID><Status>Enabled</Status>' +
  '<Filter><Prefix>brief/</Prefix></Filter><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>';

/** Until it is done: a leader may have been killed a moment ago. */
async function send(url: string, path: string, method: string, body = ''): Promise<Response> {
  const digest = createHash('md5').update(body).digest('base64');
  const init = body === '' ? { method } : { method, body, headers: { 'content-md5': digest } };
  for (let i = 0; ; i++) {
    const answer = await fetch(`${url}/s3/${path}`, init).catch(() => null);
    if (answer !== null && answer.status < 500) return answer;
    if (i === 200) throw new Error(`not answered: ${answer?.status}`);
    await sleep(50);
  }
}

test('objects end by the rules of their bucket, with a node killed, as events, and others stay', async () => {
  const env = { MINIKV_LIFECYCLE_DAY_SECONDS: String(DAY_SECONDS) };
  cluster = await ProcessCluster.start({ nodes: 3, groups: 3, env });
  const urls = cluster.urls();
  expect((await send(urls[0]!, 'ruled', 'PUT')).status).toBe(200);
  expect((await send(urls[0]!, 'ruled?lifecycle', 'PUT', RULES)).status).toBe(200);
  watcher = new SseReader([urls[1]!, urls[2]!], 'bucket=ruled');
  await watcher.opened;
  const startMs = Date.now();
  for (let i = 0; i < 20; i++) {
    const answer = await send(urls[i % 3]!, `ruled/brief/${i}`, 'PUT', `brief ${i}`);
    expect(answer.headers.get('x-amz-expiration')).toMatch(
      /^expiry-date=".+ GMT", rule-id="ends"$/,
    );
    await send(urls[i % 3]!, `ruled/kept/${i}`, 'PUT', `kept ${i}`);
  }
  await cluster.kill(0);
  const ended = () => (watcher?.events ?? []).filter(({ type }) => type === 'expire');
  await until(() => ended().length >= 20, 'all have ended', 60_000);
  expect(Date.now() - startMs).toBeGreaterThanOrEqual(DAY_SECONDS * 1000);
  for (let i = 0; i < 20; i++) {
    expect((await send(urls[1]!, `ruled/brief/${i}`, 'GET')).status).toBe(404);
    expect((await send(urls[2]!, `ruled/kept/${i}`, 'GET')).status).toBe(200);
  }
  const keys = ended().map(({ data }) => data['key']);
  expect(new Set(keys).size).toBe(20);
  expect(keys.length).toBe(20);
});
