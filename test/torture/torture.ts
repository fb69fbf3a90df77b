import { cpSync, createWriteStream, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Arguments } from './arguments.ts';
import { Cluster, GROUPS } from './cluster.ts';
import { buildShim } from './disk/shim.ts';
import { type FaultKind, missing, type Tools } from './faults/fault.ts';
import { encodeLine, type FaultSeen, readHistory } from './history-file.ts';
import { judge } from './judge.ts';
import { buildMutant } from './mutants.ts';
import { FAULT_KINDS, happen, schedule } from './nemesis.ts';
import { NamespaceHosts } from './network/namespaces.ts';
import { type Summary, showSummary, summarize } from './summary.ts';
import { Workload } from './workload/port.ts';
import { now } from './workload/recorder.ts';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const CLIENTS = 14;
const PAUSE_MS: readonly [number, number] = [5, 40];
/** Beside them, clients that only do transactions, and hardly pause. */
const TXN_CLIENTS = 36;

/** One run from an empty cluster to its verdict. Returns the exit code. */
export async function torture(
  args: Arguments,
  folder: string,
  noNamespaces: string | null,
): Promise<number> {
  const logs = join(folder, 'logs');
  mkdirSync(logs);
  const shim = buildShim(folder);
  const tools: Tools = { noNamespaces, noShim: 'missing' in shim ? shim.missing : null };
  const chosen = FAULT_KINDS.filter(({ name }) => args.faults.includes(name));
  const kinds = chosen.filter((kind) => missing(kind, tools) === null);
  const absent = chosen.flatMap((kind): [string, string][] => {
    const reason = missing(kind, tools);
    return reason === null ? [] : [[kind.name, reason]];
  });
  for (const [kind, reason] of absent) say(`not run: ${kind}: ${reason}`);
  if (kinds.length === 0) {
    say('no kind of fault can run here');
    return 1;
  }
  const cluster = new Cluster({
    ...{ folder, logs, seed: args.seed, basePort: args.basePort },
    main: args.mutant === null ? MAIN : buildMutant(args.mutant, folder),
    shim: 'path' in shim ? shim.path : null,
    // The history is read back at the end: the whole run has to be in the window, twice over.
    retentionSeconds: 3_600 + Math.round(args.minutes * 120),
    hosts: noNamespaces === null ? new NamespaceHosts(3) : null,
  });
  const path = join(folder, 'history.jsonl');
  const interrupt = (): void => {
    say('interrupted');
    // Links and clients end when this process does.
    void cluster.close().finally(() => process.exit(1));
  };
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    await play(args, kinds, cluster, path);
  } catch (error) {
    say(`${(error as Error).message}; history and logs: ${keep(folder, args, 'failures')}`);
    return 1;
  } finally {
    await cluster.close();
  }
  const history = await readHistory(path);
  const summary = summarize(history, judge(history, args.levelMs), kinds, absent);
  console.log(`\n${showSummary(summary)}`);
  return conclude(args, folder, summary);
}

/** The cluster, the clients and the faults, until the time is over. */
async function play(
  args: Arguments,
  kinds: readonly FaultKind[],
  cluster: Cluster,
  path: string,
): Promise<void> {
  say(`starting three nodes ${cluster.hosts === null ? 'on loopback' : 'in namespaces'}`);
  await cluster.open();
  const urls = cluster.machines.map(({ url }) => url);
  const { seed } = args;
  const clients = { clients: CLIENTS, txnClients: TXN_CLIENTS, groups: GROUPS, pauseMs: PAUSE_MS };
  const options = { urls, history: path, seed, ...clients };
  const workload = await Workload.start(options);
  const lines: string[] = [];
  const events = {
    say,
    fault: (fault: FaultSeen) => {
      lines.push(encodeLine({ t: 'fault', fault }));
    },
    flaw: (what: string) => {
      say(`VIOLATION: ${what}`);
      lines.push(encodeLine({ t: 'flaw', flaw: { what, at: now() } }));
    },
  };
  try {
    const deadline = performance.now() + args.minutes * 60_000;
    // What is not level in three times the time that it has will not be.
    const giveUpMs = 3 * args.levelMs;
    let isGood = true;
    for (const planned of schedule(seed, kinds)) {
      if (performance.now() > deadline) break;
      isGood = await happen(planned, cluster, workload, giveUpMs, events);
      if (!isGood) break;
    }
    await cluster.heal();
    if (isGood) await cluster.ready();
    await workload.tell('resume');
    say('reading the history back');
    const counts = await workload.tell('finish');
    say(`${counts.operations} operations; ${counts.connections} connections of watchers`);
    const others = counts.answers.map(([answer, count]) => `${answer} ${count}`);
    say(`answers without success: ${others.join(', ') || 'none'}`);
  } finally {
    workload.close();
    const file = createWriteStream(path, { flags: 'a' });
    await new Promise((resolve) => file.end(lines.join(''), () => resolve(null)));
  }
}

/** Writes the summary, keeps what somebody has to look at, and says how it went. */
function conclude(args: Arguments, folder: string, summary: Summary): number {
  const results = join(HERE, 'results');
  const name = `${new Date().toISOString().slice(0, 16).replaceAll(':', '')}-seed-${args.seed}`;
  const out = args.out ?? join(results, `${name}.json`);
  if (args.out === null) mkdirSync(results, { recursive: true });
  writeFileSync(out, `${JSON.stringify(summary, null, 2)}\n`);
  say(`summary: ${out}`);
  const isBad = summary.findings.length > 0;
  if (isBad) say(`history and logs: ${keep(folder, args, 'failures')}`);
  else if (args.keep) say(`history and logs: ${keep(folder, args, 'results')}`);
  if (args.mutant !== null) {
    say(isBad ? `${args.mutant} was caught` : `${args.mutant} was NOT caught`);
    return isBad ? 0 : 1;
  }
  say(`load: ${loadavg()[2]?.toFixed(1)} over the last 15 minutes on ${cpus().length} processors`);
  return isBad || summary.void.length > 0 ? 1 : 0;
}

/** Copies history and logs out of the run's folder. Returns where to. */
function keep(folder: string, args: Arguments, kind: 'failures' | 'results'): string {
  const stamp = new Date().toISOString().slice(0, 19).replaceAll(':', '');
  const target = join(HERE, kind, `${stamp}-seed-${args.seed}`);
  mkdirSync(target, { recursive: true });
  for (const part of ['history.jsonl', 'logs']) {
    if (existsSync(join(folder, part)))
      cpSync(join(folder, part), join(target, part), { recursive: true, force: true });
  }
  return target;
}

const startedAt = performance.now();

function say(line: string): void {
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1).padStart(7);
  console.log(`${seconds} s  ${line}`);
}
