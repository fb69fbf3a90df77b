import { systemClock } from '../../cli/system-clock.ts';
import { seededRandom } from '../../protocol/random.ts';
import { MemoryDisk } from '../../storage/disk/memory-disk.ts';
import { NodeDisk } from '../../storage/disk/node-disk.ts';
import { SnapshotFiles } from '../../storage/snapshot-file.ts';
import { temporaryFolder } from '../kit/engines.ts';
import { sealedDisk } from '../kit/seals.ts';
import { VirtualTime } from '../kit/virtual-time.ts';
import { SimDisk } from '../sim/sim-disk.ts';
import { snapshotStoreConformance } from './snapshot-store.ts';

snapshotStoreConformance('memory-disk', async () => {
  const clock = systemClock({ holdOpen: true });
  return {
    sender: new SnapshotFiles(new MemoryDisk(clock)),
    receiver: new SnapshotFiles(new MemoryDisk(clock)),
    until: (work) => work,
  };
});

snapshotStoreConformance('node-disk', async () => ({
  sender: new SnapshotFiles(new NodeDisk(await temporaryFolder())),
  receiver: new SnapshotFiles(new NodeDisk(await temporaryFolder())),
  until: (work) => work,
}));

snapshotStoreConformance('sim-disk', async () => {
  const time = new VirtualTime(1);
  const { clock } = time.process();
  return {
    sender: new SnapshotFiles(new SimDisk(clock, seededRandom(1, 'sender'), {})),
    receiver: new SnapshotFiles(new SimDisk(clock, seededRandom(1, 'receiver'), {})),
    until: (work) => time.until(work),
  };
});

snapshotStoreConformance('sealed-disk', async () => {
  const clock = systemClock({ holdOpen: true });
  const files = () => new SnapshotFiles(sealedDisk(new MemoryDisk(clock), 'snapshots'));
  return { sender: files(), receiver: files(), until: (work) => work };
});
