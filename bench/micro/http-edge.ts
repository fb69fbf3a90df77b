import { fileURLToPath } from 'node:url';
import { freePort } from '../../test/kit/nats-server.ts';
import type { Operation } from '../client/job.ts';
import { bare, isListening } from '../peers/bare.ts';
import type { Peer } from '../peers/peer.ts';
import { median, ratioOf } from '../report/statistics.ts';
import { ServerProcess } from '../system/server-process.ts';
import { LoadedPeer } from '../workloads/load.ts';

/**
 * The HTTP edge over a service that answers at once, beside bare `node:http`, in turn.
 * `npx tsc -p tsconfig.build.json && npx tsx bench/micro/http-edge.ts [rounds] [name=/another/build/dist ...]`.
 * Prints requests per second and the server's processor time per request; each as a median with its
 * ratio to bare, round by round.
 */

const BUILD = fileURLToPath(new URL('../../dist', import.meta.url));
const SERVER = fileURLToPath(new URL('./edge-server.ts', import.meta.url));
const CONNECTIONS = 64;
const [rounds = '7', ...others] = process.argv.slice(2);
const OPERATIONS: readonly Operation[] = [{ kind: 'put' }, { kind: 'get' }];

async function startEdge(name: string, build: string): Promise<Peer> {
  const port = await freePort();
  const args = ['--import', import.meta.resolve('tsx'), SERVER, String(port), build];
  const server = new ServerProcess(process.execPath, args);
  await server.until(() => isListening(port), 30_000);
  return {
    ...{ name, dialect: 'minikv', targets: [{ host: '127.0.0.1', port }] },
    pids: () => [server.pid],
    can: () => true,
    stop: () => server.stop('SIGKILL'),
  };
}

interface Figures {
  readonly rate: Map<number, number>;
  readonly cpuUs: Map<number, number>;
}

const peers = [new LoadedPeer(await bare.start({ nodes: 1, folder: '' }))];
peers.push(new LoadedPeer(await startEdge('edge', BUILD)));
for (const other of others) {
  const [name = '', build = ''] = other.split('=');
  peers.push(new LoadedPeer(await startEdge(name, build)));
}
for (const peer of peers) await peer.fill(1);

const figures = new Map<string, Figures>();
for (const operation of OPERATIONS) {
  for (let round = 0; round <= Number(rounds); round++) {
    for (const peer of peers) {
      const times = { warmupMs: round === 0 ? 1_500 : 150, windowMs: 1_000 };
      const sample = await peer.run({ operation, connections: CONNECTIONS, seed: round, ...times });
      if (sample.flaw !== null) throw new Error(`${peer.peer.name}: ${sample.flaw}`);
      if (round === 0) continue;
      const key = `${operation.kind} ${peer.peer.name}`;
      const found = figures.get(key) ?? { rate: new Map(), cpuUs: new Map() };
      figures.set(key, found);
      found.rate.set(round, sample.requestsPerSecond);
      const cpu = sample.serverCpu ?? Number.NaN;
      found.cpuUs.set(round, (cpu / sample.requestsPerSecond) * 1e6);
    }
  }
}
for (const [key, { rate, cpuUs }] of figures) {
  const base = figures.get(`${key.split(' ')[0]} ${bare.name}`) as Figures;
  const [rateRatio, cpuRatio] = [ratioOf(rate, base.rate), ratioOf(base.cpuUs, cpuUs)];
  const per = `${median([...cpuUs.values()]).toFixed(1)} us (least ${Math.min(...cpuUs.values()).toFixed(1)})`;
  const per2 = `${median([...rate.values()]).toFixed(0)}/s`;
  const ratios = `rate x${rateRatio?.median.toFixed(2)}, per CPU second x${cpuRatio?.median.toFixed(2)}`;
  console.log(`${key.padEnd(16)} ${per2.padStart(9)}  ${per.padEnd(24)} ${ratios}`);
}
for (const peer of peers) await peer.close();
process.exit(0);
