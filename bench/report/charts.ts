import { count, ratio } from './numbers.ts';
import { linearScale, logScale, type Scale } from './scale.ts';
import type { Spread } from './statistics.ts';
import { Svg } from './svg.ts';

/** The charts that plots are made of. */

const COLOURS: Readonly<Record<string, string>> = {
  minikv: '#0969da',
  'minikv NATS': '#54aeff',
  'node:http': '#8c959f',
  etcd: '#bf8700',
  Redis: '#cf222e',
  disk: '#57606a',
};
const OTHERS = ['#1a7f37', '#8250df', '#bf3989', '#0a3069'];
const GRID = '#d0d7de';
const FAINT = '#59636e';
const MET = '#1a7f37';
const MISSED = '#cf222e';

export interface Series {
  readonly name: string;
  /** One for each category; null is a gap. */
  readonly values: readonly (Spread | null)[];
}

export interface BarChart {
  readonly title: string;
  readonly unit: string;
  readonly categories: readonly string[];
  readonly series: readonly Series[];
  readonly isLog?: boolean;
}

const WIDTH = 760;
const HEIGHT = 320;
const PLOT = { left: 70, right: 16, top: 62, bottom: 34 };

export function colourOf(name: string, at: number): string {
  return COLOURS[name] ?? (OTHERS[at % OTHERS.length] as string);
}

/** Groups of bars, a group for each category, with a whisker from the least to the most. */
export function barChart(chart: BarChart): string {
  const svg = new Svg(WIDTH, HEIGHT, `${chart.title} (${chart.unit})`);
  const spreads = chart.series.flatMap(({ values }) => values.filter((v) => v !== null));
  const tops = spreads.map(({ max }) => max);
  const lows = spreads.map(({ min }) => Math.max(min, 0.001));
  const scale =
    chart.isLog === true
      ? logScale(Math.min(...lows), Math.max(...tops))
      : linearScale(Math.max(0, ...tops));
  frame(svg, chart, scale);
  const plotWidth = WIDTH - PLOT.left - PLOT.right;
  const groupWidth = plotWidth / chart.categories.length;
  const barWidth = Math.min(40, (groupWidth * 0.8) / chart.series.length);
  for (const [category, label] of chart.categories.entries()) {
    const middle = PLOT.left + (category + 0.5) * groupWidth;
    svg.text(middle, HEIGHT - 14, label, { anchor: 'middle' });
    const from = middle - (chart.series.length * barWidth) / 2;
    for (const [at, { name, values }] of chart.series.entries()) {
      const value = values[category] ?? null;
      if (value === null) continue;
      const x = from + at * barWidth;
      const y = yOf(scale, value.median);
      const text = `${name}, ${label}: ${count(value.median)} ${chart.unit}`;
      const bottom = HEIGHT - PLOT.bottom;
      svg.rect(x + 1, y, barWidth - 2, Math.max(0.5, bottom - y), colourOf(name, at), text);
      const centre = x + barWidth / 2;
      svg.line(centre, yOf(scale, value.min), centre, yOf(scale, value.max), '#1f2328', 1.2);
      const above = Math.min(y, yOf(scale, value.max)) - 4;
      svg.text(centre, above, brief(value.median), { size: 9, anchor: 'middle', fill: FAINT });
    }
  }
  return svg.toString();
}

