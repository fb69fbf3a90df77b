import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, rmSync, type WriteStream, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findNatsServer, natsServerConfig } from '../../cli/nats-server.ts';
import { cutPower, emptyShadow, pruneShadow } from './disk/power-cut.ts';
import { DiskControl } from './disk/shim.ts';
import { HEALTHY, Link } from './network/link.ts';

/** Ports of one host; in namespaces they are the same on each. */
export interface Ports {
  readonly http: number;
  readonly nats: number;
  readonly routes: number;
  readonly link: number;
}

export interface MachineOptions {
  readonly index: number;
  readonly address: string;
  readonly ports: Ports;
  readonly folder: string;
  readonly logs: string;
  /** The program that is tortured: cli/main.js of a build. */
  readonly main: string;
  readonly members: readonly string[];
  readonly groups: number;
  /** URLs of all nats-servers' route ports. */
  readonly routes: readonly string[];
  /** Path of the disk shim; null without one. */
  readonly shim: string | null;
  readonly seed: number;
  readonly retentionSeconds: number;
  /** Puts a command onto this machine's host. */
  on(command: readonly string[]): string[];
}

/** Settings of whoever runs the test are not for the nodes. */
const OWN_ENV = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith('MINIKV_')),
);

/** One host of the cluster: a node, its nats-server, the link between them, its disk. */
export class Machine {
  readonly id: string;
  readonly url: string;
  readonly data: string;
  readonly disk: DiskControl | null;
  readonly options: MachineOptions;
  readonly #log: WriteStream;
  #node: ChildProcess | null = null;
  #nats: ChildProcess | null = null;
  #link: Link | null = null;
  /** How often the node's process ended without being asked. */
  ownExits = 0;
  #isExpectedToEnd = false;

  constructor(options: MachineOptions) {
    const { index, address, ports, folder, logs } = options;
    this.options = options;
    this.id = `n${index + 1}`;
    this.url = `http://${address}:${ports.http}`;
    this.data = join(folder, this.id, 'data');
    mkdirSync(this.data, { recursive: true });
    mkdirSync(logs, { recursive: true });
    this.#log = createWriteStream(join(logs, `${this.id}.log`), { flags: 'a' });
    this.disk = options.shim === null ? null : new DiskControl(join(folder, this.id, 'disk'));
    if (this.disk !== null) emptyShadow(this.disk.shadow, this.data);
  }

  get link(): Link {
    if (this.#link === null) throw new Error('the machine is not open');
    return this.#link;
  }

  /** The node's process; null while there is none. */
  get pid(): number | null {
    return this.#node?.pid ?? null;
  }

  /** Starts nats-server, link and node. */
  async open(): Promise<void> {
    const { address, ports, seed, on } = this.options;
    this.startNats();
    const target = { host: address, port: ports.nats };
    this.#link = await Link.open({ on, port: ports.link, target, seed });
    this.startNode();
  }

  startNats(): void {
    const { index, address, ports, folder, routes, on } = this.options;
    const binary = findNatsServer();
    if (binary === null) throw new Error('nats-server is not installed');
    const config = join(folder, `nats-${index}.conf`);
    const others = routes.filter((_, i) => i !== index);
    const cluster = { name: 'torture', port: ports.routes, routes: others };
    const text = natsServerConfig({
      port: ports.nats,
      folder,
      host: address,
      name: `s${index + 1}`,
      cluster,
    });
    writeFileSync(config, text);
    this.#nats = this.#spawn(
      on([binary, '-c', config]),
      {},
      join(this.options.logs, `nats-${this.id}.log`),
    );
  }

