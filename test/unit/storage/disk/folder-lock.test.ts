import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { lockFolder } from '../../../../storage/disk/folder-lock.ts';
import { temporaryFolder } from '../../../kit/engines.ts';

describe('folder lock', () => {
  it('one owner at a time; free again after its release', async () => {
    const root = join(await temporaryFolder(), 'data');
    const lock = await lockFolder(root);
    await expect(lockFolder(root)).rejects.toMatchObject({ code: 'EBUSY' });
    await lock.release();
    expect(await readdir(root)).toEqual([]);
    await (await lockFolder(root)).release();
  });

  it('makes a folder that is for nobody else to read, and leaves one that is there as it is', async () => {
    const parent = await temporaryFolder();
    const modeOf = async (path: string) => ((await stat(path)).mode & 0o777).toString(8);
    const root = join(parent, 'new', 'data');
    await (await lockFolder(root)).release();
    expect(await modeOf(root)).toBe('700');
    const old = join(parent, 'old');
    await mkdir(old);
    await chmod(old, 0o750);
    await (await lockFolder(old)).release();
    expect(await modeOf(old)).toBe('750');
  });

  it('a live process keeps it, a killed one loses it', async () => {
    const root = await temporaryFolder();
    const child = spawn('sleep', ['60']);
    const status = await readFile(`/proc/${child.pid}/stat`, 'utf8');
    const startTime = status.slice(status.lastIndexOf(')') + 2).split(' ')[19];
    const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
    await writeFile(join(root, 'lock'), `${child.pid} ${startTime} ${boot}\n`);
    await expect(lockFolder(root)).rejects.toMatchObject({ code: 'EBUSY' });
    child.kill('SIGKILL');
    await once(child, 'exit');
    await (await lockFolder(root)).release();
  });

  it('a pid used again, another boot, or rubbish is no owner', async () => {
    const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
    for (const stale of [
      `${process.pid} 1 ${boot}`,
      `${process.pid} 1 other-boot`,
      '',
      'rubbish',
    ]) {
      const root = await temporaryFolder();
      await writeFile(join(root, 'lock'), stale);
      const lock = await lockFolder(root);
      expect(await readdir(root)).toEqual(['lock']);
      await lock.release();
    }
  });
});
