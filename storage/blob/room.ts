import { LIMITS } from '../../protocol/limits.ts';
import { DiskError } from '../disk/port.ts';
import type { DiskTrouble, DiskView } from '../ports.ts';

const CODE_OF: Readonly<Partial<Record<DiskTrouble, string>>> = {
  full: 'ENOSPC',
  'read-only': 'EROFS',
  'no-handles': 'EMFILE',
};

/**
 * Keeps chunks out of the disk's reserve, which is there for the log: the disk is asked a few times a second, and a
 * fast writer could fill it between two looks. So what was taken since the last one counts as used.
 */
export class Room {
  readonly #health: Pick<DiskView, 'trouble' | 'refusesWrites' | 'freeBytes'>;
  #freeBytes = 0;
  #takenBytes = 0;

  constructor(health: Pick<DiskView, 'trouble' | 'refusesWrites' | 'freeBytes'>) {
    this.#health = health;
  }

  /** Throws DiskError ENOSPC, EROFS or EMFILE when these bytes may not be written now. */
  take(bytes: number): void {
    if (this.#health.refusesWrites()) {
      const trouble = this.#health.trouble();
      const code = (trouble === null ? null : CODE_OF[trouble]) ?? 'ENOSPC';
      throw new DiskError(code, `the disk takes no chunks: ${trouble}`);
    }
    const freeBytes = this.#health.freeBytes();
    if (freeBytes !== this.#freeBytes) {
      this.#freeBytes = freeBytes;
      this.#takenBytes = 0;
    }
    if (freeBytes - this.#takenBytes - bytes < LIMITS.diskReserveBytes) {
      throw new DiskError('ENOSPC', 'the disk takes no chunks: what is left of it is for the log');
    }
    this.#takenBytes += bytes;
  }
}
