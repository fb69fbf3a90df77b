import type { Clock } from '../../protocol/clock.ts';
import type { DataKeyStatus, ResealProgress, SealedPlace } from '../../protocol/sealing-keys.ts';
import type { FolderKeys } from './folder-keys.ts';
import type { DataKeyring, MasterKeys } from './keyring.ts';
import { AtRestError } from './keyring-file.ts';
import { PLACES, type Place, type Walk } from './places.ts';

/** Between two steps at least; a step that took longer is followed by a pause as long as itself. */
const PAUSE_MS_MIN = 2;
const PAUSE_MS_MAX = 1_000;
/** Before everything is looked at again: files were open that are written under an older key. */
const OPEN_AGAIN_MS = 1_000;
/** The same after a failure, or where something did not open: others mend it meanwhile. */
const FAILED_AGAIN_MS = 30_000;

export interface RotationParts {
  readonly keys: FolderKeys;
  readonly ring: DataKeyring;
  readonly clock: Clock;
  log(level: 'info' | 'warn', text: string, more: Readonly<Record<string, unknown>>): void;
  /** So many things in a place were sealed anew. */
  resealed(place: SealedPlace, count: number): void;
  /** So many data keys are in the folder. */
  counted(dataKeys: number): void;
}

/**
 * Moves a data folder from one data key to the next while it is used. The new key is kept first, then everything new is
 * sealed with it, then what is sealed under an older one is sealed anew, place by place, and at last the older keys
 * are dropped. A keyring with more than one key says that this is not done: the next life goes on with it.
 */
export class KeyRotation {
  readonly #parts: RotationParts;
  #places: readonly Place[] = [];
  #progress: Partial<Record<SealedPlace, ResealProgress>> = {};
  #state: DataKeyStatus['state'] = 'idle';
  #at: SealedPlace | null = null;
  #rounds = 0;
  #error: string | null = null;
  #running: Promise<void> | null = null;
  /** Changes of the keyring, one after another. */
  #ringWork: Promise<void> = Promise.resolve();
  #isStopped = false;
  #wake = (): void => {};

  constructor(parts: RotationParts) {
    this.#parts = parts;
    parts.counted(parts.keys.numbers.length);
  }

  /** The stores are open: goes on with what an earlier life has left. */
  open(places: readonly Place[]): void {
    this.#places = PLACES.flatMap((name) => places.find((place) => place.name === name) ?? []);
    this.#start();
  }

  status(): DataKeyStatus {
    const { keys } = this.#parts;
    return {
      dataKey: keys.current,
      dataKeys: keys.numbers,
      state: this.#state,
      at: this.#at,
      places: { ...this.#progress },
      rounds: this.#rounds,
      error: this.#error,
    };
  }

  /**
   * Resolves with the number of a new data key once it is kept and seals whatever is written. Rejects with AtRestError
   * while an older one is still needed.
   */
  begin(): Promise<number> {
    const { keys, ring, log } = this.#parts;
    return this.#inRing(async () => {
      if (keys.numbers.length > 1) {
        throw new AtRestError('the last rotation of the data key is not at its end');
      }
      const key = await ring.begin();
      keys.add(keys.current + 1, key);
      this.#parts.counted(keys.numbers.length);
      log('info', 'a new data key seals what is written', { dataKey: keys.current });
      this.#rounds = 0;
      this.#start();
      return keys.current;
    });
  }

  /** Wraps the data keys under the current one of these. */
  rewrap(masters: MasterKeys): Promise<void> {
    return this.#inRing(() => this.#parts.ring.rewrap(masters));
  }

  /** Resolves when nothing more is written. What is not done is gone on with in the next life. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#wake();
    await this.#running;
  }

  #start(): void {
    const isDue = this.#parts.keys.numbers.length > 1 && this.#places.length > 0;
    if (!isDue || this.#isStopped) return;
    this.#running ??= this.#run().finally(() => {
      this.#running = null;
      this.#start(); // another one may have begun at the last moment
    });
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      this.#state = 'resealing';
      const againMs = await this.#round();
      this.#at = null;
      if (againMs === null) {
        this.#state = 'idle';
        return;
      }
      this.#state = 'waiting';
      await this.#pause(againMs);
    }
  }

  /** Null: all is under one key, and the others are dropped. Else when to look again, ms. Never rejects. */
  async #round(): Promise<number | null> {
    const { keys, log } = this.#parts;
    // What such a file gets is sealed under the older key until it is closed.
    const hadOldWriters = keys.hasOldWriters;
    this.#rounds++;
    this.#progress = {};
    try {
      for (const place of this.#places) {
        this.#at = place.name;
        await this.#walk(place);
        if (this.#isStopped) return 0;
      }
      this.#error = null;
      const damaged = Object.values(this.#progress).reduce((all, { damaged }) => all + damaged, 0);
      if (damaged > 0) {
        log('warn', 'some of what is sealed under an older data key does not open', { damaged });
        return FAILED_AGAIN_MS;
      }
      if (hadOldWriters) return OPEN_AGAIN_MS;
      await this.#inRing(async () => {
        await this.#parts.ring.drop();
        keys.drop();
        this.#parts.counted(1);
      });
      log('info', 'all is sealed under one data key; the older ones are dropped', {
        dataKey: keys.current,
        ...resealedOf(this.#progress),
      });
      return null;
    } catch (error) {
      if (this.#isStopped) return 0;
      this.#error = error instanceof Error ? error.message : String(error);
      log('warn', 'sealing anew has failed, and is tried again', { error, at: this.#at });
      return FAILED_AGAIN_MS;
    }
  }

  async #walk(place: Place): Promise<void> {
    const { clock } = this.#parts;
    const walk: Walk = await place.walk();
    let now: ResealProgress = { seen: 0, total: walk.total, resealed: 0, damaged: 0 };
    this.#progress[place.name] = now;
    while (!this.#isStopped) {
      const beganMs = clock.monotonicMs();
      const step = await walk.step();
      if (step === null) return;
      now = {
        seen: now.seen + step.seen,
        total: walk.total,
        resealed: now.resealed + step.resealed,
        damaged: now.damaged + step.damaged,
      };
      this.#progress[place.name] = now;
      if (step.resealed > 0) this.#parts.resealed(place.name, step.resealed);
      const tookMs = clock.monotonicMs() - beganMs;
      await this.#pause(Math.min(PAUSE_MS_MAX, Math.max(PAUSE_MS_MIN, tookMs)));
    }
  }

  #pause(ms: number): Promise<void> {
    if (this.#isStopped) return Promise.resolve();
    return new Promise((resolved) => {
      const cancel = this.#parts.clock.after(ms, resolved);
      this.#wake = () => {
        cancel();
        resolved();
      };
    });
  }

  #inRing<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#ringWork.then(work);
    this.#ringWork = result.then(
      () => {},
      () => {}, // the caller has the error
    );
    return result;
  }
}

function resealedOf(
  progress: Partial<Record<SealedPlace, ResealProgress>>,
): Record<string, number> {
  return Object.fromEntries(
    Object.entries(progress).map(([name, { resealed }]) => [name, resealed]),
  );
}
