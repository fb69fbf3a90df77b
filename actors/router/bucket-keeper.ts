import type { Telemetry } from '../../observability/port.ts';
import { onlyRefusals } from '../../protocol/errors.ts';
import type { RoutedBuckets } from './buckets.ts';

/** Looks are so many ticks apart, and take so long at most. */
const RESTING_TICKS = 10;
const LOOK_MS = 5_000;

export interface BucketKeeperHost {
  readonly buckets: Pick<RoutedBuckets, 'finishAll'>;
  readonly telemetry: Telemetry;
  leadsMeta(): boolean;
}

/**
 * Beside the meta group's leader: finishes changes and deletions of buckets whose gateway went away. All of it is
 * steps that may be taken twice, so it does not matter when the gateway is only slow.
 */
export class BucketKeeper {
  readonly #host: BucketKeeperHost;
  #waited = 0;
  #looking = false;
  #stopped = false;

  constructor(host: BucketKeeperHost) {
    this.#host = host;
  }

  /** Called about twice a second. */
  tick(): void {
    if (this.#stopped || this.#looking || !this.#host.leadsMeta()) return;
    if (this.#waited++ < RESTING_TICKS) return;
    this.#waited = 0;
    this.#looking = true;
    this.#host.buckets
      .finishAll(LOOK_MS)
      .then((finished) => {
        if (finished > 0) this.#host.telemetry.count('buckets_finished', finished);
      })
      .catch(onlyRefusals)
      .finally(() => {
        this.#looking = false;
      });
  }

  stop(): void {
    this.#stopped = true;
  }
}
