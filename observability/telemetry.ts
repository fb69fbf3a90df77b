import type { Clock } from '../protocol/clock.ts';
import { type LogOptions, openLog, type WriteLog } from './json-log.ts';
import { METRICS } from './metrics.ts';
import { NO_TELEMETRY, type Span, type Telemetry } from './port.ts';
import { recordIn, SeriesTable } from './series.ts';
import type { Tracing } from './tracing.ts';

export interface TelemetryOptions {
  readonly nodeId: string;
  readonly cluster: string;
  readonly version: string;
  /** OTLP/HTTP collector for spans, e.g. `http://localhost:4318`; null: no tracing code is loaded. */
  readonly otlp: string | null;
  readonly clock: Clock;
  readonly log: Omit<LogOptions, 'base'>;
}

/** The Telemetry port with what the composition root needs beside it. */
export interface NodeTelemetry extends Telemetry {
  /** All metrics in the Prometheus text format, for GET /metrics. */
  metricsText(): Promise<string>;
  /** Runs before each scrape: the place for gauges that are read, not pushed. */
  onScrape(run: () => void): void;
  /** Resolves when tracing is on, at once when it is not configured. Never rejects. */
  readonly tracingReady: Promise<void>;
  /** Delivers queued spans, within about two seconds. */
  stop(): Promise<void>;
}

const STOP_MS_MAX = 2_000;
const REPEAT_MS = 60_000;

/**
 * Starts telemetry. Nothing of OpenTelemetry is loaded here: the exporter comes with the first
 * scrape, the tracing SDK (0.7 s of loading) beside the start, and only when `otlp` is set. Spans
 * begun before it is there are not recorded.
 */
export function startTelemetry(options: TelemetryOptions): NodeTelemetry {
  const { clock } = options;
  const startedWallMs = clock.wallMs();
  const table = new SeriesTable(METRICS);
  const write = openLog({ ...options.log, base: { node: options.nodeId } });
  const log: WriteLog = (level, message, fields) => {
    table.add('log_lines', 1, { level });
    write(level, message, fields);
  };
  const resource = {
    'service.name': 'minikv',
    'service.version': options.version,
    'service.namespace': options.cluster,
    'service.instance.id': options.nodeId,
  };
  table.set('build_info', 1, { version: options.version });
  const refused = refusals(table, log);
  const scrapeHooks: (() => void)[] = [];
  const tracer = lazyTracing(options, resource, log);
  return {
    count: (name, by = 1, labels) => void (table.add(name, by, labels) || refused(name)),
    gauge: (name, value, labels) => void (table.set(name, value, labels) || refused(name)),
    timeMs: (name, ms, labels) => void (table.record(name, ms / 1000, labels) || refused(name)),
    ...boundOf(table, refused),
    log,
    get tracing() {
      return tracer.current !== null;
    },
    span: (name, parent): Span => (tracer.current ?? NO_TELEMETRY).span(name, parent),
    tracingReady: tracer.ready,
    onScrape: (run) => void scrapeHooks.push(run),
    async metricsText() {
      for (const run of scrapeHooks) run();
      const { metricProducer, prometheusText } = await import('./prometheus.ts');
      const source = { table, resource, startedWallMs, wallMs: () => clock.wallMs() };
      return prometheusText(metricProducer(source));
    },
    async stop() {
      await tracer.ready;
      await Promise.race([tracer.current?.stop(), delay(clock, STOP_MS_MAX)]);
      tracer.current = null;
    },
  };
}

/** Writes to a series that was looked up once, with the refusals of `count` and `timeMs`. */
function boundOf(
  table: SeriesTable,
  refused: (name: string) => void,
): Pick<Telemetry, 'counterOf' | 'gaugeOf' | 'timerOf'> {
  return {
    counterOf(name, labels) {
      const point = table.point('counter', name, labels);
      return (by) => {
        if (point !== null && by >= 0) point.value += by;
        else refused(name);
      };
    },
    gaugeOf(name, labels) {
      const point = table.point('gauge', name, labels);
      return (value) => {
        if (point !== null) point.value = value;
        else refused(name);
      };
    },
    timerOf(name, labels) {
      const histogram = table.point('histogram', name, labels)?.histogram ?? null;
      return (ms) => {
        if (histogram !== null && Number.isFinite(ms)) recordIn(histogram, ms / 1000);
        else refused(name);
      };
    },
  };
}

interface LazyTracing {
  current: Tracing | null;
  readonly ready: Promise<void>;
}

function lazyTracing(
  options: TelemetryOptions,
  resource: Readonly<Record<string, string>>,
  log: WriteLog,
): LazyTracing {
  const endpoint = options.otlp;
  if (endpoint === null) return { current: null, ready: Promise.resolve() };
  const warn = oncePerMinute(options.clock, (message) =>
    log('warn', 'tracing', { reason: message }),
  );
  const lazy: { current: Tracing | null; ready: Promise<void> } = {
    current: null,
    ready: import('./tracing.ts')
      .then(({ startTracing }) => {
        lazy.current = startTracing({ endpoint, resource, warn });
      })
      .catch((error: unknown) => log('error', 'tracing could not be started', { error })),
  };
  return lazy;
}

/** Names each wrong report once in the log (at most 20 names), and counts all of them. */
function refusals(table: SeriesTable, log: WriteLog): (name: string) => void {
  const named = new Set<string>();
  return (name) => {
    table.add('telemetry_refused', 1, undefined);
    if (named.has(name) || named.size >= 20) return;
    named.add(name);
    log('warn', 'a metric outside the catalogue was dropped', { name });
  };
}

/** Passes a message on unless the same one passed within the last minute. */
function oncePerMinute(clock: Clock, pass: (message: string) => void): (message: string) => void {
  let last = '';
  let lastMs = Number.NEGATIVE_INFINITY;
  return (message) => {
    const nowMs = clock.monotonicMs();
    if (message === last && nowMs - lastMs < REPEAT_MS) return;
    last = message;
    lastMs = nowMs;
    pass(message);
  };
}

function delay(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(ms, resolve);
  });
}
