import { assert } from '../../protocol/assert.ts';
import type { Clock } from '../../protocol/clock.ts';
import type { Random } from '../../protocol/random.ts';
import type { BatchSeal } from '../at-rest/batch-seal.ts';
import type { DiskHealth } from '../disk/health.ts';
import { type Disk, DiskError, type DiskFile, isDamage, mayPass, SyncError } from '../disk/port.ts';
import type { Wal, WalRecord } from '../ports.ts';
import { saveHead, segmentPath } from './head.ts';
import { BATCH_HEADER_BYTES, BatchBuffer, markerBytes } from './record.ts';
import { resealSegment } from './reseal.ts';
import { type SpareOptions, SpareSegment } from './spare-segment.ts';
import { SyncPlace } from './sync-place.ts';

/** Pause before what found no room, no handle or a read-only disk is tried again. */
const RETRY_MS = 250;
const DROP_RETRY_MS = 2_000;

export interface WalOptions extends SpareOptions {
  /** After a sync and this long without another one, a marker covers the last batch. */
  readonly markerDelayMs: number;
  /** Draws the id of a new WAL. */
  readonly random: Random;
  /** Told of every sync, and of the room that is left. */
  readonly health: DiskHealth;
  /** Seals and opens the batches of this life; null for a log in clear. */
  readonly seal: BatchSeal | null;
}

export interface Segment {
  readonly sequence: number;
  /** Position of the segment's first byte. */
  readonly firstPosition: number;
}

