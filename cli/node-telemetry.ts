import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { LogOptions } from '../observability/json-log.ts';
import { type NodeTelemetry, startTelemetry } from '../observability/telemetry.ts';
import type { Clock } from '../protocol/clock.ts';
import type { Config } from './config.ts';

/** Telemetry of this process: logs on standard error, gauges of memory, processor and event loop. */
export function nodeTelemetry(config: Config, clock: Clock, version: string): NodeTelemetry {
  const { nodeId, cluster, otlp } = config;
  const telemetry = startTelemetry({
    nodeId,
    cluster,
    version,
    otlp,
    clock,
    log: logOptions(config),
  });
  measureProcess(telemetry);
  return telemetry;
}

/** Where and how this process logs. Lines are written at once, so that a crash loses none. */
export function logOptions(
  config: Pick<Config, 'logLevel' | 'logFormat'>,
): Omit<LogOptions, 'base'> {
  const { logLevel, logFormat } = config;
  const auto = process.stderr.isTTY === true ? 'text' : 'json';
  return {
    level: logLevel,
    format: logFormat === 'auto' ? auto : logFormat,
    write: (line) => void process.stderr.write(line),
  };
}

/** Node counts the wait between two samples as delay; it is taken off again. */
const SAMPLE_EVERY_MS = 10;

function measureProcess(telemetry: NodeTelemetry): void {
  const delay = monitorEventLoopDelay({ resolution: SAMPLE_EVERY_MS });
  delay.enable();
  let countedCpuSeconds = 0;
  telemetry.onScrape(() => {
    const { rss, heapUsed, external } = process.memoryUsage();
    telemetry.gauge('process_resident_memory_bytes', rss);
    telemetry.gauge('process_heap_used_bytes', heapUsed);
    telemetry.gauge('process_external_memory_bytes', external);
    telemetry.gauge('uptime_seconds', process.uptime());
    const { user, system } = process.cpuUsage();
    const cpuSeconds = (user + system) / 1e6;
    telemetry.count('process_cpu_seconds', cpuSeconds - countedCpuSeconds);
    countedCpuSeconds = cpuSeconds;
    for (const percentile of [50, 99, 100]) {
      const ms = delay.count === 0 ? 0 : delay.percentile(percentile) / 1e6 - SAMPLE_EVERY_MS;
      const labels = { quantile: percentile / 100 };
      telemetry.gauge('event_loop_delay_seconds', Math.max(0, ms) / 1000, labels);
    }
    delay.reset();
  });
}
