import type { ScrubMark } from '../../storage/ports.ts';

/** How fast, and how often, everything is read again. */
export interface ScrubPace {
  /** One round over all chunks takes about this long, if the rate allows. */
  readonly periodMs: number;
  /** A round is never slower: a store that is nearly empty is done early, and rests. */
  readonly bytesPerSecondMin: number;
  /** Nor faster, however much there is: then a round takes longer than a period. */
  readonly bytesPerSecondMax: number;
}

/** The end of a period is left free, for what is added while a round runs. */
const USED_SHARE = 0.9;
const GROWTH = 1.1;
const TIME_LEFT_MS_MIN = 1_000;

export function firstMark(nowMs: number): ScrubMark {
  return { after: null, roundStartMs: nowMs, bytes: 0, lastBytes: null };
}

/**
 * The rate now: what is left of the round over what is left of its time, within the bounds. So a round that fell
 * behind (a restart, a busy disk) catches up by itself. A first round does not know how much there is: full rate.
 */
export function scrubRate(mark: ScrubMark, pace: ScrubPace, nowMs: number): number {
  const { bytesPerSecondMin: min, bytesPerSecondMax: max } = pace;
  if (mark.lastBytes === null) return max;
  const leftMs = mark.roundStartMs + pace.periodMs * USED_SHARE - nowMs;
  const leftBytes = mark.lastBytes * GROWTH - mark.bytes;
  const wanted = (leftBytes * 1000) / Math.max(leftMs, TIME_LEFT_MS_MIN);
  return Math.min(max, Math.max(min, wanted));
}

/** How long to rest after that many bytes. */
export function pauseMs(mark: ScrubMark, pace: ScrubPace, bytes: number, nowMs: number): number {
  return (bytes * 1000) / scrubRate(mark, pace, nowMs);
}

/** A round is over: the next begins when the period ends, which is now where it took longer. */
export function nextRound(mark: ScrubMark, pace: ScrubPace, nowMs: number) {
  const dueMs = mark.roundStartMs + pace.periodMs;
  // A clock that jumped far back would let the next round wait for as long.
  const waitMs = Math.min(pace.periodMs, Math.max(0, dueMs - nowMs));
  const next: ScrubMark = {
    after: null,
    roundStartMs: nowMs + waitMs,
    bytes: 0,
    lastBytes: mark.bytes,
  };
  return { waitMs, next };
}
