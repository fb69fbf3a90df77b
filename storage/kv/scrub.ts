import type { Clock } from '../../protocol/clock.ts';
import { type Disk, DiskError } from '../disk/port.ts';
import { logFlaw, tableFlaw } from './table-check.ts';

/** Bytes that are verified before the engine opens: below a second. The rest follows in the background. */
const AT_OPEN_BYTES_MAX = 256 * 1024 * 1024;
/** How often, and how far apart, a table is looked at again before it counts as damaged. */
const AT_OPEN_LOOKS = 6;
const AT_OPEN_PAUSE_MS = 500;
/** Between two files, and between two rounds over all of them. */
const FILE_EVERY_MS = 1_000;
const ROUND_EVERY_MS = 60 * 60 * 1000;
/** A table that fails is looked at again: it may be one that is being written. */
const AGAIN_MS = 60_000;

/** Verifies the logs of a closed engine; they are all read when it opens. Rejects with DiskError EBADMSG. */
export async function checkLogs(disk: Disk): Promise<void> {
  for (const name of await disk.list('')) {
    if (!/^[0-9]+\.log$/.test(name)) continue;
    const flaw = logFlaw((await disk.readFile(name)) ?? new Uint8Array(0));
    if (flaw !== null) throw damageOf(name, flaw);
  }
}

/**
 * Verifies the tables of an engine that was opened just now (opening removes those that a crash left
 * unfinished), the newest first. Rejects with DiskError EBADMSG.
 */
export async function checkTables(disk: Disk, clock: Pick<Clock, 'after'>): Promise<void> {
  const names = (await disk.list('')).filter((name) => name.endsWith('.ldb'));
  let checked = 0;
  for (const name of names.reverse()) {
    const file = await disk.readFile(name);
    const flaw = file === null ? null : await lastingFlaw(disk, clock, name, tableFlaw(file));
    if (flaw !== null) throw damageOf(name, flaw);
    checked += file?.length ?? 0;
    if (checked > AT_OPEN_BYTES_MAX) return;
  }
}

/** A table that is being written has a flaw for a moment; one that has it for seconds is damaged. */
async function lastingFlaw(
  disk: Disk,
  clock: Pick<Clock, 'after'>,
  name: string,
  first: string | null,
): Promise<string | null> {
  let flaw = first;
  for (let look = 0; flaw !== null && look < AT_OPEN_LOOKS; look++) {
    await new Promise<void>((resolved) => clock.after(AT_OPEN_PAUSE_MS, resolved));
    const file = await disk.readFile(name);
    flaw = file === null ? null : tableFlaw(file);
  }
  return flaw;
}

/** Verifies one table after the other while the engine is open. Returns how to stop. */
export function scrubEngineFiles(
  disk: Disk,
  clock: Pick<Clock, 'after'>,
  onDamage: (damage: DiskError) => void,
): () => void {
  let waiting: string[] = [];
  let suspect: string | null = null;
  let isStopped = false;
  let cancel = (): void => {};
  const later = (delayMs: number): void => {
    if (!isStopped) cancel = clock.after(delayMs, () => void look());
  };
  const look = async (): Promise<void> => {
    const name = suspect ?? waiting.shift();
    if (name === undefined) {
      waiting = (await disk.list('').catch(() => [])).filter((file) => file.endsWith('.ldb'));
      return later(waiting.length === 0 ? ROUND_EVERY_MS : FILE_EVERY_MS);
    }
    const wasSuspect = suspect !== null;
    suspect = null;
    // Gone: compacted meanwhile. Not readable now: the engine will say so.
    const file = await disk.readFile(name).catch(() => null);
    const flaw = file === null ? null : tableFlaw(file);
    if (flaw !== null && wasSuspect && !isStopped) return onDamage(damageOf(name, flaw));
    if (flaw !== null) suspect = name;
    later(flaw !== null ? AGAIN_MS : waiting.length === 0 ? ROUND_EVERY_MS : FILE_EVERY_MS);
  };
  later(ROUND_EVERY_MS / 60);
  return () => {
    isStopped = true;
    cancel();
  };
}

function damageOf(name: string, flaw: string): DiskError {
  return new DiskError('EBADMSG', `the state's file ${name} is damaged: ${flaw}`);
}
