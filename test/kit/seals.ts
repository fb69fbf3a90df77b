import type { Clock } from '../../protocol/clock.ts';
import { seededRandom } from '../../protocol/random.ts';
import { BatchSeal } from '../../storage/at-rest/batch-seal.ts';
import { FolderKeys, type Purpose } from '../../storage/at-rest/folder-keys.ts';
import { SealedDisk } from '../../storage/at-rest/sealed-disk.ts';
import { SealedEngine } from '../../storage/at-rest/sealed-engine.ts';
import type { Disk } from '../../storage/disk/port.ts';
import type { KvEngine } from '../../storage/ports.ts';

/** What an encrypted folder puts in front of its disk and its engine, under data keys of a test. */

let lives = 0;
const random = () => seededRandom(++lives, 'seals');

export function folderKeys(byte = 1): FolderKeys {
  return new FolderKeys(new Map([[1, new Uint8Array(32).fill(byte)]]));
}

export function sealedDisk(disk: Disk, purpose: Purpose): Disk {
  return new SealedDisk(disk, { keys: folderKeys(), purpose, random: random() });
}

export function sealedEngine(engine: KvEngine, clock: Pick<Clock, 'soon'>): KvEngine {
  return new SealedEngine(engine, folderKeys(), { random: random(), clock });
}

/** For one opening of a log; `byte`: of another folder. */
export function batchSeal(byte = 1): BatchSeal {
  return new BatchSeal(folderKeys(byte), random());
}