  async killNats(): Promise<void> {
    await end(this.#nats, 'SIGKILL');
    this.#nats = null;
  }

  /** Starts the node's process; does not wait for it. */
  startNode(): void {
    if (this.#node !== null) throw new Error(`${this.id} runs already`);
    const { ports, address, main, members, shim, retentionSeconds, on } = this.options;
    if (this.disk !== null) pruneShadow(this.disk.shadow);
    const args = ['serve', '--node-id', this.id, '--data', this.data, '--insecure'];
    args.push('--host', address, '--port', `${ports.http}`, '--s3-port', `${ports.http + 1}`);
    args.push('--nats', `nats://${address}:${ports.link}`, '--initial-members', members.join(','));
    args.push('--groups', `${this.options.groups}`);
    const env = {
      MINIKV_RETENTION_SECONDS: `${retentionSeconds}`,
      ...(shim === null || this.disk === null ? {} : this.disk.env(shim, this.data)),
    };
    // The shim is for the node, not for what puts it onto its host.
    const settings = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    const command = on(['env', ...settings, process.execPath, main, ...args]);
    this.#isExpectedToEnd = false;
    const child = this.#spawn(command, {}, null);
    this.#node = child;
    child.once('exit', (code, signal) => {
      this.#log.write(`-- the process ended: ${signal ?? `code ${code}`}\n`);
      if (this.#node !== child) return;
      this.#node = null;
      if (!this.#isExpectedToEnd) this.ownExits++;
    });
  }

  signal(signal: NodeJS.Signals): void {
    this.#node?.kill(signal);
  }

  async kill(): Promise<void> {
    this.#isExpectedToEnd = true;
    await end(this.#node, 'SIGKILL');
  }

  /** SIGTERM, and resolves when the process has ended by itself. */
  async stop(): Promise<void> {
    this.#isExpectedToEnd = true;
    await end(this.#node, 'SIGTERM');
  }

  /** What ends by itself from now on does so as it should: a failed disk, for one. */
  expectEnd(): void {
    this.#isExpectedToEnd = true;
  }

  /** From now on an end that nobody asked for is counted in `ownExits` again. */
  expectLife(): void {
    if (this.#node !== null) this.#isExpectedToEnd = false;
  }

  /** The power of the killed node's machine goes: what was not synced is lost. */
  cutPower(): { lostNames: number; lostBytes: number } {
    if (this.#node !== null || this.disk === null)
      throw new Error(`${this.id} runs, or has no shim`);
    const lost = cutPower(this.data, this.disk.shadow);
    this.disk.reboot();
    return lost;
  }

  /** A new, empty disk for the killed node. */
  emptyDisk(): void {
    if (this.#node !== null) throw new Error(`${this.id} runs`);
    rmSync(this.data, { recursive: true, force: true });
    if (this.disk !== null) emptyShadow(this.disk.shadow, this.data);
  }

  /** Ends whatever a fault has left behind: disk, clock, link, nats-server and process work again. */
  async heal(): Promise<void> {
    this.disk?.fsync('works');
    this.disk?.room('enough');
    this.disk?.clock(0, 1);
    this.signal('SIGCONT');
    await this.link.set(HEALTHY);
    if (this.#nats === null) this.startNats();
  }

  note(text: string): void {
    this.#log.write(`-- ${text}\n`);
  }

  async close(): Promise<void> {
    await this.kill();
    await this.killNats();
    this.#link?.close();
    this.#log.end();
  }

  #spawn(
    command: readonly string[],
    env: Record<string, string>,
    logFile: string | null,
  ): ChildProcess {
    const [program = '', ...args] = command;
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...OWN_ENV, ...env },
    });
    const log = logFile === null ? this.#log : createWriteStream(logFile, { flags: 'a' });
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    child.on('error', (error) => log.write(`-- ${error.message}\n`));
    return child;
  }
}

/** Signals a process and waits until it has ended; SIGKILL after 20 s. */
async function end(child: ChildProcess | null, signal: NodeJS.Signals): Promise<void> {
  if (child === null || child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  child.kill('SIGCONT');
  const timer = setTimeout(() => child.kill('SIGKILL'), 20_000);
  await ended;
  clearTimeout(timer);
}
