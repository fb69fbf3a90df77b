import type { Ports } from '../../../actors/kit/ports.ts';
import type { Clock } from '../../../protocol/clock.ts';
import type { Wal } from '../../../storage/ports.ts';

/** Ports whose WAL says "synced" at once and syncs afterwards (B14). */
export function withEarlyAck(ports: Ports): Ports {
  const { storage, clock } = ports;
  return {
    ...ports,
    storage: {
      ...storage,
      openWal: async (visit) => {
        const { wal, recovery } = await storage.openWal(visit);
        return { wal: wal === null ? null : new EarlyAckWal(wal, clock), recovery };
      },
    },
  };
}

class EarlyAckWal implements Wal {
  readonly #wal: Wal;
  readonly #clock: Clock;
  #isSyncing = false;
  #isAsked = false;

  constructor(wal: Wal, clock: Clock) {
    this.#wal = wal;
    this.#clock = clock;
  }

  append(records: Parameters<Wal['append']>[0]): number {
    return this.#wal.append(records);
  }

  sync(done: (error: Error | null) => void): void {
    this.#clock.soon(() => done(null));
    this.#isAsked = true;
    this.#syncBehind();
  }

  position(): number {
    return this.#wal.position();
  }

  sizeBytes(): number {
    return this.#wal.sizeBytes();
  }

  dropBefore(position: number): Promise<void> {
    return this.#wal.dropBefore(position);
  }

  close(): Promise<void> {
    return this.#wal.close();
  }

  #syncBehind(): void {
    if (this.#isSyncing || !this.#isAsked) return;
    this.#isSyncing = true;
    this.#isAsked = false;
    this.#wal.sync(() => {
      this.#isSyncing = false;
      this.#syncBehind();
    });
  }
}