/** What became of a segment that was to be sealed anew. */
export interface Resealed {
  readonly sequence: number;
  readonly isChanged: boolean;
  readonly isDamaged: boolean;
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
  readonly #spare: SpareSegment;
  #file: DiskFile;
  #offset: number;
  #syncedPosition: number;
  #gathering: BatchBuffer;
  #syncing: BatchBuffer;
  #waiting: ((error: Error | null) => void) | null = null;
  readonly #place = new SyncPlace();
  /** Of the sync that was asked for last. */
  #mayBlock = false;
  #cancelRetry: (() => void) | null = null;
  #cancelDrop: (() => void) | null = null;
  /** Head writes and removals, one after another. */
  #upkeep: Promise<void> = Promise.resolve();
  #failure: Error | null = null;
  #closed = false;
  #cancelMarker: (() => void) | null = null;
  /** A marker's write, or the move to another segment, while no batch is under way. */
  #between: Promise<void> | null = null;
  /** Who waits for the segment to end. */
  readonly #ending: ((error: Error | null) => void)[] = [];
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
    this.#gathering = new BatchBuffer(options.seal);
    this.#syncing = new BatchBuffer(options.seal);
    this.#spare = new SpareSegment(disk, clock, options, {
      nextSequence: () => this.#nextSequence(),
      leftBytes: () => Math.max(0, options.segmentBytes - this.#offset),
      failed: (error) => this.#failUnlessPassing(error),
    });
    this.#spare.prepare();
    this.#armMarker();
  }

  append(records: readonly WalRecord[]): number {
    assert(!this.#closed, 'the WAL is open');
    for (const record of records) this.#gathering.add(record);
    return this.position();
  }

  sync(done: (error: Error | null) => void, mayBlock = false): void {
    assert(!this.#closed && this.#waiting === null, 'one sync at a time');
    this.#mayBlock = mayBlock;
    if (this.#failure !== null || this.#gathering.byteLength === 0) {
      const failure = this.#failure;
      this.#clock.soon(() => done(failure));
      return;
    }
    this.#waiting = done;
    this.#options.health.syncBegins();
    if (this.#between === null) this.#writeBatch();
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

  /**
   * Resolves when all that was synced before is in complete segments; what follows goes to another one. Rejects, and
   * may be asked again, where the disk has no room for that.
   */
  endSegment(): Promise<void> {
    return new Promise((resolved, rejected) => {
      this.#ending.push((error) => (error === null ? resolved() : rejected(error)));
      if (this.#waiting === null && this.#between === null) this.#endNow();
    });
  }

  /**
   * The next complete segment behind this sequence number, null where there is none: its batches are under the data key
   * that seals now when this resolves, written anew where they were not; one that is damaged is as it was.
   */
  resealNext(after: number): Promise<Resealed | null> {
    return this.#inUpkeep(async () => {
      const { seal } = this.#options;
      const at = this.#segments.findIndex(({ sequence }) => sequence > after);
      const [segment, next] = at < 0 ? [] : this.#segments.slice(at, at + 2);
      if (segment === undefined || next === undefined || seal === null || this.#closed) return null;
      const { sequence } = segment;
      const parts = { disk: this.#disk, clock: this.#clock, walId: this.#walId, seal };
      try {
        const isChanged = await resealSegment(parts, segment, next.firstPosition);
        return { sequence, isChanged, isDamaged: false };
      } catch (error) {
        if (isDamage(error)) return { sequence, isChanged: false, isDamaged: true };
        if (error instanceof SyncError) this.#fail(error); // names in the log's folder are in doubt
        throw error;
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
    this.#spare.stop();
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
    await this.#between;
    await this.#spare.close();
    if (this.#failure === null) await this.#inUpkeep(() => this.#saveHead());
    else await this.#upkeep;
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
      this.#spare
        .rotate((next) => this.#moveTo(next))
        .then(
          () => this.#writeAndSync(bytes),
          (error: Error) => this.#wrote(bytes, error),
        );
    } else this.#writeAndSync(bytes);
  }

  #writeAndSync(bytes: Uint8Array): void {
    const startMs = this.#clock.monotonicMs();
    if (this.#mayBlock && this.#place.isHere(bytes.length)) {
      this.#mayBlock = false;
      const error = this.#file.writeAndSyncHere?.(this.#offset, bytes);
      if (error !== undefined) {
        this.#place.tookHere(this.#clock.monotonicMs() - startMs);
        this.#wrote(bytes, error);
        return;
      }
    }
    this.#file.writeAndSync(this.#offset, bytes, (error) => {
      this.#place.tookThere(this.#clock.monotonicMs() - startMs);
      this.#wrote(bytes, error);
    });
  }

  #wrote(bytes: Uint8Array, error: Error | null): void {
    if (error === null) {
      this.#offset += bytes.length;
      this.#syncedPosition += bytes.length;
      this.#syncing.reset();
    }
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
    this.#spare.tell();
    if (this.#ending.length > 0) this.#endNow();
    done(this.#failure);
    this.#armMarker();
  }

  #nextSequence(): number {
    return this.#segments.at(-1)!.sequence + 1;
  }

  /** Goes on in the next segment. The one left behind is complete and synced (W1). */
  #moveTo(next: DiskFile): void {
    if (this.#failure !== null) throw this.#failure;
    const previous = this.#file;
    const sequence = this.#nextSequence();
    this.#file = next;
    this.#offset = 0;
    this.#segments.push({ sequence, firstPosition: this.#syncedPosition });
    this.#inUpkeep(async () => {
      // The head helps to find a segment that has gone missing; an older one does not harm.
      await this.#saveHead().catch((error: Error) => this.#failUnlessPassing(error));
      await previous.close();
    }).catch((error: Error) => this.#fail(error));
  }

  #fail(error: Error): void {
    this.#failure ??= error;
  }

  #failUnlessPassing(error: Error): void {
    if (!mayPass(error)) this.#fail(error);
  }

  #inUpkeep<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#upkeep.then(work);
    this.#upkeep = result.then(
      () => {},
      () => {},
    ); // the caller has the error; the next work still runs
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
      const isFree = this.#waiting === null && this.#between === null;
      const isIdle = this.#syncedPosition === armedAt && isFree;
      if (isIdle && this.#markedPosition < armedAt) this.#writeMarker();
      else if (!isIdle) this.#armMarker();
    });
  }

  /** At the next batch's place, not waiting for its sync: it only helps, and is overwritten. */
  #writeMarker(): void {
    if (this.#failure !== null || this.#closed) return;
    this.#markedPosition = this.#syncedPosition;
    const marked = this.#file
      .write(this.#offset, markerBytes(this.#walId, this.#syncedPosition))
      .catch((error: Error) => this.#failUnlessPassing(error));
    this.#goOnBehind(marked);
  }

  /** A batch waits until this has ended. */
  #goOnBehind(work: Promise<void>): void {
    this.#between = work.then(() => {
      this.#between = null;
      if (this.#ending.length > 0) this.#endNow();
      if (this.#waiting === null || this.#between !== null) return;
      if (this.#failure === null) this.#writeBatch();
      else this.#finishSync(this.#failure);
    });
  }

  #endNow(): void {
    const ended = this.#ending.splice(0);
    const tell = (error: Error | null) => {
      for (const done of ended) done(error);
    };
    if (this.#failure !== null) return tell(this.#failure);
    if (this.#closed) return tell(new DiskError('ECANCELED', 'the log is closed'));
    if (this.#offset === 0) return tell(null);
    const rotated = this.#spare.rotate((next) => this.#moveTo(next));
    this.#goOnBehind(rotated.then(() => tell(null), tell));
  }
}
