/** What a leader knows of a living lease. */
interface Known {
  readonly ttlMs: number;
  readonly grantRevision: number;
  deadlineMs: number;
}

/** Between two looks; a longer pause was the process's own, and nobody could renew in it. */
const PAUSE_MS_MIN = 500;

/**
 * How long leases live, on the leader's monotonic clock. Nothing of it is replicated: a new leader begins with
 * the whole time of each lease, so it extends and never shortens (B20, F19). Pure: time comes in.
 *
 *   T1  A lease is due only after a time of at least its ttl in which this leader ran and heard no renewal.
 *   T2  A lease whose end was proposed is due no more, until the proposal is known to have failed.
 */
export class LeaseTable {
  readonly #leases = new Map<number, Known>();
  readonly #ending = new Set<number>();
  #lastMs: number;

  constructor(nowMs: number) {
    this.#lastMs = nowMs;
  }

  get size(): number {
    return this.#leases.size;
  }

  /** A lease that has just been granted, or that an earlier leader has left. */
  add(lease: number, ttlMs: number, grantRevision: number, nowMs: number): void {
    if (this.#leases.has(lease)) return;
    // Nobody looks while there is nothing to look at: that is no pause.
    if (this.#leases.size === 0) this.#lastMs = nowMs;
    this.#leases.set(lease, { ttlMs, grantRevision, deadlineMs: nowMs + ttlMs });
  }

  /** Counts from when the renewal was asked for, never backwards. */
  renew(lease: number, askedMs: number): void {
    const known = this.#leases.get(lease);
    if (known !== undefined) known.deadlineMs = Math.max(known.deadlineMs, askedMs + known.ttlMs);
  }

  get(
    lease: number,
    nowMs: number,
  ): { ttlMs: number; grantRevision: number; remainingMs: number } | null {
    const known = this.#leases.get(lease);
    if (known === undefined) return null;
    const { ttlMs, grantRevision, deadlineMs } = known;
    return {
      ttlMs,
      grantRevision,
      remainingMs: Math.min(ttlMs, Math.max(0, Math.ceil(deadlineMs - nowMs))),
    };
  }

  /** Leases that are due, at most `limit`. To be called often: it also notices the process's own pauses. */
  due(nowMs: number, limit: number): number[] {
    const pausedMs = nowMs - this.#lastMs;
    this.#lastMs = nowMs;
    if (pausedMs >= PAUSE_MS_MIN) {
      for (const known of this.#leases.values()) known.deadlineMs += pausedMs;
    }
    const found: number[] = [];
    for (const [lease, { deadlineMs }] of this.#leases) {
      if (deadlineMs > nowMs || this.#ending.has(lease)) continue;
      found.push(lease);
      if (found.length >= limit) break;
    }
    return found;
  }

  /** The end of the lease was proposed. */
  beginEnd(lease: number): void {
    this.#ending.add(lease);
  }

  isEnding(lease: number): boolean {
    return this.#ending.has(lease);
  }

  /** What became of the proposal. */
  ended(lease: number, hasEnded: boolean): void {
    this.#ending.delete(lease);
    if (hasEnded) this.#leases.delete(lease);
  }
}
