import { link, readFile, rename, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DiskError } from './port.ts';
import { makePrivateFolder } from './private-folder.ts';

const LOCK_NAME = 'lock';

export interface FolderLock {
  release(): Promise<void>;
}

/**
 * Makes sure that one process at a time uses a data folder. The lock file names its owner: pid, the
 * kernel's start time of that pid and the boot, so that a pid used again does not pass for it. A lock
 * whose owner is gone is taken over. Rejects with DiskError EBUSY when the owner is alive. It guards
 * against mistakes on one machine; over a shared network folder it does not see the other machine.
 */
export async function lockFolder(root: string): Promise<FolderLock> {
  await makePrivateFolder(root);
  const path = join(root, LOCK_NAME);
  const own = `${process.pid} ${await startTimeOf(process.pid)} ${await bootId()}\n`;
  const mine = `${path}.${process.pid}`;
  await writeFile(mine, own);
  try {
    for (;;) {
      if (await becomes(mine, path)) return { release: () => releaseLock(path, own) };
      const owner = await contentOf(path);
      if (owner === null) continue;
      if (await isAlive(owner)) {
        throw new DiskError('EBUSY', `${root} is in use by process ${owner.trim().split(' ')[0]}`);
      }
      await removeStale(path, owner);
    }
  } finally {
    await unlink(mine).catch(ignoreMissing);
  }
}

/** A hard link is made whole or not at all, and never over an existing name. */
async function becomes(file: string, path: string): Promise<boolean> {
  try {
    await link(file, path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw new DiskError(codeOf(error), `cannot lock ${path}`, error);
  }
}

/** Takes a dead owner's lock away; if another process was faster and the lock is its own, puts it back. */
async function removeStale(path: string, owner: string): Promise<void> {
  const aside = `${path}.stale.${process.pid}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return;
    throw new DiskError(codeOf(error), `cannot take over ${path}`, error);
  }
  if ((await contentOf(aside)) !== owner) await becomes(aside, path);
  await unlink(aside);
}

async function releaseLock(path: string, own: string): Promise<void> {
  if ((await contentOf(path)) === own) await unlink(path);
}

async function contentOf(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw new DiskError(codeOf(error), `cannot read ${path}`, error);
  }
}

/** Whether the process that wrote this lock still runs. A lock that cannot be read has no owner. */
async function isAlive(owner: string): Promise<boolean> {
  const [pidText, startTime, boot] = owner.trim().split(' ');
  const pid = Number(pidText);
  if (!Number.isSafeInteger(pid) || pid <= 0 || boot !== (await bootId())) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (codeOf(error) === 'ESRCH') return false;
    if (codeOf(error) !== 'EPERM') throw error; // EPERM: it runs as another user
  }
  const now = await startTimeOf(pid);
  return now === '0' || startTime === '0' || now === startTime;
}

/** Field 22 of /proc/<pid>/stat, in clock ticks since boot; '0' where there is no /proc. */
async function startTimeOf(pid: number): Promise<string> {
  const stat = await contentOf(`/proc/${pid}/stat`);
  if (stat === null) return '0';
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '0';
}

async function bootId(): Promise<string> {
  return (await contentOf('/proc/sys/kernel/random/boot_id'))?.trim() ?? 'unknown';
}

/** Another call of this process may have removed it. */
function ignoreMissing(error: unknown): void {
  if (codeOf(error) !== 'ENOENT') throw error;
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? 'EIO';
}
