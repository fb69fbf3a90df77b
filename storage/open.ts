import type { Clock } from '../protocol/clock.ts';
import { LIMITS } from '../protocol/limits.ts';
import type { Random } from '../protocol/random.ts';
import { BatchSeal } from './at-rest/batch-seal.ts';
import type { FolderKeys, Purpose } from './at-rest/folder-keys.ts';
import {
  chunksPlace,
  logPlace,
  type Place,
  snapshotsPlace,
  valuesPlace,
} from './at-rest/places.ts';
import type { KeyRotation } from './at-rest/rotation.ts';
import { SealedDisk } from './at-rest/sealed-disk.ts';
import { SealedEngine } from './at-rest/sealed-engine.ts';
import { BlobFiles } from './blob/blob-files.ts';
import { DiskHealth } from './disk/health.ts';
import { type Disk, DiskError } from './disk/port.ts';
import { IDENTITY_PATH, loadIdentity, saveIdentity } from './identity.ts';
import { codecOf } from './kv/codecs.ts';
import { CompressedEngine } from './kv/compressed-engine.ts';
import { MemtableStore } from './kv/state-store.ts';
import { CodecMissing, type ValueCompression } from './kv/value-compression.ts';
import type { Identity, KvEngine, StoragePorts } from './ports.ts';
import { SNAPSHOT_FOLDER, SnapshotFiles } from './snapshot-file.ts';
import { openWal, quarantineWal } from './wal/recovery.ts';
import type { SegmentWal } from './wal/wal.ts';

const QUARANTINE = 'quarantine';
/** A memtable of this size goes to the engine, as one batch; a smaller one after this long. */
const MEMTABLE_BYTES = LIMITS.memtableBytesMax / 32;
const MEMTABLE_AGE_MS = 2_000;
const MARKER_DELAY_MS = 100;

export interface StorageParts {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly prepareAhead: boolean;
  /** Data keys of the folder; null for one in clear. */
  readonly keys: FolderKeys | null;
  /** Told of the stores when they are open; null: nobody rotates the data keys. */
  readonly rotation: KeyRotation | null;
  /** What is compressed of what is written from now on. */
  readonly compression: ValueCompression;
  openEngine(): Promise<KvEngine>;
  /** Moves the closed engine's files to this folder, or forgets a memory engine. */
  setEngineAside(folder: string): Promise<void>;
  onFatal(reason: string, error: unknown): void;
}

/** Puts WAL, state and snapshots of one data folder together. */
export function openStorage(parts: StorageParts): StoragePorts {
  const { disk, clock, random } = parts;
  const sealed = sealedParts(parts);
  const health = new DiskHealth(disk, clock);
  const walOptions = {
    health,
    segmentBytes: LIMITS.walSegmentBytes,
    markerDelayMs: MARKER_DELAY_MS,
    prepareAhead: parts.prepareAhead,
    random,
  };
  const disks = { snapshots: sealed.disk('snapshots'), blobs: sealed.disk('blobs') };
  const snapshots = new SnapshotFiles(disks.snapshots);
  const blobs = new BlobFiles({ disk: disks.blobs, clock, health, onFatal: parts.onFatal });
  const opened: { wal: SegmentWal | null } = { wal: null };
  return {
    loadIdentity: () => readIdentity(disk),
    saveIdentity: (identity) => saveIdentity(disk, identity),
    openWal: async (visit) => {
      const options = { ...walOptions, seal: sealed.batches() };
      const found = await openWal(disk, clock, options, visit);
      opened.wal = found.wal;
      return found;
    },
    openState: async () => {
      await markZstd(disk, parts.compression);
      const engine = sealed.engine(await parts.openEngine());
      // Compressed first: what is sealed cannot be made smaller.
      const compressed = new CompressedEngine(engine, parts.compression, clock);
      const store = new MemtableStore(compressed, clock, {
        memtableBytes: MEMTABLE_BYTES,
        memtableAgeMs: MEMTABLE_AGE_MS,
        onFatal: (error) => parts.onFatal('the state engine failed', error),
        mayWrite: () => health.feedsEngine(),
      });
      parts.rotation?.open(placesOf({ ...opened, store, engine, snapshots, blobs }, disks));
      return store;
    },
    snapshots,
    blobs,
    health,
    setStateAside: async (reason) => {
      await parts.setEngineAside(`${QUARANTINE}/state-${await note(disk, clock, reason)}`);
    },
    quarantine: async (reason) => {
      const number = await note(disk, clock, reason);
      await keepDamagedIdentity(disk, number);
      await parts.setEngineAside(`${QUARANTINE}/state-${number}`);
      if ((await disk.list(SNAPSHOT_FOLDER)).length > 0) {
        await disk.rename(SNAPSHOT_FOLDER, `${QUARANTINE}/snapshots-${number}`);
      }
      await quarantineWal(disk);
    },
  };
}

