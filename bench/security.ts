import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { freePort } from '../test/kit/nats-server.ts';
import { Connection, request } from './client/asked-connection.ts';
import { cpuSecondsOf } from './system/process-use.ts';
import { ServerProcess } from './system/server-process.ts';

/**
 * What credentials, and encryption at rest, cost durable PUTs and GETs of 100 B at 64 connections: a node of each kind, turn by turn in one run.
 *
 *   node --import tsx bench/security.ts [--seconds 4] [--rounds 5]
 */
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '5' },
  },
});
const CONNECTIONS = 64;
const KEYS = 10_000;
const PREPARED = 8_192;
const VALUE = 'v'.repeat(100);
const ADMIN_KEY = `mkv_admin_${'b'.repeat(43)}`;
const ROOT_KEY = '5a'.repeat(32);
const PLAIN = 'plain';

/** The configuration of each node, and whether its clients have a key. */
const KINDS: Readonly<Record<string, { readonly settings: string; readonly isKeyed?: true }>> = {
  [PLAIN]: { settings: '' },
  'API key': { settings: `auth = true\nauth-admin-key = "${ADMIN_KEY}"\n`, isKeyed: true },
  'encrypted at rest': {
    settings: `encryption-at-rest = true\nencryption-root-key = "${ROOT_KEY}"\ns3-access-key = "bench"\ns3-secret-key = "a secret of the bench 12345678"\n`,
  },
};

interface Running {
  readonly server: ServerProcess;
  readonly connections: readonly Connection[];
  readonly requests: { readonly put: readonly string[]; readonly get: readonly string[] };
}

async function start(kind: string, folder: string): Promise<Running> {
  const { settings, isKeyed = false } = KINDS[kind] ?? { settings: '' };
  const data = join(folder, kind.replaceAll(' ', '-'));
  writeFileSync(`${data}.toml`, settings);
  const port = await freePort();
  const s3Port = await freePort();
  const server = new ServerProcess(process.execPath, [
    ...['dist/cli/main.js', 'serve', '--data', data, '--config', `${data}.toml`],
    ...['--port', String(port), '--s3-port', String(s3Port)],
  ]);
  const url = `http://127.0.0.1:${port}`;
  await server.until(async () => (await fetch(`${url}/health/ready`)).ok, 30_000);
  const key = isKeyed ? await readWriteKey(url) : null;
  const more = key === null ? '' : `Authorization: Bearer ${key}\r\n`;
  const path = (i: number) => `/v1/kv/bench/${(i * 2_654_435_761) % KEYS}`;
  const prepared = (make: (i: number) => string) =>
    Array.from({ length: PREPARED }, (_, i) => make(i));
  const connections = Array.from({ length: CONNECTIONS }, () => new Connection(port));
  const requests = {
    put: prepared((i) => request('PUT', path(i), VALUE, more)),
    get: prepared((i) => request('GET', path(i), '', more)),
  };
  return { server, connections, requests };
}

/** As a program has it: not the administrator's. */
async function readWriteKey(url: string): Promise<string> {
  const answer = await fetch(`${url}/admin/keys`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'bench', role: 'read_write' }),
  });
  const { key } = (await answer.json()) as { key?: string };
  if (key === undefined) throw new Error(`no key: ${answer.status}`);
  return key;
}

interface Sample {
  readonly perSecond: number;
  /** Of the server, microseconds of processor per request. */
  readonly cpuUs: number;
}

async function measured(
  { server, connections }: Running,
  requests: readonly string[],
  ms: number,
): Promise<Sample> {
  const startMs = performance.now();
  const cpuBefore = cpuSecondsOf([server.pid]) ?? Number.NaN;
  let done = 0;
  const work = connections.map(async (connection, n) => {
    for (let i = n * 127; performance.now() - startMs < ms; i++) {
      const { status, body } = await connection.ask(requests[i % PREPARED] as string);
      // A key may not have been put yet.
      if (status >= 300 && status !== 404) throw new Error(`${status} ${body}`);
      done++;
    }
  });
  await Promise.all(work);
  const cpuSeconds = (cpuSecondsOf([server.pid]) ?? Number.NaN) - cpuBefore;
  const perSecond = (done * 1000) / (performance.now() - startMs);
  return { perSecond, cpuUs: (cpuSeconds * 1e6) / done };
}

function spread(all: readonly number[], digits: number): string {
  const sorted = [...all].sort((a, b) => a - b);
  const [least, most] = [sorted[0] ?? 0, sorted.at(-1) ?? 0];
  const middle = sorted[sorted.length >> 1] ?? 0;
  return `${middle.toFixed(digits)} (${least.toFixed(digits)} to ${most.toFixed(digits)})`;
}

const folder = mkdtempSync(join(tmpdir(), 'minikv-bench-security-'));
const running = new Map<string, Running>();
try {
  for (const kind of Object.keys(KINDS)) running.set(kind, await start(kind, folder));
  const samples = new Map<string, Sample[]>();
  for (let round = 0; round <= Number(values.rounds); round++) {
    for (const operation of ['put', 'get'] as const) {
      for (const [kind, node] of running) {
        const sample = await measured(
          node,
          node.requests[operation],
          Number(values.seconds) * 1000,
        );
        // The first round warms the programs.
        const name = `${operation} ${kind}`;
        if (round > 0) samples.set(name, [...(samples.get(name) ?? []), sample]);
      }
    }
  }
  console.log(
    '| Request | Node | Per second | x plain | CPU us each | x plain |\n|---|---|---|---|---|---|',
  );
  for (const operation of ['put', 'get']) {
    const plain = samples.get(`${operation} ${PLAIN}`) ?? [];
    for (const kind of running.keys()) {
      const own = samples.get(`${operation} ${kind}`) ?? [];
      const ratios = own.map(({ perSecond }, i) => perSecond / (plain[i]?.perSecond ?? Number.NaN));
      const costs = own.map(({ cpuUs }, i) => (plain[i]?.cpuUs ?? Number.NaN) / cpuUs);
      const cells = [
        operation,
        kind,
        spread(
          own.map(({ perSecond }) => perSecond),
          0,
        ),
        spread(ratios, 2),
      ];
      console.log(
        `| ${[
          ...cells,
          spread(
            own.map(({ cpuUs }) => cpuUs),
            1,
          ),
          spread(costs, 2),
        ].join(' | ')} |`,
      );
    }
  }
} finally {
  for (const { server, connections } of running.values()) {
    for (const connection of connections) connection.close();
    await server.stop();
  }
  rmSync(folder, { recursive: true, force: true });
}
