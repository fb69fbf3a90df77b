/** A sync in place that takes longer, on average, would keep others waiting for more than two trips to a thread do. */
const MEAN_MS_MAX = 1;
const MEAN_OVER = 16;
/** One such sync is enough: the disk is not to be waited for. */
const LONG_MS = 10;
/** Larger batches take longer, and while they are written there is much else to do. */
const BYTES_MAX = 64 * 1024;
/** So many syncs on another thread have to be quick, one after another, before the next one is done in place. */
const TRUST_MIN = 64;
const TRUST_MAX = 4_096;
/** After so many in place the disk is trusted as at first. */
const RELIED_ON = 1_000;

/**
 * Whether a batch is written and synced where it is asked for, with nothing else going on, or on another thread.
 * On a quick disk the two trips to the other thread and back cost several times of what the sync takes; of a slow or
 * hung one, at most one sync is waited for until it has been quick for a while, each time for longer (ADR 0049).
 */
export class SyncPlace {
  #trust = 0;
  #needed = TRUST_MIN;
  #meanMs = 0;
  #inPlace = 0;

  isHere(bytes: number): boolean {
    return this.#trust >= this.#needed && bytes <= BYTES_MAX;
  }

  /** A sync was done in place. */
  tookHere(ms: number): void {
    this.#meanMs += (ms - this.#meanMs) / MEAN_OVER;
    if (ms < LONG_MS && this.#meanMs < MEAN_MS_MAX) {
      if (++this.#inPlace === RELIED_ON) this.#needed = TRUST_MIN;
      return;
    }
    this.#needed = Math.min(TRUST_MAX, this.#needed * 2);
    this.#trust = 0;
    this.#meanMs = 0;
    this.#inPlace = 0;
  }

  /** One was done on another thread; the way there and back is in its time. */
  tookThere(ms: number): void {
    this.#trust = ms < LONG_MS ? Math.min(TRUST_MAX, this.#trust + 1) : 0;
  }
}
