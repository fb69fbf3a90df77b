import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type NatsConnection, nkeys } from 'nats';
import { parse } from 'smol-toml';
import { afterEach, describe, expect, it } from 'vitest';
import { init } from '../../cli/commands/init.ts';
import { findNatsServer } from '../../cli/nats-server.ts';
import { openNatsBus } from '../../gateways/peer/nats-bus.ts';
import {
  type NatsCredentials,
  type NatsTls,
  type ParsedNatsUrls,
  parseNatsUrls,
} from '../../gateways/peer/nats-options.ts';
import { SealedBus } from '../../gateways/peer/sealed-bus.ts';
import { type NodeId, parseNodeId } from '../../protocol/types.ts';
import { freePort, testNats } from '../kit/nats-server.ts';
import { REAL_CLOCK } from '../kit/real-clock.ts';
import { type RecordingTelemetry, recordingTelemetry } from '../kit/recording-telemetry.ts';
import { sleep, until } from '../kit/wait.ts';
import { testIo } from '../unit/cli/fake-io.ts';

const n1 = parseNodeId('n1') as NodeId;
const clock = REAL_CLOCK;
const cleanups: (() => Promise<void>)[] = [];
const later = (cleanup: () => Promise<void>): void => void cleanups.push(cleanup);
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function openBus(
  url: string,
  credentials: NatsCredentials = { kind: 'none' },
  tls: NatsTls | null = null,
  telemetry: RecordingTelemetry = recordingTelemetry(),
): ReturnType<typeof openNatsBus> {
  const options = { cluster: 'e2e', name: 'e2e', servers: [url], credentials, tls };
  const bus = await openNatsBus({ ...options, connectWaitMs: 3_000 }, { clock, telemetry });
  later(() => bus.drain());
  return bus;
}

async function attacker(port: number, user?: string, pass?: string): Promise<NatsConnection> {
  const login = user === undefined ? {} : { user, pass: pass ?? '' };
  const connection = await connect({ servers: `127.0.0.1:${port}`, ...login });
  later(() => connection.close());
  return connection;
}

