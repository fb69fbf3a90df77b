/**
 * The whole test run: `npm test` on a fresh clone with Node >= 20.19, npm and git. It installs what
 * is missing, builds, checks, and runs the stages below, each with its time. The last line is
 * `N passed, N failed`; the exit code is 0 only when something ran and nothing failed.
 *
 *   node test/run.mjs                all stages
 *   node test/run.mjs --verify       what needs no build and no other program; writes nothing here
 *   node test/run.mjs unit sim       only these stages, and what they need
 *
 * A failed build, format check or type check counts as one failure, so the line never lies.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/**
 * One row per stage, in order. `vitest`: folders of test files, run together. `command`: a program,
 * which counts only when it fails, unless `passed` and `failed` find the lines of its results.
 * `needs`: a file without which the stage does not exist yet. `verify`: part of `--verify`.
 * `build` and `nats`: what has to be there before it runs.
 */
const STAGES = [
  { name: 'format', command: ['node_modules/.bin/biome', 'check', '.'], verify: true },
  { name: 'types', command: ['node_modules/.bin/tsc', '--noEmit', '-p', '.'], verify: true },
  {
    // Without Node's types: the client library also runs in browsers.
    name: 'client-types',
    command: ['node_modules/.bin/tsc', '--noEmit', '-p', 'tsconfig.client.json'],
    verify: true,
  },
  { name: 'unit', vitest: ['tidy', 'unit', 'paper', 'scenario'], verify: true },
  { name: 'conformance', vitest: ['conformance'], verify: true, nats: true },
  {
    name: 'sim',
    command: ['node', 'dist/test/sim/run.js', '--seeds', '1..100', '--budget', '180'],
    passed: /^seed \d+: ok\b/gm,
    failed: /^seed \d+: FAIL\b/gm,
    needs: 'test/sim/run.ts',
    build: true,
  },
  { name: 'fuzz', vitest: ['fuzz'], verify: true },
  { name: 'sim-tests', vitest: ['sim'], verify: true },
  { name: 'e2e', vitest: ['e2e', 'faults'], build: true, nats: true },
];

const totals = { passed: 0, failed: 0 };

function main(args) {
  const names = args.filter((arg) => !arg.startsWith('--'));
  const unknown = names.filter((name) => !STAGES.some((stage) => stage.name === name));
  if (unknown.length > 0 || args.some((arg) => arg.startsWith('--') && arg !== '--verify')) {
    const known = STAGES.map((stage) => stage.name).join(' ');
    console.error(`usage: node test/run.mjs [--verify] [${known}]`);
    return 2;
  }
  const verify = args.includes('--verify');
  const chosen = STAGES.filter(
    (stage) =>
      (!verify || stage.verify) &&
      (names.length === 0 || names.includes(stage.name)) &&
      (stage.needs === undefined || existsSync(join(ROOT, stage.needs))) &&
      (stage.vitest === undefined || foldersWithTests(stage.vitest).length > 0),
  );
  const startedAt = Date.now();
  if (prepare(chosen)) {
    for (const stage of chosen) {
      runStage(stage);
      // The same range of seeds is part of sim-tests, for those who run only that.
      if (stage.name === 'sim') process.env.SIM_RANGE_DONE = '1';
    }
  }
  console.log(`\ntook ${seconds(startedAt)} in all`);
  console.log(`${totals.passed} passed, ${totals.failed} failed`);
  return totals.failed > 0 || totals.passed === 0 ? 1 : 0;
}

/** Installs, finds nats-server, builds: only what the chosen stages need. False when that failed. */
function prepare(stages) {
  if (!isInstalled()) {
    const installed = step('install', ['npm', 'ci', '--no-audit', '--no-fund']);
    if (!installed) return false;
  }
  const ensureNats = 'test/ensure-nats-server.mjs';
  if (stages.some((stage) => stage.nats) && existsSync(join(ROOT, ensureNats))) {
    step('nats-server', ['node', ensureNats]);
  }
  if (!stages.some((stage) => stage.build)) return true;
  rmSync(join(ROOT, 'dist'), { recursive: true, force: true });
  const projects = ['tsconfig.build.json', 'tsconfig.client.json'];
  if (projects.every((project) => step('build', ['node_modules/.bin/tsc', '-p', project]))) {
    return true;
  }
  console.error('the stages that need the build are skipped');
  for (const stage of stages.filter((s) => s.build)) stages.splice(stages.indexOf(stage), 1);
  return true;
}

