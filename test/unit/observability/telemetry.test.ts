import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../cli/system-clock.ts';
import { METRICS, SERIES_PER_METRIC_MAX } from '../../../observability/metrics.ts';
import { startTelemetry } from '../../../observability/telemetry.ts';

function start(lines: string[] = []) {
  return startTelemetry({
    nodeId: 'n1',
    cluster: 'minikv',
    version: '1.2.3',
    otlp: null,
    clock: systemClock({ holdOpen: true }),
    log: { level: 'info', format: 'json', write: (line) => void lines.push(line) },
  });
}

describe('metrics', () => {
  it('exports counters, gauges and histograms in the Prometheus text format', async () => {
    const telemetry = start();
    telemetry.count('http_requests', 2, { method: 'PUT', route: '/v1/kv', status: 200 });
    telemetry.count('http_requests', 1, { method: 'PUT', route: '/v1/kv', status: 200 });
    telemetry.gauge('raft_term', 7, { group: 3 });
    telemetry.timeMs('wal_sync_seconds', 3);
    telemetry.timeMs('wal_sync_seconds', 60_000);
    const text = await telemetry.metricsText();
    expect(text).toContain(
      'minikv_http_requests_total{method="PUT",route="/v1/kv",status="200"} 3\n',
    );
    expect(text).toContain('# TYPE minikv_raft_term gauge\nminikv_raft_term{group="3"} 7\n');
    expect(text).toContain('minikv_wal_sync_seconds_bucket{le="0.0025"} 0\n');
    expect(text).toContain('minikv_wal_sync_seconds_bucket{le="0.005"} 1\n');
    expect(text).toContain('minikv_wal_sync_seconds_bucket{le="+Inf"} 2\n');
    expect(text).toContain('minikv_wal_sync_seconds_sum 60.003\n');
    expect(text).toContain('service_name="minikv"');
    expect(text).toContain('service_instance_id="n1"');
    expect(text).toContain('minikv_build_info{version="1.2.3"} 1');
  });

  it('keeps at most the stated number of series per metric, the rest in one of overflow', async () => {
    const telemetry = start();
    for (let i = 0; i < SERIES_PER_METRIC_MAX + 50; i++) {
      telemetry.count('envelopes_refused', 1, { reason: `r${i}` });
    }
    const lines = (await telemetry.metricsText()).split('\n');
    const series = lines.filter((line) => line.startsWith('minikv_envelopes_refused_total{'));
    expect(series).toHaveLength(SERIES_PER_METRIC_MAX + 1);
    expect(series).toContain('minikv_envelopes_refused_total{overflow="true"} 50');
  });

  it('drops labels that the catalogue does not list', async () => {
    const telemetry = start();
    telemetry.count('wal_syncs', 1, { key: 'user/1' });
    telemetry.count('wal_syncs', 1, { key: 'user/2' });
    expect(await telemetry.metricsText()).toContain('minikv_wal_syncs_total 2\n');
  });

  it('refuses names outside the catalogue and wrong kinds, and says so once', async () => {
    const lines: string[] = [];
    const telemetry = start(lines);
    for (let i = 0; i < 3; i++) telemetry.count('no_such_metric');
    telemetry.gauge('wal_syncs', 4);
    telemetry.count('wal_syncs', -1);
    telemetry.timeMs('wal_sync_seconds', Number.NaN);
    expect(await telemetry.metricsText()).toContain('minikv_telemetry_refused_total 6\n');
    expect(lines.map((line) => JSON.parse(line).name)).toEqual([
      'no_such_metric',
      'wal_syncs',
      'wal_sync_seconds',
    ]);
  });

  it('counts the same through what was looked up once', async () => {
    const telemetry = start();
    const labels = { method: 'PUT', route: '/v1/kv', status: 200, key: 'left out' };
    const counts = [telemetry.counterOf('http_requests', labels), telemetry.counterOf('no_such')];
    const shows = [telemetry.gaugeOf('raft_term', { group: 3 }), telemetry.gaugeOf('wal_syncs')];
    for (const show of shows) show(7);
    const times = [telemetry.timerOf('wal_sync_seconds'), telemetry.timerOf('wal_syncs')];
    for (const count of counts) count(2);
    for (const took of times) took(3);
    telemetry.count('http_requests', 1, labels);
    telemetry.timeMs('wal_sync_seconds', 1000);
    counts[0]?.(-1);
    times[0]?.(Number.POSITIVE_INFINITY);
    const text = await telemetry.metricsText();
    expect(text).toContain(
      'minikv_http_requests_total{method="PUT",route="/v1/kv",status="200"} 3\n',
    );
    expect(text).toContain('minikv_wal_sync_seconds_bucket{le="0.005"} 1\n');
    expect(text).toContain('minikv_wal_sync_seconds_sum 1.003\n');
    expect(text).toContain('minikv_raft_term{group="3"} 7\n');
    expect(text).toContain('minikv_telemetry_refused_total 5\n');
  });

  it('runs the scrape hooks before each scrape', async () => {
    const telemetry = start();
    let scrapes = 0;
    telemetry.onScrape(() => telemetry.gauge('watchers', ++scrapes, { transport: 'sse' }));
    await telemetry.metricsText();
    expect(await telemetry.metricsText()).toContain('minikv_watchers{transport="sse"} 2\n');
  });

  it('has ascending buckets and names Prometheus accepts', () => {
    for (const [name, row] of Object.entries(METRICS)) {
      expect(name).toMatch(/^[a-z][a-z0-9_]*$/);
      expect(name).not.toMatch(/_total$/);
      if (row.kind === 'histogram') expect(name).toMatch(/_seconds$/);
    }
  });
});

describe('logs', () => {
  it('carry the node, the level by name, and the ids of their trace', () => {
    const lines: string[] = [];
    const telemetry = start(lines);
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    telemetry.log('warn', 'slow', { ms: 12, traceparent });
    const line = JSON.parse(lines[0]!);
    expect(line).toMatchObject({
      level: 'warn',
      node: 'n1',
      msg: 'slow',
      ms: 12,
      trace_id: '0af7651916cd43dd8448eb211c80319c',
      span_id: 'b7ad6b7169203331',
    });
    expect(line).not.toHaveProperty('traceparent');
    expect(Date.parse(line.time)).not.toBeNaN();
  });

  it('keep the message, stack and cause of an error, and leave out what is below the level', () => {
    const lines: string[] = [];
    const telemetry = start(lines);
    telemetry.log('debug', 'unseen');
    telemetry.log('error', 'broken', { error: new Error('outer', { cause: new Error('inner') }) });
    expect(lines).toHaveLength(1);
    const { error } = JSON.parse(lines[0]!);
    expect(error.message).toBe('outer');
    expect(error.stack).toContain('telemetry.test.ts');
    expect(error.cause.message).toBe('inner');
  });

  it('have a text form for terminals', () => {
    const lines: string[] = [];
    const telemetry = startTelemetry({
      nodeId: 'n1',
      cluster: 'minikv',
      version: '1',
      otlp: null,
      clock: systemClock({ holdOpen: true }),
      log: { level: 'info', format: 'text', write: (line) => void lines.push(line) },
    });
    telemetry.log('info', 'ready', { port: 8080, bus: 'in-process' });
    expect(lines[0]).toMatch(/^\d\d:\d\d:\d\d info {2}ready port=8080 bus=in-process\n$/);
  });
});
