import { resolve } from 'node:path';
import { apiKeyText } from '../gateways/identity/api-key.ts';
import { openLog, type WriteLog } from '../observability/json-log.ts';
import type { KvService } from '../protocol/service.ts';
import type { AdminKey } from './admin-key.ts';
import type { Config } from './config.ts';
import { CommandFailed } from './failures.ts';
import { boundHeapGrowth } from './heap.ts';
import { type Io, sleep } from './io.ts';
import { logOptions } from './node-telemetry.ts';
import type { S3Keys } from './s3-keys.ts';

/** A node with its edges, put together by cli/compose.ts. It listens already; `ready`: it can serve. */
export interface Composition {
  readonly ready: Promise<void>;
  readonly service: KvService;
  /** Where this node's HTTP answers, with the port that was bound. */
  readonly httpUrl: string;
  /** The S3 endpoint, and the keys that it knows. */
  readonly s3: { readonly url: string | null; readonly keys: S3Keys };
  /** Null: nobody is asked for credentials. */
  readonly adminKey: AdminKey | null;
  stop(): Promise<void>;
}

export type Compose = (config: Config) => Promise<Composition>;

/** A formed cluster whose other members are late must not hold back the banner. */
const BANNER_AFTER_MS = 1_500;
const STOP_MS_MAX = 15_000;

/**
 * Runs one node until it is asked to stop. Returns the exit code: 0 after a clean stop, 1 when stopping
 * took too long. Throws CommandFailed when the node cannot start.
 */
export async function serve(
  io: Io,
  config: Config,
  compose: Compose,
  json: boolean,
): Promise<number> {
  boundHeapGrowth();
  const log = openLog({ ...logOptions(config), base: { node: config.nodeId } });
  const undo = catchTheUncaught(log);
  const release = holdOpen(io);
  try {
    const node = await startNode(config, compose);
    try {
      await announce(io, config, node, json);
    } catch (error) {
      await stopWithin(io, node);
      throw startFailure(config, error);
    }
    await untilStopped(io.signal);
    const stopped = await stopWithin(io, node);
    if (!stopped) log('error', 'the node did not stop in time', { waitedMs: STOP_MS_MAX });
    if (json) await io.out(`${JSON.stringify({ event: 'stopped', clean: stopped })}\n`);
    return stopped ? 0 : 1;
  } finally {
    release();
    undo();
  }
}

const HOLD_MS = 60_000;

/** Keeps the process alive where it has no socket yet, as before its first connection to NATS. */
function holdOpen(io: Io): () => void {
  let cancel = (): void => {};
  const hold = (): void => {
    cancel = io.clock.after(HOLD_MS, hold);
  };
  hold();
  return () => cancel();
}

async function startNode(config: Config, compose: Compose): Promise<Composition> {
  try {
    return await compose(config);
  } catch (error) {
    throw startFailure(config, error);
  }
}

/** The faults that people meet, in words that say what to do. */
function startFailure(config: Config, error: unknown): CommandFailed {
  const { code, message } = error as NodeJS.ErrnoException;
  const at = `${config.host}:${config.port}`;
  if (code === 'EADDRINUSE') {
    return new CommandFailed(portInUse(config, error), { code }, error);
  }
  if (code === 'EACCES' || code === 'EROFS') {
    return new CommandFailed(
      `not allowed to use ${at} or the data folder ${resolve(config.data)}: ${message}`,
      { code },
      error,
    );
  }
  return new CommandFailed(
    `the node could not start: ${message}`,
    code === undefined ? {} : { code },
    error,
  );
}

function portInUse(config: Config, error: unknown): string {
  const { port = config.port } = error as { port?: number };
  const flag = port === config.s3Port ? '--s3-port' : '--port';
  return `port ${port} is in use: stop what listens on ${config.host}:${port}, or choose another ${flag}`;
}

