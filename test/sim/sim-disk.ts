import type { Clock } from '../../protocol/clock.ts';
import { type Random, randomInt } from '../../protocol/random.ts';
import { renameIn } from '../../storage/disk/memory-disk.ts';
import { checkPath, namesIn } from '../../storage/disk/path.ts';
import { type Disk, DiskError, type DiskFile, SyncError } from '../../storage/disk/port.ts';
import { SimDiskFile } from './sim-disk-file.ts';
import { SimFile } from './sim-file.ts';

/** How the disk behaves; every field may be changed at any time. */
export interface SimDiskFaults {
  /** Shortest and longest time of a sync, ms. */
  syncMs: readonly [min: number, max: number];
  /** Shortest and longest time of everything else, ms. */
  accessMs: readonly [min: number, max: number];
  /** Extra time of every sync, ms (F18). */
  slowMs: number;
  /** Syncs neither end nor fail while this is set. */
  hung: boolean;
  /** The next sync fails with EIO (F14). */
  failNextSync: boolean;
  /** The next place() fails with EIO in the sync of its folder. */
  failNextPlace: boolean;
  /** Probability that a sync fails with EIO. */
  syncErrorRate: number;
  /** Bytes all files may have together; a write beyond is short and fails with ENOSPC (F15). */
  capacityBytes: number;
  /** Every write fails with this code, e.g. EROFS (F16); null for none. */
  writeErrorCode: string | null;
  /** Writes to this file find no room, while others do; null for none. */
  noRoomFor: string | null;
}

export const HEALTHY_DISK: Readonly<SimDiskFaults> = {
  syncMs: [0.2, 2],
  accessMs: [0.02, 0.2],
  slowMs: 0,
  hung: false,
  failNextSync: false,
  failNextPlace: false,
  syncErrorRate: 0,
  capacityBytes: Number.POSITIVE_INFINITY,
  writeErrorCode: null,
  noRoomFor: null,
};

/** A moment at which a fault can be aimed. */
export type SimDiskMoment =
  | { readonly type: 'syncBegins'; readonly path: string; readonly bytes: number }
  | { readonly type: 'syncEnded'; readonly path: string; readonly bytes: number }
  | { readonly type: 'fileChanges'; readonly path: string };

/** How often a hung sync looks whether it may end. */
const HUNG_POLL_MS = 10;

/** A create, remove, rename or atomic write under way. */
interface NameChange {
  readonly apply: () => void;
}

/**
 * A machine's disk over virtual time, for one seed always the same. It outlives processes: give each
 * of them a session on its own clock. Unsynced writes survive the death of a process and, as the
 * seed says, in parts a power cut. What was under way at either never calls back.
 */
export class SimDisk implements Disk {
  readonly faults: SimDiskFaults;
  /** Sees moments as they come; called in the middle of an event. */
  onMoment: (moment: SimDiskMoment) => void = () => {};
  readonly #random: Random;
  readonly #clock: Clock;
  readonly #files = new Map<string, SimFile>();
  readonly #changes = new Set<NameChange>();
  #epoch = 0;

  constructor(clock: Clock, random: Random, faults: Partial<SimDiskFaults>) {
    this.#clock = clock;
    this.#random = random;
    this.faults = { ...HEALTHY_DISK, ...faults };
  }

