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
    const { flaw } = await look(disk, name, logFlaw);
    if (flaw !== null) throw damageOf(name, flaw);
  }
}

/**
 * Verifies the tables of an engine that was opened just now (opening removes those that a crash left
 * unfinished), the newest first, or `all`. Rejects with DiskError EBADMSG, also when one cannot be read.
 */
export async function checkTables(
  disk: Disk,
  clock: Pick<Clock, 'after'>,
  all: boolean,
): Promise<void> {
  const names = (await disk.list('')).filter((name) => name.endsWith('.ldb'));
  let checked = 0;
  for (const name of names.reverse()) {
    const { flaw, bytes } = await lastingLook(disk, clock, name);
    if (flaw !== null) throw damageOf(name, flaw);
    checked += bytes;
    if (!all && checked > AT_OPEN_BYTES_MAX) return;
  }
}

const WHOLE: Look = { flaw: null, bytes: 0 };

interface Look {
  readonly flaw: string | null;
  readonly bytes: number;
}

/** A file that is gone has no flaw; one with a sector that the disk cannot read has. */
async function look(
  disk: Disk,
  name: string,
  flawOf: (file: Uint8Array) => string | null,
): Promise<Look> {
  try {
    const file = await disk.readFile(name);
    return { flaw: file === null ? null : flawOf(file), bytes: file?.length ?? 0 };
  } catch (error) {
    if (!(error instanceof DiskError) || error.code !== 'EIO') throw error;
    return { flaw: `it cannot be read: ${error.message}`, bytes: 0 };
  }
}

/** A table that is being written has a flaw for a moment; one that has it for seconds is damaged. */
async function lastingLook(disk: Disk, clock: Pick<Clock, 'after'>, name: string): Promise<Look> {
  let found = await look(disk, name, tableFlaw);
  for (let looks = 0; found.flaw !== null && looks < AT_OPEN_LOOKS; looks++) {
    await new Promise<void>((resolved) => clock.after(AT_OPEN_PAUSE_MS, resolved));
    found = await look(disk, name, tableFlaw);
  }
  return found;
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
    if (!isStopped) cancel = clock.after(delayMs, () => void lookAtOne());
  };
  const lookAtOne = async (): Promise<void> => {
    const name = suspect ?? waiting.shift();
    if (name === undefined) {
      waiting = (await disk.list('').catch(() => [])).filter((file) => file.endsWith('.ldb'));
      return later(waiting.length === 0 ? ROUND_EVERY_MS : FILE_EVERY_MS);
    }
    const wasSuspect = suspect !== null;
    suspect = null;
    // Gone: compacted meanwhile. No handle or no access now: another round will have it.
    const { flaw } = await look(disk, name, tableFlaw).catch(() => WHOLE);
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
