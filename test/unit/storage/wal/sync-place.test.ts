import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../../cli/system-clock.ts';
import { NodeDisk } from '../../../../storage/disk/node-disk.ts';
import type { Wal } from '../../../../storage/ports.ts';
import { SyncPlace } from '../../../../storage/wal/sync-place.ts';
import { record, reopen } from '../../../conformance/wal.ts';
import { temporaryFolder } from '../../../kit/engines.ts';

const QUICK = 64;

function trusted(): SyncPlace {
  const place = new SyncPlace();
  for (let i = 0; i < QUICK; i++) place.tookThere(0.3);
  return place;
}

/** How many quick syncs on another thread it takes to be trusted again. */
function wanted(place: SyncPlace): number {
  let count = 0;
  for (; !place.isHere(100); count++) place.tookThere(0.3);
  return count;
}

describe('the place of a sync', () => {
  it('is another thread until many on end were quick there', () => {
    const place = new SyncPlace();
    for (let i = 1; i < QUICK; i++) place.tookThere(0.3);
    expect(place.isHere(100)).toBe(false);
    place.tookThere(30);
    expect(wanted(place)).toBe(QUICK);
  });

  it('is another thread for what is large', () => {
    expect([trusted().isHere(64 * 1024), trusted().isHere(64 * 1024 + 1)]).toEqual([true, false]);
  });

  it('of a disk that hung once is another thread for a while, and each time for longer', () => {
    const place = trusted();
    const needed: number[] = [];
    for (let i = 0; i < 8; i++) {
      place.tookHere(500);
      expect(place.isHere(100)).toBe(false);
      needed.push(wanted(place));
    }
    expect(needed).toEqual([128, 256, 512, 1024, 2048, 4096, 4096, 4096]);
    for (let i = 0; i < 1_000; i++) place.tookHere(0.1);
    place.tookHere(500);
    expect(wanted(place)).toBe(128);
  });

  it('of a disk that is not quick is another thread, though no sync was long', () => {
    const place = trusted();
    let count = 0;
    for (; place.isHere(100); count++) place.tookHere(3);
    expect(count).toBeLessThan(10);
    const quick = trusted();
    for (let i = 0; i < 1_000; i++) quick.tookHere(i % 20 === 0 ? 4 : 0.1);
    expect(quick.isHere(100)).toBe(true);
  });
});

describe('a log on a real disk', () => {
  const clock = systemClock({ holdOpen: true });
  /** Whether it was done before the call returned. */
  const put = (wal: Wal, text: string, mayBlock: boolean) =>
    new Promise<boolean>((resolve, reject) => {
      let isIn = true;
      wal.append([record(1, text)]);
      wal.sync((error) => (error === null ? resolve(isIn) : reject(error)), mayBlock);
      isIn = false;
    });

  it('is synced in the call where that is allowed, and has everything after a restart', async () => {
    const disk = new NodeDisk(await temporaryFolder());
    const { wal } = await reopen(disk, clock);
    const wanted: string[] = [];
    let here = 0;
    for (let i = 0; i < 1_000; i++) {
      wanted.push(`record ${i}`);
      const wasHere = await put(wal as Wal, `record ${i}`, i % 3 !== 0);
      if (i % 3 === 0) expect(wasHere).toBe(false);
      if (wasHere) here++;
    }
    if (process.platform === 'linux') expect(here).toBeGreaterThan(0);
    else expect(here).toBe(0);
    // As after a kill: nothing is closed.
    const { seen, recovery } = await reopen(disk, clock);
    expect(recovery.damage).toBeNull();
    expect(seen.map(({ text }) => text)).toEqual(wanted);
  }, 60_000);
});
