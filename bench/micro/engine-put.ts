import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PerformanceObserver, performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startNode } from '../../actors/node.ts';
import { systemClock } from '../../cli/system-clock.ts';
import { systemRandom } from '../../cli/system-random.ts';
import { publishChange } from '../../gateways/peer/events.ts';
import { inProcessBus } from '../../gateways/peer/in-process-bus.ts';
import { startTelemetry } from '../../observability/telemetry.ts';
import type { WriteOp } from '../../protocol/commands.ts';
import type { KvService, RequestContext } from '../../protocol/service.ts';
import type { NodeId } from '../../protocol/types.ts';
import { FolderKeys } from '../../storage/at-rest/folder-keys.ts';
import { MemoryDisk } from '../../storage/disk/memory-disk.ts';
import { NodeDisk } from '../../storage/disk/node-disk.ts';
import { openClassicEngine } from '../../storage/kv/classic-engine.ts';
import { MemoryEngine } from '../../storage/kv/memory-engine.ts';
import { ValueCompression } from '../../storage/kv/value-compression.ts';
import { openStorage } from '../../storage/open.ts';

/**
 * What a durable put costs below the gateways: one real node (its WAL, LevelDB and the in-process
 * bus) and closed-loop callers of KvService. `npx tsx bench/micro/engine-put.ts [--cases 1,64,256,1000x1]`;
 * a case is the number of callers, `x` and the keys per batch where a call is a batch. With `--memory` disk
 * and engine are in memory, and `least` (the fastest tenth of the rounds) is the program's own cost, also
 * on a busy machine. `--encrypted` seals log and engine.
 */
const { values: args } = parseArgs({
  options: {
    cases: { type: 'string', default: '1,64,256,1000x1,1000x4' },
    seconds: { type: 'string', default: '3' },
    keys: { type: 'string', default: '10000' },
    groups: { type: 'string', default: '8' },
    data: { type: 'string', default: tmpdir() },
    memory: { type: 'boolean', default: false },
    encrypted: { type: 'boolean', default: false },
  },
});

const KEYS = Number(args.keys);
const CONTEXT: RequestContext = { deadlineMs: 5_000, traceparent: null, idempotency: null };
const clock = systemClock({ holdOpen: true });
const folder = mkdtempSync(join(args.data, 'minikv-engine-put-'));
let syncs = 0;

const seen = { gcMs: 0 };
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) seen.gcMs += entry.duration;
}).observe({ entryTypes: ['gc'] });

async function openNode() {
  const telemetry = startTelemetry({
    ...{ nodeId: 'n1', cluster: 'bench', version: '0', otlp: null, clock },
    log: { level: 'error', format: 'text', write: (line) => void process.stderr.write(line) },
  });
  const bus = inProcessBus({ clock, telemetry });
  const fatal = (reason: string, error: unknown) => {
    console.error(reason, error);
    process.exit(1);
  };
  const counted = {
    ...telemetry,
    count: (name: string, by?: number, labels?: Readonly<Record<string, string | number>>) => {
      if (name === 'wal_syncs') syncs++;
      telemetry.count(name, by, labels);
    },
  };
  const storage = openStorage({
    ...{ clock, random: systemRandom(), prepareAhead: !args.memory },
    keys: args.encrypted ? new FolderKeys(new Map([[1, systemRandom().bytes(32)]])) : null,
    rotation: null,
    compression: new ValueCompression([]),
    disk: args.memory ? new MemoryDisk(clock) : new NodeDisk(folder),
    openEngine: async () =>
      args.memory
        ? new MemoryEngine(clock)
        : openClassicEngine(join(folder, 'state'), { bootId: 'bench', clock }),
    setEngineAside: async () => {},
    onFatal: fatal,
  });
  return startNode(
    {
      ...{ nodeId: 'n1' as NodeId, cluster: 'bench', initialMembers: ['n1' as NodeId] },
      ...{ join: false, roles: ['replica', 'gateway'], groupCount: Number(args.groups) },
      ...{ retentionMs: 3_600_000, durability: 'quorum-fsync', httpUrl: '', version: '0' },
    },
    {
      ...{ clock, random: systemRandom(), bus, storage, fatal },
      telemetry: counted,
      notifications: { deliver: async () => {} },
      publishChange: (event, group, traceparent) => publishChange(bus, event, group, traceparent),
    },
  );
}

let nextKey = 0;
function put(): Extract<WriteOp, { type: 'put' }> {
  nextKey = (nextKey + 7919) % KEYS;
  // As from a socket: every value is bytes of its own.
  const value = Buffer.allocUnsafeSlow(100).fill(120);
  const ref = { tenant: 'default', space: 'kv', key: `key${nextKey}` };
  return { type: 'put', ref, value, contentType: null, ttlMs: null, condition: null };
}

async function caller(service: KvService, perCall: number, until: () => boolean, done: number[]) {
  while (!until()) {
    const start = performance.now();
    if (perCall === 0) await service.put(CONTEXT, put());
    else {
      const ops = Array.from({ length: perCall }, () => ({ kind: 'write' as const, op: put() }));
      const { results } = await service.batch(CONTEXT, ops);
      for (const result of results) {
        if (result.kind !== 'write') throw new Error(JSON.stringify(result));
      }
    }
    done.push(performance.now() - start);
  }
}

/** Processor time of the main thread, in microseconds. */
function mainThreadUs(): number {
  const stat = readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8');
  return Number(stat.split(' ')[0]) / 1000;
}

async function run(service: KvService, callers: number, perCall: number, seconds: number) {
  const latencies: number[] = [];
  const before = { syncs, gc: seen.gcMs, main: mainThreadUs(), ms: performance.now() };
  const cpu = process.cpuUsage();
  const endMs = before.ms + seconds * 1000;
  const until = () => performance.now() >= endMs;
  await Promise.all(
    Array.from({ length: callers }, () => caller(service, perCall, until, latencies)),
  );
  const ms = performance.now() - before.ms;
  const { user, system } = process.cpuUsage(cpu);
  const ops = latencies.length * Math.max(1, perCall);
  latencies.sort((a, b) => a - b);
  const at = (share: number) => latencies[Math.floor(latencies.length * share)]!.toFixed(3);
  return [
    `${callers}${perCall === 0 ? '' : ` x ${perCall}`}`.padEnd(10),
    `${Math.round((ops * 1000) / ms)}/s`.padStart(10),
    `main ${((mainThreadUs() - before.main) / ops).toFixed(1)} us`,
    `process ${((user + system) / ops).toFixed(1)} us`,
    `gc ${(((seen.gcMs - before.gc) / ms) * 100).toFixed(1)} %`,
    `${((syncs - before.syncs) / (ms / 1000)).toFixed(0)} fsyncs/s of ${(ops / (syncs - before.syncs)).toFixed(1)}`,
    `p50 ${at(0.5)} p99 ${at(0.99)} ms`,
    `least ${((Number(at(0.1)) * 1000) / (callers * Math.max(1, perCall))).toFixed(1)} us`,
    `rss ${Math.round(process.memoryUsage.rss() / 1e6)} MB`,
  ].join('  ');
}

const node = await openNode();
while (!node.service.status().ready) await sleep(20);
await run(node.service, 64, 0, 1);
for (const name of args.cases.split(',')) {
  const [callers, perCall] = name.includes('x') ? name.split('x').reverse() : [name, '0'];
  console.log(await run(node.service, Number(callers), Number(perCall), Number(args.seconds)));
}
await node.stop();
rmSync(folder, { recursive: true });
process.exit(0);
