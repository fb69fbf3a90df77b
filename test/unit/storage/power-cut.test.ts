import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../protocol/random.ts';
import { temporaryFolder } from '../../kit/engines.ts';

/** Needs root, loop devices, mkfs.ext4 and python3 (for one ioctl): set MINIKV_POWER_CUT=1 to run it. */
const isAsked = process.env['MINIKV_POWER_CUT'] === '1';
const CUTS = Number(process.env['MINIKV_POWER_CUT_COUNT'] ?? 10);
const WRITER = join(import.meta.dirname, '../../kit/power-cut-writer.ts');
/** EXT4_IOC_SHUTDOWN with NOLOGFLUSH: from now on nothing reaches the disk, as in a power cut. */
const SHUTDOWN = `import fcntl,os,struct,sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))`;

interface Found {
  readonly damage: unknown;
  readonly applied: number;
  readonly missing: number;
  readonly logged: readonly [number, number];
  readonly isGapless: boolean;
}

/** Runs the writer for `runMs` and cuts the power. Returns what it found and the last number it acknowledged. */
async function oneLife(mount: string, bootId: string, runMs: number) {
  const child = spawn(process.execPath, ['--import', 'tsx', WRITER, join(mount, 'data'), bootId], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  let failure = '';
  child.stderr.on('data', (chunk) => {
    failure += chunk;
  });
  const closed = once(child, 'close').then(() => {
    throw new Error(`the writer ended before the power did: ${failure}`);
  });
  while (!output.includes('\n')) await Promise.race([once(child.stdout, 'data'), closed]);
  closed.catch(() => {}); // from here on it ends with the power
  await new Promise((resolved) => setTimeout(resolved, runMs));
  const said = output.split('\n').slice(0, -1);
  execFileSync('python3', ['-c', SHUTDOWN, mount]);
  child.kill('SIGKILL');
  await once(child, 'close');
  return { found: JSON.parse(said[0]!) as Found, acked: Number(said.at(-1)) || 0 };
}

describe.skipIf(!isAsked)('power cuts of a real file system', () => {
  it('F09 B14 B17 every acknowledged record is in the log or the state, and neither has holes', async () => {
    const folder = await temporaryFolder();
    const [image, mount] = [join(folder, 'image'), join(folder, 'mount')];
    await mkdir(mount);
    execFileSync('dd', ['if=/dev/zero', `of=${image}`, 'bs=1M', 'count=200', 'status=none']);
    execFileSync('mkfs.ext4', ['-q', image]);
    const random = seededRandom(Date.now());
    let acked = 0;
    for (let cut = 0; cut <= CUTS; cut++) {
      execFileSync('mount', ['-o', 'loop', image, mount]);
      try {
        const life = await oneLife(mount, `boot-${cut}`, 200 + random.next() * 1500);
        const { found } = life;
        expect(found.damage).toBeNull();
        expect(found.missing).toBe(0);
        expect(found.isGapless).toBe(true);
        expect(Math.max(found.applied, found.logged[1])).toBeGreaterThanOrEqual(acked);
        if (found.logged[0] > 0) expect(found.logged[0]).toBeLessThanOrEqual(found.applied + 1);
        acked = Math.max(acked, life.acked);
      } finally {
        execFileSync('umount', [mount]);
      }
    }
    expect(acked).toBeGreaterThan(100);
    await rm(folder, { recursive: true });
  }, 600_000);
});
