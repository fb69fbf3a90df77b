import { expect, test } from 'vitest';
import { barChart, brief, bulletChart, stripChart } from '../../../../bench/report/charts.ts';
import { linearScale, logScale } from '../../../../bench/report/scale.ts';
import { escapeXml, Svg, short } from '../../../../bench/report/svg.ts';

/** Tags are closed in order, attributes are quoted: enough of XML for what is written here. */
function isWellFormed(svg: string): boolean {
  const open: string[] = [];
  const tag = /<(\/?)([a-z]+)((?: [a-zA-Z0-9-:]+="[^"<]*")*)(\/?)>/g;
  for (const [, end, name, , closed] of svg.matchAll(tag)) {
    if (end === '/') {
      if (open.pop() !== name) return false;
    } else if (closed !== '/') open.push(name as string);
  }
  return open.length === 0 && !svg.replace(tag, '').includes('<');
}

const spread = (median: number) => ({ median, min: median / 2, max: median * 2, count: 3 });

test('text is escaped and numbers are short', () => {
  expect(escapeXml('<a & "b">')).toBe('&lt;a &amp; &quot;b&quot;&gt;');
  expect(short(1 / 3)).toBe('0.33');
  expect(() => short(Number.NaN)).toThrow();
  const svg = new Svg(10, 20, 'a < b')
    .rect(1, 2, 3, 4, 'red', 'x & y')
    .text(1, 2, '<t>')
    .toString();
  expect(svg).toContain('viewBox="0 0 10 20"');
  expect(svg).toContain('<title>a &lt; b</title>');
  expect(svg).toContain('>&lt;t&gt;</text>');
  expect(isWellFormed(svg)).toBe(true);
});

test('axes have few round ticks and hold every value', () => {
  for (const max of [0.7, 1, 3, 9.9, 12, 99, 101, 4_321, 57_000, 1e6]) {
    const { ticks, at } = linearScale(max);
    expect(ticks.length).toBeGreaterThanOrEqual(4);
    expect(ticks.length).toBeLessThanOrEqual(8);
    expect(ticks.at(-1)).toBeGreaterThanOrEqual(max);
    expect(at(0)).toBe(0);
    expect(at(ticks.at(-1) as number)).toBe(1);
  }
  const log = logScale(250, 57_000);
  expect(log.ticks).toEqual([100, 1_000, 10_000, 100_000]);
  expect(log.at(100)).toBe(0);
  expect(log.at(100_000)).toBe(1);
  expect(log.at(0)).toBe(0);
});

test('charts draw a mark for every value and leave gaps where there is none', () => {
  const chart = {
    ...{ title: 'Rates', unit: 'requests/s', categories: ['1', '64'] },
    series: [
      { name: 'minikv', values: [spread(2_000), spread(20_000)] },
      { name: 'etcd', values: [spread(500), null] },
    ],
  };
  for (const isLog of [true, false]) {
    const svg = barChart({ ...chart, isLog });
    expect(isWellFormed(svg)).toBe(true);
    expect(svg.match(/<title>(?:minikv|etcd), /g)).toHaveLength(3);
  }
  const strip = stripChart({
    ...{ title: 'Gaps', unit: 'ms', bounds: [{ value: 600, name: 'bound' }] },
    rows: [{ name: 'minikv', values: [400, 500, 700], median: 500 }],
  });
  expect(isWellFormed(strip)).toBe(true);
  expect(strip.match(/<circle/g)).toHaveLength(3);
  const bullet = bulletChart('Bars', [{ name: 'a', share: 1.2, isMet: true }]);
  expect(isWellFormed(bullet)).toBe(true);
  expect(bullet).toContain('1.20 x');
});

test('figures above bars are brief', () => {
  expect([0.5, 321, 1_234, 12_345, 999_600, 2_345_678].map(brief)).toEqual([
    ...['0.5', '321', '1.2k', '12k', '1M', '2.3M'],
  ]);
});
