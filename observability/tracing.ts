import {
  context,
  DiagLogLevel,
  diag,
  type Span as OtelSpan,
  ROOT_CONTEXT,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { NO_TELEMETRY, type Span } from './port.ts';
import { formatTraceparent, parseTraceparent } from './traceparent.ts';

/** Loaded only when an OTLP endpoint is configured. The door to OpenTelemetry's spans. */

export interface Tracing {
  span(name: string, parent: string | null): Span;
  /** Sends what is queued, then stops. */
  stop(): Promise<void>;
}

export interface TracingOptions {
  /** An OTLP/HTTP collector, `http://host:4318`; a URL with a path is taken as it is. */
  readonly endpoint: string;
  readonly resource: Readonly<Record<string, string>>;
  /** Told when spans cannot be delivered. */
  warn(message: string): void;
}

/**
 * Spans over HTTP/protobuf, in batches. Sampling, headers and batch sizes follow the standard
 * OTEL_* variables, which the SDK reads. Metrics and logs of the SDK stay off: ours are elsewhere.
 */
export function startTracing(options: TracingOptions): Tracing {
  const sdk = new NodeSDK({
    resource: resourceFromAttributes({ ...options.resource }),
    autoDetectResources: false,
    traceExporter: new OTLPTraceExporter({ url: tracesUrl(options.endpoint) }),
    metricReaders: [],
    logRecordProcessors: [],
    instrumentations: [],
    textMapPropagator: null,
  });
  const report = (message: string): void => options.warn(message);
  const quiet = (): void => {};
  diag.setLogger(
    { error: report, warn: report, info: quiet, debug: quiet, verbose: quiet },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
  sdk.start();
  const tracer = trace.getTracer('minikv', options.resource['service.version']);
  return {
    span: (name, parent) => startSpan(tracer, name, parent),
    async stop() {
      await sdk.shutdown();
      trace.disable();
      context.disable();
      diag.disable();
    },
  };
}

/** Appends the standard path to a bare endpoint, as OTEL_EXPORTER_OTLP_ENDPOINT does. */
export function tracesUrl(endpoint: string): string {
  const url = new URL(endpoint);
  if (url.pathname === '/') url.pathname = '/v1/traces';
  return url.href;
}

function startSpan(tracer: Tracer, name: string, parent: string | null): Span {
  const above = parent === null ? null : parseTraceparent(parent);
  const context =
    above === null
      ? ROOT_CONTEXT
      : trace.setSpanContext(ROOT_CONTEXT, { ...above, isRemote: true });
  const span = tracer.startSpan(name, {}, context);
  const { traceId, spanId, traceFlags } = span.spanContext();
  if ((traceFlags & TraceFlags.SAMPLED) === 0) return NO_TELEMETRY.span(name, parent);
  return {
    traceparent: formatTraceparent({ traceId, spanId, traceFlags }),
    set: (key, value) => void span.setAttribute(key, value),
    end: (error) => endSpan(span, error),
  };
}

function endSpan(span: OtelSpan, error: unknown): void {
  if (error !== undefined && error !== null) {
    const message = error instanceof Error ? error.message : String(error);
    span.recordException(error instanceof Error ? error : message);
    span.setStatus({ code: SpanStatusCode.ERROR, message });
    const code = (error as { code?: unknown }).code;
    if (typeof code === 'string') span.setAttribute('minikv.code', code);
  }
  span.end();
}
