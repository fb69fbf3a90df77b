import { describe, expect, it } from 'vitest';
import { MinikvError } from '../../../client/errors.ts';
import { type ClientOptions, type Request, Transport } from '../../../client/transport.ts';

type Reply = (url: string, init: RequestInit) => Response | Promise<Response> | Error;

/** A transport to nodes that answer from a list, one answer per request. */
function transportTo(replies: Reply[], options: ClientOptions = {}) {
  const asked: { url: string; key: string | null; timeoutMs: number }[] = [];
  const fake = async (input: string | URL | globalThis.Request, init: RequestInit = {}) => {
    const headers = new Headers(init.headers);
    const timeoutMs = Number(headers.get('x-minikv-timeout-ms'));
    asked.push({ url: String(input), key: headers.get('idempotency-key'), timeoutMs });
    const reply = replies[asked.length - 1];
    if (reply === undefined) throw new Error('an unexpected request');
    const answer = await reply(String(input), init);
    if (answer instanceof Error) throw answer;
    return answer;
  };
  const endpoints = ['http://a', 'http://b', 'http://c'];
  const transport = new Transport({ endpoints, timeoutMs: 2_000, ...options, fetch: fake });
  return { asked, transport };
}

const ok =
  (body = '{}'): Reply =>
  () =>
    new Response(body);
const refused: Reply = () =>
  new TypeError('fetch failed', { cause: Object.assign(new Error(), { code: 'ECONNREFUSED' }) });
const cut: Reply = () => new TypeError('terminated');
const problem =
  (status: number, code: string, definite: boolean, more: object = {}): Reply =>
  () =>
    new Response(JSON.stringify({ status, code, definite, detail: 'why', ...more }), { status });
/** Never answers; ends when it is given up. */
const silent: Reply = (_url, init) =>
  new Promise((_, reject) => {
    init.signal?.addEventListener('abort', () => reject(new TypeError('aborted')));
  });

const READ: Request = { method: 'GET', path: '/v1/kv/x', repeat: 'read' };
const WRITE: Request = { method: 'PUT', path: '/v1/kv/x', body: 'v', repeat: 'keyed' };
const ONCE: Request = { ...WRITE, repeat: 'once' };

async function failureOf(promise: Promise<unknown>): Promise<MinikvError> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(MinikvError);
  return error as MinikvError;
}

describe('B27 what is repeated, and what is said of it', () => {
  it('a node that cannot be reached is passed over at once, by any request', async () => {
    for (const request of [READ, WRITE, ONCE]) {
      const { asked, transport } = transportTo([refused, ok()]);
      await transport.call(request);
      expect(asked.map(({ url }) => url)).toEqual(['http://a/v1/kv/x', 'http://b/v1/kv/x']);
    }
  });

  it('the node that answered is asked first from then on', async () => {
    const { asked, transport } = transportTo([refused, ok(), ok()]);
    await transport.call(READ);
    await transport.call(READ);
    expect(asked.map(({ url }) => url.slice(7, 8))).toEqual(['a', 'b', 'b']);
  });

  it('a write that was cut off is sent again under the same idempotency key', async () => {
    const { asked, transport } = transportTo([cut, problem(504, 'outcome_unknown', false), ok()]);
    await transport.call(WRITE);
    const keys = asked.map(({ key }) => key);
    expect(keys[0]).toMatch(/^[0-9a-f]{32}$/);
    expect(new Set(keys).size).toBe(1);
  });

  it('a write without a key is never sent twice when it may have happened', async () => {
    for (const reply of [cut, problem(504, 'outcome_unknown', false), problem(500, 'x', false)]) {
      const { asked, transport } = transportTo([reply, ok()], { idempotency: false });
      expect((await failureOf(transport.call(WRITE))).definite).toBe(false);
      expect(asked).toHaveLength(1);
      expect(asked[0]?.key).toBeNull();
    }
  });

  it('it is sent again where it certainly did not happen', async () => {
    const { asked, transport } = transportTo([problem(503, 'unavailable', true), ok()]);
    await transport.call(ONCE);
    expect(asked).toHaveLength(2);
  });

  it('what cannot change by asking again is not asked again', async () => {
    const replies = [problem(412, 'precondition_failed', true, { currentRevision: 7 })];
    const { transport } = transportTo(replies);
    const error = await failureOf(transport.call(WRITE));
    expect(error).toMatchObject({ code: 'precondition_failed', definite: true, status: 412 });
    expect(error.details).toEqual({ currentRevision: 7 });
  });

  it('B10 a refusal after an attempt that was not answered is not definite', async () => {
    const { transport } = transportTo([cut, problem(400, 'invalid_argument', true)]);
    const error = await failureOf(transport.call(WRITE));
    expect(error).toMatchObject({ code: 'outcome_unknown', definite: false });
    expect(error.cause).toMatchObject({ code: 'invalid_argument' });
  });

  it('what the store decided under the same key is true of every attempt', async () => {
    const { transport } = transportTo([cut, problem(412, 'precondition_failed', true)]);
    const error = await failureOf(transport.call(WRITE));
    expect(error).toMatchObject({ code: 'precondition_failed', definite: true });
  });

  it("a proxy's word is no word on a write", async () => {
    const bad: Reply = () => new Response('<html>', { status: 502 });
    const { transport } = transportTo([bad], { idempotency: false });
    expect(await failureOf(transport.call(WRITE))).toMatchObject({ definite: false, status: 502 });
  });
});

describe('deadlines', () => {
  it('a node that hangs is given up for another, within the deadline', async () => {
    const { asked, transport } = transportTo([silent, ok()]);
    await transport.call({ ...READ, attemptMs: 30 });
    expect(asked.map(({ timeoutMs }) => timeoutMs <= 30)).toEqual([true, true]);
  });

  it('nobody answers: a read certainly did nothing, of a write nobody can tell', async () => {
    const slow = { timeoutMs: 60, attemptMs: 1_000 };
    const read = transportTo([silent]).transport;
    expect(await failureOf(read.call({ ...READ, ...slow }))).toMatchObject({ definite: true });
    const write = transportTo([silent]).transport;
    const error = await failureOf(write.call({ ...WRITE, ...slow }));
    expect(error).toMatchObject({ code: 'outcome_unknown', definite: false });
  });

  it('an aborted write may have happened, one that was not sent has not', async () => {
    const controller = new AbortController();
    const { transport } = transportTo([silent]);
    const call = transport.call({ ...WRITE, signal: controller.signal });
    controller.abort('enough');
    expect(await failureOf(call)).toMatchObject({ code: 'aborted', definite: false });
    const unsent = transport.call({ ...WRITE, signal: controller.signal });
    expect(await failureOf(unsent)).toMatchObject({ code: 'aborted', definite: true });
  });

  it('gives the last refusal when time is up', async () => {
    const replies = Array.from({ length: 40 }, () => problem(503, 'unavailable', true));
    const { transport } = transportTo(replies, { timeoutMs: 150 });
    expect(await failureOf(transport.call(WRITE))).toMatchObject({
      ...{ code: 'unavailable', definite: true },
    });
  });
});
