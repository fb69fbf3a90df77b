import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parseApiKey } from '../../../../gateways/identity/api-key.ts';
import { startGuardedServer } from '../../../kit/guarded-server.ts';
import { open } from '../../../kit/raw-http.ts';

const CTX = { deadlineMs: 5_000, traceparent: null, idempotency: null };
const IN_A_ROW = 16;
const PAUSE_MS = 50;

type Guarded = Awaited<ReturnType<typeof startGuardedServer>>;
let server: Guarded;
let key: string;

beforeAll(async () => {
  server = await startGuardedServer();
});
beforeEach(async () => {
  key = await server.make('read_write');
  await limit(1);
});
afterAll(() => server.stop());

async function limit(requestsPerSecond: number, burst: number | null = null): Promise<void> {
  await server.rateLimitRows.set(CTX, `key:${parseApiKey(key)?.id}`, {
    ...{ requestsPerSecond, burst, bytesInPerSecond: null, bytesOutPerSecond: null },
    watchers: null,
  });
}

/** One connection, with the answers that have come on it. */
class Line {
  readonly #socket = open(server.url);
  #text = '';

  constructor() {
    this.#socket.setNoDelay(true);
    this.#socket.on('data', (chunk) => {
      this.#text += chunk.toString('latin1');
    });
  }

  send(path: string, count = 1): void {
    const head = `GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\n\r\n`;
    this.#socket.write(head.repeat(count));
  }

  get statuses(): string[] {
    return [...this.#text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status as string);
  }

  async answers(count: number): Promise<string[]> {
    await expect.poll(() => this.statuses.length, { timeout: 10_000, interval: 1 }).toBe(count);
    return this.statuses;
  }

  close(): void {
    this.#socket.destroy();
  }
}

const WAYS = [
  ['past the framework', '/v1/kv/a'],
  ['through it', '/v1/kv/a?consistency=linearizable'],
] as const;

describe('a connection whose requests are refused one after another', () => {
  it.each(WAYS)('gets all its answers, in order, in larger pieces: %s', async (_, path) => {
    const line = new Line();
    for (let turn = 1; turn <= 4; turn++) {
      line.send(path, 20);
      const statuses = await line.answers(20 * turn);
      // At one per second there may be one more served in each turn, if the machine is slow.
      expect(statuses.filter((status) => status === '429').length).toBeGreaterThanOrEqual(
        15 * turn,
      );
      if (turn === 1) expect(statuses[0]).toBe('404');
    }
    line.close();
  });

  it.each(WAYS)('is read slowly where it repeats at once: %s', async (_, path) => {
    const line = new Line();
    const beganMs = performance.now();
    let sent = 0;
    while (performance.now() - beganMs < 800) {
      line.send(path);
      await line.answers(++sent);
    }
    const tookMs = performance.now() - beganMs;
    // Served ones begin a row anew.
    const served = line.statuses.filter((status) => status !== '429').length;
    const most = (served + 1) * IN_A_ROW + tookMs / PAUSE_MS + 2;
    expect(sent).toBeGreaterThan(IN_A_ROW);
    expect(sent).toBeLessThanOrEqual(most);
    line.close();
  });

  it('is as quick as ever once it is served again, and others are all the time', async () => {
    const line = new Line();
    line.send('/v1/kv/a', 40);
    await line.answers(40);
    const other = await server.make('read_write');
    const headers = { authorization: `Bearer ${other}` };
    expect((await fetch(`${server.url}/v1/kv/a`, { headers })).status).toBe(404);
    await limit(1_000_000);
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    for (let i = 1; i <= 50; i++) {
      line.send('/v1/kv/a');
      const statuses = await line.answers(40 + i);
      expect(statuses[39 + i]).toBe('404');
    }
    line.close();
  });
});