async function announce(io: Io, config: Config, node: Composition, json: boolean): Promise<void> {
  const status = {
    event: 'listening',
    nodeId: config.nodeId,
    httpUrl: node.httpUrl,
    s3Url: node.s3.url,
    s3AccessKey: node.s3.keys.accessKeyId,
    pid: process.pid,
  };
  if (json) await io.out(`${JSON.stringify(status)}\n`);
  const stopping = new AbortController();
  const ready = node.ready.then(() => true);
  const early = { clock: io.clock, signal: AbortSignal.any([io.signal, stopping.signal]) };
  const soon = await Promise.race([ready, sleep(early, BANNER_AFTER_MS).then(() => false)]);
  stopping.abort();
  if (!json) await io.out(banner(config, node, soon));
  if (!soon) {
    const asked = untilStopped(io.signal).then(() => false);
    if (!(await Promise.race([ready, asked]))) return;
    if (!json) await io.out('Ready: all groups have a leader.\n');
  }
  if (json) await io.out(`${JSON.stringify({ ...status, event: 'ready' })}\n`);
}

/** What a person needs after the start: where, what is kept, and what to type next. */
export function banner(
  config: Config,
  { httpUrl, s3, adminKey }: Pick<Composition, 'httpUrl' | 's3' | 'adminKey'>,
  ready: boolean,
): string {
  const alone = config.initialMembers.length === 1 && !config.join;
  const durability = config.ephemeral
    ? 'memory: everything is gone when the process ends (--ephemeral)'
    : `quorum-fsync: a write is answered when ${alone ? 'it is' : 'a quorum has it'} on disk`;
  const others = config.initialMembers.filter((member) => member !== config.nodeId);
  const missing = config.join ? 'the cluster' : others.join(', ');
  const waiting = alone ? 'Reading its data back ...' : `Waiting for ${missing} ...`;
  const trust = config.tls === null ? '' : 'NODE_EXTRA_CA_CERTS=<ca.pem> ';
  const lines = [
    '',
    `  minikv node ${config.nodeId} of cluster ${config.cluster}`,
    '',
    `  REST        ${httpUrl}/v1/kv`,
    `  Docs        ${httpUrl}/docs`,
    `  Metrics     ${httpUrl}/metrics`,
    `  S3          ${s3.url}`,
    `  S3 keys     ${shownKeys(s3.keys)}`,
    ...(adminKey === null ? [] : [`  Admin key   ${shownAdminKey(adminKey)}`]),
    `  Data        ${config.ephemeral ? '(memory)' : resolve(config.data)}`,
    `  Durability  ${durability}`,
    '',
    ready ? '  Try:' : `  ${waiting} Then try:`,
    '',
    adminKey === null
      ? `    curl -X PUT ${httpUrl}/v1/kv/hello -d 'world' && curl ${httpUrl}/v1/kv/hello`
      : `    ${trust}MINIKV_API_KEY=<admin key> npx minikv keys create me --role read_write --endpoint ${httpUrl}`,
    '',
    '',
  ];
  return lines.join('\n');
}

/** The secret is shown once: when it is drawn. */
function shownKeys({ accessKeyId, secretAccessKey, from, path }: S3Keys): string {
  if (from === 'new') return `${accessKeyId} ${secretAccessKey}`;
  return path === null ? accessKeyId : `${accessKeyId}, the secret is in ${path}`;
}

/** The same. */
function shownAdminKey({ key, from, path }: AdminKey): string {
  if (from === 'new') return apiKeyText(key);
  return path === null ? 'configured' : `in ${path}`;
}

function untilStopped(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) done();
    else signal.addEventListener('abort', () => done(), { once: true });
  });
}

async function stopWithin(io: Io, node: Composition): Promise<boolean> {
  let cancel = (): void => {};
  const late = new Promise<boolean>((resolveLate) => {
    cancel = io.clock.after(STOP_MS_MAX, () => resolveLate(false));
  });
  const stopped = await Promise.race([node.stop().then(() => true), late]);
  cancel();
  return stopped;
}

/** What nobody caught may have left anything half done: log it and end; a restart replays the log. */
function catchTheUncaught(log: WriteLog): () => void {
  const onError = (error: unknown): void => {
    log('error', 'uncaught: the process ends', { error });
    process.exit(1);
  };
  process.on('uncaughtException', onError);
  process.on('unhandledRejection', onError);
  return () => {
    process.off('uncaughtException', onError);
    process.off('unhandledRejection', onError);
  };
}
