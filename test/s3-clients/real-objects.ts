import { spawn } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { ProcessCluster } from '../kit/process-cluster.ts';
import { sleep } from '../kit/wait.ts';
import { attempt, run } from './shell.ts';

/**
 * `npm run real-objects [-- --trees /usr/share/doc,/usr/lib --large-mib 2048]`: real folders and one large file go into three
 * nodes with rclone. A node is killed in the middle; its disk is emptied; it comes back, and has to hold every chunk. In
 * the end the others have none of theirs, and everything is read from it alone. Needs rclone, and four times the trees' size in TMPDIR.
 */

const MIB = 1024 * 1024;
const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const KEYS = { id: 'real_objects', secret: 'a secret of real objects 123456' };
/** Three nodes; rclone talks to the first, the last one dies. */
const [ASKED, OTHER, VICTIM] = [0, 1, 2];
const HOURS_MAX = 2;
const COMMAND_MS_MAX = HOURS_MAX * 3_600_000;

const { values } = parseArgs({
  options: {
    trees: { type: 'string', default: '/usr/share/doc,/usr/lib' },
    'large-mib': { type: 'string', default: '2048' },
  },
});

interface Phase {
  readonly what: string;
  readonly files: number;
  readonly bytes: number;
  readonly seconds: number;
}

const phases: Phase[] = [];
const startedMs = performance.now();

function say(text: string): void {
  const seconds = (performance.now() - startedMs) / 1000;
  process.stdout.write(`${seconds.toFixed(1).padStart(8)} s  ${text}\n`);
}

async function timed(what: string, { files, bytes }: Size, work: () => Promise<void>) {
  say(what);
  const beganMs = performance.now();
  await work();
  phases.push({ what, files, bytes, seconds: (performance.now() - beganMs) / 1000 });
}

interface Size {
  readonly files: number;
  readonly bytes: number;
}

/** Of the plain files: rclone passes over links. */
function sizeOf(folder: string): Size {
  let [files, bytes] = [0, 0];
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    files += 1;
    bytes += statSync(join(entry.parentPath, entry.name)).size;
  }
  return { files, bytes };
}

function sum(sizes: readonly Size[]): Size {
  const add = (a: Size, b: Size): Size => ({ files: a.files + b.files, bytes: a.bytes + b.bytes });
  return sizes.reduce(add, { files: 0, bytes: 0 });
}

/** A tree as it is now: hard links, so that what is installed meanwhile changes nothing. */
async function pictureOf(tree: string, folder: string): Promise<string> {
  const picture = join(folder, basename(tree));
  const linked = await attempt('cp', ['-al', tree, picture]);
  if (linked.code !== 0) await run('cp', ['-a', tree, picture], { timeoutMs: COMMAND_MS_MAX });
  return picture;
}

function writeLarge(path: string, mib: number): void {
  const file = openSync(path, 'w');
  const bytes = Buffer.alloc(MIB);
  for (let i = 0; i < mib; i++) writeSync(file, randomFillSync(bytes));
  closeSync(file);
}

