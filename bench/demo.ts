import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { ProcessCluster } from '../test/kit/process-cluster.ts';
import { readIndex, runRealInput, storeFlaws, watchFlaws } from '../test/kit/real-input.ts';

/**
 * `npm run demo`: Debian's package index into three nodes, with the leader killed half-way. Takes the
 * index of this machine (`apt-cache dumpavail`, about 60,000 records), else the slice in test/fixtures.
 */

const USAGE = `npm run demo -- [options]
  --slice   only the 401 records in test/fixtures, also where apt-cache is installed
`;
const flags = process.argv.slice(2);
if (flags.some((flag) => flag !== '--slice')) {
  process.stderr.write(USAGE);
  process.exit(flags.includes('--help') ? 0 : 2);
}

function theIndex(): { name: string; bytes: Buffer } {
  const dump = spawnSync('apt-cache', ['dumpavail'], { maxBuffer: 512 * 1024 * 1024 });
  if (dump.status === 0 && dump.stdout.length > 0 && !process.argv.includes('--slice')) {
    return { name: 'apt-cache dumpavail', bytes: dump.stdout };
  }
  const file = new URL('../test/fixtures/packages.deb822', import.meta.url);
  return { name: 'test/fixtures/packages.deb822', bytes: readFileSync(file) };
}

const startMs = performance.now();
function say(line: string): void {
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  process.stdout.write(`${seconds.padStart(6)} s  ${line}\n`);
}

const { name, bytes } = theIndex();
const input = readIndex(bytes);
const count = input.expected.size;
say(`${name}: ${count} records, ${(bytes.length / 1e6).toFixed(1)} MB`);
const cluster = await ProcessCluster.start({ nodes: 3 });
let flaws: string[] = [];
try {
  say(`three nodes over nats-server at ${cluster.nats?.url}: ${cluster.urls().join(' ')}`);
  const run = await runRealInput(cluster, {
    ...{ input, say },
    flags: count < 10_000 ? ['--batch', '10'] : [],
    progress: (text) => {
      const line = text.trim();
      if (line !== '') say(line.split('\n').at(-1) as string);
    },
  });
  const { seconds, recordsPerSecond, gapMs } = run;
  say(
    `imported ${count} records in ${seconds.toFixed(1)} s, ${recordsPerSecond}/s, exit code ${run.importCode}`,
  );
  say(`the watcher saw nothing for at most ${gapMs} ms after the kill`);
  flaws = watchFlaws(input, run.watcher);
  say(`watched: ${run.watcher.puts().length} changes over ${run.watcher.connections} connections`);
  for (const url of cluster.urls()) {
    const found = await storeFlaws(input, url, 'linearizable');
    say(`${url}: ${found.length === 0 ? `all ${count} records, byte for byte` : found[0]}`);
    flaws = [...flaws, ...found];
  }
} finally {
  await cluster.dispose();
}
say(
  flaws.length === 0 ? 'nothing lost, nothing twice, all in order' : flaws.slice(0, 10).join('\n'),
);
process.exitCode = flaws.length === 0 ? 0 : 1;
