import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type NatsServer, type NatsServerOptions, startNatsServer } from '../../cli/nats-server.ts';

/** Real nats-server processes on free ports, with temporary folders. */

const PORTS_FROM = 10_240;
const PORTS = 10_000;

type Extra = Omit<NatsServerOptions, 'port' | 'folder'>;

export interface TestNats {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  output(): string;
  kill(signal: NodeJS.Signals): void;
  /** Stops the process; `start` brings it back on the same port. */
  stop(): Promise<void>;
  start(): Promise<void>;
  /** Stops it and removes its folder. */
  dispose(): Promise<void>;
}

/**
 * A port that was free a moment ago. Not one that the system hands out (from 32768 on, or 49152): while a
 * node is down, a connection of somebody else could take it, and the node could not come back.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = PORTS_FROM + Math.floor(Math.random() * PORTS);
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}

/** One server: JetStream off, no authentication unless given. */
export async function testNats(extra: Extra = {}, fixedPort?: number): Promise<TestNats> {
  const folder = mkdtempSync(join(tmpdir(), 'minikv-nats-'));
  const port = fixedPort ?? (await freePort());
  const start = (): Promise<NatsServer> => startNatsServer({ ...extra, port, folder });
  let server = await start();
  return {
    url: server.url,
    port,
    get pid() {
      return server.pid;
    },
    output: () => server.output(),
    kill: (signal) => server.kill(signal),
    stop: () => server.stop(),
    start: async () => {
      server = await start();
    },
    dispose: async () => {
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Three servers with routes between them; clients are not told of the other servers. */
export async function testNatsCluster(extra: Extra = {}): Promise<readonly TestNats[]> {
  const routePorts = await Promise.all([freePort(), freePort(), freePort()]);
  const routes = routePorts.map((port) => `nats-route://127.0.0.1:${port}`);
  return Promise.all(
    routePorts.map((port, i) => {
      const others = routes.filter((_, j) => j !== i);
      return testNats({ ...extra, cluster: { name: 'test', port, routes: others } });
    }),
  );
}