describe('what others on the same NATS servers can do', () => {
  it('I40 a payload without a valid seal is counted and dropped', async () => {
    const nats = await testNats();
    later(() => nats.dispose());
    const telemetry = recordingTelemetry();
    const secrets = { current: 'the secret of this cluster', previous: null };
    const bus = new SealedBus(await openBus(nats.url), secrets, telemetry);
    const received: string[] = [];
    await bus.listen(n1, (lane, payload) => {
      received.push(`${lane}:${Buffer.from(payload).toString()}`);
    });
    const raw = await attacker(nats.port);
    const sniffed: Uint8Array[] = [];
    raw.subscribe('minikv.e2e.node.n1.raft', {
      callback: (_error, message) => void sniffed.push(message.data),
    });
    await raw.flush();
    bus.send(n1, 'raft', Buffer.from('genuine'));
    await until(() => received.length === 1 && sniffed.length === 1, 'the genuine payload');
    const genuine = sniffed[0] as Uint8Array;
    const flipped = Buffer.from(genuine);
    flipped[0] = (flipped[0] ?? 0) ^ 1;
    for (const forged of [new Uint8Array(0), Buffer.from('forged'), new Uint8Array(64), flipped]) {
      raw.publish('minikv.e2e.node.n1.raft', forged);
    }
    raw.publish('minikv.e2e.node.n1.request', genuine);
    raw.publish('minikv.e2e.hello', genuine);
    await until(
      () => telemetry.total('bus_messages_dropped', { reason: 'forged' }) === 6,
      'six drops',
    );
    expect(received).toEqual(['raft:genuine']);
  });

  it('I39 the permissions of deploy/nats keep clients off peer subjects', async () => {
    const port = await deployedServer();
    const node: NatsCredentials = { kind: 'password', user: 'node', password: 'node-pw' };
    const bus = await openBus(`127.0.0.1:${port}`, node);
    expect(bus.state()).toBe('connected');
    const received: string[] = [];
    await bus.listen(n1, (lane) => void received.push(lane));
    bus.serveRequests('minikv.api.get', 'q', (request) => {
      request.respond(Buffer.from('answer'), {});
    });
    await sleep(50);

    const client = await attacker(port, 'client', 'client-pw');
    const overheard: string[] = [];
    const refusals: string[] = [];
    for (const subject of ['minikv.e2e.node.>', 'minikv.e2e.hello', 'minikv.>', '>']) {
      client.subscribe(subject, {
        callback: (error, message) => {
          if (error === null) overheard.push(message.subject);
          else refusals.push(subject);
        },
      });
    }
    for (const lane of ['raft', 'request', 'blob', 'snapshot']) {
      client.publish(`minikv.e2e.node.n1.${lane}`, 'forged');
    }
    client.publish('minikv.e2e.hello', 'forged');
    client.publish('minikv.events.default.kv.k', 'forged');
    await client.flush();
    bus.send(n1, 'raft', Buffer.from('genuine'));
    await until(() => received.length > 0, 'the genuine payload');
    await sleep(200);
    expect(received).toEqual(['raft']);
    expect(overheard).toEqual([]);
    expect(refusals.length).toBe(4);

    // What a client may do, it can: requests and events.
    const events: string[] = [];
    client.subscribe('minikv.events.>', {
      callback: (_error, message) => void events.push(message.subject),
    });
    const answer = await client.request('minikv.api.get', '{}', { timeout: 2_000 });
    expect(answer.string()).toBe('answer');
    bus.publishEvent('minikv.events.default.kv.k', { 'Minikv-Type': 'put' }, Buffer.from('v'));
    await until(() => events.length > 0, 'the event');
    expect(events).toEqual(['minikv.events.default.kv.k']);
  });

  it('with the configuration of init each node hears what is for it, and speaks to all; clients reach none', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'minikv-init-'));
    later(async () => rmSync(folder, { recursive: true, force: true }));
    const root = join(folder, 'kv');
    const bus3 = 'nats://bus.example:4222';
    await init(testIo(), root, { node: ['n1=a', 'n2=b', 'n3=c'], nats: bus3, auth: true });
    const port = await serverWith(join(root, 'nats-server.conf'));
    const userOf = (id: string): NatsCredentials => {
      const { nats } = parse(readFileSync(join(root, id, 'minikv.toml'), 'utf8'));
      return (parseNatsUrls((nats as string[]).join(',')) as ParsedNatsUrls).credentials;
    };
    const heard: string[] = [];
    const buses = new Map<string, Awaited<ReturnType<typeof openBus>>>();
    for (const id of ['n1', 'n2', 'n3']) {
      const telemetry = recordingTelemetry();
      const options = { cluster: 'minikv', name: id, servers: [`127.0.0.1:${port}`], tls: null };
      const bus = await openNatsBus(
        { ...options, credentials: userOf(id), connectWaitMs: 3_000 },
        { clock, telemetry },
      );
      later(() => bus.drain());
      expect(bus.state()).toBe('connected');
      await bus.listen(parseNodeId(id) as NodeId, (lane) => void heard.push(`${id}:${lane}`));
      buses.set(id, bus);
    }
    const [one, two] = [buses.get('n1'), buses.get('n2')];
    one?.serveRequests('minikv.api.get', 'q', (request) => {
      request.respond(Buffer.from('answer'), {});
    });
    // What is not meant for n2 it cannot hear, with n2's own credentials.
    const n2 = userOf('n2') as Extract<NatsCredentials, { kind: 'password' }>;
    const spy = await attacker(port, 'n2', n2.password);
    const refused: string[] = [];
    const overheard: string[] = [];
    for (const subject of ['minikv.minikv.node.n1.raft', 'minikv.minikv.node.>', '>']) {
      spy.subscribe(subject, {
        callback: (error) => void (error === null ? overheard : refused).push(subject),
      });
    }
    await spy.flush();
    for (const lane of ['raft', 'request', 'blob', 'snapshot'] as const) {
      two?.send(n1, lane, Buffer.from('x'));
    }
    two?.broadcast(Buffer.from('hello'));
    two?.publishEvent('minikv.events.default.kv.k', {}, Buffer.from('v'));
    await until(() => heard.filter((one) => one.startsWith('n1:')).length === 5, 'all lanes');
    expect(heard.filter((one) => one.endsWith(':hello')).length).toBeGreaterThanOrEqual(2);
    await until(() => refused.length === 3, 'refusals');
    expect(overheard).toEqual([]);
    const text = readFileSync(join(root, 'nats-server.conf'), 'utf8');
    const password = /user: "api_client", password: "([^"]+)"/.exec(text)?.[1];
    const client = await attacker(port, 'api_client', password);
    client.publish('minikv.minikv.node.n1.raft', 'forged');
    client.publish('minikv.minikv.hello', 'forged');
    const before = heard.length;
    const answer = await client.request('minikv.api.get', '{}', { timeout: 2_000 });
    expect(answer.string()).toBe('answer');
    await sleep(200);
    expect(heard.length).toBe(before);
  }, 30_000);

  it('what notifications go to by default is open there, and a subject that is not counts as not taken', async () => {
    const port = await deployedServer();
    const node: NatsCredentials = { kind: 'password', user: 'node', password: 'node-pw' };
    const bus = await openBus(`127.0.0.1:${port}`, node);
    const client = await attacker(port, 'client', 'client-pw');
    const told: string[] = [];
    client.subscribe('s3.>', { callback: (_error, { subject }) => void told.push(subject) });
    await client.flush();
    const publish = (subject: string) =>
      bus.publishConfirmed(subject, { 'Nats-Msg-Id': 'id' }, Buffer.from('{}'));
    for (let i = 0; i < 20; i++) {
      const [open, other] = [publish('s3.orders'), publish('other.orders')];
      await expect(other).rejects.toThrow(/permission/i);
      await open;
    }
    await until(() => told.length === 20, 'what was confirmed');
  });
});

