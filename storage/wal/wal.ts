import { assert } from '../../protocol/assert.ts';
import type { Clock } from '../../protocol/clock.ts';
import type { Random } from '../../protocol/random.ts';
import type { DiskHealth } from '../disk/health.ts';
import { type Disk, DiskError, type DiskFile, mayPass } from '../disk/port.ts';
import type { Wal, WalRecord } from '../ports.ts';
import { saveHead, segmentPath } from './head.ts';
import { BATCH_HEADER_BYTES, BatchBuffer, markerBytes } from './record.ts';

/** Bytes of zeros written at once while a segment is prepared. */
const ZERO_FILL_BYTES = 1024 * 1024;
/** Pause before what found no room, no handle or a read-only disk is tried again. */
const RETRY_MS = 250;
const PREPARE_RETRY_MS = 2_000;
const DROP_RETRY_MS = 2_000;

const NOTHING_PREPARED = Promise.resolve(null);

export interface WalOptions {
  /** Bytes of one segment file; one larger batch makes one larger segment. */
  readonly segmentBytes: number;
  /** After a sync and this long without another one, a marker covers the last batch. */
  readonly markerDelayMs: number;
  /** Fill the next segment with zeros in the background: halves fdatasync on a real disk. */
  readonly prepareAhead: boolean;
  /** Draws the id of a new WAL. */
  readonly random: Random;
  /** Told of every sync, and of the room that is left. */
  readonly health: DiskHealth;
}

export interface Segment {
  readonly sequence: number;
  /** Position of the segment's first byte. */
  readonly firstPosition: number;
}

/** Where a WAL continues; made by recovery.ts. */
export interface WalStart {
  readonly walId: Uint8Array;
  /** Oldest first; the last one is written to. */
  readonly segments: Segment[];
  readonly file: DiskFile;
  /** Next byte in the last segment, and its position. */
  readonly offset: number;
  readonly position: number;
}

/**
 * The WAL over any Disk. W1: a batch is written only when all before it are synced, so only the last
 * one can be torn. W2: batches are contiguous in position. W3: no failed sync is ever repeated: the
 * WAL is dead, and every later sync fails with the same error. W4: a segment always has room for a marker.
 * W5: a write that finds no room is repeated, the same bytes in the same place, until it is whole; only
 * then is it synced, and only then does its sync call back.
 */
export class SegmentWal implements Wal {
  readonly #disk: Disk;
  readonly #clock: Clock;
  readonly #options: WalOptions;
  readonly #walId: Uint8Array;
  readonly #segments: Segment[];
  #file: DiskFile;
  #offset: number;
  #syncedPosition: number;
  #gathering = new BatchBuffer();
  #syncing = new BatchBuffer();
  #waiting: ((error: Error | null) => void) | null = null;
  #prepared: Promise<DiskFile | null> = NOTHING_PREPARED;
  /** The last try to prepare the next segment found no room. */
  #isSpareMissing = false;
  /** A rotation opens the next segment itself where none is prepared: nothing else may touch it then. */
  #isRotating = false;
  #cancelPrepare: (() => void) | null = null;
  #cancelRetry: (() => void) | null = null;
  #cancelDrop: (() => void) | null = null;
  /** Head writes and removals, one after another. */
  #upkeep: Promise<void> = Promise.resolve();
  #failure: Error | null = null;
  #closed = false;
  #cancelMarker: (() => void) | null = null;
  #markerWrite: Promise<void> | null = null;
  #markedPosition: number;

  constructor(disk: Disk, clock: Clock, options: WalOptions, start: WalStart) {
    this.#disk = disk;
    this.#clock = clock;
    this.#options = options;
    this.#walId = start.walId;
    this.#segments = start.segments;
    this.#file = start.file;
    this.#offset = start.offset;
    this.#syncedPosition = start.position;
    this.#markedPosition = 0;
    this.#prepareAhead();
    this.#armMarker();
  }

