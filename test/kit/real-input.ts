import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type ProcessCluster, statusOf } from './process-cluster.ts';
import { SseReader } from './sse-reader.ts';
import { sleep, until } from './wait.ts';

/**
 * Debian's package index through `minikv import` into a cluster that loses its leader half-way, with a
 * watcher on another node. For the test of that name, and for `npm run demo`.
 */

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const PREFIX = 'debian/';
const SAMPLE_MS = 5;
const CATCH_UP_MS = 60_000;

export interface RealInput {
  readonly bytes: Buffer;
  /** What the store must hold afterwards: key to the record's own text. */
  readonly expected: ReadonlyMap<string, string>;
}

/** Reads deb822 on its own terms: the import must not be checked against itself. */
export function readIndex(bytes: Buffer): RealInput {
  const expected = new Map<string, string>();
  for (const record of bytes.toString('utf8').split(/\n[\n \t]*\n/)) {
    const text = record.replace(/^\n+|\n+$/g, '');
    if (text === '') continue;
    const field = (name: string): string => {
      const value = new RegExp(`^${name}: *(\\S+)`, 'm').exec(text)?.[1];
      if (value === undefined) throw new Error(`no ${name} in ${text.slice(0, 200)}`);
      return value;
    };
    const key = `${PREFIX}${field('Section')}/${field('Package')}`;
    if (expected.has(key)) throw new Error(`${key} is there twice`);
    expected.set(key, `${text}\n`);
  }
  return { bytes, expected };
}

export interface RealInputPlan {
  readonly input: RealInput;
  /** Flags for `minikv import`. */
  readonly flags: readonly string[];
  /** Told what happens, for people. */
  readonly say: (line: string) => void;
  /** The progress of the import as it writes it. */
  readonly progress: (text: string) => void;
}

export interface RealInputRun {
  readonly importCode: number | null;
  /** What the import printed as JSON. */
  readonly summary: unknown;
  readonly seconds: number;
  readonly recordsPerSecond: number;
  /** The longest time in which the watcher saw nothing, from the kill until the import's end. */
  readonly gapMs: number;
  readonly seenAtKill: number;
  readonly killed: string;
  readonly watcher: SseReader;
}

/**
 * Imports half of the input, kills the node that leads most groups (and that the import talks to) once the
 * watcher has seen a quarter, and sends the rest. The watcher's connection is cut at three quarters and the
 * node comes back. Returns when the import has ended, all nodes are ready and the watcher has seen as
 * much as there is.
 */
export async function runRealInput(
  cluster: ProcessCluster,
  { input, flags, say, progress }: RealInputPlan,
): Promise<RealInputRun> {
  const count = input.expected.size;
  const victim = await leaderOfMost(cluster);
  const others = [0, 1, 2].filter((index) => index !== victim);
  const watched = others.map((index) => cluster.node(index).url);
  const watcher = new SseReader(watched, `prefix=${PREFIX}`);
  try {
    await watcher.opened;
    const { id, url, pid } = cluster.node(victim);
    say(`importing ${count} records into ${id}, which leads; watching ${watched[0]}`);
    const startMs = performance.now();
    const child = startImport([url, ...watched].join(','), flags);
    const ended = endOf(child, progress);
    const half = Math.floor(input.bytes.length / 2);
    child.stdin?.write(input.bytes.subarray(0, half));
    await until(() => watcher.puts().length >= count / 4, 'a quarter was seen', CATCH_UP_MS);
    const seenAtKill = watcher.puts().length;
    const pauses = longestPause(() => watcher.events.length);
    say(`kill -9 ${pid} (${id}) after ${seenAtKill} records`);
    const killing = cluster.kill(victim);
    child.stdin?.end(input.bytes.subarray(half));
    await killing;
    const comeBack = (async () => {
      await until(() => watcher.puts().length >= (count * 3) / 4, 'three quarters', 300_000);
      say(`the watcher has ${watcher.puts().length} records; cutting its connection`);
      watcher.disconnect();
      say(`starting ${id} again`);
      cluster.spawn(victim);
    })();
    const { code, text } = await ended;
    const seconds = (performance.now() - startMs) / 1000;
    const gapMs = pauses();
    await comeBack;
    await cluster.ready();
    await until(() => watcher.puts().length >= count, 'every record was seen', CATCH_UP_MS);
    // What comes twice would come now.
    await sleep(500);
    const recordsPerSecond = Math.round(count / seconds);
    return {
      ...{ importCode: code, summary: JSON.parse(text.trim() || 'null') as unknown, seconds },
      ...{ recordsPerSecond, gapMs, seenAtKill, killed: id, watcher },
    };
  } finally {
    watcher.close();
  }
}

