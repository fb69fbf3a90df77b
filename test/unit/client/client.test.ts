import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createClient, type MinikvError } from '../../../client/client.ts';
import type { ChangeEvent, WatchMessage } from '../../../client/watch.ts';
import { type ModelServer, startModelServer } from '../../kit/http-start.ts';

let server: ModelServer;
beforeAll(async () => {
  server = await startModelServer();
});
afterAll(() => server.stop());

const client = () => createClient({ endpoints: server.url });

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'none',
    (error: MinikvError) => error.code,
  );
}

describe('keys', () => {
  it('puts, reads and deletes text and bytes', async () => {
    const kv = client();
    const put = await kv.put('a/b ä', 'Ada', { contentType: 'text/x-name' });
    expect(put).toMatchObject({ version: 1, createRevision: put.revision });
    const item = await kv.get('a/b ä');
    expect(item?.text()).toBe('Ada');
    expect(item).toMatchObject({
      key: 'a/b ä',
      revision: put.revision,
      contentType: 'text/x-name',
    });
    const key = Uint8Array.of(0xff, 0x2f, 0x80);
    const value = Uint8Array.of(0, 1, 255);
    await kv.put(key, value);
    expect(new Uint8Array((await kv.get(key))?.value ?? [])).toEqual(value);
    expect(await kv.delete(key)).toMatchObject({ deleted: true });
    expect(await kv.get(key)).toBeNull();
    expect(await kv.delete(key)).toMatchObject({ deleted: false });
  });

  it('reads the revision from a weakened ETag, and says so where there is none', async () => {
    const { revision } = await client().put('etag', 'v');
    const behind = (shown: (etag: string) => string) =>
      createClient({
        endpoints: server.url,
        fetch: async (input, init) => {
          const response = await fetch(input, init);
          const headers = new Headers(response.headers);
          const etag = headers.get('etag');
          if (etag !== null) headers.set('etag', shown(etag));
          return new Response(response.body, { status: response.status, headers });
        },
      });
    for (const shown of [`W/"${revision}"`, `"${revision}-gzip"`, `W/"${revision}-br"`]) {
      const kv = behind(() => shown);
      expect((await kv.get('etag'))?.revision).toBe(revision);
      await kv.transaction(async (tx) => {
        await tx.get('etag');
        tx.put('etag-copy', 'v');
      });
    }
    expect(await codeOf(behind(() => '"5d8c72a5edda8"').get('etag'))).toBe('malformed');
  });

  it('I15 reaches also the keys that no URL can name', async () => {
    const kv = client();
    for (const key of ['.', '..']) {
      await kv.put(key, `at ${key}`, { ifRevision: 0 });
      expect((await kv.get(key))?.text()).toBe(`at ${key}`);
      expect(await codeOf(kv.put(key, 'again', { ifRevision: 0 }))).toBe('precondition_failed');
      expect(await kv.delete(key)).toMatchObject({ deleted: true });
    }
  });

  it('writes under conditions', async () => {
    const kv = client();
    const { revision } = await kv.put('cond', '1', { ifRevision: 0 });
    expect(await codeOf(kv.put('cond', '2', { ifRevision: 0 }))).toBe('precondition_failed');
    await kv.put('cond', '2', { ifRevision: revision });
    expect(await codeOf(kv.delete('cond', { ifRevision: revision }))).toBe('precondition_failed');
    await kv.put('cond', '3', { ifExists: true });
    await kv.delete('cond', { ifExists: true });
    expect(await codeOf(kv.put('cond', '4', { ifExists: true }))).toBe('precondition_failed');
  });

  it('a write of the same idempotency key happens once', async () => {
    const kv = client();
    const first = await kv.put('once', 'v', { idempotencyKey: 'mine' });
    expect(await kv.put('once', 'v', { idempotencyKey: 'mine' })).toEqual(first);
  });

  it('reads JSON, the past, and when a key expires', async () => {
    const kv = client();
    const { revision } = await kv.put('doc', JSON.stringify({ n: 1 }));
    await kv.put('doc', '{"n":2}', { ttlSeconds: 60 });
    expect((await kv.get('doc', { revision }))?.json()).toEqual({ n: 1 });
    const now = await kv.get('doc');
    expect(now?.json<{ n: number }>().n).toBe(2);
    expect(now?.expiresAt?.getTime()).toBeGreaterThan(Date.now());
  });

  it('a batch has a result for each operation, failures among them', async () => {
    const kv = client();
    const results = await kv.batch([
      { op: 'put', key: 'b1', value: Uint8Array.of(255) },
      { op: 'get', key: 'b1' },
      { op: 'get', key: 'none' },
      { op: 'put', key: 'b1', value: 'x', ifRevision: 0 },
      { op: 'delete', key: 'b1' },
    ]);
    expect(results.map(({ op }) => op)).toEqual(['put', 'get', 'get', 'failed', 'delete']);
    expect(results[1]).toMatchObject({ item: { value: Uint8Array.of(255), version: 1 } });
    expect(results[2]).toMatchObject({ item: null });
    expect(results[3]).toMatchObject({ error: { code: 'precondition_failed', definite: true } });
    expect(results[4]).toMatchObject({ deleted: true });
    expect(await kv.batch([])).toEqual([]);
  });
});