  append(records: readonly WalRecord[]): number {
    assert(!this.#closed, 'the WAL is open');
    for (const record of records) this.#gathering.add(record);
    return this.position();
  }

  sync(done: (error: Error | null) => void): void {
    assert(!this.#closed && this.#waiting === null, 'one sync at a time');
    if (this.#failure !== null || this.#gathering.byteLength === 0) {
      const failure = this.#failure;
      this.#clock.soon(() => done(failure));
      return;
    }
    this.#waiting = done;
    this.#options.health.syncBegins();
    if (this.#markerWrite === null) this.#writeBatch();
  }

  position(): number {
    return this.#syncedPosition + this.#syncing.byteLength + this.#gathering.byteLength;
  }

  sizeBytes(): number {
    return this.position() - this.#segments[0]!.firstPosition;
  }

  dropBefore(position: number): Promise<void> {
    return this.#inUpkeep(async () => {
      let count = 0;
      while (count < this.#segments.length - 1) {
        if (this.#segments[count + 1]!.firstPosition > position) break;
        count++;
      }
      if (count === 0) return;
      const dropped = this.#segments.splice(0, count);
      try {
        await this.#saveHead();
      } catch (error) {
        this.#segments.unshift(...dropped);
        if (!mayPass(error)) throw error;
        this.#dropLater(position);
        return;
      }
      for (const { sequence } of dropped) {
        // One that stays is no longer counted and is removed at the next start.
        await this.#disk.remove(segmentPath(sequence)).catch((error: unknown) => {
          if (!mayPass(error)) throw error;
        });
      }
    });
  }

