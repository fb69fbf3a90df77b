import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../tidy/tree.ts';
import { isTitleOf, namedTests } from './named.ts';
import { RESULTS_PATH, type Results, renderFaults } from './page.ts';

/**
 * `npm run faults [-- words]`: runs every named test, also the long ones and those that need root, and
 * writes results.json and docs/faults.md. With words, only tests whose title matches (a regular
 * expression), and nothing is written.
 */

interface Report {
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly title: string; readonly status: string }[];
  }[];
}

const wanted = process.argv.slice(2).join(' ');
const pattern = wanted === '' ? '(^| )[BFI]\\d\\d ' : wanted;
const scratch = mkdtempSync(join(tmpdir(), 'minikv-faults-'));
const path = join(scratch, 'report.json');

function run(program: string, args: readonly string[]): number {
  const { status } = spawnSync(program, [...args], {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, MINIKV_FAULTS: '1', MINIKV_POWER_CUT: isRoot() ? '1' : '' },
  });
  return status ?? 1;
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** The worst outcome of every named test; a test that runs in two places passes only if it does in both. */
function outcomesOf(report: Report): Results['outcomes'] {
  const reported = report.testResults.flatMap((file) => file.assertionResults);
  const outcomes: Record<string, 'passed' | 'failed' | 'skipped'> = {};
  for (const test of namedTests()) {
    const states = reported
      .filter(({ title }) => isTitleOf(test, title))
      .map(({ status }) => status);
    if (states.includes('failed')) outcomes[test.title] = 'failed';
    else if (states.includes('passed')) outcomes[test.title] = 'passed';
    else if (states.length > 0) outcomes[test.title] = 'skipped';
  }
  return outcomes;
}

run('node', ['test/ensure-nats-server.mjs']);
if (run('node_modules/.bin/tsc', ['-p', 'tsconfig.build.json']) !== 0) process.exit(1);
const files = [
  ...new Set(namedTests().map((test) => test.path)),
  'test/unit/gateways/http/surface.test.ts',
  'test/e2e/http-surface.test.ts',
].filter((file) => file.endsWith('.test.ts'));
const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${path}`];
const args = ['run', '--maxWorkers=2', '-t', pattern, ...reporters, ...files];
const status = run('node_modules/.bin/vitest', args);
if (wanted === '' && existsSync(path)) {
  const report = JSON.parse(readFileSync(path, 'utf8')) as Report;
  const results: Results = {
    date: new Date().toISOString().slice(0, 10),
    commit: execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: ROOT }).toString().trim(),
    outcomes: outcomesOf(report),
  };
  writeFileSync(join(ROOT, RESULTS_PATH), `${JSON.stringify(results, null, 2)}\n`);
  writeFileSync(join(ROOT, 'docs/faults.md'), renderFaults());
}
rmSync(scratch, { recursive: true, force: true });
process.exitCode = status;
