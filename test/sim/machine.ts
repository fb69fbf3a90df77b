import type { Clock } from '../../protocol/clock.ts';
import type { Random } from '../../protocol/random.ts';
import type { StoragePorts } from '../../storage/ports.ts';
import type { Life } from './scheduler.ts';

/** What is wrong with a disk at the moment. */
export interface DiskTrouble {
  /** Extra time of every sync, ms. */
  slowMs: number;
  /** Syncs neither end nor fail until this is lifted. */
  hung: boolean;
  /** The next sync fails with EIO; the process must not go on. */
  failNextSync: boolean;
  /** Writes that need space fail with ENOSPC. */
  full: boolean;
  /** Every write fails with this code, e.g. EROFS or EMFILE; null for none. */
  writeError: string | null;
}

/** A moment in the life of a disk at which a fault can be aimed. */
export type DiskMoment =
  | { readonly type: 'syncBegins'; readonly path: string; readonly bytes: number }
  | { readonly type: 'syncEnded'; readonly path: string; readonly bytes: number }
  | { readonly type: 'fileChanges'; readonly path: string };

/** One machine's storage: it outlives processes, and loses what the fault says. */
export interface Machine {
  readonly trouble: DiskTrouble;
  /** Sees moments as they come; called in the middle of an event. */
  onMoment: (moment: DiskMoment) => void;
  /** The storage ports of one life. */
  open(
    life: Life,
    clock: Clock,
    random: Random,
    fatal: (reason: string, error: unknown) => void,
  ): StoragePorts;
  /** The process died; what it wrote stays in the page cache. */
  processDied(): void;
  /** The machine died: unsynced writes are lost, torn or kept, as the seed says. */
  powerCut(): void;
  /** A new, empty disk. */
  wipe(): void;
  /** Flips bits in the middle of the synced log; false when there is nothing to flip. */
  flipBits(): boolean;
}
