import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../../cli/config.ts';
import { nodeTelemetry } from '../../../cli/node-telemetry.ts';
import { systemClock } from '../../../cli/system-clock.ts';
import { systemRandom } from '../../../cli/system-random.ts';

describe('the system clock', () => {
  it('runs a timer once, not before its time, and not when it was cancelled', async () => {
    const clock = systemClock({ holdOpen: true });
    const startMs = clock.monotonicMs();
    let cancelled = 0;
    clock.after(5, () => cancelled++)();
    await new Promise<void>((resolve) => clock.after(20, resolve));
    expect(clock.monotonicMs() - startMs).toBeGreaterThanOrEqual(19);
    expect(cancelled).toBe(0);
    expect(Math.abs(clock.wallMs() - Date.now())).toBeLessThan(1000);
  });

  it('runs `soon` after what is queued now, before any timer', async () => {
    const clock = systemClock({ holdOpen: true });
    const order: string[] = [];
    clock.soon(() => order.push('soon'));
    await Promise.resolve().then(() => order.push('microtask'));
    await new Promise<void>((resolve) => clock.after(10, resolve));
    expect(order).toEqual(['microtask', 'soon']);
  });
});

describe('the system random', () => {
  it('draws floats in [0, 1) that spread, and bytes that are never handed out twice', () => {
    const random = systemRandom();
    const draws = Array.from({ length: 5000 }, () => random.next());
    expect(draws.every((draw) => draw >= 0 && draw < 1)).toBe(true);
    const mean = draws.reduce((sum, draw) => sum + draw, 0) / draws.length;
    expect(mean).toBeGreaterThan(0.45);
    expect(mean).toBeLessThan(0.55);
    const ids = Array.from({ length: 2000 }, () => Buffer.from(random.bytes(8)).toString('hex'));
    expect(new Set(ids).size).toBe(2000);
    const kept = random.bytes(16);
    const copy = Uint8Array.from(kept);
    for (let i = 0; i < 1000; i++) random.bytes(16);
    expect(kept).toEqual(copy);
    expect(random.bytes(5000)).toHaveLength(5000);
  });
});

it('a scrape measures the process', async () => {
  const env = { MINIKV_LOG_LEVEL: 'silent' };
  const { config } = loadConfig({ flags: {}, env, readFile: () => '' });
  const telemetry = nodeTelemetry(config, systemClock({ holdOpen: true }), '1.0.0');
  const text = await telemetry.metricsText();
  const measured = (name: string): number =>
    Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1] ?? Number.NaN);
  expect(measured('minikv_process_resident_memory_bytes')).toBeGreaterThan(1e6);
  expect(measured('minikv_process_cpu_seconds_total')).toBeGreaterThan(0);
  expect(measured('minikv_uptime_seconds')).toBeGreaterThan(0);
  expect(text).toContain('minikv_event_loop_delay_seconds{quantile="0.99"}');
  await telemetry.stop();
});