  /** The disk as one process has it; dead after crash() or processDied(). */
  session(clock: Clock): Disk {
    return new SimSession(this, clock, this.#epoch);
  }

  open(path: string): Promise<DiskFile> {
    return this.session(this.#clock).open(path);
  }

  openToRead(path: string): Promise<DiskFile | null> {
    return this.session(this.#clock).openToRead(path);
  }

  create(path: string): Promise<DiskFile> {
    return this.session(this.#clock).create(path);
  }

  place(from: string, to: string): Promise<void> {
    return this.session(this.#clock).place(from, to);
  }

  removeFolder(folder: string): Promise<void> {
    return this.session(this.#clock).removeFolder(folder);
  }

  list(folder: string): Promise<string[]> {
    return this.session(this.#clock).list(folder);
  }

  readFile(path: string): Promise<Uint8Array | null> {
    return this.session(this.#clock).readFile(path);
  }

  writeFileAtomic(path: string, content: Uint8Array): Promise<void> {
    return this.session(this.#clock).writeFileAtomic(path, content);
  }

  remove(path: string): Promise<void> {
    return this.session(this.#clock).remove(path);
  }

  rename(from: string, to: string): Promise<void> {
    return this.session(this.#clock).rename(from, to);
  }

  freeBytes(): Promise<number> {
    return this.session(this.#clock).freeBytes();
  }

  /** Power cut: unsynced writes are kept, lost or torn; changes of names happened in order up to some point. */
  crash(): void {
    this.#endChanges();
    for (const [path, file] of this.#files) {
      if (!file.isNameDurable && this.#random.next() < 0.5) this.#files.delete(path);
      else this.#files.set(path, file.powerCut(this.#random));
    }
  }

  /** The process died; the page cache stays. */
  processDied(): void {
    this.#endChanges();
  }

  /** A new, empty disk. */
  wipe(): void {
    this.#epoch++;
    this.#changes.clear();
    this.#files.clear();
  }

  paths(): string[] {
    return [...this.#files.keys()].sort();
  }

  /** What a power cut that keeps nothing unsynced would leave of a file. */
  durableContent(path: string): Uint8Array {
    return this.#files.get(path)?.durableContent() ?? new Uint8Array(0);
  }

  /** Flips bits of one byte at rest. */
  flip(path: string, offset: number, mask: number): void {
    this.#files.get(path)?.flip(offset, mask);
  }

  /**
   * Flips a durable bit of one matching file; null when they hold nothing. `spareLast`: not in a log's
   * last batch with nothing behind it, which looks like a torn write (io-ordering.md, T8).
   */
  flipSomewhere(matches: (path: string) => boolean, spareLast = false) {
    const isSpared = (path: string) => spareLast && path.endsWith('.wal');
    const endOf = (path: string) =>
      (isSpared(path) ? this.#files.get(path)?.lastAlone() : null) ?? this.#usedEnd(path);
    const paths = this.paths().filter((path) => matches(path) && endOf(path) > 0);
    const path = paths[randomInt(this.#random, 0, Math.max(0, paths.length - 1))];
    if (path === undefined) return null;
    const offset = randomInt(this.#random, 0, endOf(path) - 1);
    this.flip(path, offset, 1 << randomInt(this.#random, 0, 7));
    return { path, offset };
  }

  /** For sessions. */
  get parts() {
    const isCurrent = (epoch: number): boolean => epoch === this.#epoch;
    return { files: this.#files, changes: this.#changes, random: this.#random, isCurrent };
  }

  #usedEnd(path: string): number {
    const content = this.durableContent(path);
    let end = content.length;
    while (end > 0 && content[end - 1] === 0) end--;
    return end;
  }

  #endChanges(): void {
    this.#epoch++;
    for (const change of this.#changes) {
      if (this.#random.next() < 0.5) break;
      change.apply();
    }
    this.#changes.clear();
  }
}

/** One process's use of the disk. */
export class SimSession implements Disk {
  readonly disk: SimDisk;
  readonly #clock: Clock;
  readonly #epoch: number;

  constructor(disk: SimDisk, clock: Clock, epoch: number) {
    this.disk = disk;
    this.#clock = clock;
    this.#epoch = epoch;
  }

  async open(path: string): Promise<DiskFile> {
    const { files } = this.disk.parts;
    checkPath(path);
    await this.#access(() => {});
    if (!files.has(path)) {
      await this.#change(path, () => {
        if (!files.has(path)) files.set(path, new SimFile(new Uint8Array(0)));
      });
    }
    return new SimDiskFile(this, path, files.get(path)!);
  }

  openToRead(path: string): Promise<DiskFile | null> {
    checkPath(path);
    return this.#access(() => {
      const file = this.disk.parts.files.get(path);
      return file === undefined ? null : new SimDiskFile(this, path, file);
    });
  }

  /** The name is there at once, and a power cut takes it or not. */
  async create(path: string): Promise<DiskFile> {
    checkPath(path);
    const { writeErrorCode } = this.disk.faults;
    const file = new SimFile(new Uint8Array(0));
    await this.#access(() => {
      if (writeErrorCode !== null) throw new DiskError(writeErrorCode, `${path}: an ill disk`);
      file.isNameDurable = false;
      this.disk.parts.files.set(path, file);
    });
    return new SimDiskFile(this, path, file);
  }

  /** When the folder's sync fails, the name may have changed or not. */
  async place(from: string, to: string): Promise<void> {
    checkPath(to);
    const { faults, parts } = this.disk;
    const move = () => {
      renameIn(parts.files, from, to);
      const file = parts.files.get(to) as SimFile;
      file.isNameDurable = true;
    };
    if (!faults.failNextPlace) return this.#change(from, move);
    faults.failNextPlace = false;
    await this.#change(from, parts.random.next() < 0.5 ? move : () => {});
    throw new SyncError('EIO', 'the simulated disk failed the sync of a folder');
  }

  removeFolder(folder: string): Promise<void> {
    checkPath(folder); // folders are there while there is something in them
    return this.#access(() => {});
  }

  list(folder: string): Promise<string[]> {
    return this.#access(() => namesIn(folder, this.disk.parts.files.keys()));
  }

  readFile(path: string): Promise<Uint8Array | null> {
    checkPath(path);
    return this.#access(() => {
      const file = this.disk.parts.files.get(path);
      return file === undefined ? null : file.seen.read(0, file.seen.length);
    });
  }

  writeFileAtomic(path: string, content: Uint8Array): Promise<void> {
    const copy = new Uint8Array(content);
    return this.#change(
      path,
      () => {
        this.disk.parts.files.set(path, new SimFile(copy));
      },
      copy.length,
    );
  }

  remove(path: string): Promise<void> {
    return this.#change(path, () => {
      this.disk.parts.files.delete(path);
    });
  }

  rename(from: string, to: string): Promise<void> {
    checkPath(to);
    return this.#change(from, () => renameIn(this.disk.parts.files, from, to));
  }

  freeBytes(): Promise<number> {
    return this.#access(() => {
      const { writeErrorCode } = this.disk.faults;
      if (writeErrorCode !== null) throw new DiskError(writeErrorCode, 'the simulated disk is ill');
      return Math.min(this.room(), Number.MAX_SAFE_INTEGER);
    });
  }

  isAlive(): boolean {
    return this.disk.parts.isCurrent(this.#epoch);
  }

  /** Bytes that may still be added to the files. */
  room(): number {
    let used = 0;
    for (const file of this.disk.parts.files.values()) used += file.seen.length;
    return Math.max(0, this.disk.faults.capacityBytes - used);
  }

  /** Runs `run` after a drawn time, if this process still lives then. */
  later(range: readonly [number, number], extraMs: number, run: () => void): void {
    const { random, isCurrent } = this.disk.parts;
    const delayMs = range[0] + random.next() * (range[1] - range[0]) + extraMs;
    this.#clock.after(delayMs, () => {
      if (isCurrent(this.#epoch)) run();
    });
  }

  /** Ends a sync, in its own time: EIO when a fault says so. */
  endSync(file: SimFile, writeCount: number, done: (error: Error | null) => void): void {
    const { faults, parts } = this.disk;
    if (faults.hung) {
      this.later([HUNG_POLL_MS, HUNG_POLL_MS], 0, () => this.endSync(file, writeCount, done));
      return;
    }
    if (faults.failNextSync || parts.random.next() < faults.syncErrorRate) {
      faults.failNextSync = false;
      file.syncFailed(writeCount, parts.random);
      done(new SyncError('EIO', 'the simulated disk failed a sync'));
      return;
    }
    file.synced(writeCount);
    done(null);
  }

  #access<T>(work: () => T): Promise<T> {
    return new Promise((resolved, rejected) => {
      if (!this.disk.parts.isCurrent(this.#epoch)) return;
      this.later(this.disk.faults.accessMs, 0, () => {
        try {
          resolved(work());
        } catch (error) {
          rejected(error);
        }
      });
    });
  }

  /** A change that is durable when it resolves, and may or may not happen when the process dies before. */
  async #change(path: string, apply: () => void, bytes = 0): Promise<void> {
    const { changes, isCurrent } = this.disk.parts;
    checkPath(path);
    if (!isCurrent(this.#epoch)) return new Promise(() => {});
    const { writeErrorCode } = this.disk.faults;
    const code = writeErrorCode ?? (bytes > this.room() ? 'ENOSPC' : null);
    if (code !== null) {
      await this.#access(() => {});
      throw new DiskError(code, `${path}: the simulated disk says ${code}`);
    }
    this.disk.onMoment({ type: 'fileChanges', path });
    const change = { apply };
    changes.add(change);
    await this.#access(() => {});
    changes.delete(change);
    apply();
  }
}
