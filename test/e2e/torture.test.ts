import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { freePort } from '../kit/nats-server.ts';
import type { Summary } from '../torture/summary.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'minikv-mini-torture-'));

const TXN_CHECKERS = ['transactions', 'bank', 'all or nothing'];

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs the harness; its output is shown where it goes wrong. */
async function torture(name: string, args: readonly string[]): Promise<Summary> {
  const out = join(folder, `${name}.json`);
  const port = String(Math.min(await freePort(), 65_000));
  const program = ['--import', 'tsx', 'test/torture/run.ts', '--base-port', port, '--out', out];
  const child = spawn(process.execPath, [...program, ...args], { cwd: ROOT });
  let output = '';
  child.stdout.on('data', (text) => (output += text));
  child.stderr.on('data', (text) => (output += text));
  const code = await new Promise((resolve) => child.once('exit', resolve));
  expect(code, output).toBe(0);
  const reasons = output.split('\n').filter((line) => line.includes('not run:'));
  for (const reason of reasons) console.log(reason.trim());
  return JSON.parse(readFileSync(out, 'utf8')) as Summary;
}

it('F01 F02 F03 F09 F25 a minute of torture: nothing lost, nothing stale, all nodes level', async () => {
  const faults = ['kill-leader', 'pause-leader', 'nats-kill', 'message-loss', 'cut', 'power-cut'];
  const summary = await torture('mini', [
    '--minutes',
    '0.6',
    '--level-ms',
    '40000',
    '--faults',
    faults.join(','),
  ]);
  expect(summary.findings).toEqual([]);
  // How many fit into the time is the machine's affair; that each had its operations is the run's.
  expect(summary.faults).toBeGreaterThanOrEqual(2);
  const { committed, overGroups } = summary.transactions;
  expect(committed).toBeGreaterThan(100);
  expect(overGroups).toBeGreaterThan(20);
}, 240_000);

it('B14 positive control: a build that acknowledges before the fsync is caught', async () => {
  const args = ['--minutes', '0.3', '--faults', 'power-cut-all', '--mutant', 'fsync-skipped'];
  const summary = await torture('mutant', [...args, '--level-ms', '8000']);
  expect(summary.findings.length).toBeGreaterThan(0);
}, 240_000);

it('F24 B21 positive control: a build whose commits are in no log is caught', async () => {
  const args = ['--minutes', '0.2', '--faults', 'kill-leader', '--level-ms', '40000'];
  const summary = await torture('txn', [...args, '--mutant', 'decision-not-replicated']);
  const checkers = summary.findings.map(({ checker }) => checker);
  expect(checkers.filter((name) => TXN_CHECKERS.includes(name))).not.toEqual([]);
}, 240_000);