/** One line of dots for each name, and a line at the median. */
export function stripChart(chart: {
  readonly title: string;
  readonly unit: string;
  readonly rows: readonly {
    readonly name: string;
    readonly values: readonly number[];
    readonly median: number;
  }[];
  /** A bound to show, with its name. */
  readonly bounds: readonly { readonly value: number; readonly name: string }[];
}): string {
  const height = 84 + chart.rows.length * 46;
  const svg = new Svg(WIDTH, height, `${chart.title} (${chart.unit})`);
  const values = chart.rows.flatMap((row) => row.values);
  const scale = linearScale(Math.max(...values, ...chart.bounds.map(({ value }) => value)));
  const left = 90;
  const x = (value: number): number => left + scale.at(value) * (WIDTH - left - 56);
  const bottom = height - 30;
  svg.text(16, 24, chart.title, { size: 15, bold: true });
  for (const tick of scale.ticks) {
    svg.line(x(tick), 46, x(tick), bottom, GRID);
    svg.text(x(tick), height - 12, `${count(tick)} ${chart.unit}`, { size: 11, anchor: 'middle' });
  }
  for (const { value, name } of chart.bounds) {
    svg.line(x(value), 46, x(value), bottom, MISSED, 1.2);
    svg.text(x(value), 41, name, { size: 10, anchor: 'middle', fill: MISSED });
  }
  for (const [at, row] of chart.rows.entries()) {
    const y = 70 + at * 46;
    svg.text(left - 10, y + 4, row.name, { anchor: 'end' });
    for (const [i, value] of row.values.entries()) {
      const jitter = ((i * 7) % 11) - 5;
      svg.circle(x(value), y + jitter, 4, colourOf(row.name, at), `${count(value)} ${chart.unit}`);
    }
    svg.line(x(row.median), y - 14, x(row.median), y + 14, '#1f2328', 2);
  }
  return svg.toString();
}

/** How much of each bar there is: at 1 and beyond it is met. */
export function bulletChart(
  title: string,
  rows: readonly { readonly name: string; readonly share: number; readonly isMet: boolean }[],
): string {
  const height = 72 + rows.length * 24;
  const svg = new Svg(WIDTH, height, title);
  const left = 270;
  const scale = logScale(0.1, 10);
  const x = (share: number): number => left + scale.at(share) * (WIDTH - left - 60);
  svg.text(16, 24, title, { size: 15, bold: true });
  for (const tick of [0.1, 0.3, 1, 3, 10]) {
    svg.line(
      x(tick),
      40,
      x(tick),
      height - 26,
      tick === 1 ? '#1f2328' : GRID,
      tick === 1 ? 1.5 : 1,
    );
    svg.text(x(tick), height - 10, `${tick} x`, { size: 11, anchor: 'middle' });
  }
  for (const [at, { name, share, isMet }] of rows.entries()) {
    const y = 46 + at * 24;
    svg.text(left - 10, y + 12, name, { size: 11, anchor: 'end' });
    const from = Math.min(x(share), x(1));
    const colour = isMet ? MET : MISSED;
    svg.rect(from, y + 2, Math.max(1, Math.abs(x(share) - x(1))), 14, colour, `${ratio(share)} x`);
    svg.text(WIDTH - 8, y + 13, `${ratio(share)} x`, { size: 11, anchor: 'end', fill: colour });
  }
  return svg.toString();
}

function frame(svg: Svg, chart: BarChart, scale: Scale): void {
  svg.text(16, 24, chart.title, { size: 15, bold: true });
  let x = PLOT.left;
  for (const [at, { name }] of chart.series.entries()) {
    svg.rect(x, 34, 10, 10, colourOf(name, at));
    svg.text(x + 14, 43, name, { size: 11 });
    x += 30 + name.length * 6.5;
  }
  svg.text(WIDTH - PLOT.right, 43, chart.unit, { size: 11, anchor: 'end', fill: FAINT });
  for (const tick of scale.ticks) {
    const y = yOf(scale, tick);
    svg.line(PLOT.left, y, WIDTH - PLOT.right, y, GRID);
    svg.text(PLOT.left - 8, y + 4, brief(tick), { size: 11, anchor: 'end', fill: FAINT });
  }
}

function yOf(scale: Scale, value: number): number {
  const bottom = HEIGHT - PLOT.bottom;
  return bottom - scale.at(value) * (bottom - PLOT.top);
}

/** `12.3k`, `1.2M`: short enough to stand above a bar. */
export function brief(value: number): string {
  if (value >= 999_500) return `${Number((value / 1e6).toPrecision(2))}M`;
  if (value >= 9_995) return `${Math.round(value / 1000)}k`;
  if (value >= 1_000) return `${Number((value / 1000).toPrecision(2))}k`;
  return String(Number(value.toPrecision(3)));
}
