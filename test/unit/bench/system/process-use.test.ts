import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import {
  cpuSecondsOf,
  machineCpuSeconds,
  residentBytesOf,
  residentPeakBytesOf,
} from '../../../../bench/system/process-use.ts';

const hasProc = existsSync('/proc/self/stat');
const own = [process.pid];

test.skipIf(!hasProc)(
  'CPU is what this process says of itself, and part of the machine (needs /proc)',
  () => {
    const machineBefore = machineCpuSeconds() as number;
    const before = cpuSecondsOf(own) as number;
    const untilMs = performance.now() + 300;
    let turns = 0;
    while (performance.now() < untilMs) turns++;
    expect(turns).toBeGreaterThan(0);
    const { user, system } = process.cpuUsage();
    expect(Math.abs((cpuSecondsOf(own) as number) - (user + system) / 1e6)).toBeLessThan(0.2);
    const used = (cpuSecondsOf(own) as number) - before;
    expect((machineCpuSeconds() as number) - machineBefore).toBeGreaterThan(used - 0.05);
  },
);

test.skipIf(!hasProc)('memory is what this process says of itself (needs /proc)', () => {
  const resident = residentBytesOf(own) as number;
  expect(Math.abs(resident - process.memoryUsage().rss)).toBeLessThan(32 * 2 ** 20);
  expect(residentPeakBytesOf(own)).toBeGreaterThanOrEqual(resident - 32 * 2 ** 20);
});

test('of a process that is gone nothing is known', () => {
  expect(cpuSecondsOf([2 ** 30])).toBeNull();
  expect(residentBytesOf([process.pid, 2 ** 30])).toBeNull();
});
