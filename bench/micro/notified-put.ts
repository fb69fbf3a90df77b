/**
 * What a put of a small object costs where somebody is told of it: nodes of one process over a bus in this process, with
 * real disks, below HTTP; a bucket that nobody is told of beside one with one target and one with two. In turns, in one
 * run. Targets take everything at once. "told": until nothing waited any more, as a rate.
 *
 *   npx tsx bench/micro/notified-put.ts --nodes 3 --puts 2000 --clients 32 --rounds 7 --data /tmp
 */

import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Node } from '../../actors/node-port.ts';
import { NOTIFIED_EVENTS } from '../../protocol/notifications.ts';
import type { Bucket } from '../../protocol/object-access.ts';
import { type NewData, NO_CONDITION } from '../../protocol/object-ops.ts';
import { NO_HEAD } from '../../protocol/objects.ts';
import { startNodes } from './in-process-nodes.ts';

const { values: args } = parseArgs({
  options: {
    nodes: { type: 'string', default: '3' },
    puts: { type: 'string', default: '2000' },
    clients: { type: 'string', default: '32' },
    rounds: { type: 'string', default: '7' },
    data: { type: 'string', default: '/tmp' },
  },
});
const puts = Number(args.puts);
const clients = Number(args.clients);
const ctx = () => ({ deadlineMs: 10_000, traceparent: null, idempotency: null });
const BODY = Buffer.alloc(1024, 'minikv');
const TARGETS = [0, 1, 2] as const;
const by = {
  via: 'other',
  principal: 'bench',
  address: '127.0.0.1',
  requestId: '0'.repeat(16),
} as const;

const folder = mkdtempSync(join(args.data, 'minikv-notified-'));
const nodes = await startNodes(folder, Number(args.nodes));
const [first] = nodes as [Node];
while (!first.service.status().ready) await new Promise((resolve) => setTimeout(resolve, 20));

async function bucketOf(targets: number): Promise<Bucket> {
  const wanted = { tenant: 'default', name: `told-${targets}`, owner: 'bench' };
  const { bucket } = await first.objects.buckets.create(ctx(), {
    ...{ ...wanted, objectLock: false, documents: {} },
  });
  const notifications = Array.from({ length: targets }, (_, i) => ({
    ...{
      id: `r${i}`,
      target: `webhook:t${i}`,
      events: [...NOTIFIED_EVENTS],
      prefix: '',
      suffix: '',
    },
  }));
  if (targets === 0) return bucket;
  const changed = await first.objects.buckets.change(ctx(), 'default', wanted.name, {
    notifications,
  });
  if (changed.type !== 'changed') throw new Error(changed.type);
  return changed.bucket;
}

function inline(): NewData {
  const id = Buffer.from(randomUUID().replaceAll('-', ''), 'hex');
  id.writeUIntBE(Date.now(), 0, 6);
  return { id, bytes: BODY.length, chunkBytes: 0, holders: [], inline: BODY };
}

async function put(bucket: Bucket, i: number): Promise<number> {
  const ref = { tenant: 'default', space: bucket.rule.name, key: `k${i % 500}` };
  const fields = { size: BODY.length, etag: `e${i}`, checksum: null, head: NO_HEAD };
  const startMs = performance.now();
  const op = { type: 'put', ref, ...fields, data: inline(), ttlMs: null } as const;
  const { result } = await first.objects.apply({ ...ctx(), by }, bucket, {
    ...{ ...op, condition: NO_CONDITION },
  });
  if (result.type !== 'put') throw new Error(result.type);
  return performance.now() - startMs;
}

async function waiting(): Promise<number> {
  let sum = 0;
  for (const node of nodes) {
    for (const replica of node.inspect()) {
      if (replica.role !== 'leader' || replica.group === 0) continue;
      for (const totals of (await replica.outboxTotals()).values()) sum += totals.waiting;
    }
  }
  return sum;
}

interface Seen {
  readonly rate: number;
  readonly p50: number;
  readonly p99: number;
  readonly told: number;
}

async function round(bucket: Bucket): Promise<Seen> {
  const took: number[] = [];
  let next = 0;
  const startMs = performance.now();
  const client = async (): Promise<void> => {
    while (next < puts) took.push(await put(bucket, next++));
  };
  await Promise.all(Array.from({ length: clients }, client));
  const rate = (puts * 1000) / (performance.now() - startMs);
  while ((await waiting()) > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  const told = (puts * 1000) / (performance.now() - startMs);
  took.sort((a, b) => a - b);
  const at = (share: number): number => took[Math.floor(share * took.length)] ?? 0;
  return { rate, p50: at(0.5), p99: at(0.99), told };
}

const buckets = await Promise.all(TARGETS.map(bucketOf));
const seen = buckets.map((): Seen[] => []);
for (const bucket of buckets) await round(bucket);
for (let turn = 0; turn < Number(args.rounds); turn++) {
  for (const [i, bucket] of buckets.entries()) seen[i]?.push(await round(bucket));
}
const median = (all: readonly number[]): number =>
  [...all].sort((a, b) => a - b)[all.length >> 1] ?? 0;
for (const [i, rounds] of seen.entries()) {
  const of = (what: keyof Seen): string =>
    median(rounds.map((one) => one[what])).toFixed(what.startsWith('p') ? 1 : 0);
  const rates = rounds.map(({ rate }) => rate.toFixed(0)).join(' ');
  console.log(
    `${i} targets: ${of('rate')} puts/s, p50 ${of('p50')} ms, p99 ${of('p99')} ms, told ${of('told')}/s  (${rates})`,
  );
}
for (const node of nodes) await node.stop();
rmSync(folder, { recursive: true });
process.exit(0);
