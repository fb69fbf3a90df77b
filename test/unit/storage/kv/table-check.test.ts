import { randomBytes } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Disk, DiskError } from '../../../../storage/disk/port.ts';
import { openClassicEngine } from '../../../../storage/kv/classic-engine.ts';
import { checkTables, scrubEngineFiles } from '../../../../storage/kv/scrub.ts';
import { logFlaw, tableFlaw } from '../../../../storage/kv/table-check.ts';
import { temporaryFolder } from '../../../kit/engines.ts';
import { REAL_CLOCK } from '../../../kit/real-clock.ts';
import { VirtualTime } from '../../../kit/virtual-time.ts';

const clock = REAL_CLOCK;
const FOOTER_BYTES = 48;

/** A folder with a table and a log, of rows that compress and rows that do not. */
async function written(): Promise<{ path: string; table: string; log: string }> {
  const path = join(await temporaryFolder(), 'engine');
  const engine = await openClassicEngine(path, { bootId: 'boot-1', clock });
  const rowOf = (n: number) => ({
    key: `key-${String(n).padStart(6, '0')}`,
    value: n % 2 === 0 ? randomBytes(700) : Buffer.alloc(700, n),
  });
  const rows = Array.from({ length: 400 }, (_, n) => rowOf(n));
  await engine.write(rows.slice(0, 300));
  await engine.flush();
  for (const row of rows.slice(300)) await engine.write([row]);
  await engine.close();
  const names = await readdir(path);
  const log = names.filter((name) => name.endsWith('.log')).sort();
  return { path, table: names.find((name) => name.endsWith('.ldb')) as string, log: log.at(-1)! };
}

/** A folder with one whole table, which the disk at first fails to read. */
async function unreadable(code: string, times: number) {
  const { path, table } = await written();
  const bytes = await readFile(join(path, table));
  let reads = 0;
  return {
    list: async () => [table],
    readFile: async () => {
      if (reads++ < times) throw new DiskError(code, 'bad sector');
      return bytes;
    },
  } as unknown as Disk;
}

describe('tables that the disk cannot read', () => {
  it('F12 a table with a bad sector is damage at the start, if it lasts', async () => {
    const time = new VirtualTime(1);
    const { clock: virtual } = time.process();
    const check = async (code: string, times: number) =>
      time.until(checkTables(await unreadable(code, times), virtual, false));
    await check('EIO', 3);
    await expect(check('EIO', 1_000)).rejects.toMatchObject({
      ...{ code: 'EBADMSG', message: expect.stringContaining('cannot be read: bad sector') },
    });
    // Nothing is wrong with what is there.
    await expect(check('EMFILE', 1_000)).rejects.toMatchObject({ code: 'EMFILE' });
  });

  it('F12 a table with a bad sector is damage while the engine is open, if it lasts', async () => {
    for (const [code, times, expected] of [
      ...[['EIO', 1, 0] as const, ['EIO', 1_000, 1] as const, ['EMFILE', 1_000, 0] as const],
    ]) {
      const time = new VirtualTime(1);
      const told: DiskError[] = [];
      const disk = await unreadable(code, times);
      const stop = scrubEngineFiles(disk, time.process().clock, (damage) => told.push(damage));
      await time.pass(10 * 60_000);
      stop();
      expect(told.map((damage) => damage.code)).toEqual(expected === 0 ? [] : ['EBADMSG']);
    }
  });
});

describe('the files of LevelDB', () => {
  let files: Awaited<ReturnType<typeof written>>;
  beforeAll(async () => {
    files = await written();
  });

  it('are whole when nothing has happened to them', async () => {
    expect(tableFlaw(await readFile(join(files.path, files.table)))).toBeNull();
    expect(logFlaw(await readFile(join(files.path, files.log)))).toBeNull();
  });

  it('F12 a bit flipped anywhere in a table is found when it is verified', async () => {
    const table = await readFile(join(files.path, files.table));
    const missed: number[] = [];
    for (let at = 0; at < table.length - FOOTER_BYTES; at += at < table.length - 3_000 ? 151 : 1) {
      table[at] = table[at]! ^ (1 << (at % 8));
      if (tableFlaw(table) === null) missed.push(at);
      table[at] = table[at]! ^ (1 << (at % 8));
    }
    expect(missed).toEqual([]);
    for (const cut of [0, 10, 100, table.length >> 1, table.length - 1]) {
      expect(tableFlaw(table.subarray(0, cut)), `cut at ${cut}`).not.toBeNull();
    }
  });

  it('F12 no damage makes the check itself fail', async () => {
    const table = await readFile(join(files.path, files.table));
    for (let i = 0; i < 500; i++) {
      const bad = Buffer.from(table);
      const noise = randomBytes(40);
      noise.copy(bad, Math.floor((i / 500) * (bad.length - noise.length)));
      noise.copy(bad, bad.length - FOOTER_BYTES);
      bad[bad.length - 1] = table.at(-1)!;
      expect(() => tableFlaw(bad)).not.toThrow();
      expect(() => logFlaw(bad)).not.toThrow();
    }
  });

  it('F12 a bit flipped in a log is found; an end that is not there yet is none', async () => {
    const log = await readFile(join(files.path, files.log));
    for (let at = 0; at < log.length; at += 101) {
      const bad = Buffer.from(log);
      bad[at] = bad[at]! ^ (1 << (at % 8));
      // A flipped length in the last block may look like an end that is not there yet.
      if (logFlaw(bad) === null) expect(at).toBeGreaterThan(log.length - 32 * 1024);
    }
    for (const cut of [1, 5, 300]) expect(logFlaw(log.subarray(0, log.length - cut))).toBeNull();
  });

  it('B16 F12 an unfinished table that a crash left behind is not taken for damage', async () => {
    const { path, table } = await written();
    const bytes = await readFile(join(path, table));
    await writeFile(join(path, '999000.ldb'), bytes.subarray(0, bytes.length >> 1));
    const engine = await openClassicEngine(path, { bootId: 'boot-1', clock });
    expect(engine.get('key-000399')).not.toBeNull();
    await engine.close();
  });

  it('F12 an engine whose table has a flipped bit does not open', async () => {
    const { path, table } = await written();
    const bytes = await readFile(join(path, table));
    bytes[Math.floor(bytes.length / 3)]! ^= 0x10;
    await writeFile(join(path, table), bytes);
    await expect(openClassicEngine(path, { bootId: 'boot-1', clock })).rejects.toMatchObject({
      code: 'EBADMSG',
      message: expect.stringMatching(
        /file \d+\.ldb is damaged: the block at \d+ fails its checksum/,
      ),
    });
  });
});
