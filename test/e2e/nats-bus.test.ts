import { spawn } from 'node:child_process';
import { afterEach, describe, expect, it } from 'vitest';
import { type NatsBus, openNatsBus } from '../../gateways/peer/nats-bus.ts';
import type { NatsBusOptions } from '../../gateways/peer/nats-options.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { type NodeId, parseNodeId } from '../../protocol/types.ts';
import { freePort, testNats } from '../kit/nats-server.ts';
import { REAL_CLOCK } from '../kit/real-clock.ts';
import { type RecordingTelemetry, recordingTelemetry } from '../kit/recording-telemetry.ts';
import { tcpProxy } from '../kit/tcp-proxy.ts';
import { sleep, until } from '../kit/wait.ts';

const n1 = parseNodeId('n1') as NodeId;
const n2 = parseNodeId('n2') as NodeId;
const clock = REAL_CLOCK;

const cleanups: (() => Promise<void>)[] = [];
const later = (cleanup: () => Promise<void>): void => void cleanups.push(cleanup);
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface TestBus {
  readonly bus: NatsBus;
  readonly telemetry: RecordingTelemetry;
}

async function open(url: string, more: Partial<NatsBusOptions> = {}): Promise<TestBus> {
  const telemetry = recordingTelemetry();
  const bus = await openNatsBus(
    {
      cluster: 'e2e',
      name: 'e2e',
      servers: [url],
      credentials: { kind: 'none' },
      tls: null,
      connectWaitMs: 2_000,
      ...more,
    },
    { clock, telemetry },
  );
  later(() => bus.drain());
  return { bus, telemetry };
}

async function server(extra: Parameters<typeof testNats>[0] = {}): ReturnType<typeof testNats> {
  const nats = await testNats(extra);
  later(() => nats.dispose());
  return nats;
}