async function leaderOfMost(cluster: ProcessCluster): Promise<number> {
  await cluster.leaderOf(1);
  const status = await statusOf(cluster.node(0).url);
  const leads = [0, 0, 0];
  for (const { leader } of status?.groups ?? []) {
    const index = [0, 1, 2].findIndex((node) => cluster.node(node).id === leader);
    if (index >= 0) leads[index] = (leads[index] as number) + 1;
  }
  return leads.indexOf(Math.max(...leads));
}

function startImport(endpoints: string, flags: readonly string[]): ChildProcess {
  const args = [MAIN, 'import', '-', '--format', 'deb822', '--key', 'debian/{Section}/{Package}'];
  args.push('--endpoint', endpoints, '--timeout', '60', '--json', '--progress', ...flags);
  return spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'] });
}

function endOf(
  child: ChildProcess,
  progress: (text: string) => void,
): Promise<{ code: number | null; text: string }> {
  let text = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    text += chunk.toString('utf8');
  });
  child.stderr?.on('data', (chunk: Buffer) => progress(chunk.toString('utf8')));
  // An import that gives up closes its input; its exit code says so.
  child.stdin?.on('error', () => {});
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, text })));
}

/** Samples a count until the returned function is called; that gives the longest time without a change. */
function longestPause(count: () => number): () => number {
  let last = count();
  let sinceMs = performance.now();
  let longestMs = 0;
  const timer = setInterval(() => {
    const nowMs = performance.now();
    const now = count();
    longestMs = Math.max(longestMs, nowMs - sinceMs);
    if (now !== last) sinceMs = nowMs;
    last = now;
  }, SAMPLE_MS);
  return () => {
    clearInterval(timer);
    return Math.round(longestMs);
  };
}

/** What the watcher saw beyond, or short of, each record once in revision order. */
export function watchFlaws(input: RealInput, watcher: SseReader): string[] {
  const flaws: string[] = [];
  const seen = new Set<string>();
  let last = 0;
  for (const { type, data } of watcher.events) {
    if (type !== 'put') {
      if (type === 'delete' || type === 'expire' || type === 'compacted') flaws.push(type);
      continue;
    }
    const key = data['key'] as string;
    const revision = data['revision'] as number;
    if (seen.has(key)) flaws.push(`${key} was seen twice`);
    seen.add(key);
    if (data['value'] !== input.expected.get(key)) flaws.push(`${key} came with another value`);
    if (revision < last) flaws.push(`${key}: revision ${revision} after ${last}`);
    last = revision;
  }
  if (seen.size !== input.expected.size) flaws.push(`${seen.size} keys were seen`);
  return flaws;
}

/**
 * Every difference between the records and what a node answers, byte for byte, read as one snapshot.
 * `revisions` fills with the revision of each key.
 */
export async function storeFlaws(
  input: RealInput,
  url: string,
  consistency: 'linearizable' | 'stale',
  revisions = new Map<string, number>(),
): Promise<string[]> {
  const answer = await fetch(`${url}/v1/kv?prefix=${PREFIX}&consistency=${consistency}`, {
    headers: { accept: 'application/x-ndjson' },
  });
  const lines = (await answer.text()).split('\n').filter((line) => line !== '');
  const end = JSON.parse(lines.pop() ?? 'null') as { end?: boolean } | null;
  if (answer.status !== 200 || end?.end !== true) return [`${url} answered ${answer.status}`];
  const flaws: string[] = [];
  for (const line of lines) {
    const item = JSON.parse(line) as { key: string; value: string; revision: number };
    if (input.expected.get(item.key) !== item.value) flaws.push(`${item.key} differs`);
    revisions.set(item.key, item.revision);
  }
  if (revisions.size !== input.expected.size) flaws.push(`${url} has ${revisions.size} records`);
  return flaws;
}
