import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { systemClock } from '../../cli/system-clock.ts';
import { systemRandom } from '../../cli/system-random.ts';
import { type ChunkName, makeDataId } from '../../protocol/blob.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { BlobFiles } from '../../storage/blob/blob-files.ts';
import { DiskHealth } from '../../storage/disk/health.ts';
import { NodeDisk } from '../../storage/disk/node-disk.ts';

/**
 * What sealing a chunk costs beside a plain file that is written and fdatasynced, in alternating rounds:
 * `npx tsx bench/micro/blob.ts [--kib 4096] [--writers 1,4,16] [--seconds 2] [--rounds 3] [--data FOLDER]`. Each
 * writer seals one chunk after another, in pieces of 512 KiB; the plain files have neither checksums nor names
 * that are synced. Then everything is read back, verified.
 */
const { values: args } = parseArgs({
  options: {
    kib: { type: 'string', default: '4096' },
    writers: { type: 'string', default: '1,4,16' },
    seconds: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '3' },
    data: { type: 'string', default: tmpdir() },
  },
});

const clock = systemClock({ holdOpen: true });
const random = systemRandom();
const bytesMax = Number(args.kib) * 1024;
const piece = randomBytes(LIMITS.blobPieceBytes);
const pieces: Uint8Array[] = [];
for (let at = 0; at < bytesMax; at += piece.length) pieces.push(piece.subarray(0, bytesMax - at));

type Write = () => Promise<void>;

function sealing(folder: string): { write: Write; read: () => Promise<number>; store: BlobFiles } {
  const disk = new NodeDisk(folder);
  const health = new DiskHealth(disk, clock);
  const onFatal = (reason: string, error: unknown) => {
    console.error(reason, error);
    process.exit(1);
  };
  const store = new BlobFiles({ disk, clock, health, onFatal });
  const names: ChunkName[] = [];
  const write = async () => {
    const name = { data: makeDataId(clock.wallMs(), random.bytes(10)), number: 0 };
    const writer = await store.create(name);
    for (const bytes of pieces) await writer.write(bytes);
    await writer.seal(null);
    names.push(name);
  };
  const read = async () => {
    for (const name of names) {
      const reader = await store.open(name);
      for (let at = 0; at < reader.sum.bytes; at += piece.length)
        await reader.read(at, piece.length);
      await reader.close();
    }
    return names.length;
  };
  return { write, read, store };
}

function plain(folder: string): Write {
  let count = 0;
  return async () => {
    const handle = await open(join(folder, `${count++}`), 'w');
    let at = 0;
    for (const bytes of pieces) {
      await handle.write(bytes, 0, bytes.length, at);
      at += bytes.length;
    }
    await handle.datasync();
    await handle.close();
  };
}

async function measure(
  write: Write,
  writers: number,
): Promise<{ rate: number; p50: number; cpu: number }> {
  const latencies: number[] = [];
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  const endMs = startMs + Number(args.seconds) * 1000;
  const one = async () => {
    while (performance.now() < endMs) {
      const begunMs = performance.now();
      await write();
      latencies.push(performance.now() - begunMs);
    }
  };
  await Promise.all(Array.from({ length: writers }, one));
  const ms = performance.now() - startMs;
  const { user, system } = process.cpuUsage(cpu);
  latencies.sort((a, b) => a - b);
  const rate = (latencies.length * bytesMax * 1000) / ms / 1e6;
  const cpuMs = (user + system) / 1000 / latencies.length;
  return { rate, p50: latencies[latencies.length >> 1] ?? 0, cpu: cpuMs };
}

const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1] ?? 0;

for (const writers of args.writers.split(',').map(Number)) {
  const results = { sealed: [], plain: [] } as Record<
    string,
    Awaited<ReturnType<typeof measure>>[]
  >;
  const reads: number[] = [];
  for (let round = 0; round < Number(args.rounds); round++) {
    const folder = mkdtempSync(join(args.data, 'minikv-blob-'));
    await mkdir(join(folder, 'plain'));
    const blobs = sealing(join(folder, 'store'));
    results['sealed']!.push(await measure(blobs.write, writers));
    results['plain']!.push(await measure(plain(join(folder, 'plain')), writers));
    const startMs = performance.now();
    const count = await blobs.read();
    reads.push((count * bytesMax) / 1e3 / (performance.now() - startMs));
    rmSync(folder, { recursive: true });
  }
  for (const [what, seen] of Object.entries(results)) {
    const of = (pick: (one: (typeof seen)[number]) => number) => median(seen.map(pick));
    console.log(
      `${args.kib} KiB x ${writers}`.padEnd(16),
      what.padEnd(7),
      `${of((one) => one.rate).toFixed(0)} MB/s`.padStart(10),
      `p50 ${of((one) => one.p50).toFixed(2)} ms`,
      `cpu ${of((one) => one.cpu).toFixed(2)} ms each`,
    );
  }
  const ratios = results['sealed']!.map(({ rate }, i) => rate / results['plain']![i]!.rate);
  console.log(
    `  sealed / plain ${median(ratios).toFixed(2)}, read back ${median(reads).toFixed(0)} MB/s`,
  );
}
process.exit(0);
