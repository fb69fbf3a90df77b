import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { noiseLine } from '../../../../bench/report/markdown.ts';
import { documentsOf, latestResults, stemOf } from '../../../../bench/report/publish.ts';
import { A_RUN } from './a-run.ts';

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url));

test('the page shows bars met and missed, the command, the hardware and who was absent', () => {
  const page = documentsOf(A_RUN, 'bench/results/x.json').get('benchmarks.md') as string;
  expect(page).toContain('\n    npm run bench\n');
  expect(page).toContain('A CPU, 2 cores');
  expect(page).toContain('- NATS, nodes 3: no leader\n');
  expect(page).toContain('**Redis was absent**: apt-get install redis-server');
  expect(page).toMatch(/\| at least 4 x etcd \| 3\.00 .* \| \*\*missed\*\* \|/);
  expect(page).toMatch(/\| 120,000 keys\/s \| met \|/);
  expect(page).toContain('`turn actors/kit/turn-loop.js:10`');
  expect(page).toContain('(../bench/results/x.json)');
});

test('every drawing that the page shows is there, and no other', () => {
  const documents = documentsOf(A_RUN, 'bench/results/x.json');
  const page = documents.get('benchmarks.md') as string;
  const shown = [...page.matchAll(/\]\((benchmarks\/[^)]+)\)/g)].map((match) => match[1]);
  expect(shown.sort()).toEqual(
    [...documents.keys()].filter((name) => name.endsWith('.svg')).sort(),
  );
  expect(shown.length).toBeGreaterThanOrEqual(7);
});

test('a machine that was busy with something else is told', () => {
  expect(noiseLine({ median: 0.05, min: 0, max: 0.2, count: 9 })).not.toContain('**');
  expect(noiseLine({ median: 0.5, min: 0, max: 1.2, count: 9 })).toMatch(/^\*\*Other .* busy/);
  const page = documentsOf(A_RUN, 'x.json').get('benchmarks.md');
  expect(page).toContain('used 0.05 cores meanwhile (at most 0.05).');
});

test('a run of a few things has a page too', () => {
  const few = {
    ...A_RUN,
    ...{ cells: [], memory: [], failover: [], growth: [], startup: null, recovery: null },
    ...{ watch: null, profiles: [] },
  };
  expect(documentsOf(few, 'x.json').get('benchmarks.md')).toContain('not measured in this run');
});

test('results are named after their day and commit', () => {
  expect(stemOf(A_RUN)).toBe('2026-01-02-abcdef012');
  expect(stemOf({ ...A_RUN, commit: 'abcdef012+' })).toBe('2026-01-02-abcdef012-changed');
});

test('docs/benchmarks.md shows the latest results; otherwise run npm run bench:report', () => {
  const folder = join(ROOT, 'bench', 'results');
  const latest = existsSync(folder) ? latestResults(folder) : null;
  // Before the first run there is neither.
  expect(existsSync(join(ROOT, 'docs', 'benchmarks.md'))).toBe(latest !== null);
  if (latest === null) return;
  const { path, results } = latest;
  const source = path.slice(ROOT.length);
  for (const [name, text] of documentsOf(results, source)) {
    expect(readFileSync(join(ROOT, 'docs', name), 'utf8')).toBe(text);
  }
});
