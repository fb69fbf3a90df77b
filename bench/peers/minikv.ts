import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type NatsServer, startNatsServer } from '../../cli/nats-server.ts';
import { freePort } from '../../test/kit/nats-server.ts';
import { statusOf } from '../../test/kit/process-cluster.ts';
import { ServerProcess } from '../system/server-process.ts';
import type { Peer, PeerKind } from './peer.ts';

export const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const READY_MS_MAX = 120_000;

export interface MinikvOptions {
  readonly nodes: number;
  readonly folder: string;
  /** Another build to run; default: this one. */
  readonly main?: string;
  readonly name?: string;
  /** Also for a single node, so that it answers NATS requests. */
  readonly withNats?: boolean;
  /** Of Node itself, e.g. `--cpu-prof`. */
  readonly nodeFlags?: readonly string[];
}

/** minikv as built, this one or another for comparison. */
export function minikvKind(name = 'minikv', main = MAIN): PeerKind {
  return {
    name,
    version: () => 'this build',
    install: 'npm run build',
    maxNodes: 3,
    start: ({ nodes, folder }) => startMinikv({ nodes, folder, main, name }),
  };
}

export interface MinikvPeer extends Peer {
  readonly nodes: readonly MinikvNode[];
  readonly natsPort: number | null;
}

export interface MinikvNode {
  readonly id: string;
  readonly url: string;
  readonly port: number;
  readonly data: string;
  readonly pid: number;
  output(): string;
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it with the data it has; resolves when it is ready, with how long that took. */
  start(): Promise<number>;
}

/** One node, or several over a nats-server of their own. */
export async function startMinikv(options: MinikvOptions): Promise<MinikvPeer> {
  const { nodes: count, folder, name = 'minikv' } = options;
  const nats = count > 1 || options.withNats === true ? await startNats(folder) : null;
  const members = Array.from({ length: count }, (_, i) => `n${i + 1}`);
  const nodes: Node[] = [];
  for (const id of members) {
    nodes.push(new Node(options, id, await freePort(), members, nats?.url ?? null));
  }
  await Promise.all(nodes.map((node) => node.start()));
  await untilLed(nodes);
  return {
    name,
    dialect: 'minikv',
    targets: nodes.map(({ port }) => ({ host: '127.0.0.1', port })),
    pids: () => [...nodes.map(({ pid }) => pid), ...(nats === null ? [] : [nats.pid])],
    can: () => true,
    stop: async () => {
      await Promise.all(nodes.map((node) => node.stop('SIGKILL')));
      await nats?.stop();
    },
    nodes,
    natsPort: nats?.port ?? null,
  };
}

async function startNats(folder: string): Promise<NatsServer> {
  return startNatsServer({ port: await freePort(), folder: join(folder, 'nats') });
}

class Node implements MinikvNode {
  readonly id: string;
  readonly port: number;
  readonly url: string;
  readonly data: string;
  readonly #args: readonly string[];
  #server: ServerProcess | null = null;

  constructor(
    { folder, main = MAIN, nodeFlags = [] }: MinikvOptions,
    id: string,
    port: number,
    members: readonly string[],
    nats: string | null,
  ) {
    this.id = id;
    this.port = port;
    this.url = `http://127.0.0.1:${port}`;
    this.data = join(folder, id);
    this.#args = [
      ...[...nodeFlags, main, 'serve', '--node-id', id, '--port', String(port)],
      ...['--data', this.data],
      ...(nats === null ? [] : ['--nats', nats, '--initial-members', members.join(',')]),
    ];
  }

  get pid(): number {
    return this.#server?.pid ?? -1;
  }

  output(): string {
    return this.#server?.output() ?? '';
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await this.#server?.stop(signal);
  }

  async start(): Promise<number> {
    const startMs = performance.now();
    const server = new ServerProcess(process.execPath, this.#args);
    this.#server = server;
    await server.until(async () => {
      const answer = await fetch(`${this.url}/health/ready`);
      await answer.arrayBuffer();
      return answer.status === 200;
    }, READY_MS_MAX);
    return performance.now() - startMs;
  }
}

/** Until every node knows a leader of every group, and the leaders have been spread. */
async function untilLed(nodes: readonly MinikvNode[]): Promise<void> {
  const deadlineMs = performance.now() + READY_MS_MAX;
  for (;;) {
    const all = await Promise.all(nodes.map(({ url }) => statusOf(url)));
    if (all.every((status) => status?.groups.every(({ leader }) => leader !== null))) return;
    if (performance.now() > deadlineMs) throw new Error('groups have no leader');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
