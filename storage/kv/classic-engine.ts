import { writeFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import type { Clock } from '../../protocol/clock.ts';
import { NodeDisk } from '../disk/node-disk.ts';
import { type Disk, DiskError } from '../disk/port.ts';
import type { KvEngine } from '../ports.ts';
import { BUFFERS, type Level, LevelEngine, type ReusableBatch } from './level-engine.ts';
import { damageIn } from './level-errors.ts';
import { checkLogs, checkTables, scrubEngineFiles } from './scrub.ts';
import { occupyTableMaps } from './table-maps.ts';

/** Beside the engine's own folder, so that copies of that have no thousand files more. */
const MAPS_SUFFIX = '-maps';
const BOOT_ID_PATH = 'minikv-boot-id';
const SET_ASIDE_FOLDER = 'set-aside';
/** Says that damage was met: the next start must not open these files again. */
const DAMAGED_PATH = 'minikv-damaged';
/** Says that a table may be unreadable: the next start verifies all of them. */
const SUSPECT_PATH = 'minikv-suspect';
/** Names the manifest that a LevelDB consists of. */
const CURRENT = 'CURRENT';
const NEW_FOLDER = 'new';
/** Above every row's key: compacting just this writes the memtable out and rewrites no table. */
const ABOVE_ALL_KEYS = Buffer.alloc(64, 0xff);
const MIB = 1024 * 1024;
/**
 * What bounds LevelDB's memory: two write buffers, the cache of blocks, and per open table its index and
 * filter (about 2 % of it). Larger tables would make single compactions long, which writes wait for.
 */
const SIZES = {
  writeBufferSize: 8 * MIB,
  cacheSize: 32 * MIB,
  maxFileSize: 8 * MIB,
  maxOpenFiles: 4_096,
  /** Unpacking a block costs more than reading it. */
  compression: false,
} as const;

/**
 * Opens LevelDB in a folder of its own. `bootId`: names the machine's current boot; LevelDB does not
 * sync its own logs, so after another boot (a power cut, as far as we know) they may have holes: they
 * are set aside and the tables alone, a consistent prefix, are opened. '' means unknown: always set aside.
 * Rejects when another process has it open, with DiskError EBADMSG when it is damaged, also when that was
 * found by a read in an earlier life.
 */
export async function openClassicEngine(
  path: string,
  options: {
    readonly bootId: string;
    readonly clock: Pick<Clock, 'soon' | 'after'>;
    /** Damage was found while it is open, and written down: the process must exit. */
    readonly onDamage?: (damage: DiskError) => void;
  },
): Promise<KvEngine> {
  const disk = new NodeDisk(path);
  const known = await disk.readFile(DAMAGED_PATH);
  if (known !== null) throw new DiskError('EBADMSG', Buffer.from(known).toString());
  await setLogsAside(disk, options.bootId);
  await checkLogs(disk);
  await createWhole(path, disk);
  const letGo = await occupyTableMaps(path + MAPS_SUFFIX);
  const level = new ClassicLevel<Buffer, Buffer>(path, { ...BUFFERS, ...SIZES });
  try {
    await level.open();
    await checkTables(disk, options.clock, (await disk.readFile(SUSPECT_PATH)) !== null);
    await disk.remove(SUSPECT_PATH);
  } catch (error) {
    await level.close().catch(() => {}); // the failure that is thrown came first
    await letGo();
    throw damageIn(error as Error) ?? error;
  }
  // In one go: the process may end with this error.
  const note = (damage: DiskError) => writeFileSync(join(path, DAMAGED_PATH), damage.message);
  const stop = scrubEngineFiles(disk, options.clock, (damage) => {
    note(damage);
    options.onDamage?.(damage);
  });
  const compact = (start: Buffer, end: Buffer) =>
    level.compactRange(start, end, { keyEncoding: 'buffer' });
  return new LevelEngine(level as unknown as Level, options.clock, {
    onDamage: note,
    onSuspicion: () => writeFileSync(join(path, SUSPECT_PATH), ''),
    stop,
    flush: () => compact(ABOVE_ALL_KEYS, ABOVE_ALL_KEYS),
    compact,
    closed: letGo,
    batch: level.batch() as unknown as ReusableBatch,
  });
}

/**
 * Makes a new LevelDB, where there is none, so that a power cut leaves all of it or none. LevelDB does
 * not sync the first manifest it writes, but makes it the current one; should the machine lose power before
 * a second one has replaced it, the database does not open again. So it is made in a folder of its own,
 * opened and closed, which writes the second, and moved with the name CURRENT last.
 */
export async function createWhole(path: string, disk: Disk): Promise<void> {
  if ((await disk.list('')).includes(CURRENT)) return;
  const fresh = join(path, NEW_FOLDER);
  await rm(fresh, { recursive: true, force: true });
  await mkdir(fresh, { recursive: true });
  const level = new ClassicLevel<Buffer, Buffer>(fresh, BUFFERS);
  await level.open();
  await level.close();
  const names = (await disk.list(NEW_FOLDER)).filter((name) => /^MANIFEST-|^[0-9]+\./.test(name));
  for (const name of [...names, CURRENT]) await disk.rename(`${NEW_FOLDER}/${name}`, name);
  await rm(fresh, { recursive: true, force: true });
}

/**
 * The boot-id rule (ARCHITECTURE section 6) for the LevelDB in this disk's root. Safe to repeat: the new boot id is
 * stored only after the logs are away, and before LevelDB can write new ones. Returns how many were moved.
 */
async function setLogsAside(disk: Disk, bootId: string): Promise<number> {
  const stored = await disk.readFile(BOOT_ID_PATH);
  if (bootId !== '' && stored !== null && Buffer.from(stored).toString() === bootId) return 0;
  const logs = (await disk.list('')).filter((name) => /^[0-9]+\.log$/.test(name));
  const taken = await disk.list(SET_ASIDE_FOLDER);
  const folder = `${SET_ASIDE_FOLDER}/${taken.length + 1}`;
  for (const name of logs) await disk.rename(name, `${folder}/${name}`);
  await disk.writeFileAtomic(BOOT_ID_PATH, Buffer.from(bootId));
  return logs.length;
}
