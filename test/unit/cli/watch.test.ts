import type { ServerResponse } from 'node:http';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Client } from '../../../cli/client.ts';
import { watch } from '../../../cli/commands/watch.ts';
import { type SseEvent, SseReader } from '../../../cli/sse.ts';
import { testIo } from './fake-io.ts';
import { testServer } from './test-server.ts';

function read(chunks: readonly string[]): SseEvent[] {
  const reader = new SseReader();
  return chunks.flatMap((chunk) => reader.push(chunk));
}

describe('SSE reader', () => {
  it('reads ids, names, data of several lines and comments', () => {
    const text = ': hello\nid: 7\nevent: put\ndata: {"a":\ndata: 1}\n\ndata:x\n\nevent: lost\n\n';
    expect(read([text])).toEqual([
      { id: '7', event: 'put', data: '{"a":\n1}' },
      { id: '7', event: 'message', data: 'x' },
    ]);
  });

  it('gives the same events however the stream is cut, with every line end', () => {
    const event = fc.record({
      id: fc.stringMatching(/^[a-z0-9]{1,8}$/),
      event: fc.constantFrom('put', 'delete', 'synced'),
      data: fc.stringMatching(/^[ -~]{1,20}$/),
    });
    const property = fc.property(
      fc.array(event, { maxLength: 8 }),
      fc.constantFrom('\n', '\r\n', '\r'),
      fc.array(fc.nat({ max: 400 }), { maxLength: 12 }),
      (events, end, cuts) => {
        const text = events
          .map((e) => [`id: ${e.id}`, `event: ${e.event}`, `data: ${e.data}`, '', ''].join(end))
          .join('');
        const at = [0, ...cuts.map((cut) => Math.min(cut, text.length)), text.length].sort(
          (a, b) => a - b,
        );
        const chunks = at.slice(1).map((stop, i) => text.slice(at[i], stop));
        // A lone CR at the very end may be half of CR LF, so the reader waits for one more character.
        expect(read([...chunks, ':'])).toEqual(events);
      },
    );
    fc.assert(property, { numRuns: 300 });
  });
});

const sse = (id: string, type: string, revision: number): string =>
  `id: ${id}\nevent: ${type}\ndata: ${JSON.stringify({ type, key: `k${revision}`, value: 'v', revision })}\n\n`;

function begin(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
}

describe('minikv watch', () => {
  it('resumes after the last event at the next node when a stream breaks', async () => {
    const first = await testServer((_, response) => {
      begin(response);
      response.write(sse('t1', 'put', 1) + sse('t2', 'put', 2));
      setTimeout(() => response.socket?.destroy(), 50);
    });
    const second = await testServer((_, response) => {
      begin(response);
      response.write(`${sse('t3', 'progress', 3)}${sse('t4', 'delete', 4)}`);
    });
    let calls = 0;
    const front = await testServer((request, response) => {
      const target = calls++ === 0 ? first : second;
      void fetch(target.url + request.url).then(async (answer) => {
        begin(response);
        try {
          for await (const chunk of answer.body!) response.write(chunk);
        } catch {
          response.socket?.destroy();
        }
      });
    });
    const io = testIo();
    const client = new Client(io, { endpoints: [front.url], timeoutMs: 3_000 });
    await watch({ io, client, json: true }, 'k', { from: '0', initial: true, count: '3' });
    const lines = io.written.out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.map((line) => [line.type, line.key, line.token])).toEqual([
      ['put', 'k1', 't1'],
      ['put', 'k2', 't2'],
      ['delete', 'k4', 't4'],
    ]);
    expect(front.seen[0]!.url).toBe('/v1/watch?prefix=k&from=0&initial=true');
    expect(front.seen[0]!.headers['last-event-id']).toBeUndefined();
    expect(front.seen[1]!.url).toBe('/v1/watch?prefix=k');
    expect(front.seen[1]!.headers['last-event-id']).toBe('t2');
    await Promise.all([first.close(), second.close(), front.close()]);
  });

  it('goes on after being told that it lagged, and fails when its point is compacted', async () => {
    const server = await testServer((_, response, index) => {
      begin(response);
      if (index === 0) response.end(`id: t9\nevent: lagged\ndata: {"type":"lagged"}\n\n`);
      else response.end('event: compacted\ndata: {"oldestRevision":77}\n\n');
    });
    const io = testIo();
    const client = new Client(io, { endpoints: [server.url], timeoutMs: 3_000 });
    const error = await watch({ io, client, json: false }, '', {}).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'compacted', status: 410 });
    expect(String(error)).toContain('revision 77');
    expect(server.seen[1]!.headers['last-event-id']).toBe('t9');
    await server.close();
  });

  it('prints lines for people, and ends with Ctrl-C', async () => {
    const server = await testServer((_, response) => {
      begin(response);
      response.write(`event: synced\ndata: {"revision":5}\n\n${sse('t6', 'put', 6)}`);
    });
    const io = testIo();
    const client = new Client(io, { endpoints: [server.url], timeoutMs: 3_000 });
    const running = watch({ io, client, json: false }, '', {});
    while (!io.written.out.includes('k6')) await new Promise((resolve) => setTimeout(resolve, 5));
    io.interrupt();
    await running;
    expect(io.written.out).toBe(
      '-- every current key was shown; changes follow\nput    6\tk6\tv\n',
    );
    await server.close();
  });
});
