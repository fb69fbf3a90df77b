/**
 * PUT and GET of objects of three sizes at 16 connections: minikv, radosgw and a plain Node program on the same disk, turn
 * by turn in one run.
 *
 *   node --import tsx bench/objects/speed.ts [--seconds 3] [--rounds 3] [--only put,4096] [--peers minikv,radosgw,plain]
 *
 * All requests are signed. The plain program takes puts of 64 MiB only; those that are compared with it say the body's
 * SHA-256, so that minikv computes what the program does. `--before` takes another build to compare with.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { freePort } from '../../test/kit/nats-server.ts';
import { isListening } from '../peers/bare.ts';
import { ratioOf, spreadOf } from '../report/statistics.ts';
import { cpuSecondsOf } from '../system/process-use.ts';
import { ServerProcess } from '../system/server-process.ts';
import { Exchange } from './exchange.ts';
import type { ObjectJob, ObjectResult } from './job.ts';
import { ObjectLoad } from './load.ts';
import { radosgwVersion, startRadosgw } from './radosgw.ts';
import { type S3Server, startMinikvS3 } from './servers.ts';
import { Signer, UNSIGNED } from './signer.ts';

const { values: args } = parseArgs({
  options: {
    seconds: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
    peers: { type: 'string', default: 'minikv,radosgw,plain' },
    before: { type: 'string' },
    data: { type: 'string', default: 'data/bench' },
    profile: { type: 'string' },
  },
});

const MIB = 1024 * 1024;
const CONNECTIONS = 16;

interface Workload {
  readonly operation: 'put' | 'get';
  readonly bytes: number;
  readonly objects: number;
  readonly isHashed: boolean;
  readonly connections: number;
}

const PLAIN_BYTES = 64 * MIB;
const base = { isHashed: false, connections: CONNECTIONS };
const WORKLOADS: readonly Workload[] = [
  { ...base, operation: 'put', bytes: 4096, objects: 4_000 },
  { ...base, operation: 'get', bytes: 4096, objects: 4_000 },
  { ...base, operation: 'put', bytes: MIB, objects: 128 },
  { ...base, operation: 'get', bytes: MIB, objects: 128 },
  { ...base, operation: 'put', bytes: PLAIN_BYTES, objects: CONNECTIONS },
  { ...base, operation: 'get', bytes: PLAIN_BYTES, objects: CONNECTIONS },
  { operation: 'put', bytes: PLAIN_BYTES, objects: 1, isHashed: true, connections: 1 },
  { operation: 'put', bytes: PLAIN_BYTES, objects: 4, isHashed: true, connections: 4 },
];

function nameOf({ operation, bytes, isHashed, connections }: Workload): string {
  const size = bytes < MIB ? `${bytes / 1024} KiB` : `${bytes / MIB} MiB`;
  return `${operation} of ${size}, ${connections} connections${isHashed ? ', SHA-256 signed' : ''}`;
}

function takes(server: S3Server, { operation, bytes, isHashed }: Workload): boolean {
  if (server.name === 'plain') return isHashed && operation === 'put' && bytes === PLAIN_BYTES;
  return server.name !== 'radosgw' || !isHashed;
}

async function startPlain(folder: string): Promise<S3Server> {
  const port = await freePort();
  const file = fileURLToPath(new URL('./plain-server.ts', import.meta.url));
  const server = new ServerProcess(process.execPath, [
    ...['--import', import.meta.resolve('tsx'), file, String(port), folder],
  ]);
  await server.until(() => isListening(port), 20_000);
  const keys = { accessKey: 'none', secretKey: 'none', region: 'none' };
  return {
    name: 'plain',
    target: { host: '127.0.0.1', port, ...keys },
    pids: () => [server.pid],
    stop: () => server.stop('SIGKILL'),
  };
}

async function makeBucket({ target, name }: S3Server): Promise<void> {
  const connection = new Exchange(target);
  const request = { method: 'PUT', path: '/bench', payload: UNSIGNED, length: 0 };
  const { status, text } = await connection.ask(new Signer(target).headOf(request), null, null);
  connection.close();
  if (status !== 200) throw new Error(`${name}: making a bucket: ${status} ${text}`);
}

mkdirSync(args.data, { recursive: true });
const data = mkdtempSync(join(resolve(args.data), 'objects-'));
const folderOf = (name: string): string => {
  mkdirSync(join(data, name));
  return join(data, name);
};
const wanted = args.peers.split(',');
const servers: S3Server[] = [];
const load = new ObjectLoad();
try {
  const flags = args.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${args.profile}`];
  servers.push(await startMinikvS3(folderOf('minikv'), { nodeFlags: flags }));
  if (args.before !== undefined) {
    const options = { main: args.before, name: 'before' };
    servers.push(await startMinikvS3(folderOf('before'), options));
  }
  const version = radosgwVersion();
  if (!wanted.includes('radosgw') || version === null) console.log('radosgw: left out');
  else servers.push(await startRadosgw(folderOf('radosgw')));
  for (const server of servers) await makeBucket(server);
  if (wanted.includes('plain')) servers.push(await startPlain(folderOf('plain')));
  console.log(`radosgw ${version}, Node ${process.version}, ${args.rounds} rounds\n`);
  console.log(
    '| Workload | Server | Per second | MB/s | p50 ms | p99 ms | Server cores | Client cores | minikv is |',
  );
  console.log('|---|---|---|---|---|---|---|---|---|');
  const chosen = WORKLOADS.filter((workload) => nameOf(workload).includes(args.only));
  for (const workload of chosen) await measure(workload);
} finally {
  load.close();
  for (const server of servers) await server.stop();
  rmSync(data, { recursive: true, force: true });
}

async function measure(workload: Workload): Promise<void> {
  const able = servers.filter((server) => takes(server, workload));
  const jobOf = ({ target }: S3Server, fill: boolean): ObjectJob => {
    const { objects, isHashed } = workload;
    const isLarge = workload.bytes > MIB;
    return {
      ...{ ...workload, target, fill, isHashed, objects },
      ...{ warmupMs: isLarge ? 0 : 500, windowMs: Number(args.seconds) * 1000 },
    };
  };
  if (workload.operation === 'get') for (const server of able) await load.run(jobOf(server, true));
  const results = new Map<string, Map<number, ObjectResult & { readonly cores: number }>>();
  for (let round = 0; round < Number(args.rounds); round++) {
    for (const server of able) {
      const before = cpuSecondsOf(server.pids()) ?? 0;
      const startMs = performance.now();
      const result = await load.run(jobOf(server, false));
      const used = (cpuSecondsOf(server.pids()) ?? 0) - before;
      const cores = (used * 1000) / (performance.now() - startMs);
      const of = results.get(server.name) ?? new Map();
      results.set(server.name, of.set(round, { ...result, cores }));
    }
  }
  const rates = (name: string): Map<number, number> =>
    new Map([...(results.get(name) ?? [])].map(([round, { perSecond }]) => [round, perSecond]));
  for (const [name, of] of results) {
    const middle = (value: (result: ObjectResult & { cores: number }) => number): string =>
      spreadOf([...of.values()].map(value)).median.toPrecision(3);
    const { min, max, median } = spreadOf([...of.values()].map(({ perSecond }) => perSecond));
    const ratio = name === 'minikv' ? null : ratioOf(rates('minikv'), rates(name));
    const cells = [
      ...[nameOf(workload), name],
      `${median.toPrecision(3)} (${min.toPrecision(3)} to ${max.toPrecision(3)})`,
      ...[middle((r) => r.megabytesPerSecond), middle((r) => r.latency.p50Us / 1000)],
      ...[
        middle((r) => r.latency.p99Us / 1000),
        middle((r) => r.cores),
        middle((r) => r.clientCores),
      ],
      ratio === null
        ? ''
        : `${ratio.median.toFixed(2)} (${ratio.min.toFixed(2)} to ${ratio.max.toFixed(2)}) x`,
    ];
    console.log(`| ${cells.join(' | ')} |`);
  }
}
