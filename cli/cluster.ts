import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { Client } from './client.ts';
import { countOf } from './commands/context.ts';
import { type ClusterStatus, fetchStatus, groupName } from './commands/status.ts';
import { CommandFailed } from './failures.ts';
import { type Io, sleep } from './io.ts';
import { type NatsServer, startNatsServer } from './nats-server.ts';
import { checkPorts, type WantedPort } from './port-check.ts';
import { drawnRootKey, shareRootKey } from './root-keys.ts';
import { type S3Keys, s3Keys, shareKeys } from './s3-keys.ts';
import { systemRandom } from './system-random.ts';

/**
 * `minikv cluster`: one nats-server and N nodes as processes of their own, to try a cluster out. Ports:
 * node i (from 0) listens on base + 10 i, its S3 endpoint one above; NATS on base + 9. Nothing that ends is
 * started again: kill a node and see. With `--json` each line is an event, for tests.
 */
export interface ClusterFlags {
  readonly nodes: string;
  readonly basePort: string;
  readonly data: string;
  readonly nats?: string;
  readonly natsPort?: string;
  readonly groups?: string;
  readonly ephemeral?: boolean;
  readonly json?: boolean;
}

interface Plan {
  readonly nodeIds: readonly string[];
  readonly basePort: number;
  readonly data: string;
  readonly natsPort: number;
  readonly flags: ClusterFlags;
}

interface KeyedPlan extends Plan {
  readonly keys: S3Keys;
  /** Null: nodes find it by themselves. */
  readonly rootKey: string | null;
}

interface RunningNode {
  readonly nodeId: string;
  readonly httpUrl: string;
  readonly child: ChildProcess;
}

const NODE_PORT_STEP = 10;
const NATS_PORT_OFFSET = 9;
const NATS_LINES_SHOWN = 5;
const STATUS_EVERY_MS = 500;
/** Above what `serve` allows itself for a clean stop. */
const STOP_MS_MAX = 20_000;

/**
 * Returns the exit code: 0 when everything stopped on request, 1 when its nats-server ended or nothing was
 * left to run. Throws CommandFailed when a port is taken.
 */
export async function cluster(io: Io, flags: ClusterFlags): Promise<number> {
  const plan = planOf(flags);
  const say = speaker(io, flags.json === true);
  await checkPorts(portsOf(plan));
  const keys = await clusterKeys(plan);
  const rootKey = await clusterRootKey(plan);
  const nats = flags.nats === undefined ? await startBus(plan, say) : null;
  const nodes = plan.nodeIds.map((nodeId, i) =>
    startNode(io, { ...plan, keys, rootKey }, nodeId, i, nats?.url ?? flags.nats!, say),
  );
  try {
    const allGone = Promise.all(nodes.map(({ child }) => exitOf(child))).then(
      () => 'gone' as const,
    );
    const natsGone = nats === null ? [] : [nats.exited.then(() => 'without nats' as const)];
    const s3 = { s3AccessKey: keys.accessKeyId, s3SecretKey: keys.secretAccessKey };
    await say.event('started', s3, intro({ ...plan, keys, rootKey }, nodes));
    const ended = await Promise.race([
      allGone,
      ...natsGone,
      showLeaders(io, nodes, say).then(() => 'stopped' as const),
    ]);
    if (ended === 'without nats') await tellLastWords(nats!, say);
    return ended === 'stopped' ? 0 : 1;
  } finally {
    await Promise.all(nodes.map((node) => stopNode(io, node)));
    await nats?.stop();
    await say.event('stopped', {}, 'all stopped');
  }
}

/** Nodes without their own nats-server would join whatever else answers on its port. */
async function tellLastWords(nats: NatsServer, say: Speaker): Promise<void> {
  const output = nats.output().trim().split('\n').slice(-NATS_LINES_SHOWN).join('\n');
  const text = `nats-server, pid ${nats.pid}, has ended by itself; stopping all. It wrote last:\n${output}`;
  await say.event('nats-exit', { pid: nats.pid, output }, text);
}

function portsOf({ nodeIds, basePort, natsPort, flags }: Plan): WantedPort[] {
  const nodes = nodeIds.flatMap((by, i) => {
    const port = basePort + i * NODE_PORT_STEP;
    return [port, port + 1].map((each) => ({ port: each, by, flag: '--base-port' }));
  });
  if (flags.nats !== undefined) return nodes;
  return [{ port: natsPort, by: 'nats-server', flag: '--nats-port or --base-port' }, ...nodes];
}

function planOf(flags: ClusterFlags): Plan {
  const count = countOf(flags.nodes, '--nodes', 1, 32);
  const lastOffset = (count - 1) * NODE_PORT_STEP + NATS_PORT_OFFSET;
  const basePort = countOf(flags.basePort, '--base-port', 1, 65_535 - lastOffset);
  const natsPort = countOf(
    flags.natsPort ?? String(basePort + NATS_PORT_OFFSET),
    '--nats-port',
    1,
    65_535,
  );
  return {
    nodeIds: Array.from({ length: count }, (_, i) => `n${i + 1}`),
    basePort,
    data: resolve(flags.data),
    natsPort,
    flags,
  };
}

