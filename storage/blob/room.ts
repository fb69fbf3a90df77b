import type { Clock } from '../../protocol/clock.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { DiskError } from '../disk/port.ts';
import type { DiskTrouble, DiskView } from '../ports.ts';

const CODE_OF: Readonly<Partial<Record<DiskTrouble, string>>> = {
  full: 'ENOSPC',
  'read-only': 'EROFS',
  'no-handles': 'EMFILE',
};

/** After this long the disk has been asked again. */
const LOOKED_MS = 1_000;

/**
 * Keeps chunks out of the disk's reserve, which is there for the log: the disk is asked a few times a second, and a
 * fast writer could fill it between two looks. So what was taken since the last one counts as used.
 */
export class Room {
  readonly #health: Pick<DiskView, 'trouble' | 'refusesWrites' | 'freeBytes'>;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  #freeBytes = 0;
  #takenBytes = 0;
  #sinceMs = 0;

  constructor(
    health: Pick<DiskView, 'trouble' | 'refusesWrites' | 'freeBytes'>,
    clock: Pick<Clock, 'monotonicMs'>,
  ) {
    this.#health = health;
    this.#clock = clock;
  }

  /** Throws DiskError ENOSPC, EROFS or EMFILE when these bytes may not be written now. */
  take(bytes: number): void {
    if (this.#health.refusesWrites()) {
      const trouble = this.#health.trouble();
      const code = (trouble === null ? null : CODE_OF[trouble]) ?? 'ENOSPC';
      throw new DiskError(code, `the disk takes no chunks: ${trouble}`);
    }
    const freeBytes = this.#health.freeBytes();
    const nowMs = this.#clock.monotonicMs();
    // Some file systems always say the same: what was taken long ago is in it, if it is in any.
    if (freeBytes !== this.#freeBytes || nowMs - this.#sinceMs > LOOKED_MS) {
      this.#sinceMs = nowMs;
      this.#freeBytes = freeBytes;
      this.#takenBytes = 0;
    }
    if (freeBytes - this.#takenBytes - bytes < LIMITS.diskReserveBytes) {
      throw new DiskError('ENOSPC', 'the disk takes no chunks: what is left of it is for the log');
    }
    this.#takenBytes += bytes;
  }
}
