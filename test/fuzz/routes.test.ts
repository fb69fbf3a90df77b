import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkAnswer, exchange, requestBytes } from './requests/exchange.ts';
import { S3_OPERATIONS } from './requests/s3-requests.ts';
import { type FuzzedNode, fuzzRoutes, startFuzzedNode } from './routes.ts';

const MS = 2_500;

describe.each([false, true])('a node, with --auth: %s', (withAuth) => {
  let node: FuzzedNode;
  beforeAll(async () => {
    node = await startFuzzedNode(withAuth);
  });
  afterAll(() => node.stop());

  it.each(['REST', 'S3'] as const)(
    '%s: every request has one answer, none a 500',
    async (kind) => {
      const untilMs = performance.now() + MS;
      const run = await fuzzRoutes(node, kind, { seed: 1, cases: 600, untilMs });
      expect(run.failure).toBeNull();
      expect(run.cases).toBeGreaterThan(3);
      expect([...run.statuses.keys()].some((status) => status >= 400)).toBe(true);
    },
    60_000,
  );

  it('knows its routes', () => {
    expect(node.routes.length).toBeGreaterThan(70);
    expect(S3_OPERATIONS.length).toBeGreaterThan(80);
  });
});

describe('what is held against an answer', () => {
  const answer = (status: number, text: string, headers: readonly [string, string][] = []) => ({
    ...{ status, body: Buffer.from(text), isStream: false },
    headers: new Map([['x-request-id', 'a'], ['x-content-type-options', 'nosniff'], ...headers]),
  });

  it('is that it shows insides, has no id, or is a 500', () => {
    expect(() => checkAnswer(answer(200, 'fine'), ['secret'])).not.toThrow();
    expect(() => checkAnswer(answer(500, ''), [])).toThrow('500');
    expect(() => checkAnswer(answer(400, 'x\n    at run (/a/b.js:3:1)'), [])).toThrow('shows');
    expect(() => checkAnswer(answer(400, 'a secret'), ['secret'])).toThrow('shows');
    expect(() => checkAnswer(answer(200, '', [['x-request-id', '']]), [])).toThrow('request id');
  });

  it('is that something follows it', async () => {
    const node = await startFuzzedNode(false);
    try {
      const one = requestBytes('GET', '/health/live', [['host', 'localhost']], null);
      const first = Buffer.from(one.toString().replace('connection: close\r\n', ''));
      const two = { name: 'two', method: 'GET', bytes: Buffer.concat([first, one]) };
      await expect(exchange(node.httpUrl, two)).rejects.toThrow('follow a head');
    } finally {
      await node.stop();
    }
  });
});
