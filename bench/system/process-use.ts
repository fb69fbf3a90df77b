import { readFileSync } from 'node:fs';

/** What processes have used, as Linux tells it. Null where there is no /proc. */

/** Clock ticks per second that /proc counts in: 100 on every architecture Linux has today. */
const TICKS_PER_SECOND = 100;

/** CPU seconds of these processes so far, user and system. */
export function cpuSecondsOf(pids: readonly number[]): number | null {
  return sumOf(pids, (pid) => {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name, in parentheses, may hold anything; user and system time are fields 14 and 15.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  });
}

/** CPU seconds of everything on this machine so far, what a hypervisor took away included. */
export function machineCpuSeconds(): number | null {
  try {
    // user nice system idle iowait irq softirq steal; guest time is within user time.
    const line = readFileSync('/proc/stat', 'latin1').split('\n', 1)[0] as string;
    const [user, nice, system, , , irq, softirq, steal] = line.split(/ +/).slice(1).map(Number);
    const ticks = [user, nice, system, irq, softirq, steal];
    return ticks.reduce<number>((sum, count) => sum + (count ?? 0), 0) / TICKS_PER_SECOND;
  } catch {
    return null;
  }
}

/** Resident memory of these processes in bytes. */
export function residentBytesOf(pids: readonly number[]): number | null {
  return sumOf(pids, (pid) => kilobytes(pid, 'VmRSS') * 1024);
}

/** The most that each of them has had resident, in bytes, added up. */
export function residentPeakBytesOf(pids: readonly number[]): number | null {
  return sumOf(pids, (pid) => kilobytes(pid, 'VmHWM') * 1024);
}

function kilobytes(pid: number, field: string): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  const match = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status);
  if (match === null) throw new Error(`no ${field}`);
  return Number(match[1]);
}

function sumOf(pids: readonly number[], read: (pid: number) => number): number | null {
  try {
    return pids.reduce((sum, pid) => sum + read(pid), 0);
  } catch {
    return null;
  }
}