describe('credentials and TLS', () => {
  it('a wrong password does not connect, and the right one does', async () => {
    const users = [{ user: 'node', password: 'right', publish: null, subscribe: null }];
    const nats = await testNats({ users });
    later(() => nats.dispose());
    const telemetry = recordingTelemetry();
    const login = (password: string): NatsCredentials => ({
      kind: 'password',
      user: 'node',
      password,
    });
    const wrong = await openBus(nats.url, login('wrong'), null, telemetry);
    expect(wrong.state()).toBe('disconnected');
    expect(telemetry.total('bus_errors', { kind: 'connect' })).toBeGreaterThan(0);
    expect((await openBus(nats.url, login('right'))).state()).toBe('connected');
  });

  it('a token opens', async () => {
    const nats = await testNats({ token: 'tok' });
    later(() => nats.dispose());
    expect((await openBus(nats.url, { kind: 'token', token: 'tok' })).state()).toBe('connected');
  });

  it('an nkey opens', async () => {
    const pair = nkeys.createUser();
    const nats = await testNats({ nkeys: [pair.getPublicKey()] });
    later(() => nats.dispose());
    const credentials: NatsCredentials = { kind: 'nkey', seed: () => pair.getSeed() };
    expect((await openBus(nats.url, credentials)).state()).toBe('connected');
  });

  it('a server is believed only with a certificate of the given authority', async () => {
    const files = selfSigned();
    const nats = await testNats({ tls: { certFile: files.cert, keyFile: files.key } });
    later(() => nats.dispose());
    const url = `localhost:${nats.port}`;
    const none: NatsCredentials = { kind: 'none' };
    expect((await openBus(url, none, { caFile: files.cert })).state()).toBe('connected');
    expect((await openBus(url, none, {})).state()).toBe('disconnected');
  }, 30_000);
});

/** The example configuration of deploy/nats, on a free port. */
function deployedServer(): Promise<number> {
  return serverWith(new URL('../../deploy/nats/nats-server.conf', import.meta.url).pathname);
}

async function serverWith(config: string): Promise<number> {
  const port = await freePort();
  const child: ChildProcess = spawn(
    findNatsServer() as string,
    ['-c', config, '-a', '127.0.0.1', '-p', String(port)],
    {
      env: { MINIKV_NATS_NODE_PASSWORD: 'node-pw', MINIKV_NATS_CLIENT_PASSWORD: 'client-pw' },
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  later(
    () =>
      new Promise((resolve) => {
        child.once('exit', () => resolve());
        child.kill('SIGTERM');
      }),
  );
  let output = '';
  child.stderr?.on('data', (chunk) => {
    output += String(chunk);
  });
  await until(
    () => output.includes('Server is ready'),
    'nats-server with the example configuration',
  );
  return port;
}

function selfSigned(): { cert: string; key: string } {
  const folder = mkdtempSync(join(tmpdir(), 'minikv-tls-'));
  later(async () => rmSync(folder, { recursive: true, force: true }));
  const files = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
      ...['-keyout', files.key, '-out', files.cert, '-days', '2', '-subj', '/CN=localhost'],
      ...['-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
    ],
    { stdio: 'ignore' },
  );
  expect(readFileSync(files.cert, 'utf8')).toContain('BEGIN CERTIFICATE');
  return files;
}
