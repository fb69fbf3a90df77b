import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../protocol/random.ts';
import { loadHead, saveHead, segmentPath } from '../../../../storage/wal/head.ts';
import { markerBytes } from '../../../../storage/wal/record.ts';
import { record, reopen, synced } from '../../../conformance/wal.ts';
import { VirtualTime } from '../../../kit/virtual-time.ts';
import { SimDisk } from '../../../sim/sim-disk.ts';

/** A machine with a WAL of several segments: 40 records, one batch each, all synced. */
async function written(seed: number, end: 'closed' | 'idle' | 'busy') {
  const time = new VirtualTime(seed);
  const { clock } = time.process();
  const disk = new SimDisk(clock, seededRandom(seed, 'disk'), {});
  const { wal } = await time.until(reopen(disk, clock));
  const texts: string[] = [];
  for (let i = 0; i < 40; i++) {
    texts.push(`${i}`.padEnd(20 + ((i * 37) % 200), '.'));
    wal!.append([record(1, texts[i]!)]);
    await time.until(synced(wal!));
  }
  const position = wal!.position();
  if (end === 'closed') await time.until(wal!.close());
  if (end === 'idle') await time.pass(50);
  disk.processDied();
  const reading = () => time.until(reopen(disk, clock));
  return { time, clock, disk, texts, position, reading };
}

type Machine = Awaited<ReturnType<typeof written>>;

function contents({ disk }: Machine): Map<string, string> {
  return new Map(
    disk.paths().map((path) => [path, Buffer.from(disk.durableContent(path)).toString('hex')]),
  );
}

function dataSegments({ disk }: Machine): string[] {
  const isUsed = (path: string) => disk.durableContent(path).some((byte) => byte !== 0);
  return disk.paths().filter((path) => path.endsWith('.wal') && isUsed(path));
}

async function overwrite(machine: Machine, path: string, offset: number, bytes: Uint8Array) {
  const file = await machine.time.until(machine.disk.open(path));
  await machine.time.until(file.write(offset, bytes));
  await machine.time.until(file.sync());
}

async function expectDamage(machine: Machine): Promise<void> {
  const before = contents(machine);
  const { wal, recovery, seen } = await machine.reading();
  expect(wal).toBeNull();
  expect(recovery.damage).not.toBeNull();
  expect(recovery.damage!.position).toBeLessThan(recovery.damage!.syncedPosition);
  expect(machine.texts.slice(0, seen.length)).toEqual(seen.map(({ text }) => text));
  expect(contents(machine)).toEqual(before); // never cut, nothing touched
}