  /** What is dropped makes the room that others wait for. */
  #dropLater(position: number): void {
    this.#cancelDrop?.();
    if (this.#closed) return;
    this.#cancelDrop = this.#clock.after(DROP_RETRY_MS, () => {
      this.dropBefore(position).catch((error: Error) => this.#fail(error));
    });
  }

  /** Waits for a sync under way; records that were never synced are given up. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelMarker?.();
    this.#cancelPrepare?.();
    this.#cancelDrop?.();
    if (this.#waiting !== null && this.#cancelRetry === null) {
      const done = this.#waiting;
      await new Promise<void>((resolved) => {
        this.#waiting = (error) => {
          done(error);
          resolved();
        };
      });
    }
    if (this.#cancelRetry !== null) {
      this.#cancelRetry();
      this.#finishSync(new DiskError('ECANCELED', 'the log was closed before there was room'));
    }
    await this.#markerWrite;
    const prepared = await this.#prepared;
    await prepared?.close();
    if (this.#failure === null) await this.#inUpkeep(() => this.#saveHead());
    else await this.#upkeep.catch(() => {});
    await this.#file.close();
  }

  #writeBatch(): void {
    const batch = this.#gathering;
    this.#gathering = this.#syncing;
    this.#syncing = batch;
    this.#write(batch.seal(this.#walId, this.#syncedPosition, this.#syncedPosition));
  }

  #write(bytes: Uint8Array): void {
    const isFull = this.#offset + bytes.length + BATCH_HEADER_BYTES > this.#options.segmentBytes;
    if (isFull && this.#offset > 0) {
      this.#rotate().then(
        () => this.#writeAndSync(bytes),
        (error: Error) => this.#wrote(bytes, error),
      );
    } else this.#writeAndSync(bytes);
  }

  #writeAndSync(bytes: Uint8Array): void {
    this.#file.writeAndSync(this.#offset, bytes, (error) => {
      if (error === null) {
        this.#offset += bytes.length;
        this.#syncedPosition += bytes.length;
        this.#syncing.reset();
      }
      this.#wrote(bytes, error);
    });
  }

  #wrote(bytes: Uint8Array, error: Error | null): void {
    if (error === null || !mayPass(error) || this.#closed) return this.#finishSync(error);
    this.#options.health.stalled(error);
    this.#cancelRetry = this.#clock.after(RETRY_MS, () => {
      this.#cancelRetry = null;
      this.#write(bytes);
    });
  }

  #finishSync(error: Error | null): void {
    if (error !== null) this.#failure ??= error;
    const done = this.#waiting;
    assert(done !== null, 'a sync was asked for');
    this.#waiting = null;
    this.#options.health.syncEnded();
    this.#tellSpare();
    done(this.#failure);
    this.#armMarker();
  }

  /** Moves to the next segment. The one left behind is complete and synced (W1). */
  async #rotate(): Promise<void> {
    this.#cancelPrepare?.();
    this.#isRotating = true;
    try {
      await this.#moveOn();
    } catch (error) {
      this.#isRotating = false;
      this.#prepareLater();
      throw error;
    }
    this.#isRotating = false;
    this.#prepareAhead();
  }

  async #moveOn(): Promise<void> {
    const sequence = this.#segments.at(-1)!.sequence + 1;
    const next = (await this.#prepared) ?? (await this.#disk.open(segmentPath(sequence)));
    if (this.#failure !== null) throw this.#failure;
    const previous = this.#file;
    this.#prepared = NOTHING_PREPARED;
    this.#file = next;
    this.#offset = 0;
    this.#segments.push({ sequence, firstPosition: this.#syncedPosition });
    this.#inUpkeep(async () => {
      // The head helps to find a segment that has gone missing; an older one does not harm.
      await this.#saveHead().catch((error: Error) => this.#failUnlessPassing(error));
      await previous.close();
    }).catch((error: Error) => this.#fail(error));
  }

  /** Prepares the next segment; without room for it, again when there is some. */
  #prepareAhead(): void {
    this.#cancelPrepare?.();
    if (!this.#options.prepareAhead || this.#isRotating || this.#closed) return;
    const { health, segmentBytes } = this.#options;
    if (this.#isSpareMissing && health.freeBytes() < 2 * segmentBytes) return this.#prepareLater();
    this.#prepared = this.#prepareNext().then((file) => {
      this.#isSpareMissing = file === null;
      this.#tellSpare();
      if (file === null) this.#prepareLater();
      return file;
    });
  }

  /** A rotation under way prepares, or comes here, when it ends. */
  #prepareLater(): void {
    this.#cancelPrepare?.();
    if (this.#closed || this.#isRotating) return;
    this.#cancelPrepare = this.#clock.after(PREPARE_RETRY_MS, () => this.#prepareAhead());
  }

  /** Tells how much of the log's room is left once nothing can be prepared. */
  #tellSpare(): void {
    const left = Math.max(0, this.#options.segmentBytes - this.#offset);
    this.#options.health.spare(this.#isSpareMissing ? left : null);
  }

  /** The next segment filled with zeros, or null: it is then created when it is needed. */
  async #prepareNext(): Promise<DiskFile | null> {
    const path = segmentPath(this.#segments.at(-1)!.sequence + 1);
    const { segmentBytes } = this.#options;
    const zeros = new Uint8Array(Math.min(ZERO_FILL_BYTES, segmentBytes));
    let file: DiskFile | null = null;
    try {
      file = await this.#disk.open(path);
      for (let at = 0; at < segmentBytes && !this.#closed; at += zeros.length) {
        await file.write(at, zeros.subarray(0, Math.min(zeros.length, segmentBytes - at)));
      }
      await file.sync();
      return file;
    } catch (error) {
      // Without room ahead the WAL still has the rest of its segment.
      this.#failUnlessPassing(error as Error);
      const discarded = this.#discard(path, file);
      await discarded.catch((failure: Error) => this.#failUnlessPassing(failure));
      return null;
    }
  }

  async #discard(path: string, file: DiskFile | null): Promise<void> {
    await file?.close();
    await this.#disk.remove(path);
  }

  #fail(error: Error): void {
    this.#failure ??= error;
  }

  #failUnlessPassing(error: Error): void {
    if (!mayPass(error)) this.#fail(error);
  }

  #inUpkeep(work: () => Promise<void>): Promise<void> {
    const result = this.#upkeep.then(work);
    this.#upkeep = result.catch(() => {}); // the caller has the error; the next work still runs
    return result;
  }

  #saveHead(): Promise<void> {
    const first = this.#segments[0]!;
    return saveHead(this.#disk, {
      walId: this.#walId,
      firstSequence: first.sequence,
      firstPosition: first.firstPosition,
      syncedPosition: this.#syncedPosition,
    });
  }

  /** One timer at most: when it fires after a busy time it only starts again. */
  #armMarker(): void {
    if (this.#cancelMarker !== null || this.#closed || this.#failure !== null) return;
    const armedAt = this.#syncedPosition;
    this.#cancelMarker = this.#clock.after(this.#options.markerDelayMs, () => {
      this.#cancelMarker = null;
      const isIdle = this.#syncedPosition === armedAt && this.#waiting === null;
      if (isIdle && this.#markedPosition < armedAt) this.#writeMarker();
      else if (!isIdle) this.#armMarker();
    });
  }

  /** At the next batch's place, not waiting for its sync: it only helps, and is overwritten. */
  #writeMarker(): void {
    if (this.#failure !== null || this.#closed) return;
    this.#markedPosition = this.#syncedPosition;
    this.#markerWrite = this.#file
      .write(this.#offset, markerBytes(this.#walId, this.#syncedPosition))
      .catch((error: Error) => this.#failUnlessPassing(error))
      .then(() => {
        this.#markerWrite = null;
        if (this.#waiting === null) return;
        if (this.#failure === null) this.#writeBatch();
        else this.#finishSync(this.#failure);
      });
  }
}
