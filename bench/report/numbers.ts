import type { Spread } from './statistics.ts';

/** Figures as people read them. */

/** Three significant digits, thousands with a comma. */
export function count(value: number): string {
  if (value >= 1000) {
    const step = 10 ** Math.max(0, Math.floor(Math.log10(value)) - 2);
    return (Math.round(value / step) * step).toLocaleString('en-US');
  }
  return String(Number(value.toPrecision(3)));
}

export function ratio(value: number): string {
  return value >= 10 ? value.toFixed(0) : value.toFixed(2);
}

/** `0.52 (0.48 to 0.55)` */
export function ratioSpread({ median, min, max }: Spread): string {
  return `${ratio(median)} (${ratio(min)} to ${ratio(max)})`;
}

export function countSpread({ median, min, max }: Spread): string {
  return `${count(median)} (${count(min)} to ${count(max)})`;
}

export function milliseconds(us: number): string {
  return us >= 100_000 ? (us / 1000).toFixed(0) : (us / 1000).toPrecision(3);
}
