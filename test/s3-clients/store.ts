import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { freePort } from '../kit/nats-server.ts';
import { sleep } from '../kit/wait.ts';

/** Where clients are sent, and with what. */
export interface Store {
  readonly endpoints: readonly string[];
  readonly accessKey: string;
  readonly secretKey: string;
  /** Kills a node for good; null where nodes are not ours. */
  readonly kill: ((index: number) => void) | null;
  stop(): Promise<void>;
}

export const REGION = 'us-east-1';
const READY_MS_MAX = 60_000;
const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** Three nodes over NATS, as `npm run cluster` starts them. */
export async function startCluster(): Promise<Store> {
  const folder = mkdtempSync(join(tmpdir(), 'minikv-s3-clients-'));
  const [accessKey, secretKey] = ['minikv_clients', 'a secret of the clients 1234567890'];
  const basePort = await freePort();
  const flags = ['--nodes', '3', '--base-port', `${basePort}`, '--data', join(folder, 'data')];
  const child = spawn(process.execPath, [MAIN, 'cluster', '--json', ...flags], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, MINIKV_S3_ACCESS_KEY: accessKey, MINIKV_S3_SECRET_KEY: secretKey },
  });
  const pids: number[] = [];
  let output = '';
  child.stderr.on('data', (chunk: Buffer) => {
    output = (output + chunk.toString('utf8')).slice(-8192);
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    const event: unknown = JSON.parse(line);
    if (isNodeEvent(event)) pids.push(event.pid);
  });
  const exit = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await exit;
    rmSync(folder, { recursive: true, force: true });
  };
  const ports = [0, 1, 2].map((i) => basePort + 10 * i);
  try {
    await Promise.all(ports.map((port) => ready(port, READY_MS_MAX)));
  } catch (error) {
    await stop();
    throw new Error(`the cluster was not ready\n${output}`, { cause: error });
  }
  return {
    endpoints: ports.map((port) => `http://127.0.0.1:${port + 1}`),
    accessKey,
    secretKey,
    kill: (index) => process.kill(pids[index]!, 'SIGKILL'),
    stop,
  };
}

function isNodeEvent(event: unknown): event is { pid: number } {
  return typeof event === 'object' && event !== null && 'event' in event && event.event === 'node';
}

async function ready(port: number, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (performance.now() < deadline) {
    const answer = await fetch(`http://127.0.0.1:${port}/health/ready`).catch(() => null);
    if (answer?.ok === true) return;
    await sleep(100);
  }
  throw new Error(`no node at port ${port} after ${timeoutMs} ms`);
}