interface Stores {
  readonly wal: SegmentWal | null;
  readonly store: MemtableStore;
  readonly engine: KvEngine;
  readonly snapshots: SnapshotFiles;
  readonly blobs: BlobFiles;
}

/** What is sealed, of an encrypted folder whose log and state are open. */
export function placesOf(
  { wal, store, engine, snapshots, blobs }: Stores,
  disks: { readonly snapshots: Disk; readonly blobs: Disk },
): Place[] {
  const places: Place[] = [];
  if (wal !== null) places.push(logPlace(wal));
  if (engine instanceof SealedEngine) places.push(valuesPlace(store, engine));
  if (disks.blobs instanceof SealedDisk) places.push(chunksPlace(blobs, disks.blobs));
  if (disks.snapshots instanceof SealedDisk) {
    places.push(snapshotsPlace(snapshots, disks.snapshots));
  }
  return places;
}

/** What stands between the stores and the disk where the folder is encrypted; nothing where it is not. `batches`: for one opening of the log. */
export function sealedParts({
  disk,
  keys,
  random,
  clock,
}: Pick<StorageParts, 'disk' | 'keys' | 'random' | 'clock'>) {
  if (keys === null) {
    return { batches: () => null, engine: (engine: KvEngine) => engine, disk: () => disk };
  }
  return {
    batches: () => new BatchSeal(keys, random),
    engine: (engine: KvEngine): KvEngine => new SealedEngine(engine, keys, { random, clock }),
    disk: (purpose: Purpose): Disk => new SealedDisk(disk, { keys, purpose, random }),
  };
}

/** Says that values were compressed with zstd at some time: a node that has none cannot read them. */
const ZSTD_PATH = 'zstd-values';

/** Before the first such value. Throws CodecMissing where there may be one that cannot be read. */
async function markZstd(disk: Disk, compression: ValueCompression): Promise<void> {
  const isMarked = (await disk.readFile(ZSTD_PATH)) !== null;
  if (isMarked && codecOf('zstd') === null) {
    throw new CodecMissing(
      'the data folder has values that are compressed with zstd, which needs Node.js 22.15 or later',
    );
  }
  if (!isMarked && compression.uses('zstd')) {
    await disk.writeFileAtomic(ZSTD_PATH, Buffer.from('compressed values\n'));
  }
}

/** Writes down why something is moved aside; gives the number that its copies get. */
async function note(disk: Disk, clock: Clock, reason: string): Promise<number> {
  const number = (await disk.list(QUARANTINE)).length + 1;
  const text = `${new Date(clock.wallMs()).toISOString()} ${reason}\n`;
  await disk.writeFileAtomic(`${QUARANTINE}/reason-${number}`, Buffer.from(text));
  return number;
}

/** The next identity is written over the damaged one. */
async function keepDamagedIdentity(disk: Disk, number: number): Promise<void> {
  if ((await loadIdentity(disk)).state !== 'damaged') return;
  const file = await disk.readFile(IDENTITY_PATH);
  if (file !== null) await disk.writeFileAtomic(`${QUARANTINE}/identity-${number}`, file);
}

async function readIdentity(disk: Disk): Promise<Identity | null> {
  const loaded = await loadIdentity(disk);
  if (loaded.state === 'absent') return null;
  if (loaded.state === 'valid') return loaded.identity;
  if (loaded.state === 'foreign') {
    throw new Error(
      `the data folder was written by another version of minikv (identity format ${loaded.format}): ` +
        'start it with that version; nothing has been changed',
    );
  }
  throw new DiskError('EBADMSG', `the data folder's identity file is damaged: ${loaded.reason}`);
}
