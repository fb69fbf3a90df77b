import { fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ProcessCluster } from '../test/kit/process-cluster.ts';
import { BAR, type FanoutPlan, type FanoutResult } from './watch/plan.ts';

/**
 * Many watchers on one node: every event once and in order, and how late. `npx tsx bench/watch-fanout.ts`
 * starts a node of the build (`npm run build`) and measures the bar of 1,000 SSE subscribers, 1,000
 * events/s and one in ten matching; `--url` takes a node that runs.
 */

const CLIENT = fileURLToPath(new URL('watch/client.ts', import.meta.url));
/** Linux: the unit of /proc/PID/stat. */
const TICKS_PER_SECOND = 100;

/** Runs one plan against the node at `plan.url`, whose process is `serverPid` where it is known. */
export function watchFanout(
  plan: Partial<FanoutPlan> & { readonly url: string },
  serverPid: number | null,
): Promise<FanoutResult> {
  return new Promise((resolve, reject) => {
    const child = fork(CLIENT, [], { execArgv: ['--import', 'tsx'] });
    let startMs = 0;
    let usedMs: number | null = null;
    child.on('message', (message: { type: string; result?: FanoutResult }) => {
      if (message.type === 'measure') startMs = cpuMsOf(serverPid) ?? 0;
      else if (message.type === 'measured') {
        const endMs = cpuMsOf(serverPid);
        usedMs = endMs === null ? null : endMs - startMs;
      } else if (message.result !== undefined) {
        const { result } = message;
        const { prefixes, subscribers, eventsPerSecond, seconds } = { ...BAR, ...plan };
        const deliveries = (eventsPerSecond * seconds * subscribers) / prefixes;
        const perThousand = usedMs === null ? null : (usedMs * 1000) / deliveries;
        resolve({ ...result, serverCpuPerThousandMs: perThousand });
      }
    });
    child.on('exit', (code) => {
      if (code !== 0) reject(new Error(`the client of the fan-out ended with ${code}`));
    });
    child.send({ ...BAR, ...plan });
  });
}

/** CPU that a process has used, in ms; null where there is no /proc. */
function cpuMsOf(pid: number | null): number | null {
  if (pid === null || process.platform !== 'linux') return null;
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_SECOND;
}

/** One line per figure, for people. */
export function fanoutLines(result: FanoutResult): string[] {
  const { delivery, write, flaws } = result;
  const cpu = result.serverCpuPerThousandMs;
  const latency = ({ p50, p99, max }: FanoutResult['delivery']): string =>
    `p50 ${p50} ms, p99 ${p99} ms, max ${max} ms`;
  return [
    `${result.events} events, ${result.deliveries} deliveries`,
    `delivery: ${latency(delivery)} (from the moment the write was due)`,
    `write:    ${latency(write)}`,
    `CPU:      client ${result.clientCpu.toFixed(2)} cores` +
      (cpu === null ? '' : `, server ${cpu.toFixed(1)} ms per 1,000 deliveries`),
    flaws.length === 0 ? 'every event once and in order' : `FLAWS: ${flaws.join('; ')}`,
  ];
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      url: { type: 'string' },
      pid: { type: 'string' },
      transport: { type: 'string' },
      subscribers: { type: 'string' },
      prefixes: { type: 'string' },
      rate: { type: 'string' },
      seconds: { type: 'string' },
      nodes: { type: 'string' },
      json: { type: 'boolean' },
    },
  });
  const plan = {
    ...BAR,
    transport: values.transport === 'websocket' ? ('websocket' as const) : BAR.transport,
    subscribers: Number(values.subscribers ?? BAR.subscribers),
    prefixes: Number(values.prefixes ?? BAR.prefixes),
    eventsPerSecond: Number(values.rate ?? BAR.eventsPerSecond),
    seconds: Number(values.seconds ?? BAR.seconds),
  };
  let result: FanoutResult;
  if (values.url !== undefined) {
    const pid = values.pid === undefined ? null : Number(values.pid);
    result = await watchFanout({ ...plan, url: values.url }, pid);
  } else {
    const cluster = await ProcessCluster.start({ nodes: Number(values.nodes ?? 1) });
    try {
      const { url, pid } = cluster.node(0);
      result = await watchFanout({ ...plan, url }, pid);
    } finally {
      await cluster.dispose();
    }
  }
  if (values.json === true) console.log(JSON.stringify(result));
  else for (const line of fanoutLines(result)) console.log(line);
  return result.flaws.length === 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exit(await main());
