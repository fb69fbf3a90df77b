import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { summaryOf } from '../../bench/report/cell-summary.ts';
import type { Results } from '../../bench/results.ts';

const MAIN = fileURLToPath(new URL('../../bench/main.ts', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'minikv-bench-'));

afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('the benchmark runs, in a small form, and finds no wrong answer', () => {
  const flags = [
    ...['--only', 'put,get,batch,scan', '--nodes', '1', '--peers', 'minikv,node:http,disk'],
    ...['--quick', '--rounds', '1', '--seconds', '0.3', '--connections', '1,8'],
    ...['--out', join(folder, 'out'), '--data', join(folder, 'data')],
  ];
  const run = spawnSync(process.execPath, ['--import', 'tsx', MAIN, ...flags], {
    encoding: 'utf8',
  });
  expect(run.status, run.stdout + run.stderr).toBe(0);
  const [name] = readdirSync(join(folder, 'out'));
  const results = JSON.parse(readFileSync(join(folder, 'out', name as string), 'utf8')) as Results;
  expect(results.cells.map((cell) => cell.name)).toEqual([
    ...['put', 'put', 'get', 'get', 'batch of 1,000', 'scan of 100', 'scan of all'],
  ]);
  for (const cell of results.cells) {
    expect(summaryOf(cell, 'minikv')?.rate.median).toBeGreaterThan(0);
  }
  expect(JSON.stringify(results)).not.toContain(folder);
}, 180_000);
