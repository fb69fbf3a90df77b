import type { Clock } from '../../protocol/clock.ts';
import { type Random, seededRandom } from '../../protocol/random.ts';
import { FolderKeys } from '../../storage/at-rest/folder-keys.ts';
import { BlobFiles } from '../../storage/blob/blob-files.ts';
import { DiskHealth } from '../../storage/disk/health.ts';
import type { Disk } from '../../storage/disk/port.ts';
import { loadIdentity, saveIdentity } from '../../storage/identity.ts';
import { MemtableStore } from '../../storage/kv/state-store.ts';
import { sealedParts } from '../../storage/open.ts';
import type { StoragePorts } from '../../storage/ports.ts';
import { SnapshotFiles } from '../../storage/snapshot-file.ts';
import { openWal, quarantineWal } from '../../storage/wal/recovery.ts';
import type { DiskMoment, DiskTrouble, Machine } from './machine.ts';
import type { Life } from './scheduler.ts';
import { SimDisk } from './sim-disk.ts';
import { SimEngineStore } from './sim-engine.ts';
import type { World } from './world.ts';

/** Room that is left on a disk that counts as full: the last write before the end is short. */
const FULL_ROOM_BYTES_MAX = 3000;

const DATA_KEY = new Uint8Array(32).fill(7);

/** A simulated machine: one disk for log, identity and snapshots, and one engine. */
export class SimMachine implements Machine {
  readonly trouble: DiskTrouble;
  onMoment: (moment: DiskMoment) => void = () => {};
  readonly #disk: SimDisk;
  readonly #engine: SimEngineStore;
  readonly #walSegmentBytes: number;
  readonly #keys: FolderKeys | null;

  constructor(world: World, index: number) {
    const { seed, syncMsMean } = world.config;
    const stream = (name: string): Random => seededRandom(seed, `${name}-${index}`);
    const { scheduler, trace } = world;
    const clock = {
      monotonicMs: () => scheduler.nowMs(),
      wallMs: () => scheduler.nowMs(),
      after: (delayMs: number, run: () => void) => scheduler.after(delayMs, null, run),
      soon: (run: () => void) => void scheduler.after(0, null, run),
    };
    const random = stream('disk');
    this.#disk = new SimDisk(clock, random, { syncMs: [syncMsMean * 0.3, syncMsMean * 2] });
    this.#engine = new SimEngineStore(stream('engine'));
    this.#walSegmentBytes = world.config.walSegmentBytes;
    this.#keys = world.config.encrypted ? new FolderKeys(new Map([[1, DATA_KEY]])) : null;
    this.trouble = troubleOf(this.#disk, stream('room'));
    this.#disk.onMoment = (moment) => {
      if (moment.type === 'syncEnded') trace.mix(4, index, moment.bytes, null);
      this.onMoment(moment);
      world.aim.onMoment(index, moment);
    };
  }

  open(
    _life: Life,
    clock: Clock,
    random: Random,
    fatal: (reason: string, error: unknown) => void,
  ): StoragePorts {
    const disk = this.#disk.session(clock);
    const health = new DiskHealth(disk, clock);
    const walOptions = {
      health,
      segmentBytes: this.#walSegmentBytes,
      markerDelayMs: 50,
      prepareAhead: false,
      random,
    };
    const sealed = sealedParts({ disk, clock, keys: this.#keys, random });
    return {
      loadIdentity: () => readIdentity(disk),
      saveIdentity: (identity) => saveIdentity(disk, identity),
      openWal: (visit) => openWal(disk, clock, { ...walOptions, seal: sealed.batches() }, visit),
      openState: async () =>
        new MemtableStore(sealed.engine(this.#engine.open(clock)), clock, {
          memtableBytes: 64 * 1024,
          memtableAgeMs: 200,
          onFatal: (error) => fatal('the engine failed', error),
          mayWrite: () => health.feedsEngine(),
        }),
      snapshots: new SnapshotFiles(sealed.disk('snapshots')),
      blobs: new BlobFiles({ disk: sealed.disk('blobs'), clock, health, onFatal: fatal }),
      health,
      setStateAside: async () => this.#engine.wipe(),
      quarantine: async () => {
        await quarantineWal(disk);
        this.#engine.wipe();
      },
    };
  }

  processDied(): void {
    this.#disk.processDied();
    this.#engine.processDied();
  }

  powerCut(): void {
    this.#disk.crash();
    this.#engine.crash();
  }

  wipe(): void {
    this.#disk.wipe();
    this.#engine.wipe();
  }

  flipBits(): boolean {
    return this.#disk.flipSomewhere((path) => path.startsWith('wal/'), true) !== null;
  }
}

async function readIdentity(
  disk: Disk,
): Promise<Awaited<ReturnType<StoragePorts['loadIdentity']>>> {
  const loaded = await loadIdentity(disk);
  if (loaded.state === 'absent') return null;
  if (loaded.state === 'valid') return loaded.identity;
  throw new Error(`identity: ${loaded.state === 'damaged' ? loaded.reason : loaded.format}`);
}

/** The switches of a disk, as the nemesis knows them. */
function troubleOf(disk: SimDisk, random: Random): DiskTrouble {
  const { faults } = disk;
  return {
    get slowMs() {
      return faults.slowMs;
    },
    set slowMs(ms) {
      faults.slowMs = ms;
    },
    get hung() {
      return faults.hung;
    },
    set hung(hung) {
      faults.hung = hung;
    },
    get failNextSync() {
      return faults.failNextSync;
    },
    set failNextSync(fail) {
      faults.failNextSync = fail;
    },
    get writeError() {
      return faults.writeErrorCode;
    },
    set writeError(code) {
      faults.writeErrorCode = code;
    },
    get full() {
      return faults.capacityBytes < Number.POSITIVE_INFINITY;
    },
    set full(full) {
      const room = Math.floor(random.next() * FULL_ROOM_BYTES_MAX);
      faults.capacityBytes = full ? usedBytes(disk) + room : Number.POSITIVE_INFINITY;
    },
  };
}

function usedBytes(disk: SimDisk): number {
  let used = 0;
  for (const file of disk.parts.files.values()) used += file.seen.length;
  return used;
}
