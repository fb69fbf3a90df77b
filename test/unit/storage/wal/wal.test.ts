import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../protocol/random.ts';
import type { DiskError } from '../../../../storage/disk/port.ts';
import { record, reopen, synced } from '../../../conformance/wal.ts';
import { VirtualTime } from '../../../kit/virtual-time.ts';
import { SimDisk, type SimDiskFaults } from '../../../sim/sim-disk.ts';

async function opened(faults: Partial<SimDiskFaults>) {
  const time = new VirtualTime(1);
  const { clock } = time.process();
  const disk = new SimDisk(clock, seededRandom(1, 'disk'), faults);
  const { wal } = await time.until(reopen(disk, clock));
  const put = (text: string) => {
    wal!.append([record(1, text)]);
    return time.until(
      synced(wal!).then(
        () => 'synced',
        (error: DiskError) => error.code,
      ),
    );
  };
  const restart = async () => {
    disk.crash();
    return time.until(reopen(disk, clock));
  };
  return { time, clock, disk, wal: wal!, put, restart };
}

describe('WAL', () => {
  it('F14 after a failed sync it is dead: every later sync fails, and none reaches the disk', async () => {
    const { disk, put, restart } = await opened({});
    expect(await put('a')).toBe('synced');
    disk.faults.failNextSync = true;
    expect(await put('b')).toBe('EIO');
    let syncs = 0;
    disk.onMoment = (moment) => {
      if (moment.type === 'syncBegins') syncs++;
    };
    expect(await put('c')).toBe('EIO');
    expect(await put('d')).toBe('EIO');
    expect(syncs).toBe(0);
    const { seen, recovery } = await restart();
    expect(recovery.damage).toBeNull();
    expect(['a', 'ab']).toContain(seen.map(({ text }) => text).join(''));
  });

  it('F14 what a restart read from the page cache after a failed sync is durable from then on', async () => {
    for (let seed = 1; seed <= 50; seed++) {
      const time = new VirtualTime(seed);
      const { clock } = time.process();
      const disk = new SimDisk(clock, seededRandom(seed, 'disk'), {});
      const first = await time.until(reopen(disk, clock));
      first.wal!.append([record(1, 'in the page cache only')]);
      disk.faults.failNextSync = true;
      await expect(time.until(synced(first.wal!))).rejects.toThrow();
      disk.processDied();
      const second = await time.until(reopen(disk, clock));
      expect(second.seen.length).toBe(1);
      disk.crash();
      expect((await time.until(reopen(disk, clock))).seen.length).toBe(1);
    }
  });

  it('F15 a full disk fails the sync with ENOSPC; after a restart with room it goes on', async () => {
    const { disk, put, restart, time } = await opened({ capacityBytes: 5000 });
    const acked: string[] = [];
    let answer = 'synced';
    for (let i = 0; answer === 'synced'; i++) {
      const text = `${i}`.padEnd(301, '.');
      answer = await put(text);
      if (answer === 'synced') acked.push(text);
    }
    expect(answer).toBe('ENOSPC');
    expect(acked.length).toBeGreaterThan(4);
    expect(await put('more')).toBe('ENOSPC');
    disk.faults.capacityBytes = Number.POSITIVE_INFINITY;
    const { wal, seen, recovery } = await restart();
    expect(recovery.damage).toBeNull();
    expect(seen.map(({ text }) => text).slice(0, acked.length)).toEqual(acked);
    wal!.append([record(1, 'after')]);
    await time.until(synced(wal!));
    const last = await restart();
    expect(last.seen.at(-1)?.text).toBe('after');
  });

  it('F16 a disk that became read-only fails the sync with its code', async () => {
    const { disk, put } = await opened({});
    disk.faults.writeErrorCode = 'EROFS';
    expect(await put('a')).toBe('EROFS');
  });

  it('F18 one sync at a time on a slow disk; what gathers meanwhile goes in the next one', async () => {
    const { disk, wal, time } = await opened({ slowMs: 140 });
    let syncs = 0;
    disk.onMoment = (moment) => {
      if (moment.type === 'syncBegins' && moment.bytes > 0) syncs++;
    };
    wal.append([record(1, 'first')]);
    const first = synced(wal);
    for (let i = 0; i < 500; i++) wal.append([record(1, `${i}`)]);
    await time.until(first);
    await time.until(synced(wal));
    expect(syncs).toBe(2);
  });

  it('a hung sync calls back only when the disk does', async () => {
    const { disk, wal, time } = await opened({});
    disk.faults.hung = true;
    wal.append([record(1, 'a')]);
    let done = false;
    wal.sync(() => {
      done = true;
    });
    await time.pass(60_000);
    expect(done).toBe(false);
    disk.faults.hung = false;
    await time.pass(50);
    expect(done).toBe(true);
  });

  it('a next segment is prepared ahead, and the log does without when there is no room for it', async () => {
    const { disk, put, time } = await opened({});
    await put('a');
    await time.pass(200);
    const next = disk.paths().find((path) => path.endsWith('2.wal'))!;
    expect(disk.durableContent(next)).toEqual(new Uint8Array(2048));
  });
});
