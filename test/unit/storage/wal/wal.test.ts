import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../protocol/random.ts';
import type { DiskError } from '../../../../storage/disk/port.ts';
import { record, reopen, synced } from '../../../conformance/wal.ts';
import { VirtualTime } from '../../../kit/virtual-time.ts';
import { SimDisk, type SimDiskFaults } from '../../../sim/sim-disk.ts';

const SECOND = 'wal/000000000002.wal';

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

  it('F15 a full disk: the write waits, nothing is acknowledged, and with room it goes on by itself', async () => {
    const { disk, put, restart, time } = await opened({ capacityBytes: 5000 });
    const acked: string[] = [];
    const next = (): string => `${acked.length}`.padEnd(301, '.');
    let last: Promise<string> = Promise.resolve('');
    for (let isFull = false; !isFull; ) {
      let answer = '';
      last = put(next()).then((said) => {
        answer = said;
        return said;
      });
      await time.pass(50);
      isFull = answer === '';
      if (!isFull) acked.push(next());
    }
    expect(acked.length).toBeGreaterThan(4);
    await time.pass(60_000);
    // Whatever of the write is there has not been acknowledged: a crash now may keep it or lose it.
    disk.faults.capacityBytes = 12_000;
    expect(await last).toBe('synced');
    acked.push(next());
    expect(await put('more')).toBe('synced');
    const { seen, recovery } = await restart();
    expect(recovery).toEqual({ tornBytes: 0, damage: null });
    expect(seen.map(({ text }) => text)).toEqual([...acked, 'more']);
  });

  it('F15 a crash with a short write at the end: it is cut, and everything acknowledged is there', async () => {
    const { disk, put, restart, time } = await opened({ capacityBytes: 5000 });
    let acked = 0;
    for (let answer = 'synced'; answer === 'synced'; acked++) {
      answer = '';
      put(`${acked}`.padEnd(301, '.')).then((said) => {
        answer = said;
      });
      await time.pass(50);
    }
    const { wal, seen, recovery } = await restart();
    expect(recovery.damage).toBeNull();
    expect(seen.length).toBeGreaterThanOrEqual(acked - 1);
    disk.faults.capacityBytes = Number.POSITIVE_INFINITY;
    wal!.append([record(1, 'after')]);
    await time.until(synced(wal!));
    expect((await restart()).seen.at(-1)?.text).toBe('after');
  });

  it('F16 F17 no write, no open: it waits and goes on when that has passed', async () => {
    for (const code of ['EROFS', 'EMFILE', 'EDQUOT']) {
      const { disk, put, time } = await opened({});
      disk.faults.writeErrorCode = code;
      const answer = put('a');
      await time.pass(5_000);
      disk.faults.writeErrorCode = null;
      expect(await answer).toBe('synced');
    }
  });

  it('F15 a log that is closed while it waits for room ends, and says that nothing was synced', async () => {
    const { disk, wal, put, time } = await opened({});
    disk.faults.writeErrorCode = 'ENOSPC';
    const answer = put('a');
    await time.pass(1_000);
    await time.until(wal.close());
    expect(await answer).toBe('ECANCELED');
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

  it('F15 B17 a segment is prepared again while the log moves into it: nothing that was acknowledged is overwritten', async () => {
    // The next try is due 2 s after the first one has failed, and to open the file takes 60 ms here.
    for (let putAtMs = 1_900; putAtMs < 2_300; putAtMs += 5) {
      const { disk, put, restart, time } = await opened({
        ...{ accessMs: [30, 30], noRoomFor: SECOND },
      });
      await time.pass(200);
      disk.faults.noRoomFor = null;
      await time.pass(putAtMs - 200);
      const texts = ['large'.padEnd(1_900, '.'), 'rotates'.padEnd(300, '.'), 'second', 'third'];
      for (const text of texts) expect(await put(text)).toBe('synced');
      await time.pass(500);
      expect(await put('fourth')).toBe('synced');
      await time.pass(3_000);
      const { seen, recovery } = await restart();
      expect(recovery.damage, `put at ${putAtMs} ms`).toBeNull();
      expect(seen.map(({ text }) => text)).toEqual([...texts, 'fourth']);
    }
  });

  it('F15 F17 a rotation that fails, and one during which the preparing fails, lose nothing and are tried again', async () => {
    for (let brokenMs = 100; brokenMs <= 2_600; brokenMs += 100) {
      const { disk, put, restart, time } = await opened({
        ...{ accessMs: [30, 30], noRoomFor: SECOND },
      });
      await put('large'.padEnd(1_900, '.'));
      disk.faults.writeErrorCode = 'EMFILE';
      disk.faults.noRoomFor = null;
      const answer = put('rotates'.padEnd(300, '.'));
      await time.pass(brokenMs);
      disk.faults.writeErrorCode = null;
      expect(await answer).toBe('synced');
      for (let i = 0; i < 12; i++) expect(await put(`${i}`.padEnd(500, '.'))).toBe('synced');
      await time.pass(3_000);
      const live = disk.paths().filter((path) => path.endsWith('.wal'));
      expect(disk.durableContent(live.at(-1)!)).toEqual(new Uint8Array(2048));
      const { seen, recovery } = await restart();
      expect(recovery.damage).toBeNull();
      expect(seen.length).toBe(14);
    }
  });

  it('F15 a segment that found no room is prepared when there is some, also when older ones went meanwhile', async () => {
    const { disk, wal, put, time } = await opened({ accessMs: [30, 30] });
    const fifth = 'wal/000000000005.wal';
    disk.faults.noRoomFor = fifth;
    while (!disk.paths().includes(fifth)) {
      await put('x'.repeat(900));
      await time.pass(100);
    }
    const sizeBytes = wal.sizeBytes();
    await time.until(wal.dropBefore(wal.position() - 1_000));
    expect(wal.sizeBytes()).toBeLessThan(sizeBytes);
    await time.pass(300);
    expect(disk.paths()).not.toContain(fifth);
    disk.faults.noRoomFor = null;
    await time.pass(5_000);
    expect(disk.durableContent(fifth)).toEqual(new Uint8Array(2048));
  });

  it('F15 segments that could not be dropped for want of room go when there is some', async () => {
    const { disk, wal, put, time } = await opened({});
    for (let i = 0; i < 8; i++) await put('x'.repeat(900));
    const sizeBytes = wal.sizeBytes();
    disk.faults.writeErrorCode = 'ENOSPC';
    await time.until(wal.dropBefore(wal.position()));
    expect(wal.sizeBytes()).toBe(sizeBytes);
    await time.pass(10_000);
    disk.faults.writeErrorCode = null;
    await time.pass(3_000);
    expect(wal.sizeBytes()).toBeLessThan(2_048);
    expect(disk.paths()).not.toContain('wal/000000000001.wal');
  });

  it('a next segment is prepared ahead, and the log does without when there is no room for it', async () => {
    const { disk, put, time } = await opened({});
    await put('a');
    await time.pass(200);
    const next = disk.paths().find((path) => path.endsWith('2.wal'))!;
    expect(disk.durableContent(next)).toEqual(new Uint8Array(2048));
  });
});
