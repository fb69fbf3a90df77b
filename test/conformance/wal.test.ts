import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { systemClock } from '../../cli/system-clock.ts';
import { seededRandom } from '../../protocol/random.ts';
import { MemoryDisk } from '../../storage/disk/memory-disk.ts';
import { NodeDisk } from '../../storage/disk/node-disk.ts';
import { batchSeal } from '../kit/seals.ts';
import { VirtualTime } from '../kit/virtual-time.ts';
import { SimDisk } from '../sim/sim-disk.ts';
import { walConformance } from './wal.ts';

const roots: string[] = [];
afterAll(async () => {
  for (const root of roots) await rm(root, { recursive: true });
});

const atOnce = <T>(work: Promise<T>): Promise<T> => work;

walConformance('memory-disk', async () => {
  const clock = systemClock({ holdOpen: true });
  return { disk: new MemoryDisk(clock), clock, until: atOnce };
});

walConformance('node-disk', async () => {
  const root = await mkdtemp(join(tmpdir(), 'minikv-wal-'));
  roots.push(root);
  return { disk: new NodeDisk(root), clock: systemClock({ holdOpen: true }), until: atOnce };
});

walConformance('sim-disk', async () => {
  const time = new VirtualTime(1);
  const { clock } = time.process();
  const disk = new SimDisk(clock, seededRandom(1, 'disk'), {});
  return { disk, clock, until: (work) => time.until(work) };
});

walConformance(
  'memory-disk, sealed',
  async () => {
    const clock = systemClock({ holdOpen: true });
    return { disk: new MemoryDisk(clock), clock, until: atOnce };
  },
  () => batchSeal(),
);
