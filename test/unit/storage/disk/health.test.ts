import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../../../protocol/limits.ts';
import { DiskHealth } from '../../../../storage/disk/health.ts';
import { MemoryDisk } from '../../../../storage/disk/memory-disk.ts';
import { DiskError, mayPass, SyncError } from '../../../../storage/disk/port.ts';
import { HandClock } from '../../../kit/hand-clock.ts';

const RESERVE = LIMITS.diskReserveBytes;

function made() {
  const clock = new HandClock();
  const disk = new MemoryDisk(clock);
  let answer: () => number = () => 10 * RESERVE;
  disk.freeBytes = async () => answer();
  const health = new DiskHealth(disk, clock);
  const look = async (free: number | DiskError): Promise<void> => {
    answer = () => {
      if (typeof free === 'number') return free;
      throw free;
    };
    clock.nowMs += 250;
    await health.look();
  };
  const sync = (ms: number): void => {
    health.syncBegins();
    clock.nowMs += ms;
    health.syncEnded();
  };
  return { clock, health, look, sync };
}

describe('the health of a disk', () => {
  it('F15 refuses writes below the reserve, entries below half of it, and heals with some room to spare', async () => {
    const { health, look } = made();
    await look(RESERVE);
    expect([health.trouble(), health.refusesWrites()]).toEqual([null, false]);
    await look(RESERVE - 1);
    expect([health.trouble(), health.refusesWrites()]).toEqual(['full', true]);
    expect([health.takesEntries(), health.feedsEngine()]).toEqual([true, true]);
    await look(RESERVE / 2 - 1);
    expect([health.takesEntries(), health.feedsEngine()]).toEqual([false, false]);
    await look(RESERVE * 1.2);
    expect(health.refusesWrites()).toBe(true);
    await look(RESERVE * 1.3);
    expect([health.trouble(), health.takesEntries()]).toEqual([null, true]);
  });

  it('F15 counts what is left of the log where the next segment finds no room, whatever else is free', () => {
    const { health } = made();
    health.spare(LIMITS.walSegmentBytes * 0.6);
    expect(health.refusesWrites()).toBe(false);
    health.spare(LIMITS.walSegmentBytes * 0.4);
    expect([health.trouble(), health.takesEntries()]).toEqual(['full', true]);
    health.spare(LIMITS.walSegmentBytes * 0.2);
    expect(health.takesEntries()).toBe(false);
    health.spare(null);
    expect(health.trouble()).toBe(null);
  });

  it('F16 F17 names what stands in the way', async () => {
    const { health, look } = made();
    await look(new DiskError('EROFS', 'read-only'));
    expect([health.trouble(), health.refusesWrites(), health.takesEntries()]).toEqual([
      ...['read-only', true, false],
    ]);
    await look(new DiskError('EMFILE', 'too many'));
    expect([health.trouble(), health.refusesWrites(), health.takesEntries()]).toEqual([
      ...['no-handles', true, true],
    ]);
    await look(10 * RESERVE);
    expect(health.trouble()).toBe(null);
  });

  it('F18 calls a disk slow after some syncs on end, and well again when they are quick', async () => {
    const { health, look, sync } = made();
    sync(1);
    for (let i = 0; i < 3; i++) sync(143);
    expect(health.trouble()).toBe(null);
    for (let i = 0; i < 10; i++) sync(143);
    expect([health.trouble(), health.refusesWrites()]).toEqual(['slow', false]);
    for (let i = 0; i < 20; i++) sync(2);
    expect(health.trouble()).toBe(null);
    await look(10 * RESERVE);
  });

  it('F28 does not take a process without its share of the processor for a slow disk', async () => {
    const { clock, health, look, sync } = made();
    for (let i = 0; i < 20; i++) {
      clock.nowMs += 200;
      await look(10 * RESERVE);
      sync(150);
    }
    expect(health.trouble()).toBe(null);
  });

  it('B25 calls a disk stalled whose sync does not end', () => {
    const { clock, health } = made();
    health.syncBegins();
    clock.nowMs += 900;
    expect(health.trouble()).toBe(null);
    clock.nowMs += 200;
    expect(health.trouble()).toBe('stalled');
    health.syncEnded();
    expect(health.trouble()).toBe(null);
  });

  it('F14 tells what may pass from a failed sync, which never does', () => {
    expect(mayPass(new DiskError('ENOSPC', 'full'))).toBe(true);
    expect(mayPass(new SyncError('ENOSPC', 'full'))).toBe(false);
    expect(mayPass(new DiskError('EIO', 'broken'))).toBe(false);
    expect(mayPass(new Error('ENOSPC'))).toBe(false);
  });
});
