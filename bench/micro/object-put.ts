/**
 * PUT of one large object, below HTTP: nodes of one process over a bus in this process write a stream to real disks, each
 * chunk fsynced by a quorum, while MD5 and SHA-256 are computed of it; against a plain program that hashes and
 * fsyncs the same stream. In turns, in one run.
 *
 *   npx tsx bench/micro/object-put.ts --nodes 3 --mib 64 --rounds 5 --data /tmp
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Node } from '../../actors/node-port.ts';
import { startNodes } from './in-process-nodes.ts';

const { values: args } = parseArgs({
  options: {
    nodes: { type: 'string', default: '3' },
    mib: { type: 'string', default: '64' },
    rounds: { type: 'string', default: '5' },
    parallel: { type: 'string', default: '1' },
    data: { type: 'string', default: '/tmp' },
  },
});
const bytesMax = Number(args.mib) * 1024 * 1024;
const parallel = Number(args.parallel);
const CTX = { deadlineMs: 60_000, traceparent: null, idempotency: null };
const PART = Buffer.alloc(64 * 1024, 'minikv');

/** As a socket gives it, hashed on its way. */
async function* hashed(): AsyncGenerator<Uint8Array> {
  const hashes = [createHash('md5'), createHash('sha256')];
  for (let at = 0; at < bytesMax; at += PART.length) {
    for (const hash of hashes) hash.update(PART);
    yield PART;
    // A socket lets others run now and then.
    if (at % (1024 * 1024) === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  for (const hash of hashes) hash.digest();
}

async function plain(path: string): Promise<void> {
  const file = await open(path, 'w');
  for await (const part of hashed()) await file.write(part);
  await file.sync();
  await file.close();
}

async function seconds(work: (i: number) => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await Promise.all(Array.from({ length: parallel }, (_, i) => work(i)));
  return (performance.now() - startMs) / 1000;
}

const folder = mkdtempSync(join(args.data, 'minikv-put-'));
const nodes = await startNodes(folder, Number(args.nodes));
const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1] ?? 0;
const rates = { minikv: [] as number[], plain: [] as number[], read: [] as number[] };
const [first] = nodes as [Node];
const mb = (bytesMax * parallel) / 1e6;
let rssMax = 0;
const look = setInterval(() => {
  rssMax = Math.max(rssMax, process.memoryUsage.rss());
}, 20);
for (let round = 0; round < Number(args.rounds); round++) {
  rates.plain.push(mb / (await seconds((i) => plain(join(folder, `plain-${i}`)))));
  const written: Awaited<ReturnType<Node['data']['write']>>[] = [];
  const took = await seconds(async (i) => {
    const ref = { tenant: 'default', space: 'bench', key: `object-${i}` };
    written.push(await first.data.write(CTX, ref, hashed()));
  });
  rates.minikv.push(mb / took);
  const startMs = performance.now();
  for (const data of written) {
    if (data === null) continue;
    const { id, bytes, chunkBytes } = data;
    const piece = { number: 0, size: bytes, data: id, bytes, chunkBytes, checksum: null };
    const ref = { tenant: 'default', space: 'bench', key: 'object' };
    for await (const _ of first.data.read(CTX, ref, piece, { start: 0, end: bytes }));
    first.data.discard(data);
  }
  rates.read.push((mb * 1000) / (performance.now() - startMs));
}
clearInterval(look);
for (const [what, seen] of Object.entries(rates)) {
  console.log(
    what.padEnd(8),
    `${median(seen).toFixed(0)} MB/s`.padStart(10),
    seen.map((r) => r.toFixed(0)).join(' '),
  );
}
console.log(
  `minikv / plain ${(median(rates.minikv) / median(rates.plain)).toFixed(2)}, RSS at most ${(rssMax / 1e6).toFixed(0)} MB`,
);
for (const node of nodes) await node.stop();
rmSync(folder, { recursive: true });
process.exit(0);
