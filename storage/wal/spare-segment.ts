import type { Clock } from '../../protocol/clock.ts';
import type { DiskHealth } from '../disk/health.ts';
import type { Disk, DiskFile } from '../disk/port.ts';
import { segmentPath } from './head.ts';

/** Bytes of zeros written at once while a segment is prepared. */
const ZERO_FILL_BYTES = 1024 * 1024;
/** Pause before what found no room, no handle or a read-only disk is tried again. */
const RETRY_MS = 2_000;

const NOTHING_PREPARED = Promise.resolve(null);

export interface SpareOptions {
  /** Bytes of one segment file; one larger batch makes one larger segment. */
  readonly segmentBytes: number;
  /** Fill the next segment with zeros in the background: halves fdatasync on a real disk. */
  readonly prepareAhead: boolean;
  readonly health: Pick<DiskHealth, 'spare' | 'freeBytes'>;
}

/** What it must know of the log. */
export interface SpareHost {
  nextSequence(): number;
  /** Room in the segment that is written to. */
  leftBytes(): number;
  /** It could not be prepared, or what was begun of it not removed. */
  failed(error: Error): void;
}

/** The segment after the one that is written to, prepared ahead in the background where there is room. */
export class SpareSegment {
  readonly #disk: Disk;
  readonly #clock: Clock;
  readonly #options: SpareOptions;
  readonly #host: SpareHost;
  #prepared: Promise<DiskFile | null> = NOTHING_PREPARED;
  /** The last try to prepare it found no room. */
  #isMissing = false;
  /** A rotation opens it itself where it is not prepared: nothing else may touch it then. */
  #isRotating = false;
  #isStopped = false;
  #cancelPrepare: (() => void) | null = null;

  constructor(disk: Disk, clock: Clock, options: SpareOptions, host: SpareHost) {
    this.#disk = disk;
    this.#clock = clock;
    this.#options = options;
    this.#host = host;
  }

  /** Begins to prepare; without room, again when there is some. */
  prepare(): void {
    this.#cancelPrepare?.();
    const { prepareAhead, health, segmentBytes } = this.#options;
    if (!prepareAhead || this.#isRotating || this.#isStopped) return;
    if (this.#isMissing && health.freeBytes() < 2 * segmentBytes) return this.#prepareLater();
    this.#prepared = this.#prepare().then((file) => {
      this.#isMissing = file === null;
      this.tell();
      if (file === null) this.#prepareLater();
      return file;
    });
  }

  /**
   * Opens the next segment, prepared or not, for `moveTo`, and prepares the one after it. When either throws,
   * it is still the next.
   */
  async rotate(moveTo: (file: DiskFile) => void): Promise<void> {
    this.#cancelPrepare?.();
    this.#isRotating = true;
    try {
      const path = segmentPath(this.#host.nextSequence());
      moveTo((await this.#prepared) ?? (await this.#disk.open(path)));
      this.#prepared = NOTHING_PREPARED;
    } catch (error) {
      this.#isRotating = false;
      this.#prepareLater();
      throw error;
    }
    this.#isRotating = false;
    this.prepare();
  }

  /** Tells how much of the log's room is left once nothing can be prepared. */
  tell(): void {
    this.#options.health.spare(this.#isMissing ? this.#host.leftBytes() : null);
  }

  /** Nothing more is prepared; a rotation under way still finds what is. */
  stop(): void {
    this.#isStopped = true;
    this.#cancelPrepare?.();
  }

  async close(): Promise<void> {
    const prepared = await this.#prepared;
    await prepared?.close();
  }

  /** A rotation under way prepares, or comes here, when it ends. */
  #prepareLater(): void {
    this.#cancelPrepare?.();
    if (this.#isStopped || this.#isRotating) return;
    this.#cancelPrepare = this.#clock.after(RETRY_MS, () => this.prepare());
  }

  /** The segment filled with zeros, or null: it is then created when it is needed. */
  async #prepare(): Promise<DiskFile | null> {
    const path = segmentPath(this.#host.nextSequence());
    const { segmentBytes } = this.#options;
    const zeros = new Uint8Array(Math.min(ZERO_FILL_BYTES, segmentBytes));
    let file: DiskFile | null = null;
    try {
      file = await this.#disk.open(path);
      for (let at = 0; at < segmentBytes && !this.#isStopped; at += zeros.length) {
        await file.write(at, zeros.subarray(0, Math.min(zeros.length, segmentBytes - at)));
      }
      await file.sync();
      return file;
    } catch (error) {
      // Without room ahead the log still has the rest of its segment.
      this.#host.failed(error as Error);
      await this.#discard(path, file).catch((failure: Error) => this.#host.failed(failure));
      return null;
    }
  }

  async #discard(path: string, file: DiskFile | null): Promise<void> {
    await file?.close();
    await this.#disk.remove(path);
  }
}
