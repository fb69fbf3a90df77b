import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants, mkdirSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { delimiter, join } from 'node:path';
import { LIMITS } from '../protocol/limits.ts';

/** Finds and runs nats-server as a child process, for `minikv cluster` and for tests. */

export interface NatsUser {
  readonly user: string;
  readonly password: string;
  /** Subjects the user may publish and subscribe to; null allows all. */
  readonly publish: readonly string[] | null;
  readonly subscribe: readonly string[] | null;
}

export interface NatsServerOptions {
  readonly port: number;
  /** Where the configuration file is written. Made when missing. */
  readonly folder: string;
  readonly host?: string;
  readonly name?: string;
  /** Switches JetStream on, with its files here. Off by default: the bus needs core NATS only. */
  readonly storeDir?: string;
  readonly users?: readonly NatsUser[];
  readonly token?: string;
  /** Public nkeys of users who may do everything. */
  readonly nkeys?: readonly string[];
  readonly tls?: { readonly certFile: string; readonly keyFile: string; readonly caFile?: string };
  /** Routes to the other servers of a NATS cluster. */
  readonly cluster?: {
    readonly name: string;
    readonly port: number;
    readonly routes: readonly string[];
  };
  /** Limits that tests lower; sane values otherwise. */
  readonly maxPayloadBytes?: number;
  readonly maxPendingBytes?: number;
  readonly writeDeadline?: string;
  /**
   * Keeps a terminal's Ctrl-C away from it: it is stopped by `stop`, after those who use it; or when this
   * process has ended without that, some seconds later.
   */
  readonly detached?: boolean;
}

export interface NatsServer {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Resolves when the process has ended, whoever ended it. */
  readonly exited: Promise<void>;
  /** What the server has written so far. */
  output(): string;
  /** Ends it: SIGTERM, and SIGKILL when that takes longer than 3 s. */
  stop(): Promise<void>;
  kill(signal: NodeJS.Signals): void;
}

/** The nats-server binary on PATH, or where system packages put it; null when there is none. */
export function findNatsServer(): string | null {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  folders.push('/usr/sbin', '/usr/local/bin', '/usr/bin', '/opt/homebrew/bin', '/snap/bin');
  for (const folder of folders) {
    if (folder === '') continue;
    const file = join(folder, process.platform === 'win32' ? 'nats-server.exe' : 'nats-server');
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // Not in this folder; the next one may have it.
    }
  }
  return null;
}

const quote = (text: string): string => JSON.stringify(text);
const quoteAll = (texts: readonly string[]): string => `[${texts.map(quote).join(', ')}]`;

/** The server's configuration file. */
export function natsServerConfig(options: NatsServerOptions): string {
  const host = options.host ?? '127.0.0.1';
  const lines = [
    `listen: ${quote(`${host}:${options.port}`)}`,
    `server_name: ${quote(options.name ?? `minikv-${options.port}`)}`,
    `max_payload: ${options.maxPayloadBytes ?? LIMITS.busPayloadBytesMax}`,
    `max_pending: ${options.maxPendingBytes ?? 64 * 1024 * 1024}`,
    `write_deadline: ${quote(options.writeDeadline ?? '5s')}`,
    'max_control_line: 8192',
    'ping_interval: "10s"',
    'ping_max: 2',
    'no_header_support: false',
  ];
  if (options.storeDir !== undefined)
    lines.push(`jetstream { store_dir: ${quote(options.storeDir)} }`);
  if (options.token !== undefined) lines.push(`authorization { token: ${quote(options.token)} }`);
  if (options.nkeys !== undefined) {
    const rows = options.nkeys.map((nkey) => `{ nkey: ${quote(nkey)} }`);
    lines.push(`authorization { users: [ ${rows.join(', ')} ] }`);
  }
  if (options.users !== undefined) {
    lines.push(`authorization { users: [\n${options.users.map(userLine).join('\n')}\n] }`);
  }
  if (options.tls !== undefined) {
    const { certFile, keyFile, caFile } = options.tls;
    const ca = caFile === undefined ? '' : `, ca_file: ${quote(caFile)}`;
    lines.push(`tls { cert_file: ${quote(certFile)}, key_file: ${quote(keyFile)}${ca} }`);
  }
  if (options.cluster !== undefined) {
    const { name, port, routes } = options.cluster;
    lines.push(
      `cluster { name: ${quote(name)}, listen: ${quote(`${host}:${port}`)}, no_advertise: true, routes: ${quoteAll(routes)} }`,
    );
  }
  return `${lines.join('\n')}\n`;
}

