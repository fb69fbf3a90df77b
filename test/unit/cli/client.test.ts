import { afterEach, describe, expect, it } from 'vitest';
import { Client, keyPath, parseEndpoints, query, RequestFailed } from '../../../cli/client.ts';
import { CommandFailed, UsageError } from '../../../cli/failures.ts';
import { testIo } from './fake-io.ts';
import { answerJson, problem, type TestServer, testServer } from './test-server.ts';

const servers: TestServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

async function serverOf(...args: Parameters<typeof testServer>): Promise<TestServer> {
  const server = await testServer(...args);
  servers.push(server);
  return server;
}

async function closedPort(): Promise<string> {
  const server = await testServer(() => {});
  await server.close();
  return server.url;
}

const client = (endpoints: string[], timeoutMs = 3_000) =>
  new Client(testIo(), { endpoints, timeoutMs });
const read = { method: 'GET' as const, path: '/x', repeatable: true };
const write = { method: 'PUT' as const, path: '/x', body: 'v', repeatable: false };

async function failureOf(work: Promise<unknown>): Promise<CommandFailed> {
  const error = await work.then(() => null).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(CommandFailed);
  return error as CommandFailed;
}

describe('client', () => {
  it('goes to the next node when one cannot be reached, and stays there', async () => {
    const live = await serverOf((_, response) => answerJson(response, 200, { ok: true }));
    const c = client([await closedPort(), live.url]);
    expect(await c.json(write)).toEqual({ ok: true });
    expect(c.endpoint).toBe(live.url);
    expect(await c.json(read)).toEqual({ ok: true });
    expect(live.seen).toHaveLength(2);
  });

  it('tries a definite refusal again elsewhere, also for a plain write', async () => {
    const first = await serverOf((_, response) => problem(response, 503, 'not_leader', true));
    const second = await serverOf((_, response) => answerJson(response, 200, { ok: 1 }));
    expect(await client([first.url, second.url]).json(write)).toEqual({ ok: 1 });
    expect(first.seen).toHaveLength(1);
  });

  it('does not repeat a plain write whose outcome is unknown', async () => {
    const server = await serverOf((_, response) =>
      problem(response, 504, 'outcome_unknown', false),
    );
    const error = await failureOf(client([server.url]).json(write));
    expect(error.message).toContain('may or may not have happened');
    expect(server.seen).toHaveLength(1);
  });

  it('does not repeat a plain write when the connection broke under way', async () => {
    const server = await serverOf((_, response) => void response.socket?.destroy());
    const error = await failureOf(client([server.url, server.url]).json(write));
    expect(error.details).toMatchObject({ code: 'outcome_unknown', definite: false });
    expect(server.seen).toHaveLength(1);
  });

  it('repeats reads and keyed writes after an unknown outcome', async () => {
    const server = await serverOf((_, response, index) => {
      if (index === 0) response.socket?.destroy();
      else if (index === 1) problem(response, 504, 'outcome_unknown', false);
      else answerJson(response, 200, { index });
    });
    expect(await client([server.url]).json({ ...write, repeatable: true })).toEqual({ index: 2 });
  });

  it('waits as long as a busy node asks for', async () => {
    const times: number[] = [];
    const server = await serverOf((_, response, index) => {
      times.push(performance.now());
      if (index === 0) problem(response, 429, 'rate_limited', true, 200);
      else answerJson(response, 200, {});
    });
    await client([server.url]).json(write);
    expect(times[1]! - times[0]!).toBeGreaterThanOrEqual(190);
  });

  it('hands a final refusal on at once, with its problem document', async () => {
    const server = await serverOf((_, response) =>
      problem(response, 412, 'precondition_failed', true),
    );
    const error = await failureOf(client([server.url]).json(write));
    expect(error).toBeInstanceOf(RequestFailed);
    expect(error).toMatchObject({ code: 'precondition_failed', status: 412, definite: true });
    expect(error.message).toBe('because precondition_failed [precondition_failed]');
    expect(server.seen).toHaveLength(1);
  });

  it('gives up when its time is over, with the last refusal', async () => {
    const server = await serverOf((_, response) =>
      problem(response, 503, 'unavailable', true, 100),
    );
    const startedAt = performance.now();
    const error = await failureOf(client([server.url], 400).json(read));
    expect(error.message).toContain('[unavailable]');
    expect(performance.now() - startedAt).toBeLessThan(2_000);
    expect(server.seen.length).toBeGreaterThan(1);
  });

  it('names the last refusal also when its time ends in an attempt without an answer', async () => {
    const server = await serverOf((_, response) => {
      if (server.seen.length === 1) problem(response, 503, 'unavailable', true, 10);
    });
    const error = await failureOf(client([server.url], 400).json(read));
    expect(error.message).toMatch(/no answer in time; before that: .*\[unavailable\]/);
    expect(error.details).toMatchObject({ code: 'outcome_unknown', definite: false });
  });

  it('reads endpoints with and without a scheme, and refuses what is none', () => {
    expect(parseEndpoints('http://a:1, b:2')).toEqual(['http://a:1', 'http://b:2']);
    expect(() => parseEndpoints('ftp://a')).toThrow(UsageError);
    expect(() => parseEndpoints('http://a/path')).toThrow(UsageError);
    expect(() => parseEndpoints(' , ')).toThrow(UsageError);
  });

  it('escapes keys so that no URL parser changes them', () => {
    for (const key of ['a', 'a/b//c/', 'ä €?#%', 'a/../b', './x', 'a/.', '..%2F', ' ']) {
      const url = new URL(`http://h${keyPath(key)}`);
      expect(decodeURIComponent(url.pathname)).toBe(`/v1/kv/${key}`);
    }
    expect(() => keyPath('..')).toThrow(UsageError);
    expect(query({ a: 'x y', b: undefined, c: false, d: 0, e: true })).toBe('?a=x+y&d=0&e=true');
    expect(query({ a: undefined })).toBe('');
  });
});
