/** What the rest of the program may know of telemetry. Everything costs next to nothing when off. */

export type Labels = Readonly<Record<string, string | number>>;

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** A span that may still be open. */
export interface Span {
  /** W3C traceparent of this span, to hand on; null when not sampled. */
  readonly traceparent: string | null;
  set(name: string, value: string | number | boolean): void;
  end(error?: unknown): void;
}

export interface Telemetry {
  /** Adds to a counter; names are in observability/metrics.ts. */
  count(name: string, by?: number, labels?: Labels): void;
  gauge(name: string, value: number, labels?: Labels): void;
  /** Records a duration in milliseconds (converted once, inside). */
  timeMs(name: string, ms: number, labels?: Labels): void;
  /** `count` for one name and its labels, looked up once: for what every request counts. */
  counterOf(name: string, labels?: Labels): (by: number) => void;
  /** `gauge` and `timeMs`, likewise. */
  gaugeOf(name: string, labels?: Labels): (value: number) => void;
  timerOf(name: string, labels?: Labels): (ms: number) => void;
  log(level: LogLevel, message: string, fields?: Readonly<Record<string, unknown>>): void;
  /** True when someone collects spans: callers skip all work for them otherwise. */
  readonly tracing: boolean;
  /** Starts a span under `parent` (a traceparent) or as a root. */
  span(name: string, parent: string | null): Span;
}

const NO_SPAN: Span = { traceparent: null, set: () => {}, end: () => {} };

/** Telemetry that does nothing; the simulator and unit tests use it. */
export const NO_TELEMETRY: Telemetry = {
  count: () => {},
  gauge: () => {},
  timeMs: () => {},
  counterOf: () => () => {},
  gaugeOf: () => () => {},
  timerOf: () => () => {},
  log: () => {},
  tracing: false,
  span: () => NO_SPAN,
};
