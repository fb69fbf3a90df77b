import { RATE_KINDS, type RateKind } from '../../protocol/demand.ts';
import { TokenBucket } from '../../protocol/token-bucket.ts';
import type { NodeId } from '../../protocol/types.ts';
import type { RateLimit } from './limit-row.ts';
import { OpenWatches } from './open-watches.ts';
import { DemandMeter, type HeardDemands, IDLE_PART, shareOf } from './shares.ts';

/** The amounts of a telling are thousandths. */
const TOLD_PARTS = 1_000;
const WATCHES = { open: RATE_KINDS.length, wanted: RATE_KINDS.length + 1 };
const WATCH_RETRY_MS = 1_000;

/** How far somebody is from their limit of requests: for `X-RateLimit-*`. */
export interface Standing {
  /** Requests per second, in the whole cluster. */
  readonly limit: number;
  /** That this node would serve at once. */
  readonly remaining: number;
  /** Until it would serve as many at once as it ever does. */
  readonly resetMs: number;
}

/** Why something is not done now. */
export interface Exhausted {
  readonly scope: string;
  readonly limit: RateKind | 'watchers';
  /** Per second, or at one time. */
  readonly max: number;
  /** Whole. */
  readonly retryAfterMs: number;
}

interface Rate {
  readonly kind: RateKind;
  readonly meter: DemandMeter;
  perSecond: number;
  capacity: number;
  readonly bucket: TokenBucket;
}

/** What this node knows of one scope: its share of what the cluster may serve it, and what it has used. Pure: time is a value. */
export class ScopeMeters {
  readonly scope: string;
  #limit: RateLimit;
  #rates = new Map<RateKind, Rate>();
  readonly #watches = new OpenWatches();
  #last: Exhausted | null = null;

  constructor(scope: string, limit: RateLimit, surroundings: Surroundings) {
    this.scope = scope;
    this.#limit = limit;
    this.setLimit(limit, surroundings);
  }

  setLimit(limit: RateLimit, surroundings: Surroundings): void {
    this.#limit = limit;
    const { nowMs } = surroundings;
    for (const kind of RATE_KINDS) {
      const max = rateOf(limit, kind);
      const before = this.#rates.get(kind);
      if (max === null) this.#rates.delete(kind);
      else if (before === undefined) {
        const rate = { kind, meter: new DemandMeter(), ...max };
        const share = this.#share(rate, surroundings);
        const bucket = new TokenBucket(max.perSecond * share, held(kind, max, share), nowMs);
        this.#rates.set(kind, { ...rate, bucket });
      } else Object.assign(before, max);
    }
    this.divide(surroundings);
  }

  /** Takes what is this node's, by what the others have told. */
  divide(surroundings: Surroundings): void {
    const { nowMs } = surroundings;
    for (const rate of this.#rates.values()) {
      const share = this.#share(rate, surroundings);
      rate.bucket.change(rate.perSecond * share, held(rate.kind, rate, share), nowMs);
    }
    this.#watches.divide(this.#limit.watchers, this.scope, WATCHES, surroundings);
  }

  /** Ends a window of `ms`. Returns what the other nodes are to be told; null: nothing. */
  tick(ms: number): readonly number[] | null {
    const told = RATE_KINDS.map((kind) => {
      const rate = this.#rates.get(kind);
      return Math.ceil((rate?.meter.tick(ms, rate.perSecond) ?? 0) * TOLD_PARTS);
    });
    const { open, wanted } = this.#watches.tick();
    // What is less than one in a thousand seconds is nothing.
    const isQuiet = wanted === 0 && told.every((amount) => amount <= 1);
    return isQuiet ? null : [...told, open, wanted];
  }

