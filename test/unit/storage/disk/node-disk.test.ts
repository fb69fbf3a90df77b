import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { NodeDisk } from '../../../../storage/disk/node-disk.ts';
import { temporaryFolder } from '../../../kit/engines.ts';

/** Runs a script with tsx under a file-size limit, in KiB blocks of 1024. */
async function runLimited(script: string, fileKiB: number): Promise<string> {
  const command = `ulimit -f ${fileKiB}; exec "$0" --import tsx --input-type=module -e "$1"`;
  const child = spawn('bash', ['-c', command, process.execPath, script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  await once(child, 'close');
  return output.trim();
}

describe('node disk', () => {
  it('F15 a short write is looped over and its cause told with the code', async () => {
    const root = await temporaryFolder();
    const module = pathToFileURL(
      join(import.meta.dirname, '../../../../storage/disk/node-disk.ts'),
    );
    const output = await runLimited(
      `process.on('SIGXFSZ', () => {});
       const { NodeDisk } = await import('${module}');
       const file = await new NodeDisk('${root}').open('f');
       await new Promise((resolved) => file.writeAndSync(0, Buffer.alloc(100_000, 1), (error) => {
         console.log(error.name, error.code);
         resolved();
       }));
       console.log(await file.size());`,
      64,
    );
    expect(output.split('\n')).toEqual(['DiskError EFBIG', `${64 * 1024}`]);
  }, 30_000);

  it('a file in the place of a folder is an error with its code', async () => {
    const disk = new NodeDisk(await temporaryFolder());
    await disk.writeFileAtomic('f', Buffer.from('x'));
    await expect(disk.open('f/g')).rejects.toMatchObject({ name: 'DiskError', code: 'ENOTDIR' });
    await expect(disk.list('f')).rejects.toMatchObject({ code: 'ENOTDIR' });
  });

  it('makes its root when it first writes, not before', async () => {
    const root = join(await temporaryFolder(), 'deep', 'data');
    const disk = new NodeDisk(root);
    expect(await disk.list('')).toEqual([]);
    await expect(stat(root)).rejects.toThrow();
    await disk.writeFileAtomic('f', Buffer.from('x'));
    expect(await disk.list('')).toEqual(['f']);
    await rm(root, { recursive: true });
  });
});
