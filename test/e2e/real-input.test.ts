import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { ProcessCluster } from '../kit/process-cluster.ts';
import {
  type RealInput,
  readIndex,
  runRealInput,
  storeFlaws,
  watchFlaws,
} from '../kit/real-input.ts';
import { sleep } from '../kit/wait.ts';

const FULL = process.env['MINIKV_REAL_INPUT'] === 'full';
const SLICE = new URL('../fixtures/packages.deb822', import.meta.url);

let cluster: ProcessCluster | null = null;

afterEach(async () => {
  await cluster?.dispose();
  cluster = null;
});

/** The slice in the repository, or with MINIKV_REAL_INPUT=full the whole index of this machine. */
function theInput(): RealInput {
  if (!FULL) return readIndex(readFileSync(SLICE));
  const dump = spawnSync('apt-cache', ['dumpavail'], { maxBuffer: 512 * 1024 * 1024 });
  expect(dump.status, String(dump.stderr)).toBe(0);
  return readIndex(dump.stdout);
}

test("Debian's package index survives kill -9 of the leader: all records on every node, each watched once", async () => {
  const input = theInput();
  expect(input.expected.size).toBeGreaterThanOrEqual(400);
  const running = await ProcessCluster.start({ nodes: 3 });
  cluster = running;
  let progress = '';
  const run = await runRealInput(running, {
    input,
    // The slice in many requests, so that the kill meets some of them under way.
    flags: FULL ? [] : ['--batch', '10'],
    say: (line) => FULL && console.log(line),
    progress: (text) => {
      progress += text;
    },
  });
  expect(run.importCode, progress).toBe(0);
  expect(run.summary).toMatchObject({ imported: input.expected.size, refused: 0, skipped: 0 });
  expect(progress).toMatch(/import \d+ records, \d+\/s/);
  expect(run.seenAtKill).toBeLessThan(input.expected.size);
  expect(watchFlaws(input, run.watcher)).toEqual([]);
  expect(run.watcher.connections).toBeGreaterThanOrEqual(2);
  const watched = new Map(
    run.watcher.puts().map(({ data }) => [data['key'] as string, data['revision'] as number]),
  );
  for (const url of running.urls()) {
    const revisions = new Map<string, number>();
    expect(await storeFlaws(input, url, 'linearizable', revisions)).toEqual([]);
    for (const [key, revision] of revisions) expect(watched.get(key), key).toBe(revision);
    await expectOwnCopy(input, url);
  }
  if (FULL) {
    const { seconds, recordsPerSecond, gapMs, killed } = run;
    console.log(JSON.stringify({ killed, seconds, recordsPerSecond, gapMs }));
  }
}, 600_000);

/** A node's own replicas, asked without the leaders, hold everything once they have caught up. */
async function expectOwnCopy(input: RealInput, url: string): Promise<void> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    const flaws = await storeFlaws(input, url, 'stale');
    if (flaws.length === 0) return;
    if (performance.now() > deadline) expect(flaws.slice(0, 10)).toEqual([]);
    await sleep(200);
  }
}
