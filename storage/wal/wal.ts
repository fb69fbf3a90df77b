import { assert } from '../../protocol/assert.ts';
import type { Clock } from '../../protocol/clock.ts';
import type { Random } from '../../protocol/random.ts';
import { type Disk, DiskError, type DiskFile } from '../disk/port.ts';
import type { Wal, WalRecord } from '../ports.ts';
import { saveHead, segmentPath } from './head.ts';
import { BATCH_HEADER_BYTES, BatchBuffer, markerBytes } from './record.ts';

/** Bytes of zeros written at once while a segment is prepared. */
const ZERO_FILL_BYTES = 1024 * 1024;

export interface WalOptions {
  /** Bytes of one segment file; one larger batch makes one larger segment. */
  readonly segmentBytes: number;
  /** After a sync and this long without another one, a marker covers the last batch. */
  readonly markerDelayMs: number;
  /** Fill the next segment with zeros in the background: halves fdatasync on a real disk. */
  readonly prepareAhead: boolean;
  /** Draws the id of a new WAL. */
  readonly random: Random;
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
  #prepared: Promise<DiskFile | null>;
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
    this.#prepared = this.#prepareNext();
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
      await this.#saveHead();
      for (const segment of dropped) await this.#disk.remove(segmentPath(segment.sequence));
    });
  }

  /** Waits for a sync under way; records that were never synced are given up. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelMarker?.();
    if (this.#waiting !== null) {
      const done = this.#waiting;
      await new Promise<void>((resolved) => {
        this.#waiting = (error) => {
          done(error);
          resolved();
        };
      });
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
    const bytes = batch.seal(this.#walId, this.#syncedPosition, this.#syncedPosition);
    const isFull = this.#offset + bytes.length + BATCH_HEADER_BYTES > this.#options.segmentBytes;
    if (isFull && this.#offset > 0) {
      this.#rotate().then(
        () => this.#writeAndSync(bytes),
        (error: Error) => this.#finishSync(error),
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
      this.#finishSync(error);
    });
  }

  #finishSync(error: Error | null): void {
    if (error !== null) this.#failure ??= error;
    const done = this.#waiting;
    assert(done !== null, 'a sync was asked for');
    this.#waiting = null;
    done(this.#failure);
    this.#armMarker();
  }

  /** Moves to the next segment. The one left behind is complete and synced (W1). */
  async #rotate(): Promise<void> {
    const sequence = this.#segments.at(-1)!.sequence + 1;
    const next = (await this.#prepared) ?? (await this.#disk.open(segmentPath(sequence)));
    if (this.#failure !== null) throw this.#failure;
    const previous = this.#file;
    this.#file = next;
    this.#offset = 0;
    this.#segments.push({ sequence, firstPosition: this.#syncedPosition });
    this.#prepared = this.#prepareNext();
    this.#inUpkeep(async () => {
      await this.#saveHead();
      await previous.close();
    }).catch((error: Error) => this.#fail(error));
  }

  /** The next segment filled with zeros, or null: it is then created when it is needed. */
  async #prepareNext(): Promise<DiskFile | null> {
    if (!this.#options.prepareAhead) return null;
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
      // Without room ahead the WAL still has the rest of its segment; the sync that needs more will tell.
      if (!(error instanceof DiskError) || error.code !== 'ENOSPC') this.#fail(error as Error);
      await this.#discard(path, file).catch((failure: Error) => this.#fail(failure));
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
      .catch((error: Error) => this.#fail(error))
      .then(() => {
        this.#markerWrite = null;
        if (this.#waiting === null) return;
        if (this.#failure === null) this.#writeBatch();
        else this.#finishSync(this.#failure);
      });
  }
}