/** Every declared package is there. Versions are npm's business. */
function isInstalled() {
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json')));
  return Object.keys({ ...dependencies, ...devDependencies }).every((name) =>
    existsSync(join(ROOT, 'node_modules', name, 'package.json')),
  );
}

/** A step that only counts when it fails. */
function step(name, command) {
  const startedAt = Date.now();
  console.log(`\n== ${name}: ${command.join(' ')}`);
  const ok = run(command).status === 0;
  if (!ok) totals.failed += 1;
  console.log(`== ${name}: ${ok ? 'ok' : 'FAILED'}, ${seconds(startedAt)}`);
  return ok;
}

function runStage(stage) {
  const startedAt = Date.now();
  const before = { ...totals };
  const what = stage.vitest ? `vitest ${stage.vitest.join(' ')}` : stage.command.join(' ');
  console.log(`\n== ${stage.name}: ${what}`);
  const ok = stage.vitest ? runVitest(stage.vitest) : runCommand(stage);
  const passed = totals.passed - before.passed;
  const failed = totals.failed - before.failed;
  const count = passed + failed > 0 ? `, ${passed} passed, ${failed} failed` : '';
  console.log(`== ${stage.name}: ${ok ? 'ok' : 'FAILED'}${count}, ${seconds(startedAt)}`);
}

function runCommand({ command, passed, failed }) {
  const { status, output } = run(command, passed !== undefined);
  const failures = failed === undefined ? 0 : (output.match(failed)?.length ?? 0);
  totals.passed += passed === undefined ? 0 : (output.match(passed)?.length ?? 0);
  totals.failed += status !== 0 && failures === 0 ? 1 : failures;
  return status === 0 && failures === 0;
}

function runVitest(folders) {
  const scratch = mkdtempSync(join(tmpdir(), 'minikv-test-'));
  const report = join(scratch, 'report.json');
  const { status } = run([
    'node_modules/.bin/vitest',
    'run',
    '--maxWorkers=2',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...foldersWithTests(folders),
  ]);
  const failed = addReport(report);
  rmSync(scratch, { recursive: true, force: true });
  if (status !== 0 && failed === 0) totals.failed += 1;
  return status === 0 && failed === 0;
}

/** Adds a vitest report to the totals. A file that could not even be loaded is one failure. */
function addReport(path) {
  if (!existsSync(path)) return 0;
  const report = JSON.parse(readFileSync(path, 'utf8'));
  const broken = report.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.every((t) => t.status !== 'failed'),
  );
  const failed = report.numFailedTests + broken.length;
  totals.passed += report.numPassedTests;
  totals.failed += failed;
  if (report.numPendingTests > 0) console.log(`${report.numPendingTests} skipped`);
  return failed;
}

/** Folders under test/ (with a closing slash, as vitest filters by substring) that hold tests. */
function foldersWithTests(folders) {
  return folders
    .filter((folder) => existsSync(join(ROOT, 'test', folder)))
    .filter((folder) =>
      readdirSync(join(ROOT, 'test', folder), { recursive: true }).some((name) =>
        name.endsWith('.test.ts'),
      ),
    )
    .map((folder) => `test/${folder}/`);
}

/** Runs a program with its output shown; with `keep`, standard output is also returned. */
function run([program, ...args], keep = false) {
  const result = spawnSync(program === 'node' ? process.execPath : program, args, {
    cwd: ROOT,
    stdio: ['ignore', keep ? 'pipe' : 'inherit', 'inherit'],
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
  });
  if (result.error) console.error(`${program}: ${result.error.message}`);
  if (keep) process.stdout.write(result.stdout ?? '');
  return { status: result.status ?? 1, output: result.stdout ?? '' };
}

function seconds(startedAt) {
  return `${((Date.now() - startedAt) / 1000).toFixed(1)} s`;
}

process.exitCode = main(process.argv.slice(2));
