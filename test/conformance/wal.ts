import { describe, expect, it } from 'vitest';
import type { Clock } from '../../protocol/clock.ts';
import { seededRandom } from '../../protocol/random.ts';
import type { BatchSeal } from '../../storage/at-rest/batch-seal.ts';
import { DiskHealth } from '../../storage/disk/health.ts';
import type { Disk } from '../../storage/disk/port.ts';
import type { Wal } from '../../storage/ports.ts';
import { openWal, quarantineWal } from '../../storage/wal/recovery.ts';

export interface WalHarness {
  readonly disk: Disk;
  readonly clock: Clock;
  /** Drives time until the promise settles. */
  until<T>(work: Promise<T>): Promise<T>;
}

export interface SeenRecord {
  readonly stream: number;
  readonly text: string;
  readonly position: number;
}

/** Small segments, so that every test crosses some. */
export const WAL_TEST_OPTIONS = {
  segmentBytes: 2048,
  markerDelayMs: 5,
  prepareAhead: true,
  random: seededRandom(7, 'wal-id'),
};

export function record(stream: number, text: string) {
  return { stream, payload: Buffer.from(text) };
}

export function synced(wal: Wal): Promise<void> {
  return new Promise((resolved, rejected) => {
    wal.sync((error) => (error === null ? resolved() : rejected(error)));
  });
}

/** Opens a log in clear, and gathers what is there. */
export const reopen = (disk: Disk, clock: Clock) => openAnew(disk, clock, null);

/** Opens and gathers what is there. */
export async function openAnew(disk: Disk, clock: Clock, seal: BatchSeal | null) {
  const seen: SeenRecord[] = [];
  const options = { ...WAL_TEST_OPTIONS, seal, health: new DiskHealth(disk, clock) };
  const opened = await openWal(disk, clock, options, (stream, payload, position) => {
    seen.push({ stream, text: Buffer.from(payload).toString(), position });
  });
  return { ...opened, seen };
}

/** The contract of Wal (storage/ports.ts), over any Disk. `seal`: of each opening. */
export function walConformance(
  name: string,
  make: () => Promise<WalHarness>,
  seal: () => BatchSeal | null = () => null,
): void {
  const reopen = (disk: Disk, clock: Clock) => openAnew(disk, clock, seal());
  const test = (title: string, run: (harness: WalHarness) => Promise<void>) =>
    it(title, async () => {
      const harness = await make();
      await harness.until(run(harness));
    });

  describe(`Wal over ${name}`, () => {
    test('a new one is empty at position 0', async ({ disk, clock }) => {
      const { wal, recovery, seen } = await reopen(disk, clock);
      expect(recovery).toEqual({ tornBytes: 0, damage: null });
      expect(seen).toEqual([]);
      expect(wal?.position()).toBe(0);
      expect(wal?.sizeBytes()).toBe(0);
      await wal?.close();
    });

    test('gives back streams, payloads, order and positions', async ({ disk, clock }) => {
      const first = await reopen(disk, clock);
      const wal = first.wal!;
      const ranges: [number, number][] = [];
      for (let i = 0; i < 60; i++) {
        const before = wal.position();
        ranges.push([before, wal.append([record(i % 3, `record ${i} ${'x'.repeat(i * 7)}`)])]);
        if (i % 4 === 0) await synced(wal);
      }
      await synced(wal);
      const position = wal.position();
      await wal.close();
      const again = await reopen(disk, clock);
      expect(again.recovery).toEqual({ tornBytes: 0, damage: null });
      expect(again.seen.map(({ stream, text }) => [stream, text])).toEqual(
        ranges.map((_, i) => [i % 3, `record ${i} ${'x'.repeat(i * 7)}`]),
      );
      again.seen.forEach((record, i) => {
        expect(record.position).toBeGreaterThanOrEqual(ranges[i]![0]);
        expect(record.position).toBeLessThan(ranges[i]![1]);
      });
      expect(again.wal?.position()).toBe(position);
      await again.wal?.close();
    });

    test('an empty payload and one larger than a segment come back', async ({ disk, clock }) => {
      const { wal } = await reopen(disk, clock);
      wal!.append([record(1, ''), record(2, 'L'.repeat(10_000)), record(3, '')]);
      await synced(wal!);
      wal!.append([record(4, 'after')]);
      await synced(wal!);
      await wal!.close();
      const { wal: again, seen } = await reopen(disk, clock);
      expect(seen.map(({ text }) => text.length)).toEqual([0, 10_000, 0, 5]);
      await again!.close();
    });

    test('a record appended during a sync waits for the next one', async ({ disk, clock }) => {
      const { wal } = await reopen(disk, clock);
      wal!.append([record(1, 'a')]);
      const first = synced(wal!);
      wal!.append([record(1, 'b')]);
      await first;
      await wal!.close(); // 'b' was never synced: given up
      const { wal: again, seen } = await reopen(disk, clock);
      expect(seen.map(({ text }) => text)).toEqual(['a']);
      again!.append([record(1, 'c')]);
      await synced(again!);
      await again!.close();
      const third = await reopen(disk, clock);
      expect(third.seen.map(({ text }) => text)).toEqual(['a', 'c']);
      await third.wal!.close();
    });

    test('a sync of nothing succeeds, later and not at once', async ({ disk, clock }) => {
      const { wal } = await reopen(disk, clock);
      let called = false;
      const done = new Promise<void>((resolved) => {
        wal!.sync((error) => {
          expect(error).toBeNull();
          called = true;
          resolved();
        });
      });
      expect(called).toBe(false);
      await done;
      await wal!.close();
    });

    test('drops whole segments only, and keeps what it must', async ({ disk, clock }) => {
      const { wal } = await reopen(disk, clock);
      const ends: number[] = [];
      for (let i = 0; i < 40; i++) {
        ends.push(wal!.append([record(1, `${i}`.padEnd(300, '.'))]));
        await synced(wal!);
      }
      const size = wal!.sizeBytes();
      await wal!.dropBefore(ends[19]!);
      expect(wal!.sizeBytes()).toBeLessThan(size);
      expect(wal!.sizeBytes()).toBeGreaterThanOrEqual(wal!.position() - ends[19]!);
      await wal!.close();
      const again = await reopen(disk, clock);
      expect(again.recovery.damage).toBeNull();
      const numbers = again.seen.map(({ text }) => Number.parseInt(text, 10));
      expect(numbers[0]).toBeLessThanOrEqual(20);
      expect(numbers[0]).toBeGreaterThan(0);
      expect(numbers).toEqual(numbers.map((_, i) => numbers[0]! + i));
      expect(numbers.at(-1)).toBe(39);
      await again.wal!.dropBefore(again.wal!.position());
      expect(again.wal!.position()).toBe(ends[39]);
      await again.wal!.close();
      const third = await reopen(disk, clock);
      expect(third.wal!.position()).toBe(ends[39]);
      await third.wal!.close();
    });

    test('a quarantined WAL is kept aside and a new one begins', async ({ disk, clock }) => {
      expect(await quarantineWal(disk)).toBeNull();
      for (const expected of ['quarantine/wal-1', 'quarantine/wal-2']) {
        const { wal, seen } = await reopen(disk, clock);
        expect(seen).toEqual([]);
        wal!.append([record(1, 'lost')]);
        await synced(wal!);
        await wal!.close();
        expect(await quarantineWal(disk)).toBe(expected);
        expect(await disk.list(expected)).toContain('head');
      }
    });
  });
}
