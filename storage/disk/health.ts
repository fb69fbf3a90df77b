import type { Clock } from '../../protocol/clock.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { DiskTrouble } from '../ports.ts';
import { type Disk, DiskError } from './port.ts';

/** An average sync above this makes a disk slow, one below half of it heals it. */
const SLOW_SYNC_MS = 100;
/** Fewer syncs than this say nothing, and so do syncs longer ago than this. */
const SLOW_SYNCS_MIN = 8;
const SLOW_MEMORY_MS = 10_000;
const AVERAGE_OVER = 8;
/** look() is called this often, if the process gets its share of the processor. */
const LOOK_MS = 250;
/** A disk that has not ended a sync for this long is stalled. */
const STALLED_MS = 1_000;
const HEALED_SHARE = 1.25;

const TROUBLE_OF: Readonly<Record<string, DiskTrouble>> = {
  ENOSPC: 'full',
  EDQUOT: 'full',
  EROFS: 'read-only',
  EMFILE: 'no-handles',
  ENFILE: 'no-handles',
};

/**
 * What is known about the disk of a data folder, so that new writes can be refused while there is
 * still room for what must be written: votes, terms, and what was acknowledged. Told by the WAL of its
 * syncs; asks the disk itself whenever look() is called.
 */
export class DiskHealth {
  readonly #disk: Disk;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  #freeBytes = Number.MAX_SAFE_INTEGER;
  #obstacle: DiskTrouble | null = null;
  #isFull = false;
  /** Room left in the WAL's segment when the next one could not be prepared; null when it could. */
  #spareBytes: number | null = null;
  #stalledBy: Error | null = null;
  #syncStartMs: number | null = null;
  #syncEndMs = 0;
  #syncMs = 0;
  #syncs = 0;
  #lookedAtMs: number | null = null;
  /** How late look() was called: a starved process takes every sync for a long one. */
  #lagMs = 0;
  #isSlow = false;

  constructor(disk: Disk, clock: Pick<Clock, 'monotonicMs'>) {
    this.#disk = disk;
    this.#clock = clock;
  }

  /** Asks the disk. Never rejects. Called a few times a second. */
  async look(): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    this.#lagMs = Math.max(0, nowMs - (this.#lookedAtMs ?? nowMs) - LOOK_MS);
    this.#lookedAtMs = nowMs;
    try {
      this.#freeBytes = await this.#disk.freeBytes();
      this.#obstacle = null;
    } catch (error) {
      this.#obstacle = error instanceof DiskError ? (TROUBLE_OF[error.code] ?? null) : null;
    }
    const reserve = LIMITS.diskReserveBytes;
    const wanted = this.#isFull ? reserve * HEALED_SHARE : reserve;
    this.#isFull = this.#freeBytes < wanted && this.#freeBytes + reserve < Number.MAX_SAFE_INTEGER;
    if (nowMs - this.#syncEndMs > SLOW_MEMORY_MS) this.#isSlow = false;
  }

  trouble(): DiskTrouble | null {
    if (this.#obstacle !== null) return this.#obstacle;
    if (this.#isFull || this.#isShort(2)) return 'full';
    if (this.#stalledBy instanceof DiskError) return TROUBLE_OF[this.#stalledBy.code] ?? 'stalled';
    const startMs = this.#syncStartMs;
    if (startMs !== null && this.#clock.monotonicMs() - startMs > STALLED_MS) return 'stalled';
    return this.#isSlow ? 'slow' : null;
  }

  /** Whether new writes have to be refused. */
  refusesWrites(): boolean {
    const trouble = this.trouble();
    return trouble !== null && trouble !== 'slow' && trouble !== 'stalled';
  }

  /** Whether entries of a leader may still be taken: further down than for clients' own writes. */
  takesEntries(): boolean {
    if (this.#obstacle === 'read-only' || this.#obstacle === 'full') return false;
    return (
      this.#stalledBy === null &&
      this.#freeBytes >= LIMITS.diskReserveBytes / 2 &&
      !this.#isShort(4)
    );
  }

  /** Whether the engine may write: it must never meet the end of the disk in the middle of its own files. */
  feedsEngine(): boolean {
    return this.#obstacle === null && this.#freeBytes >= LIMITS.diskReserveBytes / 2;
  }

  freeBytes(): number {
    return this.#freeBytes;
  }

  // Told by the WAL.

  syncBegins(): void {
    this.#syncStartMs = this.#clock.monotonicMs();
  }

  syncEnded(): void {
    const nowMs = this.#clock.monotonicMs();
    const tookMs = Math.max(0, nowMs - (this.#syncStartMs ?? nowMs) - this.#lagMs);
    if (nowMs - this.#syncEndMs > SLOW_MEMORY_MS) this.#syncs = 0;
    this.#syncMs =
      this.#syncs === 0 ? tookMs : this.#syncMs + (tookMs - this.#syncMs) / AVERAGE_OVER;
    this.#syncs++;
    this.#syncStartMs = null;
    this.#syncEndMs = nowMs;
    this.#stalledBy = null;
    if (this.#syncMs > SLOW_SYNC_MS) this.#isSlow ||= this.#syncs >= SLOW_SYNCS_MIN;
    else if (this.#syncMs < SLOW_SYNC_MS / 2) this.#isSlow = false;
  }

  /** A write found no room and will be tried again. */
  stalled(error: Error): void {
    this.#stalledBy = error;
  }

  /** What is left of the WAL's segment while the next one finds no room; null when all is well. */
  spare(bytes: number | null): void {
    this.#spareBytes = bytes;
  }

  /** Whether less than that part of a segment is prepared. */
  #isShort(part: number): boolean {
    return this.#spareBytes !== null && this.#spareBytes < LIMITS.walSegmentBytes / part;
  }
}