describe('WAL damage', () => {
  it('B15 F11 a flipped bit anywhere in synced bytes is reported or harmless, never a shorter log', async () => {
    let damages = 0;
    for (let seed = 1; seed <= 300; seed++) {
      const machine = await written(seed, seed % 2 === 0 ? 'closed' : 'idle');
      const before = contents(machine);
      const flipped = machine.disk.flipSomewhere((path) => path.startsWith('wal/'))!;
      const { wal, recovery, seen } = await machine.reading();
      if (wal === null) {
        damages++;
        expect(recovery.damage, JSON.stringify(flipped)).not.toBeNull();
        machine.disk.flip(flipped.path, flipped.offset, 0);
        const changed = [...contents(machine)].filter(([path, hex]) => before.get(path) !== hex);
        expect(changed.map(([path]) => path)).toEqual([flipped.path]);
      } else {
        expect(
          seen.map(({ text }) => text),
          JSON.stringify(flipped),
        ).toEqual(machine.texts);
      }
    }
    expect(damages).toBeGreaterThan(250);
  }, 60_000);

  it('B15 while syncs go on, damage in any batch but the last is reported', async () => {
    for (let seed = 1; seed <= 40; seed++) {
      const machine = await written(seed, 'busy');
      const [first] = dataSegments(machine);
      await overwrite(machine, first!, 60 + seed * 11, Buffer.from([0xff, 0x00, 0xff]));
      await expectDamage(machine);
    }
  });

  it('B15 an idle marker covers the last batch', async () => {
    const machine = await written(1, 'idle');
    const last = dataSegments(machine).at(-1)!;
    const content = Buffer.from(machine.disk.durableContent(last));
    machine.disk.flip(last, content.lastIndexOf(machine.texts.at(-1)!.slice(0, 3)), 1);
    const { wal, recovery } = await machine.reading();
    expect(wal === null || recovery.tornBytes > 0).toBe(true);
    // The marker is in the page cache, not synced: the process that reads it still sees it.
    expect(recovery.damage?.reason).toBe('payload checksum');
  });

  it('F11 a hole of zeros in the middle is damage', async () => {
    const machine = await written(2, 'busy');
    await overwrite(machine, dataSegments(machine)[1]!, 0, new Uint8Array(400));
    await expectDamage(machine);
  });

  it('F11 a missing segment in the middle is damage', async () => {
    const machine = await written(3, 'busy');
    await machine.time.until(machine.disk.remove(dataSegments(machine)[1]!));
    await expectDamage(machine);
  });

  it('F11 a missing first segment is damage', async () => {
    const machine = await written(4, 'busy');
    await machine.time.until(machine.disk.remove(dataSegments(machine)[0]!));
    await expectDamage(machine);
  });

  it('F11 a missing last segment is damage', async () => {
    const machine = await written(5, 'closed');
    await machine.time.until(machine.disk.remove(dataSegments(machine).at(-1)!));
    await expectDamage(machine);
  });

  it('F11 a zero-length segment in the middle is damage', async () => {
    const machine = await written(6, 'busy');
    const file = await machine.time.until(machine.disk.open(dataSegments(machine)[1]!));
    await machine.time.until(file.truncate(0));
    await machine.time.until(file.sync());
    await expectDamage(machine);
  });

  it('F11 two segments in the wrong order are damage', async () => {
    const machine = await written(7, 'busy');
    const [, second, third] = dataSegments(machine);
    const swap = async () => {
      await machine.disk.rename(second!, 'wal/swap');
      await machine.disk.rename(third!, second!);
      await machine.disk.rename('wal/swap', third!);
    };
    await machine.time.until(swap());
    await expectDamage(machine);
  });

  it('F11 a lost or damaged head beside segments is damage', async () => {
    const lost = await written(8, 'closed');
    await lost.time.until(lost.disk.remove('wal/head'));
    expect((await lost.reading()).recovery.damage?.segment).toBe('wal/head');
    const flipped = await written(8, 'closed');
    flipped.disk.flip('wal/head', 20, 4);
    expect((await flipped.reading()).recovery.damage?.segment).toBe('wal/head');
  });

  it('F10 stale bytes in prepared space are a torn tail, cut for ever', async () => {
    const machine = await written(9, 'closed');
    const last = dataSegments(machine).at(-1)!;
    const used = Buffer.from(machine.disk.durableContent(last));
    let end = used.length;
    while (used[end - 1] === 0) end--;
    await overwrite(machine, last, end, Buffer.from('MKWB and some more stale bytes'));
    const { wal, recovery, seen } = await machine.reading();
    expect(recovery.tornBytes).toBeGreaterThan(0);
    expect(seen.map(({ text }) => text)).toEqual(machine.texts);
    expect(wal!.position()).toBe(machine.position);
    machine.disk.crash();
    const again = await machine.reading();
    expect(again.recovery).toEqual({ tornBytes: 0, damage: null });
    expect(again.seen.length).toBe(machine.texts.length);
  });

  it('a header inside a value of another WAL claims nothing', async () => {
    const machine = await written(10, 'closed');
    const last = dataSegments(machine).at(-1)!;
    const used = Buffer.from(machine.disk.durableContent(last));
    let end = used.length;
    while (used[end - 1] === 0) end--;
    const forged = markerBytes(Buffer.alloc(8, 7), machine.position + 8);
    await overwrite(machine, last, end + 8, forged);
    const { recovery, seen } = await machine.reading();
    expect(recovery.damage).toBeNull();
    expect(seen.length).toBe(machine.texts.length);
  });

  it('segments that the head no longer counts are removed, not read', async () => {
    const machine = await written(11, 'closed');
    const { time, disk } = machine;
    const head = await time.until(loadHead(disk));
    if (typeof head === 'string') throw new Error('there is a head');
    const first = await machine.reading();
    const drop = first.wal!.position();
    await time.until(first.wal!.dropBefore(drop).then(() => first.wal!.close()));
    const kept = await time.until(loadHead(disk));
    if (typeof kept === 'string') throw new Error('there is a head');
    await overwrite(machine, segmentPath(kept.firstSequence - 1), 0, Buffer.from('left over'));
    const again = await machine.reading();
    expect(again.recovery.damage).toBeNull();
    expect(disk.paths()).not.toContain(segmentPath(kept.firstSequence - 1));
    await time.until(again.wal!.close());
    await time.until(saveHead(disk, { ...kept, syncedPosition: kept.syncedPosition + 1 }));
    expect((await machine.reading()).recovery.damage).not.toBeNull();
  });
});
