import { expect, test } from 'vitest';
import { Histogram } from '../../../../bench/client/histogram.ts';

test('quantiles are exact below 128 us', () => {
  const histogram = new Histogram();
  for (let us = 1; us <= 100; us++) histogram.record(us);
  expect(histogram.summary()).toEqual({
    ...{ count: 100, meanUs: 51, p50Us: 50, p99Us: 99, maxUs: 100 },
  });
});

test('quantiles of any size are at most 1/64 above the value, and never above the greatest', () => {
  for (let us = 100; us < 2 ** 31; us = Math.floor(us * 1.37) + 1) {
    const histogram = new Histogram();
    histogram.record(us);
    histogram.record(2 ** 31 - 1);
    const p50 = histogram.quantile(0.5);
    expect(p50).toBeGreaterThanOrEqual(us);
    expect(p50).toBeLessThanOrEqual(us + us / 64);
  }
});

test('a rank falls on the value that has it', () => {
  const histogram = new Histogram();
  for (let i = 0; i < 99; i++) histogram.record(10);
  histogram.record(90_000);
  expect(histogram.quantile(0.99)).toBe(10);
  expect(histogram.quantile(0.995)).toBe(90_000);
});

test('an empty histogram is all zeros, also after it was cleared', () => {
  const histogram = new Histogram();
  histogram.record(5_000);
  histogram.clear();
  expect(histogram.summary()).toEqual({ count: 0, meanUs: 0, p50Us: 0, p99Us: 0, maxUs: 0 });
});

test('what no clock should say is kept within bounds', () => {
  const histogram = new Histogram();
  histogram.record(-3);
  histogram.record(1e12);
  expect(histogram.summary()).toMatchObject({ count: 2, maxUs: 2 ** 31 - 1 });
  expect(histogram.quantile(0.5)).toBe(0);
});
