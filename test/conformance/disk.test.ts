import { systemClock } from '../../cli/system-clock.ts';
import { seededRandom } from '../../protocol/random.ts';
import { MemoryDisk } from '../../storage/disk/memory-disk.ts';
import { NodeDisk } from '../../storage/disk/node-disk.ts';
import { temporaryFolder } from '../kit/engines.ts';
import { VirtualTime } from '../kit/virtual-time.ts';
import { SimDisk } from '../sim/sim-disk.ts';
import { diskConformance } from './disk.ts';

diskConformance('memory-disk', async () => ({
  disk: new MemoryDisk(systemClock({ holdOpen: true })),
  until: (work) => work,
}));

diskConformance('node-disk', async () => ({
  disk: new NodeDisk(await temporaryFolder()),
  until: (work) => work,
}));

diskConformance('sim-disk', async () => {
  const time = new VirtualTime(1);
  return {
    disk: new SimDisk(time.process().clock, seededRandom(1, 'disk'), {}),
    until: (work) => time.until(work),
  };
});