describe('ranges', () => {
  it('gives every item once, in order, over pages of one revision', async () => {
    const kv = client();
    const keys = Array.from({ length: 25 }, (_, i) => `r/${String(i).padStart(2, '0')}`);
    await kv.batch(keys.map((key) => ({ op: 'put', key, value: key })));
    const found: string[] = [];
    for await (const item of kv.scan({ prefix: 'r/', pageSize: 4 })) {
      found.push(item.key);
      if (found.length === 5) await kv.put('r/99', 'too late');
    }
    expect(found).toEqual(keys);
    const last: string[] = [];
    for await (const item of kv.scan({ prefix: 'r/', end: 'r/20', reverse: true, limit: 3 })) {
      last.push(item.key);
    }
    expect(last).toEqual(['r/19', 'r/18', 'r/17']);
    const page = await kv.page({ prefix: 'r/', limit: 2, values: false });
    expect(page.items.map(({ value }) => value.length)).toEqual([0, 0]);
    expect(
      (await kv.page({ prefix: 'r/', limit: 2, cursor: page.cursor ?? '' })).items,
    ).toHaveLength(2);
  });
});

/** Reads a watch until it has `count` messages. */
async function take(watch: AsyncIterable<WatchMessage>, count: number): Promise<WatchMessage[]> {
  const messages: WatchMessage[] = [];
  for await (const message of watch) {
    messages.push(message);
    if (messages.length === count) break;
  }
  return messages;
}

const shown = (messages: readonly WatchMessage[]): string[] =>
  messages.map((m) => ('key' in m ? `${m.type} ${m.key} ${m.item?.text() ?? ''}`.trim() : m.type));

describe('watches', () => {
  it('shows what there is, then every change, then ends when it is left', async () => {
    const kv = client();
    await kv.put('w/1', 'one');
    const watching = take(kv.watch({ prefix: 'w/', initial: true, prev: true }), 4);
    for (let i = 0; i < 50 && server.service.openWatches === 0; i++) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await kv.put('w/1', 'two');
    await kv.delete('w/1');
    const messages = await watching;
    expect(shown(messages)).toEqual(['put w/1 one', 'synced', 'put w/1 two', 'delete w/1']);
    expect((messages[2] as ChangeEvent).prev?.text()).toBe('one');
  });

  it('B19 goes on behind the last event after each cut: nothing twice, nothing lost', async () => {
    const kv = client();
    let connections = 0;
    const cutting = createClient({
      endpoints: server.url,
      fetch: async (input, init) => {
        const response = await fetch(input, init);
        if (!String(input).includes('/v1/watch')) return response;
        connections++;
        return new Response(cutAfter(response, 700), { status: response.status });
      },
    });
    const { revision } = await kv.put('cut/start', 'x');
    const watching = take(cutting.watch({ prefix: 'cut/', from: revision }), 40);
    for (let i = 0; i < 40; i++) await kv.put(`cut/${i}`, String(i));
    const seen = (await watching).map((message) => (message as ChangeEvent).item?.text());
    expect(seen).toEqual(Array.from({ length: 40 }, (_, i) => String(i)));
    expect(connections).toBeGreaterThan(3);
  });

  it('a place that is no longer kept is a typed error with the oldest revision', async () => {
    const kv = client();
    const { revision } = await kv.put('old', '1');
    await kv.put('old', '2');
    server.service.compact(server.service.clock);
    const error = await take(kv.watch({ from: revision }), 1).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ name: 'MinikvError', code: 'compacted', definite: true });
    expect((error as MinikvError).details['oldestRevision']).toBeGreaterThan(revision);
  });

  it('comes back at leisure where every connection ends at once', async () => {
    let connections = 0;
    const kv = createClient({
      endpoints: server.url,
      fetch: async () => {
        connections++;
        return new Response(': watching\n\n', { headers: { 'content-type': 'text/event-stream' } });
      },
    });
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 400);
    expect(await take(kv.watch({ from: 1, signal: controller.signal }), 1)).toEqual([]);
    expect(connections).toBeGreaterThan(1);
    expect(connections).toBeLessThan(20);
  });

  it('ends without an error when its signal is aborted', async () => {
    const controller = new AbortController();
    const watching = take(client().watch({ signal: controller.signal }), 1);
    setTimeout(() => controller.abort(), 100);
    expect(await watching).toEqual([]);
  });
});

/** A response's body that breaks after so many bytes, wherever that is. */
function cutAfter(response: Response, bytesMax: number): ReadableStream<Uint8Array> {
  let bytes = 0;
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await reader.read();
      if (done) return controller.close();
      controller.enqueue(value.subarray(0, bytesMax - bytes));
      bytes += value.length;
      if (bytes >= bytesMax) {
        await reader.cancel();
        controller.error(new TypeError('terminated'));
      }
    },
  });
}
