import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, type TestNats, testNats } from './nats-server.ts';
import { sleep } from './wait.ts';
import { flipWalBit, tearWalTail } from './wal-damage.ts';

/** Real `minikv serve` processes of the build, on loopback, with temporary data folders. */

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const READY_MS = 30_000;
/** Settings of whoever runs the tests are not for the nodes. */
const OWN_ENV = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith('MINIKV_')),
);

export interface TestNode {
  readonly id: string;
  readonly data: string;
  readonly url: string;
  /** Everything it wrote so far, over all its lives. */
  output(): string;
  readonly pid: number | null;
}

export interface ClusterOptions {
  readonly nodes: number;
  readonly groups?: number;
  /** One node over NATS as well. */
  readonly nats?: boolean;
  readonly flags?: readonly string[];
  /** Settings that have no flag. */
  readonly env?: Readonly<Record<string, string>>;
  /** For Node itself. With any, the processes have a channel to this one, see `ask`. */
  readonly nodeFlags?: readonly string[];
  /** Called with each node's data folder before it starts for the first time. */
  readonly prepare?: (data: string, index: number) => void;
}

interface Process {
  readonly id: string;
  readonly data: string;
  readonly port: number;
  child: ChildProcess | null;
  output: string;
}

/** One node without NATS, or several over a nats-server of their own. */
export class ProcessCluster {
  readonly nats: TestNats | null;
  readonly #folder: string;
  readonly #processes: Process[] = [];
  readonly #options: ClusterOptions;

  private constructor(folder: string, nats: TestNats | null, options: ClusterOptions) {
    this.#folder = folder;
    this.nats = nats;
    this.#options = options;
  }

  static async start(options: ClusterOptions): Promise<ProcessCluster> {
    const folder = mkdtempSync(join(tmpdir(), 'minikv-e2e-'));
    const nats = options.nodes > 1 || options.nats ? await testNats() : null;
    const cluster = new ProcessCluster(folder, nats, options);
    for (let i = 1; i <= options.nodes; i++) {
      const id = `n${i}`;
      const port = await freePort();
      const data = join(folder, id);
      options.prepare?.(data, i - 1);
      cluster.#processes.push({ id, port, data, child: null, output: '' });
    }
    for (let i = 0; i < options.nodes; i++) cluster.spawn(i);
    await cluster.ready();
    return cluster;
  }

  get size(): number {
    return this.#processes.length;
  }

  node(index: number): TestNode {
    const found = this.#at(index);
    return {
      id: found.id,
      data: found.data,
      url: `http://127.0.0.1:${found.port}`,
      output: () => found.output,
      pid: found.child?.pid ?? null,
    };
  }

  urls(): string[] {
    return this.#processes.map(({ port }) => `http://127.0.0.1:${port}`);
  }

