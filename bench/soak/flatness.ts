/** Whether a figure stays where it is, in spite of what swings around it. */

export interface Point {
  readonly minute: number;
  readonly value: number;
}

export interface Bound {
  /** Growth per minute that is still flat. */
  readonly slopeMax: number;
  /** Growth over the whole window that is below what the measurement can tell. */
  readonly noise: number;
}

export interface Verdict {
  readonly median: number;
  readonly last: number;
  readonly slopePerMinute: number;
  readonly isFlat: boolean;
}

/**
 * The median of the slopes between all pairs of points (Theil and Sen): sawtooths and single peaks, which
 * pull a least-squares line, leave it alone. Flat: below the bound, or too little in all to be told.
 */
export function judge(points: readonly Point[], bound: Bound): Verdict {
  const slopes: number[] = [];
  for (const [i, a] of points.entries()) {
    for (const b of points.slice(i + 1)) {
      if (b.minute > a.minute) slopes.push((b.value - a.value) / (b.minute - a.minute));
    }
  }
  const slopePerMinute = median(slopes);
  const minutes = (points.at(-1)?.minute ?? 0) - (points[0]?.minute ?? 0);
  return {
    median: median(points.map(({ value }) => value)),
    last: median(points.slice(-3).map(({ value }) => value)),
    slopePerMinute,
    isFlat: slopePerMinute <= bound.slopeMax || slopePerMinute * minutes <= bound.noise,
  };
}

/** The later half: what comes before it is warming up. */
export function laterHalf<T extends { readonly minute: number }>(points: readonly T[]): T[] {
  const first = points[0]?.minute ?? 0;
  const middle = first + ((points.at(-1)?.minute ?? 0) - first) / 2;
  return points.filter(({ minute }) => minute >= middle);
}

/** 0 of nothing. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const high = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? high : (high + (sorted[middle - 1] ?? high)) / 2;
}