interface Speaker {
  /** An event for programs, or its text for people. */
  event(event: string, fields: Record<string, unknown>, text: string): Promise<void>;
  /** A line that a node wrote. */
  line(nodeId: string, line: string): void;
}

function speaker(io: Io, json: boolean): Speaker {
  return {
    event: (event, fields, text) =>
      io.out(json ? `${JSON.stringify({ event, ...fields })}\n` : `${text}\n`),
    line: (nodeId, line) => {
      if (json) io.err(`${nodeId} | ${line}\n`);
      else void io.out(`${nodeId} | ${line}\n`);
    },
  };
}

async function startBus(plan: Plan, say: Speaker): Promise<NatsServer> {
  try {
    const nats = await startNatsServer({
      port: plan.natsPort,
      folder: `${plan.data}/nats`,
      detached: true,
    });
    // However we end: the nodes notice by themselves, nats-server does not.
    process.once('exit', () => nats.kill('SIGKILL'));
    const { url, pid } = nats;
    await say.event('nats', { url, pid }, `nats-server at ${url}, pid ${pid}`);
    return nats;
  } catch (error) {
    throw new CommandFailed((error as Error).message, {}, error);
  }
}

/**
 * A node is `minikv serve` in a process group of its own, so that Ctrl-C reaches it through us, and
 * nats-server stays until the nodes have stopped. The IPC channel tells it when we are gone.
 */
function startNode(
  io: Io,
  plan: KeyedPlan,
  nodeId: string,
  i: number,
  nats: string,
  say: Speaker,
): RunningNode {
  const port = plan.basePort + i * NODE_PORT_STEP;
  const script = fileURLToPath(
    new URL(import.meta.url.endsWith('.ts') ? './main.ts' : './main.js', import.meta.url),
  );
  const flags = nodeFlags(plan, nodeId, port, nats);
  const args = [...process.execArgv, script, 'serve', '--json', ...flags];
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    detached: true,
    env: { ...process.env, ...ephemeralKeys(plan) },
  });
  const httpUrl = `http://127.0.0.1:${port}`;
  onLines(child.stdout!, (line) => void nodeSaid(say, nodeId, line));
  onLines(child.stderr!, (line) => say.line(nodeId, line));
  child.once('error', (error) => say.line(nodeId, `could not be started: ${error.message}`));
  child.once('exit', (code, signal) => {
    const how = signal === null ? `with code ${code}` : `by ${signal}`;
    const back = `npm start -- ${flags.map(shellWord).join(' ')}`;
    const text = `${nodeId} ended ${how}. To bring it back, in another terminal:\n  ${back}`;
    const asked = io.signal.aborted;
    void say.event(
      'exit',
      { nodeId, pid: child.pid, code, signal, flags },
      asked ? `${nodeId} ended ${how}` : text,
    );
  });
  void say.event(
    'node',
    { nodeId, pid: child.pid, httpUrl },
    `${nodeId} at ${httpUrl}, pid ${child.pid}`,
  );
  return { nodeId, httpUrl, child };
}

/** All nodes know the same S3 keys: those of the environment, else ones that are kept beside their data. */
async function clusterKeys({ data, nodeIds, flags }: Plan): Promise<S3Keys> {
  const { MINIKV_S3_ACCESS_KEY: accessKeyId, MINIKV_S3_SECRET_KEY: secretAccessKey } = process.env;
  const isGiven = accessKeyId !== undefined && secretAccessKey !== undefined;
  const given = isGiven ? { accessKeyId, secretAccessKey } : null;
  const ephemeral = flags.ephemeral === true;
  const keys = await s3Keys({ s3Keys: given, ephemeral, data }, systemRandom());
  if (given === null && !ephemeral) {
    for (const nodeId of nodeIds) await shareKeys(keys, `${data}/${nodeId}`);
  }
  return keys;
}

/** Nodes that keep nothing are told theirs. */
function ephemeralKeys({ keys, rootKey, flags }: KeyedPlan): Record<string, string> {
  if (flags.ephemeral !== true) return {};
  const { accessKeyId, secretAccessKey } = keys;
  const root = rootKey === null ? {} : { MINIKV_ENCRYPTION_ROOT_KEY: rootKey };
  return { ...root, MINIKV_S3_ACCESS_KEY: accessKeyId, MINIKV_S3_SECRET_KEY: secretAccessKey };
}

/** All nodes have the same root key: that of the environment, else one that is kept in their folders. */
async function clusterRootKey({ data, nodeIds, flags }: Plan): Promise<string | null> {
  const given = ['', '_FILE', '_COMMAND'].map((how) => `MINIKV_ENCRYPTION_ROOT_KEY${how}`);
  if (given.some((name) => process.env[name] !== undefined)) return null;
  if (flags.ephemeral === true) return drawnRootKey(systemRandom());
  const folders = nodeIds.map((nodeId) => `${data}/${nodeId}`);
  await shareRootKey(data, folders, systemRandom());
  return null;
}

