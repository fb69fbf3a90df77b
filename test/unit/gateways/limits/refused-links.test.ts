import type { Socket } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { RefusedLinks } from '../../../../gateways/http/refused-links.ts';
import { parseApiKey } from '../../../../gateways/identity/api-key.ts';
import { startGuardedServer } from '../../../kit/guarded-server.ts';
import { HandClock } from '../../../kit/hand-clock.ts';
import { open } from '../../../kit/raw-http.ts';

const CTX = { deadlineMs: 5_000, traceparent: null, idempotency: null };
const REFUSED_MAX = 16;
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

/** A connection as far as it is read and written, and when. */
class Link {
  reads = true;
  corked = 0;
  pause = (): void => {
    this.reads = false;
  };
  resume = (): void => {
    this.reads = true;
  };
  cork = (): void => {
    this.corked++;
  };
  uncork = (): void => {
    this.corked--;
  };
}

describe('links that are refused', () => {
  const setUp = () => {
    const clock = new HandClock();
    const link = new Link();
    const socket = link as unknown as Socket;
    return { clock, link, socket, links: new RefusedLinks(clock) };
  };

  it('are left unread while something is saved up for them, and no longer than 50 ms', async () => {
    for (const [resetMs, pauseMs] of [
      [8, 8],
      [10_000, 50],
      [null, 50],
    ] as const) {
      const { clock, link, socket, links } = setUp();
      const standing = resetMs === null ? null : { resetMs };
      for (let i = 1; i < REFUSED_MAX; i++) links.refused(socket, standing);
      await clock.pass(0);
      expect([link.reads, link.corked]).toEqual([true, 0]);
      for (let i = 0; i < 3; i++) links.refused(socket, standing);
      expect([link.reads, link.corked]).toEqual([true, 1]);
      await clock.pass(0);
      expect([link.reads, link.corked]).toEqual([false, 0]);
      await clock.pass(pauseMs - 1);
      expect(link.reads).toBe(false);
      await clock.pass(1);
      expect(link.reads).toBe(true);
    }
  });

  it('are so at the next refusal too, until as many were served', async () => {
    const { clock, link, socket, links } = setUp();
    const isPaused = async () => {
      links.refused(socket, { resetMs: 8 });
      await clock.pass(0);
      const paused = !link.reads;
      await clock.pass(8);
      return paused;
    };
    for (let i = 1; i < REFUSED_MAX; i++) expect(await isPaused()).toBe(false);
    for (let i = 0; i < 3; i++) expect(await isPaused()).toBe(true);
    links.served(socket);
    expect(await isPaused()).toBe(true);
    for (let i = 0; i < REFUSED_MAX + 3; i++) links.served(socket);
    for (let i = 1; i < REFUSED_MAX; i++) expect(await isPaused()).toBe(false);
    expect(await isPaused()).toBe(true);
  });
});

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
    // Each that was served makes room for one more.
    const served = line.statuses.filter((status) => status !== '429').length;
    const most = 2 * served + REFUSED_MAX + tookMs / PAUSE_MS + 2;
    expect(sent).toBeGreaterThan(REFUSED_MAX);
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
