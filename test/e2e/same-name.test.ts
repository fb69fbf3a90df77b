import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { ProcessCluster, statusOf } from '../kit/process-cluster.ts';
import { sleep } from '../kit/wait.ts';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** Runs one more node until it ends. */
async function runOne(...flags: string[]): Promise<{ code: number | null; output: string }> {
  const child: ChildProcess = spawn(process.execPath, [MAIN, 'serve', '--port', '0', ...flags]);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      output += chunk.toString('utf8');
    });
  }
  const timer = setTimeout(() => child.kill('SIGKILL'), 45_000);
  const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
  clearTimeout(timer);
  return { code, output };
}

async function votersOf(url: string): Promise<string[][]> {
  const status = await statusOf(url);
  return (status?.groups ?? []).map(({ local }) => local?.config.voters ?? []);
}

test('a second process under a living node’s name ends, and the node keeps its votes', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'minikv-same-name-'));
  const cluster = await ProcessCluster.start({ nodes: 3, groups: 2 });
  try {
    const nats = ['--nats', cluster.nats?.url ?? ''];
    const [url] = cluster.urls() as [string];
    const before = await votersOf(url);
    expect(before).toHaveLength(3);
    const n2 = (before[0] as string[]).find((voter) => voter.startsWith('n2:')) as string;
    const empty = ['--node-id', 'n2', '--data', join(folder, 'empty'), '--join', ...nats];
    const second = await runOne(...empty);
    expect(second.code, second.output).toBe(1);
    expect(second.output).toContain(`its incarnation is ${n2}`);
    expect(await votersOf(url)).toEqual(before);

    await cluster.stop(2);
    cpSync(cluster.node(2).data, join(folder, 'copy'), { recursive: true });
    cluster.spawn(2);
    await cluster.ready();
    // Which of two is older cannot be told when they start at once: then both may end.
    await sleep(3_000);
    const members = ['--initial-members', 'n1,n2,n3'];
    const copy = ['--node-id', 'n3', '--data', join(folder, 'copy'), ...members, ...nats];
    const third = await runOne(...copy);
    expect(third.code, third.output).toBe(1);
    expect(third.output).toContain('a copy of this data folder');
    expect(cluster.node(1).pid).not.toBeNull();
    await cluster.ready();
    expect(await votersOf(url)).toEqual(before);
  } finally {
    await cluster.dispose();
    rmSync(folder, { recursive: true, force: true });
  }
}, 120_000);