describe('the bus over a real nats-server', () => {
  it('F25 is back within 5 s of a server restart and delivers nothing old', async () => {
    const nats = await server();
    const { bus: a, telemetry } = await open(nats.url);
    const { bus: b } = await open(nats.url);
    const received: string[] = [];
    await b.listen(n2, (_lane, payload) => void received.push(Buffer.from(payload).toString()));
    const states: string[] = [];
    a.onState((state) => void states.push(state));
    nats.kill('SIGKILL');
    await until(() => a.state() === 'disconnected' && b.state() === 'disconnected', 'the loss');
    for (let i = 0; i < 5_000; i++)
      expect(a.send(n2, 'raft', Buffer.from(`stale ${i}`))).toBe(false);
    expect(telemetry.total('bus_messages_dropped', { reason: 'disconnected' })).toBe(5_000);
    await sleep(300);
    await nats.start();
    const backSince = performance.now();
    await until(() => a.state() === 'connected' && b.state() === 'connected', 'the return', 5_000);
    expect(performance.now() - backSince).toBeLessThan(5_000);
    await until(
      () => {
        a.send(n2, 'raft', Buffer.from('fresh'));
        return received.length > 0;
      },
      'a fresh payload',
      5_000,
    );
    await sleep(200);
    expect(new Set(received)).toEqual(new Set(['fresh']));
    expect(states).toEqual(['disconnected', 'connected']);
    expect(telemetry.total('bus_reconnects')).toBeGreaterThan(0);
  });

  it('starts without a server, says so, and connects when one appears', async () => {
    const port = await freePort();
    const { bus, telemetry } = await open(`127.0.0.1:${port}`, { connectWaitMs: 300 });
    expect(bus.state()).toBe('disconnected');
    expect(bus.send(n2, 'raft', Buffer.from('x'))).toBe(false);
    const received: string[] = [];
    await bus.listen(n1, (_lane, payload) => void received.push(Buffer.from(payload).toString()));
    const nats = await testNats({}, port);
    later(() => nats.dispose());
    await until(() => bus.state() === 'connected', 'the connection', 5_000);
    bus.send(n1, 'raft', Buffer.from('hello'));
    await until(() => received.length > 0, 'a payload to a listener from before');
    expect(telemetry.total('bus_errors', { kind: 'connect' })).toBeGreaterThan(0);
  });

  it('notices a hung server, and hands over nothing older than that takes', async () => {
    const nats = await server();
    const { bus: a, telemetry } = await open(nats.url);
    const { bus: b } = await open(nats.url);
    let oldestMs = 0;
    let fresh = 0;
    await b.listen(n2, (_lane, payload) => {
      oldestMs = Math.max(oldestMs, performance.now() - Number(Buffer.from(payload).toString()));
      fresh++;
    });
    nats.kill('SIGSTOP');
    const timer = setInterval(() => a.send(n2, 'raft', Buffer.from(`${performance.now()}`)), 20);
    later(async () => clearInterval(timer));
    await until(() => a.state() === 'disconnected', 'the hang', 8_000);
    await sleep(2_000);
    fresh = 0;
    nats.kill('SIGCONT');
    await until(() => fresh > 10 && b.state() === 'connected', 'fresh payloads', 8_000);
    expect(oldestMs).toBeLessThan(6_000);
    expect(telemetry.total('bus_errors', { kind: 'stale' })).toBeGreaterThan(0);
  }, 30_000);

  it('bounds what is on the way to a server that does not read', async () => {
    const nats = await server();
    const { bus, telemetry } = await open(nats.url);
    nats.kill('SIGSTOP');
    const chunk = new Uint8Array(512 * 1024);
    let taken = 0;
    for (let i = 0; i < 200; i++) if (bus.send(n2, 'blob', chunk)) taken += chunk.length;
    nats.kill('SIGCONT');
    expect(taken).toBeLessThanOrEqual(16 * 1024 * 1024);
    expect(taken).toBeGreaterThan(8 * 1024 * 1024);
    expect(telemetry.total('bus_messages_dropped', { reason: 'overflow' })).toBeGreaterThan(150);
    await until(() => bus.send(n2, 'blob', chunk), 'credit again', 8_000);
  });

  it('F26 a slow reader loses its bulk connection only, and comes back', async () => {
    const nats = await server({ maxPendingBytes: 4 * 1024 * 1024, writeDeadline: '500ms' });
    const { bus, telemetry } = await open(nats.url);
    const received = { raft: 0, blob: 0 };
    await bus.listen(n1, (lane) => {
      if (lane === 'raft' || lane === 'blob') received[lane]++;
    });
    // Another process floods the blob lane while this one does not read for two seconds.
    const flood = spawn(process.execPath, [
      '-e',
      floodScript(nats.port, 'minikv.e2e.node.n1.blob'),
    ]);
    later(async () => void flood.kill('SIGKILL'));
    await until(() => received.blob > 0, 'the flood');
    const until2s = performance.now() + 2_000;
    while (performance.now() < until2s) JSON.parse('[1,2,3]');
    await until(() => telemetry.total('bus_reconnects', { link: 'bulk' }) > 0, 'the cut', 8_000);
    flood.kill('SIGKILL');
    expect(telemetry.total('bus_reconnects', { link: 'control' })).toBe(0);
    expect(bus.state()).toBe('connected');
    await until(() => {
      bus.send(n1, 'raft', Buffer.from('alive'));
      return received.raft > 0;
    }, 'raft after the cut');
    const blobs = received.blob;
    await until(() => {
      bus.send(n1, 'blob', Buffer.from('alive'));
      return received.blob > blobs;
    }, 'blob after the cut');
  }, 30_000);

  it('survives a cut of the routes between servers', async () => {
    const routePort = await freePort();
    const proxy = await tcpProxy(routePort);
    later(() => proxy.close());
    const s1 = await server({ cluster: { name: 'e2e', port: routePort, routes: [] } });
    const s2 = await server({
      cluster: {
        name: 'e2e',
        port: await freePort(),
        routes: [`nats-route://127.0.0.1:${proxy.port}`],
      },
    });
    const { bus: a } = await open(s1.url);
    const { bus: b } = await open(s2.url);
    const received: string[] = [];
    await b.listen(n2, (_lane, payload) => void received.push(Buffer.from(payload).toString()));
    const arrives = (text: string) => (): boolean => {
      a.send(n2, 'raft', Buffer.from(text));
      return received.includes(text);
    };
    await until(arrives('before'), 'a payload over the route', 8_000, 20);
    proxy.cut();
    await sleep(300);
    for (let i = 0; i < 100; i++) a.send(n2, 'raft', Buffer.from('during'));
    await sleep(500);
    proxy.heal();
    await until(arrives('after'), 'a payload after the heal', 8_000, 20);
    expect(received).not.toContain('during');
    expect([a.state(), b.state()]).toEqual(['connected', 'connected']);
  }, 30_000);

  it('takes the payload limit of a smaller server, and says so', async () => {
    const nats = await server({ maxPayloadBytes: 64 * 1024 });
    const { bus, telemetry } = await open(nats.url);
    expect(bus.payloadBytesMax).toBe(64 * 1024);
    expect(bus.send(n2, 'raft', new Uint8Array(64 * 1024 + 1))).toBe(false);
    expect(telemetry.lines.some(({ message }) => message.includes('max_payload'))).toBe(true);
    await sleep(100);
    expect(telemetry.total('bus_reconnects')).toBe(0);
    expect(LIMITS.busPayloadBytesMax).toBe(1024 * 1024);
  });
});

/** A raw publisher: 1 MB after 1 MB on one subject, as fast as the socket takes it. */
function floodScript(port: number, subject: string): string {
  return `
    const socket = require('node:net').connect(${port}, '127.0.0.1');
    const payload = 'x'.repeat(256 * 1024);
    const line = 'PUB ${subject} ' + payload.length + '\\r\\n' + payload + '\\r\\n';
    socket.write('CONNECT {"verbose":false}\\r\\n');
    const fill = () => { while (socket.write(line)); };
    socket.on('drain', fill);
    socket.on('data', (data) => { if (/PING/.test(data)) socket.write('PONG\\r\\n'); });
    fill();
  `;
}
