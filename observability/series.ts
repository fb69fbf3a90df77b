import { LATENCY_BUCKETS, type MetricRow, SERIES_PER_METRIC_MAX } from './metrics.ts';
import type { Labels } from './port.ts';

/**
 * The numbers behind the catalogue, in a form that costs one map look-up to update: the
 * OpenTelemetry instruments hash their attributes on each call (0.7 to 1 µs here, against 0.1). The
 * exporter reads them when somebody asks.
 */
export interface Histogram {
  /** Seconds, ascending. */
  readonly bounds: readonly number[];
  /** One more than `bounds`: the last counts what is above all of them. */
  readonly counts: number[];
  sum: number;
  count: number;
}

export interface Point {
  readonly labels: Readonly<Record<string, string>>;
  /** Counters and gauges. */
  value: number;
  readonly histogram: Histogram | null;
}

export interface Series {
  readonly name: string;
  readonly row: MetricRow;
  readonly points: ReadonlyMap<string, Point>;
}

const LABEL_CHARS_MAX = 64;
const SEPARATOR = '\u0000';
const OVERFLOW = 'overflow';

class OneSeries implements Series {
  readonly name: string;
  readonly row: MetricRow;
  readonly points = new Map<string, Point>();
  readonly #labelNames: readonly string[];

  constructor(name: string, row: MetricRow) {
    this.name = name;
    this.row = row;
    this.#labelNames = row.labels ?? [];
  }

  /** The point of these labels; a shared overflow point once there are too many. */
  point(labels: Labels | undefined): Point {
    const key = this.#key(labels);
    const found = this.points.get(key);
    if (found !== undefined) return found;
    if (this.points.size < SERIES_PER_METRIC_MAX) return this.#add(key, this.#kept(labels));
    return this.points.get(OVERFLOW) ?? this.#add(OVERFLOW, { [OVERFLOW]: 'true' });
  }

  #key(labels: Labels | undefined): string {
    if (labels === undefined || this.#labelNames.length === 0) return '';
    let key = '';
    for (const name of this.#labelNames) key += `${labels[name] ?? ''}${SEPARATOR}`;
    return key;
  }

  #kept(labels: Labels | undefined): Record<string, string> {
    const kept: Record<string, string> = {};
    for (const name of this.#labelNames) {
      const value = labels?.[name];
      if (value !== undefined) kept[name] = String(value).slice(0, LABEL_CHARS_MAX);
    }
    return kept;
  }

  #add(key: string, labels: Record<string, string>): Point {
    const point: Point = { labels, value: 0, histogram: this.#histogram() };
    this.points.set(key, point);
    return point;
  }

  #histogram(): Histogram | null {
    if (this.row.kind !== 'histogram') return null;
    const bounds = this.row.buckets ?? LATENCY_BUCKETS;
    return { bounds, counts: new Array(bounds.length + 1).fill(0), sum: 0, count: 0 };
  }
}

/** All series of one node. Reports that do not fit the catalogue are refused, never thrown. */
export class SeriesTable {
  readonly #byName = new Map<string, OneSeries>();

  constructor(catalogue: Readonly<Record<string, MetricRow>>) {
    for (const [name, row] of Object.entries(catalogue)) {
      this.#byName.set(name, new OneSeries(name, row));
    }
  }

  /** The point behind a name and its labels; null when there is no such series of this kind. */
  point(kind: MetricRow['kind'], name: string, labels: Labels | undefined): Point | null {
    const series = this.#byName.get(name);
    return series?.row.kind === kind ? series.point(labels) : null;
  }

  /** Adds `by` (not negative) to a counter; false when refused. */
  add(name: string, by: number, labels: Labels | undefined): boolean {
    if (!(by >= 0)) return false;
    const point = this.point('counter', name, labels);
    if (point !== null) point.value += by;
    return point !== null;
  }

  set(name: string, value: number, labels: Labels | undefined): boolean {
    const point = this.point('gauge', name, labels);
    if (point !== null) point.value = value;
    return point !== null;
  }

  /** Records a duration, in seconds. */
  record(name: string, seconds: number, labels: Labels | undefined): boolean {
    if (!Number.isFinite(seconds)) return false;
    const histogram = this.point('histogram', name, labels)?.histogram ?? null;
    if (histogram !== null) recordIn(histogram, seconds);
    return histogram !== null;
  }

  /** Series with at least one point, in the order of the catalogue. */
  all(): readonly Series[] {
    return [...this.#byName.values()].filter((series) => series.points.size > 0);
  }
}

/** `seconds` must be finite. */
export function recordIn(histogram: Histogram, seconds: number): void {
  const { bounds, counts } = histogram;
  let bucket = 0;
  while (bucket < bounds.length && seconds > bounds[bucket]!) bucket++;
  counts[bucket] = counts[bucket]! + 1;
  histogram.sum += seconds;
  histogram.count += 1;
}
