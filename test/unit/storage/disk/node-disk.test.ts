import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { PAGE_BYTES, pageAligned } from '../../../../protocol/page-aligned.ts';
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

  it.runIf(process.platform === 'linux')(
    'F15 writes in the call once it has written, and tells a short write so',
    async () => {
      const root = await temporaryFolder();
      const module = pathToFileURL(
        join(import.meta.dirname, '../../../../storage/disk/node-disk.ts'),
      );
      const output = await runLimited(
        `process.on('SIGXFSZ', () => {});
       const { NodeDisk } = await import('${module}');
       const file = await new NodeDisk('${root}').open('f');
       console.log(file.writeAndSyncHere(0, Buffer.from('early')));
       await new Promise((resolved) => file.writeAndSync(0, Buffer.from('ab'), resolved));
       console.log(file.writeAndSyncHere(1, Buffer.from('xyz')));
       console.log(Buffer.from(await file.read(0, 10)).toString());
       const error = file.writeAndSyncHere(0, Buffer.alloc(100_000, 1));
       console.log(error.name, error.code, await file.size());`,
        64,
      );
      expect(output.split('\n')).toEqual([
        ...['undefined', 'null', 'axyz', `DiskError EFBIG ${64 * 1024}`],
      ]);
    },
    30_000,
  );

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

const { O_DIRECT, O_WRONLY } = fs.constants;
const PIECE_BYTES = 8 * PAGE_BYTES;

function pieces(): Uint8Array[] {
  return [1, 2, 3].map((seed) => {
    const bytes = pageAligned(PIECE_BYTES);
    for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 31 + seed) & 0xff;
    return bytes;
  });
}

/** Aligned pieces, a rest, and a first page that is written last, as those of a chunk are. */
async function writeLikeAChunk(disk: NodeDisk, pieces: readonly Uint8Array[]): Promise<Buffer> {
  const [head, rest] = [Buffer.alloc(PAGE_BYTES, 1), Buffer.alloc(1_000, 2)];
  const file = await disk.create('f');
  let at = PAGE_BYTES;
  for (const bytes of [...pieces, rest]) {
    await file.write(at, bytes);
    at += bytes.length;
  }
  await file.write(0, head);
  await file.sync();
  await file.close();
  return Buffer.concat([head, ...pieces, rest]);
}

function einval(): NodeJS.ErrnoException {
  return Object.assign(new Error('EINVAL: invalid argument'), { code: 'EINVAL' });
}

describe('writes past the page cache', () => {
  afterEach(() => vi.restoreAllMocks());

  /** Whether each write went so, by the flags of its file. */
  function spyOnWrites(): boolean[] {
    const direct: boolean[] = [];
    const { write } = fs;
    vi.spyOn(fs, 'write').mockImplementation(((fd: number, ...args: unknown[]) => {
      const flags = /flags:\s*([0-7]+)/.exec(fs.readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'));
      direct.push((Number.parseInt(flags?.[1] ?? '0', 8) & O_DIRECT) !== 0);
      (write as (...all: unknown[]) => void)(fd, ...args);
    }) as typeof fs.write);
    return direct;
  }

  it('are those of aligned pieces at whole pages; all reads back', async () => {
    const root = await temporaryFolder();
    fs.writeFileSync(join(root, 'probe'), '');
    let has = true;
    try {
      fs.closeSync(fs.openSync(join(root, 'probe'), O_WRONLY | O_DIRECT));
    } catch {
      has = false; // a file system without
    }
    const direct = spyOnWrites();
    const all = await writeLikeAChunk(new NodeDisk(root), pieces());
    expect(direct).toEqual([has, has, has, false, false]);
    expect(fs.readFileSync(join(root, 'f')).equals(all)).toBe(true);
  });

  it('go through it where the file system has none', async () => {
    const root = await temporaryFolder();
    const { open } = fs;
    vi.spyOn(fs, 'open').mockImplementation(((path: string, flags: number, ...rest: unknown[]) => {
      if ((flags & O_DIRECT) !== 0) return void (rest.at(-1) as (error: Error) => void)(einval());
      (open as (...all: unknown[]) => void)(path, flags, ...rest);
    }) as typeof fs.open);
    const direct = spyOnWrites();
    const all = await writeLikeAChunk(new NodeDisk(root), pieces());
    expect(direct).toEqual([false, false, false, false, false]);
    expect(fs.readFileSync(join(root, 'f')).equals(all)).toBe(true);
  });

  it('go through it where the file system refuses these pages, also behind a short write', async () => {
    const root = await temporaryFolder();
    const { write } = fs;
    let calls = 0;
    vi.spyOn(fs, 'write').mockImplementation(((fd: number, ...args: unknown[]) => {
      const done = args.at(-1) as (error: Error | null, count?: number) => void;
      calls++;
      if (calls === 1) return done(null, 1_000);
      if (calls === 2) return done(einval());
      (write as (...all: unknown[]) => void)(fd, ...args);
    }) as typeof fs.write);
    const all = await writeLikeAChunk(new NodeDisk(root), pieces());
    expect(calls).toBe(7);
    expect(fs.readFileSync(join(root, 'f')).equals(all)).toBe(true);
  });
});
