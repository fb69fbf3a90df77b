import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../../cli/system-clock.ts';
import { seededRandom } from '../../../../protocol/random.ts';
import { FolderKeys } from '../../../../storage/at-rest/folder-keys.ts';
import { SealedDisk } from '../../../../storage/at-rest/sealed-disk.ts';
import { BlobFiles } from '../../../../storage/blob/blob-files.ts';
import { MemoryDisk } from '../../../../storage/disk/memory-disk.ts';
import { listSegments, loadHead, segmentPath } from '../../../../storage/wal/head.ts';
import { BATCH_HEADER_BYTES, readHeader } from '../../../../storage/wal/record.ts';
import { bytesOf, chunkOf, expectSame, get } from '../../../conformance/blob-store.ts';
import { record, synced } from '../../../conformance/wal.ts';
import { SealedMachine } from '../../../kit/sealed-machine.ts';
import { VirtualTime } from '../../../kit/virtual-time.ts';

type Life = Awaited<ReturnType<SealedMachine['open']>>;

/** Three batches, the second of them damaged at `at`; then another data key begins. Returns the segment. */
async function damagedSecond(time: VirtualTime, machine: SealedMachine, life: Life, at: number) {
  for (const text of ['one', 'two', 'three']) {
    life.wal.append([record(1, text)]);
    await time.until(synced(life.wal));
  }
  const disk = machine.disk.session(life.clock);
  const head = await time.until(loadHead(disk));
  if (typeof head === 'string') throw new Error(head);
  const [sequence] = await time.until(listSegments(disk));
  const path = segmentPath(sequence!);
  const bytes = Buffer.from((await time.until(disk.readFile(path)))!);
  const first = readHeader(bytes, 0, head.walId)!;
  const second = BATCH_HEADER_BYTES + first.payloadBytes;
  const file = await time.until(disk.open(path));
  await time.until(file.write(second + at, new Uint8Array([bytes[second + at]! ^ 1])));
  await time.until(file.sync());
  await time.until(file.close());
  return { path, damaged: Buffer.from((await time.until(disk.readFile(path)))!), disk };
}

describe('another data key, and a log that is damaged', () => {
  it.each([
    ['in the header of a batch', 20],
    ['in the payload of a batch', BATCH_HEADER_BYTES + 20],
  ])('%s: the segment stays as it is, the rest goes on, and no key is dropped', async (_, at) => {
    const time = new VirtualTime(1);
    const machine = new SealedMachine(time, 1);
    const life = await time.until(machine.open());
    const { path, damaged, disk } = await damagedSecond(time, machine, life, at);
    await time.until(life.rotation.begin());
    await time.pass(10_000);
    expect(Buffer.compare(Buffer.from((await time.until(disk.readFile(path)))!), damaged)).toBe(0);
    expect(life.rotation.status()).toMatchObject({
      ...{ dataKeys: [1, 2], state: 'waiting' },
      places: { log: { seen: 1, damaged: 1 }, values: {}, chunks: {}, snapshots: {} },
    });
    // Once nobody needs the segment, the key goes.
    await time.until(life.wal.dropBefore(life.wal.position()));
    await time.pass(60_000);
    expect(life.rotation.status()).toMatchObject({ dataKeys: [2], state: 'idle' });
  });
});

describe('another data key, and a disk that is full', () => {
  it('leaves no piece of a segment behind, and goes on when there is room', async () => {
    const time = new VirtualTime(1);
    const machine = new SealedMachine(time, 1);
    const life = await time.until(machine.open());
    life.wal.append([record(1, 'one')]);
    await time.until(synced(life.wal));
    machine.disk.faults.noRoomFor = 'wal/resealed';
    await time.until(life.rotation.begin());
    await time.pass(5_000);
    const waiting = {
      dataKeys: [1, 2],
      state: 'waiting',
      error: expect.stringContaining('no room'),
    };
    expect(life.rotation.status()).toMatchObject(waiting);
    expect(machine.disk.paths()).not.toContain('wal/resealed');
    machine.disk.faults.noRoomFor = null;
    await time.pass(60_000);
    expect(life.rotation.status()).toMatchObject({ dataKeys: [2], state: 'idle', error: null });
  });
});

describe('another data key, and a chunk on its way', () => {
  it('counts as written under the old one until it has its name, where it is looked for', async () => {
    const clock = systemClock({ holdOpen: true });
    const keys = new FolderKeys(new Map([[1, new Uint8Array(32).fill(1)]]));
    const seen: boolean[] = [];
    class Watched extends MemoryDisk {
      override async place(from: string, to: string): Promise<void> {
        keys.add(2, new Uint8Array(32).fill(2));
        seen.push(keys.hasOldWriters);
        await super.place(from, to);
        seen.push(keys.hasOldWriters);
      }
    }
    const disk = new SealedDisk(new Watched(clock), {
      ...{ keys, purpose: 'blobs', random: seededRandom(1, 'chunk') },
    });
    const health = { trouble: () => null, refusesWrites: () => false, freeBytes: () => 1e12 };
    const blobs = new BlobFiles({ disk, clock, health, onFatal: () => {} });
    const writer = await blobs.create(chunkOf(1_800_000_000_000, 1));
    await writer.write(bytesOf(100, 1));
    await writer.seal(null);
    expect(seen).toEqual([true, true]);
    expect(keys.hasOldWriters).toBe(false);
    expectSame(await get(blobs, chunkOf(1_800_000_000_000, 1)), bytesOf(100, 1));
  });
});
