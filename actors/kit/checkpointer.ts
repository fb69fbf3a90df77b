import { LIMITS } from '../../protocol/limits.ts';
import type { StateStore, Wal, WalRecord } from '../../storage/ports.ts';
import type { TurnLoop, TurnMember } from './turn-loop.ts';

/** What a checkpoint needs of each replica. */
export interface Checkpointed extends TurnMember {
  readonly stream: number;
  appliedIndex(): number;
  onFlushed(appliedIndex: number): void;
  /** The whole durable state as records: hard state, then the retained tail of the log. */
  checkpoint(): Uint8Array[];
}

/**
 * Keeps the WAL short (ADR 0013). A checkpoint (1) makes the applied state durable in the engine,
 * (2) lets every log drop what is held there, except a tail for slow followers, (3) writes each
 * replica's whole durable state behind everything else, in one turn, and (4) drops the segments
 * before it. A crash between any two steps leaves more to replay, never less.
 */
export class Checkpointer implements TurnMember {
  readonly #loop: TurnLoop;
  readonly #wal: Wal;
  readonly #state: StateStore;
  readonly #replicas: () => readonly Checkpointed[];
  readonly #fatal: (reason: string, error: unknown) => void;
  #phase: 'idle' | 'flushing' | 'writing' = 'idle';
  #dropBefore: number | null = null;
  /** The end of the last checkpoint. */
  #lastEnd = 0;
  #done: (() => void) | null = null;

  constructor(
    loop: TurnLoop,
    wal: Wal,
    state: StateStore,
    replicas: () => readonly Checkpointed[],
    fatal: (reason: string, error: unknown) => void,
  ) {
    this.#loop = loop;
    this.#wal = wal;
    this.#state = state;
    this.#replicas = replicas;
    this.#fatal = fatal;
  }

  /** Whether so much was written since the last checkpoint that another pays. */
  isDue(): boolean {
    return (
      this.#wal.sizeBytes() >= LIMITS.walCheckpointBytes &&
      this.#wal.position() - this.#lastEnd >= LIMITS.walCheckpointBytes / 2
    );
  }

  /** Resolves when the old segments are gone; at once when a checkpoint is under way. */
  async run(): Promise<void> {
    if (this.#phase !== 'idle') return;
    this.#phase = 'flushing';
    try {
      const applied = this.#replicas().map((replica) => [replica, replica.appliedIndex()] as const);
      await this.#state.flush();
      for (const [replica, index] of applied) replica.onFlushed(index);
      const written = new Promise<void>((resolve) => {
        this.#done = resolve;
      });
      this.#phase = 'writing';
      for (const replica of this.#replicas()) this.#loop.wake(replica);
      this.#loop.wake(this);
      await written;
      const before = this.#dropBefore;
      this.#dropBefore = null;
      if (before !== null) await this.#wal.dropBefore(before);
    } catch (error) {
      // The node stops while its disk is full: the log has what the engine has not.
      if ((error as { code?: unknown }).code === 'ECANCELED') return;
      this.#fatal('a checkpoint could not be written', error);
    } finally {
      this.#phase = 'idle';
    }
  }

  step(): void {}

  takeRecords(into: WalRecord[]): void {
    if (this.#phase !== 'writing' || this.#dropBefore !== null) return;
    this.#dropBefore = this.#wal.position();
    for (const replica of this.#replicas()) {
      // Whatever the replica still holds goes first, so that the checkpoint is the later truth.
      replica.takeRecords(into);
      for (const payload of replica.checkpoint()) into.push({ stream: replica.stream, payload });
    }
  }

  releaseBeforeSync(): void {}

  afterSync(): void {
    if (this.#dropBefore === null) return;
    this.#lastEnd = this.#wal.position();
    this.#done?.();
    this.#done = null;
  }

  hear(): void {}

  hasWork(): boolean {
    return false;
  }

  hasMore(): boolean {
    return false;
  }

  hasInput(): boolean {
    return false;
  }

  isAwaited(): boolean {
    return false;
  }
}
