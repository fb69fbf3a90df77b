import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../cli/system-clock.ts';
import { type NodeTelemetry, startTelemetry } from '../../../observability/telemetry.ts';
import { tracesUrl } from '../../../observability/tracing.ts';
import { decodeSpans, type WireSpan } from './otlp-wire.ts';

interface Collector {
  readonly url: string;
  readonly requests: { path: string; type: string; spans: WireSpan[]; resource: string[] }[];
  close(): Promise<void>;
}

async function collector(): Promise<Collector> {
  const requests: Collector['requests'] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { spans, resource } = decodeSpans(Buffer.concat(chunks));
      const type = request.headers['content-type'] ?? '';
      requests.push({ path: request.url ?? '', type, spans, resource });
      response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    close: () => new Promise((resolve) => void server.close(() => resolve())),
  };
}

function start(otlp: string | null): NodeTelemetry {
  return startTelemetry({
    nodeId: 'n7',
    cluster: 'minikv',
    version: '1.2.3',
    otlp,
    clock: systemClock({ holdOpen: true }),
    log: { level: 'silent', format: 'json', write: () => {} },
  });
}

describe('tracing', () => {
  const closers: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0)) await close();
  });

  it('sends spans to a configured OTLP endpoint as protobuf, each under its parent', async () => {
    const sink = await collector();
    closers.push(sink.close);
    const telemetry = start(sink.url);
    await telemetry.tracingReady;
    expect(telemetry.tracing).toBe(true);
    const remote = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const outer = telemetry.span('http PUT /v1/kv', remote);
    const inner = telemetry.span('raft propose', outer.traceparent);
    inner.set('group', 3);
    inner.end(Object.assign(new Error('no quorum'), { code: 'unavailable' }));
    outer.end();
    const root = telemetry.span('sweep', null);
    root.end();
    await telemetry.stop();

    expect(sink.requests).toHaveLength(1);
    const { path, type, spans, resource } = sink.requests[0]!;
    expect(path).toBe('/v1/traces');
    expect(type).toBe('application/x-protobuf');
    expect(resource).toEqual(
      expect.arrayContaining(['service.name=minikv', 'service.instance.id=n7']),
    );
    const byName = new Map(spans.map((span) => [span.name, span]));
    const outerSpan = byName.get('http PUT /v1/kv')!;
    const innerSpan = byName.get('raft propose')!;
    expect(outerSpan.traceId).toBe('0af7651916cd43dd8448eb211c80319c');
    expect(outerSpan.parentSpanId).toBe('b7ad6b7169203331');
    expect(innerSpan.traceId).toBe(outerSpan.traceId);
    expect(innerSpan.parentSpanId).toBe(outerSpan.spanId);
    expect(innerSpan.attributes).toEqual(
      expect.arrayContaining(['group=3', 'minikv.code=unavailable']),
    );
    expect(innerSpan.statusCode).toBe(2);
    expect(byName.get('sweep')!.parentSpanId).toBe('');
    expect(outer.traceparent).toBe(`00-${outerSpan.traceId}-${outerSpan.spanId}-01`);
  });

  it('follows the decision of an unsampled parent: no span, no traceparent', async () => {
    const sink = await collector();
    closers.push(sink.close);
    const telemetry = start(sink.url);
    await telemetry.tracingReady;
    const span = telemetry.span('x', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00');
    expect(span.traceparent).toBeNull();
    span.end();
    await telemetry.stop();
    expect(sink.requests).toHaveLength(0);
  });

  it('takes a URL with a path as it is', () => {
    expect(tracesUrl('http://jaeger:4318')).toBe('http://jaeger:4318/v1/traces');
    expect(tracesUrl('http://jaeger:4318/')).toBe('http://jaeger:4318/v1/traces');
    expect(tracesUrl('https://x.example/otlp/v1/traces')).toBe('https://x.example/otlp/v1/traces');
  });

  it('loads nothing of OpenTelemetry and records nothing when it is not configured', async () => {
    const script = `
      import { createRequire } from 'node:module';
      const { startTelemetry } = await import('./observability/telemetry.ts');
      const { systemClock } = await import('./cli/system-clock.ts');
      const telemetry = startTelemetry({ nodeId: 'n1', cluster: 'c', version: '1', otlp: null,
        clock: systemClock(), log: { level: 'silent', format: 'json', write() {} } });
      telemetry.count('wal_syncs'); await telemetry.tracingReady;
      const span = telemetry.span('x', null); span.end();
      const cached = () => Object.keys(createRequire(import.meta.url).cache)
        .filter((file) => file.includes('@opentelemetry'));
      const loaded = cached();
      await telemetry.metricsText();
      const scraped = cached().length > 0;
      const { tracing } = telemetry;
      console.log(JSON.stringify({ loaded, scraped, tracing, traceparent: span.traceparent }));
    `;
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--import', 'tsx', '--input-type=module', '-e', script],
      { cwd: new URL('../../..', import.meta.url).pathname },
    );
    // The exporter of the first scrape does show up: the look into the module cache sees it.
    const expected = { loaded: [], scraped: true, tracing: false, traceparent: null };
    expect(JSON.parse(stdout)).toEqual(expected);
  });
});
