import { systemClock } from '../../cli/system-clock.ts';
import { seededRandom } from '../../protocol/random.ts';
import { MemoryDisk } from '../../storage/disk/memory-disk.ts';
import { NodeDisk } from '../../storage/disk/node-disk.ts';
import { temporaryFolder } from '../kit/engines.ts';
import { sealedDisk } from '../kit/seals.ts';
import { VirtualTime } from '../kit/virtual-time.ts';
import { SimDisk } from '../sim/sim-disk.ts';
import { blobStoreConformance, openStore } from './blob-store.ts';

blobStoreConformance('memory-disk', async () => ({
  store: openStore(new MemoryDisk(systemClock({ holdOpen: true }))),
  until: (work) => work,
}));

blobStoreConformance('node-disk', async () => ({
  store: openStore(new NodeDisk(await temporaryFolder())),
  until: (work) => work,
}));

blobStoreConformance('sim-disk', async () => {
  const time = new VirtualTime(1);
  const { clock } = time.process();
  return {
    store: openStore(new SimDisk(clock, seededRandom(1, 'disk'), {})),
    until: (work) => time.until(work),
  };
});

blobStoreConformance('sealed-disk', async () => ({
  store: openStore(sealedDisk(new MemoryDisk(systemClock({ holdOpen: true })), 'blobs')),
  until: (work) => work,
}));