/** What `serve` needs to be this node, also when it is started again by hand. */
function nodeFlags(plan: Plan, nodeId: string, port: number, nats: string): string[] {
  const { groups, ephemeral } = plan.flags;
  return [
    ...['--node-id', nodeId, '--initial-members', plan.nodeIds.join(',')],
    ...['--port', String(port), '--s3-port', String(port + 1), '--nats', nats],
    ...['--data', `${plan.data}/${nodeId}`],
    ...(groups === undefined ? [] : ['--groups', groups]),
    ...(ephemeral === true ? ['--ephemeral'] : []),
  ];
}

function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

function onLines(stream: Readable, take: (line: string) => void): void {
  createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on('line', take);
}

/** `serve --json` writes events; `ready` is passed on, the rest is for those who want to see it. */
async function nodeSaid(say: Speaker, nodeId: string, line: string): Promise<void> {
  let event: { event?: string; httpUrl?: string; pid?: number } = {};
  try {
    event = JSON.parse(line) as typeof event;
  } catch {
    // Not one of our events: shown as it is.
  }
  if (event.event === 'ready') {
    const { httpUrl, pid } = event;
    await say.event('ready', { nodeId, httpUrl, pid }, `${nodeId} | ready at ${httpUrl}`);
  } else if (event.event === undefined) say.line(nodeId, line);
}

function intro(plan: KeyedPlan, nodes: readonly RunningNode[]): string {
  const endpoints = nodes.map((node) => node.httpUrl).join(',');
  const victim = nodes.at(-1)!;
  return `
  ${nodes.length} nodes, data in ${plan.data}. Ctrl-C stops all.

  export MINIKV_ENDPOINT=${endpoints}
  export AWS_ACCESS_KEY_ID=${plan.keys.accessKeyId} AWS_SECRET_ACCESS_KEY=${plan.keys.secretAccessKey}
  export AWS_ENDPOINT_URL=http://127.0.0.1:${plan.basePort + 1} AWS_REGION=us-east-1
  curl -X PUT ${nodes[0]!.httpUrl}/v1/kv/hello -d 'world'
  kill -9 ${victim.child.pid}   # ${victim.nodeId}: the others go on
`;
}

/** Asks the nodes in turn who leads what, and shows it whenever it changed. Ends with `io.signal`. */
async function showLeaders(io: Io, nodes: readonly RunningNode[], say: Speaker): Promise<void> {
  let shown = '';
  for (let turn = 0; !io.signal.aborted; turn++) {
    await sleep(io, STATUS_EVERY_MS);
    const alive = nodes.filter(({ child }) => isRunning(child));
    const node = alive[turn % Math.max(1, alive.length)];
    if (node === undefined || io.signal.aborted) continue;
    const apiKey = io.env['MINIKV_AUTH_ADMIN_KEY'];
    const client = new Client(io, { endpoints: [node.httpUrl], timeoutMs: 2_000, apiKey });
    const status = await fetchStatus({ client }).catch((error: unknown) => {
      // It is busy starting, or has just been killed: the next turn asks another.
      if (!(error instanceof CommandFailed)) throw error;
      return null;
    });
    if (status === null) continue;
    const leaders = leadersOf(status);
    const text = JSON.stringify(leaders);
    if (text === shown) continue;
    shown = text;
    await say.event('leaders', { groups: leaders }, leadersTable(status, nodes));
  }
}

function leadersOf(status: ClusterStatus): Record<string, string | null> {
  return Object.fromEntries(status.groups.map(({ group, leader }) => [groupName(group), leader]));
}

/** One line per node: `n1  pid 4242  leads meta 1 4 7`. */
function leadersTable(status: ClusterStatus, nodes: readonly RunningNode[]): string {
  const lines = nodes.map(({ nodeId, child }) => {
    const leads = status.groups.filter((group) => group.leader === nodeId);
    const names = leads.map((group) => groupName(group.group)).join(' ');
    const state = isRunning(child) ? `pid ${child.pid}` : 'ended';
    return `  ${nodeId.padEnd(5)} ${state.padEnd(12)} leads ${names === '' ? 'nothing' : names}`;
  });
  const without = status.groups.filter((group) => group.leader === null);
  if (without.length > 0) {
    lines.push(`  groups without a leader: ${without.map((g) => groupName(g.group)).join(' ')}`);
  }
  return lines.join('\n');
}

function isRunning(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
}

async function exitOf(child: ChildProcess): Promise<void> {
  if (isRunning(child)) await once(child, 'exit');
}

async function stopNode(io: Io, { child }: RunningNode): Promise<void> {
  if (!isRunning(child)) return;
  child.kill('SIGTERM');
  const cancel = io.clock.after(STOP_MS_MAX, () => child.kill('SIGKILL'));
  await exitOf(child);
  cancel();
}
