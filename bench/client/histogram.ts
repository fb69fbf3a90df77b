/**
 * Latencies in whole microseconds, in buckets that are exact below 128 and at most 1/64 wide above. A
 * record costs a few instructions and no memory, so that measuring does not slow what is measured.
 */
const SUB_BITS = 6;
const SUB_COUNT = 1 << SUB_BITS;
const LINEAR_MAX = SUB_COUNT * 2;
const BUCKETS = LINEAR_MAX + (31 - SUB_BITS) * SUB_COUNT;
const MICROSECONDS_MAX = 2 ** 31 - 1;

export interface LatencySummary {
  readonly count: number;
  readonly meanUs: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly maxUs: number;
}

export class Histogram {
  readonly #buckets = new Uint32Array(BUCKETS);
  #count = 0;
  #sum = 0;
  #max = 0;

  /** Fractions of a microsecond are dropped; more than 35 minutes counts as 35 minutes. */
  record(us: number): void {
    const value = us >= MICROSECONDS_MAX ? MICROSECONDS_MAX : us < 0 ? 0 : us | 0;
    const at = bucketOf(value);
    this.#buckets[at] = (this.#buckets[at] as number) + 1;
    this.#count++;
    this.#sum += value;
    if (value > this.#max) this.#max = value;
  }

  clear(): void {
    this.#buckets.fill(0);
    this.#count = 0;
    this.#sum = 0;
    this.#max = 0;
  }

  get count(): number {
    return this.#count;
  }

  /** The least bucket's upper end that `share` of the values do not exceed; 0 when empty. */
  quantile(share: number): number {
    const rank = Math.max(1, Math.ceil(share * this.#count));
    let seen = 0;
    for (let at = 0; at < BUCKETS; at++) {
      seen += this.#buckets[at] as number;
      if (seen >= rank) return Math.min(upperEnd(at), this.#max);
    }
    return this.#max;
  }

  summary(): LatencySummary {
    return {
      count: this.#count,
      meanUs: this.#count === 0 ? 0 : Math.round(this.#sum / this.#count),
      p50Us: this.quantile(0.5),
      p99Us: this.quantile(0.99),
      maxUs: this.#max,
    };
  }
}

function bucketOf(value: number): number {
  if (value < LINEAR_MAX) return value;
  const shift = 31 - Math.clz32(value) - SUB_BITS;
  return LINEAR_MAX + (shift - 1) * SUB_COUNT + ((value >> shift) - SUB_COUNT);
}

function upperEnd(bucket: number): number {
  if (bucket < LINEAR_MAX) return bucket;
  const shift = Math.floor((bucket - LINEAR_MAX) / SUB_COUNT) + 1;
  const sub = ((bucket - LINEAR_MAX) % SUB_COUNT) + SUB_COUNT;
  return (sub + 1) * 2 ** shift - 1;
}
