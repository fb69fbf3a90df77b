/** Where a value stands on an axis, and where the axis has its ticks. */
export interface Scale {
  /** From 0 to 1; values outside are moved to the nearer end. */
  at(value: number): number;
  readonly ticks: readonly number[];
}

const STEPS = [1, 2, 2.5, 5, 10];
const TICKS_MAX = 6;

/** From 0 to a round number at or above `max`. */
export function linearScale(max: number): Scale {
  const top = max > 0 ? max : 1;
  const magnitude = 10 ** Math.floor(Math.log10(top));
  const step = [0.1, ...STEPS.map((s) => s / 10), ...STEPS]
    .map((s) => s * magnitude)
    .sort((a, b) => a - b)
    .find((s) => Math.ceil(top / s) <= TICKS_MAX) as number;
  const count = Math.ceil(top / step);
  const end = count * step;
  return {
    at: (value) => clamp(value / end),
    ticks: Array.from({ length: count + 1 }, (_, i) => Number((i * step).toPrecision(12))),
  };
}

/** Powers of ten around the values, which must be above 0. */
export function logScale(min: number, max: number): Scale {
  const first = Math.floor(Math.log10(min));
  const last = Math.max(first + 1, Math.ceil(Math.log10(max)));
  return {
    at: (value) => (value <= 0 ? 0 : clamp((Math.log10(value) - first) / (last - first))),
    ticks: Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i)),
  };
}

function clamp(share: number): number {
  return Math.min(1, Math.max(0, share));
}
