import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { Webhook } from '../../../../gateways/notify/webhook.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import { HandClock } from '../../../kit/hand-clock.ts';

const TAKEN = 'HTTP/1.1 204 No Content\r\n\r\n';

/** An endpoint that answers each request with these bytes, and what it was asked. */
class Endpoint {
  readonly sockets = new Set<net.Socket>();
  connections = 0;
  asked = '';
  #server: net.Server;

  constructor(answer: (socket: net.Socket) => void) {
    this.#server = net.createServer((socket) => {
      this.connections++;
      this.sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => this.sockets.delete(socket));
      socket.on('data', (data) => {
        this.asked += data.toString();
        answer(socket);
      });
    });
  }

  async url(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    const { port } = this.#server.address() as net.AddressInfo;
    return `http://127.0.0.1:${port}/hook`;
  }

  close(): void {
    for (const socket of this.sockets) socket.destroy();
    this.#server.close();
  }
}

describe('a webhook', () => {
  const clock = new HandClock();
  let close: () => void = () => {};
  afterEach(() => close());

  const webhook = async (answer: (socket: net.Socket) => void) => {
    const endpoint = new Endpoint(answer);
    const config = { name: 'w', url: await endpoint.url(), secret: null };
    const hook = new Webhook(config, clock);
    close = () => {
      hook.close();
      endpoint.close();
    };
    return { hook, endpoint };
  };

  /** What came of it when its whole time was over. */
  const ended = async (work: Promise<void>): Promise<string> => {
    const end = work.then(
      () => 'taken',
      (error: Error) => error.message,
    );
    await sleep(50);
    await clock.pass(LIMITS.notificationTimeoutMs + 1);
    return Promise.race([end, sleep(1_000).then(() => 'never ended')]);
  };

  it('has taken what it answers with 2xx, over one connection', async () => {
    const { hook, endpoint } = await webhook((socket) => socket.write(TAKEN));
    for (let i = 0; i < 3; i++) await hook.post('{}', `id-${i}`);
    expect(endpoint.connections).toBe(1);
    expect(endpoint.asked).toContain('minikv-event-id: id-2');
  });

  it('that says nothing, goes away, or answers something else than HTTP has not', async () => {
    const refusals: [(socket: net.Socket) => void, RegExp][] = [
      [() => {}, /no answer within 10000 ms/],
      [(socket) => socket.destroy(), /hang up|ECONNRESET/],
      [(socket) => socket.end('hello\r\n\r\n'), /Parse Error/],
      [(socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n'), /Parse Error/],
      [(socket) => socket.write('HTTP/1.1 302 Found\r\nlocation: /\r\n\r\n'), /302/],
      [(socket) => socket.write('HTTP/1.1 100 Continue\r\n\r\n'), /no answer within 10000 ms/],
    ];
    for (const [answer, why] of refusals) {
      const { hook } = await webhook(answer);
      expect(await ended(hook.post('{}', 'id'))).toMatch(why);
      close();
    }
  });

  it('that wants another protocol has not taken it, and is not waited for', async () => {
    const { hook } = await webhook((socket) =>
      socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'),
    );
    expect(await ended(hook.post('{}', 'id'))).not.toBe('never ended');
  });

  it('whose answer never ends keeps no connection', async () => {
    const { hook, endpoint } = await webhook((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n');
    });
    expect(await ended(hook.post('{}', 'id'))).toBe('taken');
    await sleep(50);
    expect(endpoint.sockets.size).toBe(0);
  });

  it('whose answer is long keeps no connection either', async () => {
    const { hook, endpoint } = await webhook((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n');
      const more = () => {
        if (!socket.destroyed) socket.write(Buffer.alloc(65_536), () => setImmediate(more));
      };
      more();
    });
    await hook.post('{}', 'id');
    await sleep(300);
    expect(endpoint.sockets.size).toBe(0);
  });
});
