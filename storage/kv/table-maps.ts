import { linkSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { crc32c } from '../checksum.ts';

/** LevelDB's own bound (util/env_posix.cc), for the whole process: later files are read with pread. */
const MAPS_MAX = 1_000;
/** The cache of open tables has 16 parts, which fill unevenly. */
const OPEN_FILES_MAX = 4_096;

/**
 * LevelDB maps the first thousand tables that it opens into memory, and every page that was ever read
 * counts as resident: 10 million keys make 1.4 GB of it. What it reads with pread goes through its block
 * cache, which is bounded. It has no option for this, so the maps are given to a thousand empty tables
 * (links to one file of 74 bytes) of a database of their own, before the real one is opened.
 *
 * Returns how to let go of them. Only memory depends on it: where files cannot be linked, nothing is
 * lost but the bound. The folder is never synced, and is made anew when it cannot be opened.
 */
export async function occupyTableMaps(folder: string): Promise<() => Promise<void>> {
  const level = (await opened(folder)) ?? (layOut(folder) ? await opened(folder) : null);
  return async () => level?.close();
}

async function opened(folder: string): Promise<ClassicLevel | null> {
  const options = { maxOpenFiles: OPEN_FILES_MAX, cacheSize: 0, compression: false };
  try {
    const level = new ClassicLevel(folder, { createIfMissing: false, ...options });
    await level.open();
    for (let i = 0; i < MAPS_MAX; i++) level.getSync(nameOf(i));
    return level;
  } catch {
    return null;
  }
}

function layOut(folder: string): boolean {
  try {
    writeTables(folder);
    return true;
  } catch {
    return false;
  }
}

function writeTables(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const first = tablePath(folder, 0);
  writeFileSync(first, emptyTable());
  for (let i = 1; i < MAPS_MAX; i++) linkSync(first, tablePath(folder, i));
  writeFileSync(join(folder, 'MANIFEST-000002'), manifest());
  writeFileSync(join(folder, 'CURRENT'), 'MANIFEST-000002\n');
}

function nameOf(i: number): string {
  return String(i).padStart(4, '0');
}

const FIRST_NUMBER = 10;

function tablePath(folder: string, i: number): string {
  return join(folder, `${String(FIRST_NUMBER + i).padStart(6, '0')}.ldb`);
}

/** An empty block (no restart but the first), its type, its checksum. */
function emptyBlock(): Buffer {
  const block = Buffer.alloc(13);
  block.writeUInt32LE(1, 4);
  block.writeUInt32LE(masked(crc32c(block.subarray(0, 9))), 9);
  return block;
}

/** Metaindex, index, and a footer that says where they are (doc/table_format.md of LevelDB). */
function emptyTable(): Buffer {
  const footer = Buffer.alloc(48);
  footer.set([0, 8, 13, 8]);
  footer.writeBigUInt64LE(0xdb4775248b80fb57n, 40);
  return Buffer.concat([emptyBlock(), emptyBlock(), footer]);
}

const TABLE_BYTES = 74;
/** Where compactions put tables that overlap nothing. */
const LEVEL = 2;
const EDIT_TABLES = 500;

/** Version edits (db/version_edit.cc) in log records, each of which fits one block of 32 KiB. */
function manifest(): Buffer {
  const records = [
    record([
      ...[1, ...text('leveldb.BytewiseComparator')],
      ...[2, 0, 9, 0, 3, ...varint(FIRST_NUMBER + MAPS_MAX), 4, 1],
    ]),
  ];
  for (let from = 0; from < MAPS_MAX; from += EDIT_TABLES) {
    const edit: number[] = [];
    for (let i = from; i < from + EDIT_TABLES; i++) {
      const key = text(`${nameOf(i)}\x01\x01\0\0\0\0\0\0`);
      edit.push(7, LEVEL, ...varint(FIRST_NUMBER + i), TABLE_BYTES, ...key, ...key);
    }
    records.push(record(edit));
  }
  return Buffer.concat(records);
}

const FULL_RECORD = 1;

function record(bytes: number[]): Buffer {
  const out = Buffer.alloc(7 + bytes.length);
  out.writeUInt16LE(bytes.length, 4);
  out[6] = FULL_RECORD;
  out.set(bytes, 7);
  out.writeUInt32LE(masked(crc32c(out.subarray(6))), 0);
  return out;
}

function text(latin1: string): number[] {
  return [latin1.length, ...Buffer.from(latin1, 'latin1')];
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}

/** How LevelDB stores a checksum. */
function masked(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