  /** Starts a node's process, set up in another way than the others where that is given; does not wait. */
  spawn(index: number, own: Pick<ClusterOptions, 'flags' | 'env'> = this.#options): void {
    const node = this.#at(index);
    const { groups } = this.#options;
    const args = ['serve', '--node-id', node.id, '--data', node.data, '--port', `${node.port}`];
    if (this.nats !== null) {
      const members = this.#processes.map(({ id }) => id).join(',');
      args.push('--nats', this.nats.url, '--initial-members', members);
    }
    if (groups !== undefined) args.push('--groups', `${groups}`);
    args.push(...(own.flags ?? []));
    const nodeFlags = this.#options.nodeFlags ?? [];
    const child = spawn(process.execPath, [...nodeFlags, MAIN, ...args], {
      stdio: ['ignore', 'pipe', 'pipe', ...(nodeFlags.length > 0 ? (['ipc'] as const) : [])],
      env: { ...OWN_ENV, ...own.env },
    });
    node.child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        node.output += chunk.toString('utf8');
      });
    }
  }

  /** Asks what `nodeFlags` loaded into the node, and resolves with its next message. */
  ask(index: number, question: string): Promise<unknown> {
    const { child } = this.#at(index);
    return new Promise((resolve, reject) => {
      if (child === null) return reject(new Error(`node ${index} is down`));
      child.once('message', resolve);
      child.send(question, (error) => error !== null && reject(error));
    });
  }

  /** Resolves with the exit code of the node's process. */
  exit(index: number): Promise<number | null> {
    const { child } = this.#at(index);
    if (child === null || child.exitCode !== null) return Promise.resolve(child?.exitCode ?? null);
    return new Promise((resolve) => child.once('exit', (code) => resolve(code)));
  }

  /** SIGKILL, and waits until it is gone. */
  async kill(index: number): Promise<void> {
    const { child } = this.#at(index);
    if (child === null) return;
    const gone = this.exit(index);
    child.kill('SIGKILL');
    await gone;
    this.#at(index).child = null;
  }

  /** SIGTERM; resolves with the exit code. */
  async stop(index: number): Promise<number | null> {
    const { child } = this.#at(index);
    if (child === null) return null;
    const gone = this.exit(index);
    child.kill('SIGTERM');
    const code = await gone;
    this.#at(index).child = null;
    return code;
  }

  signal(index: number, signal: NodeJS.Signals): void {
    this.#at(index).child?.kill(signal);
  }

  /** Removes a stopped node's data folder. */
  wipe(index: number): void {
    rmSync(this.#at(index).data, { recursive: true, force: true });
  }

  /** Flips one bit of a stopped node's WAL, `fraction` of the way through what was written. */
  flipWalBit(index: number, fraction: number): void {
    flipWalBit(this.#at(index).data, fraction);
  }

  /** Leaves half of an unfinished write at the end of a stopped node's WAL. */
  tearWalTail(index: number): void {
    tearWalTail(this.#at(index).data);
  }

  /** Waits until every running node says that it is ready. */
  async ready(timeoutMs = READY_MS): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    for (const node of this.#processes) {
      while (node.child !== null && !(await isReady(`http://127.0.0.1:${node.port}`))) {
        if (performance.now() > deadline) {
          throw new Error(
            `${node.id} is not ready in ${timeoutMs} ms:\n${node.output.slice(-4000)}`,
          );
        }
        await sleep(30);
      }
    }
  }

  /** The index of the node that leads a group, asked of any running node; waits for one. */
  async leaderOf(group: number, timeoutMs = 10_000): Promise<number> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      for (const node of this.#processes) {
        if (node.child === null) continue;
        const status = await statusOf(`http://127.0.0.1:${node.port}`);
        const leader = status?.groups.find((candidate) => candidate.group === group)?.leader;
        const index = this.#processes.findIndex(({ id }) => id === leader);
        if (index >= 0 && this.#processes[index]?.child !== null) return index;
      }
      if (performance.now() > deadline) throw new Error(`no leader of group ${group}`);
      await sleep(50);
    }
  }

  async dispose(): Promise<void> {
    await Promise.all(this.#processes.map((_, index) => this.kill(index)));
    await this.nats?.dispose();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #at(index: number): Process {
    const node = this.#processes[index];
    if (node === undefined) throw new Error(`there is no node ${index}`);
    return node;
  }
}

interface Status {
  readonly ready: boolean;
  /** Of all groups. */
  readonly copies: string;
  readonly groups: readonly {
    readonly group: number;
    readonly leader: string | null;
    readonly local: {
      readonly replica: string;
      readonly role: string;
      readonly appliedIndex: number;
      readonly config: {
        readonly voters: string[];
        readonly votersOld: string[] | null;
        readonly learners: string[];
      };
    } | null;
  }[];
}

export async function statusOf(url: string): Promise<Status | null> {
  try {
    const answer = await fetch(`${url}/admin/status`, { signal: AbortSignal.timeout(2_000) });
    return answer.ok ? ((await answer.json()) as Status) : null;
  } catch {
    return null;
  }
}

/** Whether a node answers, and says that it is ready. */
export async function isReady(url: string): Promise<boolean> {
  try {
    const answer = await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(2_000) });
    await answer.arrayBuffer();
    return answer.status === 200;
  } catch {
    return false;
  }
}