function userLine(user: NatsUser): string {
  const allow = (verb: string, subjects: readonly string[] | null): string =>
    subjects === null ? '' : `${verb}: { allow: ${quoteAll(subjects)} }`;
  const rules = [allow('publish', user.publish), allow('subscribe', user.subscribe)];
  const kept = rules.filter((rule) => rule !== '');
  const permissions = kept.length === 0 ? '' : `, permissions: { ${kept.join(', ')} }`;
  return `  { user: ${quote(user.user)}, password: ${quote(user.password)}${permissions} }`;
}

/** Starts a server and returns when it accepts connections. Rejects when it ends or takes over 10 s. */
export async function startNatsServer(options: NatsServerOptions): Promise<NatsServer> {
  const binary = findNatsServer();
  if (binary === null) {
    throw new Error('nats-server is not installed (Debian: apt-get install nats-server)');
  }
  mkdirSync(options.folder, { recursive: true });
  const configFile = join(options.folder, `nats-${options.port}.conf`);
  writeFileSync(configFile, natsServerConfig(options), { mode: 0o600 });
  const child = spawn(binary, ['-c', configFile], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: options.detached ?? false,
  });
  const server = serverOf(child, options);
  const host = options.host ?? '127.0.0.1';
  const deadline = performance.now() + 10_000;
  let ended = false;
  void server.exited.then(() => {
    ended = true;
  });
  // Another server may answer on the port: this one says itself when it has it.
  while (!server.output().includes('Server is ready') || !(await accepts(host, options.port))) {
    if (ended || performance.now() > deadline) {
      await server.stop();
      throw new Error(`nats-server did not start on port ${options.port}: ${server.output()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  if (options.detached) endWithThisProcess(server);
  return server;
}

/** Long enough for nodes that end for the same reason to hand over and say goodbye. */
const ORPHAN_SECONDS = 3;

/** A shell waits for the end of a pipe that only this process holds: also SIGKILL closes it. */
function endWithThisProcess(server: NatsServer): void {
  if (process.platform === 'win32') return;
  const script = 'cat >/dev/null; sleep "$2"; kill "$1"';
  const args = ['-c', script, 'sh', `${server.pid}`, `${ORPHAN_SECONDS}`];
  const guard = spawn('sh', args, { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  guard.on('error', () => {});
  guard.unref();
  (guard.stdin as Socket | null)?.unref();
  // Its pid may be somebody else's from then on.
  void server.exited.then(() => guard.kill('SIGKILL'));
}

const OUTPUT_CHARS_MAX = 64 * 1024;

function serverOf(child: ChildProcess, options: NatsServerOptions): NatsServer {
  let output = '';
  const keep = (chunk: Buffer): void => {
    output = (output + chunk.toString()).slice(-OUTPUT_CHARS_MAX);
  };
  child.stdout?.on('data', keep);
  child.stderr?.on('data', keep);
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', (error) => {
      output += String(error);
      resolve();
    });
  });
  return {
    url: `nats://${options.host ?? '127.0.0.1'}:${options.port}`,
    port: options.port,
    pid: child.pid ?? -1,
    exited,
    output: () => output,
    kill: (signal) => {
      child.kill(signal);
    },
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
      child.kill('SIGTERM');
      child.kill('SIGCONT');
      const timer = setTimeout(() => child.kill('SIGKILL'), 3_000);
      await exited;
      clearTimeout(timer);
    },
  };
}

/** Whether a NATS server answers there: it speaks first, with INFO. */
function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host);
    const finish = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(1_000, () => finish(false));
    socket.once('data', (chunk) => finish(chunk.toString('latin1').startsWith('INFO')));
    socket.once('error', () => finish(false));
    socket.once('close', () => finish(false));
  });
}
