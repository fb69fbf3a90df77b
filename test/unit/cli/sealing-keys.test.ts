import { afterEach, describe, expect, it } from 'vitest';
import { openContext } from '../../../cli/commands/context.ts';
import {
  type DataKeyFlags,
  reloadRootKey,
  rotateDataKeys,
  showDataKeys,
} from '../../../cli/commands/sealing-keys.ts';
import { CommandFailed, UsageError } from '../../../cli/failures.ts';
import { testIo } from './fake-io.ts';
import { answerJson, type TestServer, testServer } from './test-server.ts';

const servers: TestServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

const IDLE = {
  dataKey: 1,
  dataKeys: [1],
  state: 'idle',
  at: null,
  places: {},
  rounds: 0,
  error: null,
};
const log = { seen: 2, total: null, resealed: 1, damaged: 0 };
const chunks = { seen: 5, total: 9, resealed: 5, damaged: 1 };
const UNDER_WAY = {
  ...IDLE,
  ...{ dataKey: 2, dataKeys: [1, 2], state: 'resealing', at: 'chunks', places: { log, chunks } },
};

type Answer = readonly [status: number, body: object];

/** Nodes n1, n2 ...; each gives its answers one after another, the last one stays. */
async function nodes(...answers: Answer[][]): Promise<{ url: string; asked: string[] }> {
  const asked: string[] = [];
  for (const [i, left] of answers.entries()) {
    const server = await testServer((request, response) => {
      if (request.url === '/admin/status') {
        const known = servers.map(({ url }, n) => ({ nodeId: `n${n + 1}`, httpUrl: url }));
        return answerJson(response, 200, { groups: [], nodes: known });
      }
      asked.push(`n${i + 1} ${request.method} ${request.url}`);
      const [status, body] = (left.length > 1 ? left.shift() : left[0]) as Answer;
      answerJson(response, status, { nodeId: `n${i + 1}`, ...body });
    });
    servers.push(server);
  }
  return { url: servers[0]?.url ?? '', asked };
}

async function run(work: typeof showDataKeys, flags: DataKeyFlags) {
  const io = testIo();
  const failure = await work(openContext(io, { timeout: '5', ...flags }), flags).then(
    () => null,
    (error: unknown) => error,
  );
  return { out: io.written.out, failure };
}

describe('minikv data-keys', () => {
  it('shows each node, and how far it is', async () => {
    const { url } = await nodes([[200, IDLE]], [[200, UNDER_WAY]]);
    const { out, failure } = await run(showDataKeys, { endpoint: url });
    expect(failure).toBeNull();
    expect(out.split('\n')).toEqual([
      'n1: data key 1 seals all',
      'n2: data key 2 seals what is written, 1 is still needed; at chunks: log 2, 1 anew; ' +
        'chunks 5 of 9, 5 anew, 1 damaged',
      '',
    ]);
  });

  it('begins a rotation on all nodes, or those that are named, and waits for its end', async () => {
    const ended = { ...IDLE, dataKey: 2, dataKeys: [2] };
    const { url, asked } = await nodes(
      [
        [202, UNDER_WAY],
        [200, UNDER_WAY],
        [200, ended],
      ],
      [[202, ended]],
    );
    const { out, failure } = await run(rotateDataKeys, { endpoint: url, wait: true });
    expect(failure).toBeNull();
    expect(out).toBe('n1: data key 2 seals all\nn2: data key 2 seals all\n');
    const rotated = ['n1 POST /admin/data-keys/rotate', 'n2 POST /admin/data-keys/rotate'];
    expect(asked.slice(0, 2).sort()).toEqual(rotated);
    expect(asked.slice(2)).toEqual(['n1 GET /admin/data-keys', 'n1 GET /admin/data-keys']);
    asked.length = 0;
    await run(rotateDataKeys, { endpoint: url, node: 'n2' });
    expect(asked).toEqual(['n2 POST /admin/data-keys/rotate']);
    const unknown = await run(rotateDataKeys, { endpoint: url, node: 'n3' });
    expect(unknown.failure).toBeInstanceOf(UsageError);
  });

  it('says what a node refuses, and does what it can on the others', async () => {
    const refusal = {
      code: 'precondition_failed',
      detail: 'root key 1, which is in use, is missing',
    };
    const changed = { rootKey: 'b'.repeat(16), before: 'a'.repeat(16) };
    const { url } = await nodes([[412, refusal]], [[200, changed]]);
    const { out, failure } = await run(reloadRootKey, { endpoint: url, json: true });
    expect(failure).toBeInstanceOf(CommandFailed);
    expect((failure as CommandFailed).message).toBe('not done: n1');
    const [first, second] = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(first).toEqual({ nodeId: 'n1', failure: expect.stringContaining('which is in use') });
    expect(second).toEqual({ nodeId: 'n2', ...changed });
  });
});
