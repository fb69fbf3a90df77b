import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { cutPower, emptyShadow, pruneShadow } from '../../torture/disk/power-cut.ts';
import { buildShim, DiskControl } from '../../torture/disk/shim.ts';

const folder = mkdtempSync(join(tmpdir(), 'minikv-shim-'));
const built = buildShim(folder);
const shim = 'path' in built ? built.path : null;
let data = '';
let disk: DiskControl;
let runs = 0;

afterAll(() => rmSync(folder, { recursive: true, force: true }));

beforeEach(() => {
  const own = join(folder, String(++runs));
  mkdirSync(own);
  data = join(own, 'data');
  disk = new DiskControl(join(own, 'disk'));
  emptyShadow(disk.shadow, data);
});

/** Runs a script under the shim, in the data folder, until it ends by kill -9. Returns what it printed. */
function run(script: string): string {
  const whole = `
    const fs = require('node:fs');
    const at = (name) => process.env.DATA + '/' + name;
    const syncFolder = (path) => { const fd = fs.openSync(path, 'r'); fs.fsyncSync(fd); fs.closeSync(fd); };
    const put = (path, text, sync) => {
      const fd = fs.openSync(path, 'w');
      fs.writeSync(fd, text);
      if (sync) fs.fdatasyncSync(fd);
      fs.closeSync(fd);
    };
    (async () => { ${script} })().then(
      () => process.kill(process.pid, 'SIGKILL'),
      (error) => { console.log(error.code ?? error); process.exit(1); },
    );`;
  const env = { ...process.env, ...disk.env(shim ?? '', data) };
  const { stdout, stderr } = spawnSync(process.execPath, ['-e', whole], {
    cwd: data,
    env: { ...env, DATA: data },
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  return stdout.trim();
}

describe.skipIf(shim === null)('a disk under the shim', () => {
  it('after a power cut has synced content under synced names', () => {
    run(`
      put(at('synced'), 'whole', true);
      put(at('content-lost'), 'whole', false);
      syncFolder(process.env.DATA);
      put(at('name-lost'), 'whole', true);
    `);
    expect(readFileSync(join(data, 'name-lost'), 'utf8')).toBe('whole');
    expect(cutPower(data, disk.shadow)).toEqual({ lostNames: 1, lostBytes: 10 });
    expect(readFileSync(join(data, 'synced'), 'utf8')).toBe('whole');
    expect(readFileSync(join(data, 'content-lost'), 'utf8')).toBe('');
    expect(existsSync(join(data, 'name-lost'))).toBe(false);
  });

  it('loses a rename and a removal whose folder was not synced', () => {
    run(`
      put(at('old'), 'old', true);
      put(at('gone'), 'gone', true);
      syncFolder(process.env.DATA);
      put(at('new'), 'new', true);
      fs.renameSync(at('new'), at('old'));
      fs.unlinkSync(at('gone'));
      for (let i = 0; i < 50; i++) put(at('reuse-' + i), 'another', true);
    `);
    pruneShadow(disk.shadow);
    cutPower(data, disk.shadow);
    expect(readFileSync(join(data, 'old'), 'utf8')).toBe('old');
    expect(readFileSync(join(data, 'gone'), 'utf8')).toBe('gone');
  });

  it('loses what was written, cut off or grown after the last sync of an open file', () => {
    run(`
      const fd = fs.openSync(at('log'), 'w+');
      syncFolder(process.env.DATA);
      fs.ftruncateSync(fd, 4096);
      fs.writeSync(fd, 'abcdef', 0);
      fs.writeSync(fd, 'far', 2000);
      fs.fdatasyncSync(fd);
      fs.writeSync(fd, 'X', 2);
      fs.ftruncateSync(fd, 3);
      fs.ftruncateSync(fd, 9000);
    `);
    cutPower(data, disk.shadow);
    const content = readFileSync(join(data, 'log'));
    expect(content.length).toBe(4096);
    expect(content.toString('latin1', 0, 6)).toBe('abcdef');
    expect(content.toString('latin1', 2000, 2003)).toBe('far');
  });

  it('keeps over several processes and cuts what was durable', () => {
    run(`put(at('a'), 'one', true); syncFolder(process.env.DATA);`);
    cutPower(data, disk.shadow);
    run(`
      const fd = fs.openSync(at('a'), 'r+');
      fs.writeSync(fd, 'two', 0);
      fs.fsyncSync(fd);
      fs.writeSync(fd, 'three', 0);
      fs.mkdirSync(at('sub'));
      syncFolder(process.env.DATA);
      put(at('sub/b'), 'b', true);
      syncFolder(at('sub'));
    `);
    cutPower(data, disk.shadow);
    expect(readFileSync(join(data, 'a'), 'utf8')).toBe('two');
    expect(readFileSync(join(data, 'sub/b'), 'utf8')).toBe('b');
  });

  it('knows that a write to a descriptor with O_DSYNC is synced, and breaks it like a sync', () => {
    const open = `
      const { O_CREAT, O_WRONLY, O_DSYNC } = fs.constants;
      const log = fs.openSync(at('log'), O_CREAT | O_WRONLY);
      const durable = fs.openSync(at('log'), O_WRONLY | O_DSYNC);`;
    run(`${open}
      fs.writeSync(log, 'not synced', 100);
      fs.writeSync(durable, 'synced', 0);
      syncFolder(process.env.DATA);
      fs.writeSync(log, 'lost', 1);
    `);
    cutPower(data, disk.shadow);
    const content = readFileSync(join(data, 'log'), 'latin1');
    expect(content.slice(0, 6)).toBe('synced');
    expect(content.slice(100).replaceAll('\0', '')).toBe('');
    disk.fsync('fails');
    expect(run(`${open} fs.writeSync(durable, 'never', 0);`)).toBe('EIO');
    disk.fsync('works');
  });

  it('sees what LevelDB writes through streams', () => {
    const level = JSON.stringify(join(process.cwd(), 'node_modules/classic-level'));
    const open = `
      const { ClassicLevel } = require(${level});
      const level = new ClassicLevel(process.env.DATA + '/db');
      await level.open();`;
    run(`${open} syncFolder(process.env.DATA);
      for (let i = 0; i < 10; i++) await level.put('synced-' + i, 'x', { sync: true });
      for (let i = 0; i < 10; i++) await level.put('lost-' + i, 'x'.repeat(20000));`);
    // The database is complete only when its folder is synced: its second manifest may not be named yet.
    run(`syncFolder(process.env.DATA + '/db');`);
    cutPower(data, disk.shadow);
    const found = run(`${open}
      for (let i = 0; i < 10; i++) if (await level.get('synced-' + i) !== 'x') console.log('missing', i);
      console.log(await level.get('lost-9') === undefined ? 'lost' : 'kept');`);
    expect(found).toBe('lost');
  });

  it('fails, fills up and slows down when it is told to', () => {
    disk.fsync('fails');
    expect(run(`put(at('a'), 'x', true);`)).toBe('EIO');
    disk.fsync('works');
    disk.room('full');
    expect(run(`fs.writeFileSync(at('b'), 'many bytes');`)).toBe('ENOSPC');
    const free = `console.log(fs.statfsSync(process.env.DATA).bavail === 0);`;
    expect(run(free)).toBe('true');
    disk.room('filling');
    expect(run(`fs.writeFileSync(at('b'), 'many bytes'); ${free}`)).toBe('true');
    disk.room('enough');
    expect(run(free)).toBe('false');
    disk.fsync('slow', 150);
    const took = run(`
      const before = performance.now();
      put(at('c'), 'x', true);
      console.log(performance.now() - before);`);
    expect(Number(took)).toBeGreaterThanOrEqual(150);
  });

  it('has a wall clock that can be moved, and a monotonic one that cannot', () => {
    disk.clock(3_600_000, 1);
    const [offset, elapsed] = run(`
      const [wall, steady] = [Date.now(), performance.now()];
      await new Promise((resolve) => setTimeout(resolve, 100));
      console.log(wall - ${Date.now()}, performance.now() - steady);`)
      .split(' ')
      .map(Number) as [number, number];
    expect(offset).toBeGreaterThan(3_590_000);
    expect(elapsed).toBeLessThan(60_000);
    disk.clock(0, 2);
    const ran = run(`
      const wall = Date.now();
      const steady = performance.now();
      await new Promise((resolve) => setTimeout(resolve, 200));
      console.log((Date.now() - wall) / (performance.now() - steady));`);
    expect(Number(ran)).toBeGreaterThan(1.8);
    expect(Number(ran)).toBeLessThan(2.2);
  });

  it('tells another boot after a power cut', () => {
    const read = `console.log(fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8'));`;
    const first = run(read);
    disk.reboot();
    expect(run(read)).not.toBe(first);
  });
});

it.runIf(shim === null)('no shim here', () => {
  console.log(`not run: ${'missing' in built ? built.missing : ''}`);
});