/** Runs rclone; told how many files it has transferred so far. Throws when it fails. */
async function rclone(
  env: Readonly<Record<string, string>>,
  args: readonly string[],
  transferred: (files: number) => void = () => {},
): Promise<void> {
  const flags = [
    '--skip-links',
    '--fast-list',
    '--stats',
    '1s',
    '--stats-one-line',
    '--stats-log-level',
    'NOTICE',
  ];
  const child = spawn('rclone', [...args, ...flags], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env },
  });
  let output = '';
  createInterface({ input: child.stderr }).on('line', (line) => {
    const files = /\(xfr#(\d+)\/\d+\)/.exec(line)?.[1];
    if (files !== undefined) transferred(Number(files));
    else if (!line.includes('ETA')) output = `${output}${line}\n`.slice(-8192);
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`rclone ${args.join(' ')}: code ${code}\n${output}`);
}

interface Verified {
  readonly isSound: boolean;
  readonly text: string;
}

/** What `minikv verify` finds at one node. */
async function verify(cluster: ProcessCluster, index: number): Promise<Verified> {
  const { id, url } = cluster.node(index);
  const args = [MAIN, 'verify', '--node', id, '--endpoint', url, '--json'];
  const options = { timeoutMs: COMMAND_MS_MAX };
  const { code, output } = await attempt(process.execPath, args, options);
  const lines = output.trim().split('\n');
  const node = lines.find((line) => line.includes('"event":"node"')) ?? output;
  return { isSound: code === 0, text: node };
}

function chunkFiles(cluster: ProcessCluster, index: number): number {
  try {
    return sizeOf(join(cluster.node(index).data, 'blobs')).files;
  } catch {
    return 0; // there is no such folder yet, or one goes while it is read
  }
}

/** Until the node says that none is missing or damaged. The other one may have a few more, of puts that failed. */
async function restored(cluster: ProcessCluster): Promise<void> {
  const wanted = chunkFiles(cluster, ASKED);
  const deadline = performance.now() + COMMAND_MS_MAX;
  for (let last = -1; ; ) {
    const there = chunkFiles(cluster, VICTIM);
    if (there !== last) say(`n3 has ${there} of ${wanted} chunks`);
    const isStill = there === last;
    last = there;
    if (isStill) {
      const { isSound, text } = await verify(cluster, VICTIM);
      say(text);
      if (isSound) return;
    }
    if (performance.now() > deadline) throw new Error('n3 does not get its chunks back');
    await sleep(5_000);
  }
}

/** Takes the copies of the others away, so that whatever is read comes from the node that was emptied. */
async function leaveOnlyVictim(cluster: ProcessCluster): Promise<void> {
  await cluster.kill(OTHER);
  await cluster.stop(ASKED);
  rmSync(join(cluster.node(ASKED).data, 'blobs'), { recursive: true });
  cluster.spawn(ASKED);
  await cluster.ready(120_000);
}

async function main(folder: string, cluster: ProcessCluster): Promise<void> {
  const [first, , third] = cluster.urls();
  const envOf = (url: string): Record<string, string> => ({
    ...{ RCLONE_CONFIG: join(folder, 'rclone.conf'), RCLONE_CONFIG_KV_TYPE: 's3' },
    ...{ RCLONE_CONFIG_KV_PROVIDER: 'Other', RCLONE_CONFIG_KV_ENDPOINT: `${url}/s3` },
    ...{ RCLONE_CONFIG_KV_ACCESS_KEY_ID: KEYS.id, RCLONE_CONFIG_KV_SECRET_ACCESS_KEY: KEYS.secret },
    ...{ RCLONE_TRANSFERS: '32', RCLONE_CHECKERS: '32', RCLONE_S3_CHUNK_SIZE: '16M' },
  });
  const env = envOf(first!);
  writeFileSync(join(folder, 'rclone.conf'), '');
  const trees = values.trees.split(',').filter((tree) => tree !== '');
  const pictures = join(folder, 'pictures');
  mkdirSync(pictures);
  const sources: string[] = [];
  for (const tree of trees) sources.push(await pictureOf(tree, pictures));
  const large = join(pictures, 'large');
  mkdirSync(large);
  writeLarge(join(large, 'large.bin'), Number(values['large-mib']));
  const sizes = new Map([...sources, large].map((source) => [source, sizeOf(source)]));
  const sizeOfSource = (source: string): Size => sizes.get(source)!;
  const bucketOf = (source: string): string =>
    `kv:real-${basename(source).replaceAll(/[^a-z0-9]/g, '-')}`;
  const all = sum([...sizes.values()]);

  const last = sources.at(-1)!;
  let killed: Promise<void> | null = null;
  for (const source of [...sources, large]) {
    const isLast = source === last;
    const name = `copy ${basename(source)}${isLast ? ', n3 killed in the middle' : ''}`;
    await timed(name, sizeOfSource(source), async () => {
      await rclone(env, ['copy', source, bucketOf(source)], (files) => {
        if (!isLast || killed !== null || files < sizeOfSource(source).files / 2) return;
        say(`kill -9 n3 after ${files} files`);
        killed = cluster.kill(VICTIM);
      });
    });
    if (isLast) {
      if (killed === null) throw new Error('the copy was over before a node was killed');
      await killed;
    }
  }
  await timed('check (MD5), n3 dead', all, async () => {
    for (const source of [...sources, large])
      await rclone(env, ['check', source, bucketOf(source)]);
  });
  cluster.wipe(VICTIM);
  await timed('n3 back with an empty disk, until every chunk is there', all, async () => {
    cluster.spawn(VICTIM);
    await cluster.ready(120_000);
    await restored(cluster);
  });
  await leaveOnlyVictim(cluster);
  const only = envOf(third!);
  await timed('check (every byte) at n3, no other node has a chunk', all, async () => {
    for (const source of [...sources, large]) {
      await rclone(only, ['check', '--download', source, bucketOf(source)]);
    }
  });
}

function show(): void {
  const table = new Table({
    head: ['phase', 'files', 'GiB', 'seconds', 'files/s', 'MiB/s'],
    style: { head: [], border: [] },
  });
  for (const { what, files, bytes, seconds } of phases) {
    const rate = [(files / seconds).toFixed(0), (bytes / MIB / seconds).toFixed(1)];
    table.push([what, files, (bytes / MIB / 1024).toFixed(2), seconds.toFixed(1), ...rate]);
  }
  process.stdout.write(`${table.toString()}\n`);
}

const folder = mkdtempSync(join(tmpdir(), 'minikv-real-objects-'));
const cluster = await ProcessCluster.start({
  ...{ nodes: 3, flags: ['--s3-access-key', KEYS.id] },
  env: { MINIKV_S3_SECRET_KEY: KEYS.secret },
});
try {
  await main(folder, cluster);
  say('no difference');
} catch (error) {
  say(`FAILED: ${String(error)}`);
  process.exitCode = 1;
} finally {
  show();
  await cluster.dispose();
  rmSync(folder, { recursive: true, force: true });
}