  /** The others were not told this time. */
  untold(): void {
    for (const { meter } of this.#rates.values()) meter.tellings.forget();
    this.#watches.untold();
  }

  /** Nothing would be lost with it. */
  isIdle(nowMs: number): boolean {
    if (this.#watches.count > 0) return false;
    for (const { meter, bucket } of this.#rates.values()) {
      if (meter.perSecond > 1 / TOLD_PARTS || bucket.tokens(nowMs) < bucket.capacity) return false;
    }
    return true;
  }

  /** Counts a request as asked for. Null: it may go on, once it is `take`n. */
  refusal(nowMs: number): Exhausted | null {
    for (const { kind, meter, bucket, perSecond } of this.#rates.values()) {
      if (kind === 'requests') meter.add(1);
      // Of bytes a debt is taken up to what one second brings, since nobody knows before what an answer has.
      const least = kind === 'requests' ? 1 : -bucket.capacity;
      const retryAfterMs = bucket.msUntil(least, nowMs);
      if (retryAfterMs > 0) return this.#exhausted(kind, perSecond, Math.ceil(retryAfterMs));
    }
    return null;
  }

  /** A request that is served. */
  take(nowMs: number): void {
    this.#rates.get('requests')?.bucket.take(1, nowMs);
  }

  /** Bytes that have come or gone. Returns for how long no more should, ms. */
  move(kind: RateKind, bytes: number, nowMs: number): number {
    const rate = this.#rates.get(kind);
    if (rate === undefined) return 0;
    rate.meter.add(bytes);
    rate.bucket.take(bytes, nowMs);
    return rate.bucket.msUntil(0, nowMs);
  }

  /** Until bytes of this kind may go on, ms. */
  debtMs(kind: RateKind, nowMs: number): number {
    return this.#rates.get(kind)?.bucket.msUntil(0, nowMs) ?? 0;
  }

  standing(nowMs: number): Standing | null {
    const rate = this.#rates.get('requests');
    if (rate === undefined) return null;
    const { bucket, perSecond } = rate;
    const remaining = Math.max(0, Math.floor(bucket.tokens(nowMs)));
    return { limit: perSecond, remaining, resetMs: bucket.msUntil(bucket.capacity, nowMs) };
  }

  /** Null: it is open, until `closeWatch`. */
  openWatch(): Exhausted | null {
    const { watchers } = this.#limit;
    if (this.#watches.open()) return null;
    const max = watchers ?? Number.POSITIVE_INFINITY;
    return { scope: this.scope, limit: 'watchers', max, retryAfterMs: WATCH_RETRY_MS };
  }

  closeWatch(): void {
    this.#watches.close();
  }

  /** The same one as long as it says the same: whoever shows it need not make it anew for each of many. */
  #exhausted(limit: RateKind, max: number, retryAfterMs: number): Exhausted {
    const last = this.#last;
    if (last?.limit === limit && last.max === max && last.retryAfterMs === retryAfterMs)
      return last;
    this.#last = { scope: this.scope, limit, max, retryAfterMs };
    return this.#last;
  }

  #share(
    { kind, perSecond, meter }: Pick<Rate, 'kind' | 'perSecond' | 'meter'>,
    { others, heard, nowMs }: Surroundings,
  ): number {
    const asked = {
      scope: this.scope,
      kind: RATE_KINDS.indexOf(kind),
      all: perSecond * TOLD_PARTS,
    };
    const theirs = heard.of(others, asked, nowMs).map((amount) => amount / TOLD_PARTS);
    return shareOf(perSecond, meter.tellings.own, theirs, IDLE_PART);
  }
}

/** What a node knows of the others. */
export interface Surroundings {
  readonly others: readonly NodeId[];
  readonly heard: HeardDemands;
  readonly nowMs: number;
}

function rateOf(limit: RateLimit, kind: RateKind): { perSecond: number; capacity: number } | null {
  const { requestsPerSecond, burst, bytesInPerSecond, bytesOutPerSecond } = limit;
  const perSecond =
    kind === 'requests'
      ? requestsPerSecond
      : kind === 'bytesIn'
        ? bytesInPerSecond
        : bytesOutPerSecond;
  if (perSecond === null) return null;
  return { perSecond, capacity: kind === 'requests' ? (burst ?? perSecond) : perSecond };
}

/** What a node may save up: its share, and of requests one at least, or it would never have one. */
function held(kind: RateKind, { capacity }: { capacity: number }, share: number): number {
  return kind === 'requests' ? Math.max(1, capacity * share) : capacity * share;
}
