import { afterAll, beforeAll, expect, it } from 'vitest';
import { freePort } from '../kit/nats-server.ts';
import { ProcessCluster } from '../kit/process-cluster.ts';
import { AREAS } from '../s3/areas.ts';
import { KNOWN_GAPS } from '../s3/known-gaps.ts';
import { CASE_MS, runCase } from '../s3/runner.ts';
import { Connections } from '../s3/world.ts';

/**
 * The suite of test/s3 against one node of the build. A case that is listed as a gap has to fail, and any other has
 * to hold: the list says what is so.
 */

const KEYS = { accessKeyId: 'MINIKVSUITEKEY', secretAccessKey: 'of-the-suite-and-nothing-else' };

let cluster: ProcessCluster;
let connections: Connections;
/** Of the area `users`: two users, of whom neither is the administrator. */
let between: Connections;

beforeAll(async () => {
  const port = await freePort();
  const keys = ['--s3-access-key', KEYS.accessKeyId, '--s3-port', String(port)];
  const env = { MINIKV_S3_SECRET_KEY: KEYS.secretAccessKey };
  cluster = await ProcessCluster.start({ nodes: 1, flags: keys, env });
  const target = { endpoint: `http://127.0.0.1:${port}`, credentials: KEYS, region: 'us-east-1' };
  connections = new Connections(target);
  const [credentials, second] = [await pairOf('first'), await pairOf('second')];
  between = new Connections({ ...target, credentials, second });
});

async function pairOf(user: string) {
  const [url] = cluster.urls();
  const post = async (path: string, body: object) => {
    const headers = { 'content-type': 'application/json' };
    const sent = { method: 'POST', headers, body: JSON.stringify(body) };
    const answer = await fetch(`${url}/admin/${path}`, sent);
    expect(answer.status).toBe(201);
    return (await answer.json()) as { accessKeyId: string; secretAccessKey: string };
  };
  await post('s3-users', { name: user });
  const { accessKeyId, secretAccessKey } = await post('s3-keys', { user });
  return { accessKeyId, secretAccessKey };
}

afterAll(async () => {
  between?.close();
  connections?.close();
  await cluster?.dispose();
});

const cases = AREAS.flatMap((area) => area.cases);

for (const one of cases) {
  it.concurrent(
    one.name,
    async () => {
      const who = one.area === 'users' ? between : connections;
      const { failure, leftBehind } = await runCase(who, one);
      if (!Object.hasOwn(KNOWN_GAPS, one.name)) {
        if (failure !== null) throw failure;
        if (leftBehind !== null) throw leftBehind;
        return;
      }
      // Whatever it leaves behind: it stops half-way.
      expect(failure, 'it holds: take it out of test/s3/known-gaps.ts').not.toBeNull();
    },
    2 * CASE_MS,
  );
}

it('has at least 500 cases, each with a name of its own', () => {
  const names = cases.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(names.length).toBeGreaterThanOrEqual(500);
});

it('has a case for each gap that is listed', () => {
  const names = new Set(cases.map(({ name }) => name));
  expect(Object.keys(KNOWN_GAPS).filter((name) => !names.has(name))).toEqual([]);
});
