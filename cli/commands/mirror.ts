import { CommandFailed, UsageError } from '../failures.ts';
import type { Io } from '../io.ts';
import { type MirrorCounts, type MirrorPlan, MirrorRun } from '../mirror/mirror-run.ts';
import { S3Client } from '../mirror/s3-client.ts';
import type { S3KeyPair } from '../mirror/sign.ts';
import { Progress } from '../mirror/state.ts';
import { S3Store } from '../mirror/store.ts';
import { openStatusLine } from '../progress.ts';
import { countOf, printJson } from './context.ts';
import { sizeText } from './size-text.ts';

export interface MirrorFlags {
  readonly from?: string;
  readonly fromKeys?: string;
  readonly fromRegion: string;
  readonly to?: string;
  readonly toKeys?: string;
  readonly toRegion: string;
  readonly prefix?: string;
  readonly into?: string;
  readonly versions?: boolean;
  readonly settings?: boolean;
  readonly locks?: boolean;
  readonly state?: string;
  readonly parallel: string;
  readonly wholeMax: string;
  readonly partSize: string;
  readonly progress?: boolean;
  readonly json?: boolean;
}

const MIB = 1024 * 1024;
const SHOWN_MAX = 20;
const TO_DEFAULT = 'http://127.0.0.1:9000';

/** `minikv mirror [bucket...]`: copies buckets of any S3 endpoint into this store. */
export async function mirror(
  io: Io,
  buckets: readonly string[],
  flags: MirrorFlags,
): Promise<void> {
  const fromUrls = endpointsOf(flags.from ?? io.env['MINIKV_FROM_ENDPOINT'], '--from');
  const toUrls = endpointsOf(flags.to ?? io.env['MINIKV_S3_ENDPOINT'] ?? TO_DEFAULT, '--to');
  if (flags.into !== undefined && buckets.length !== 1) {
    throw new UsageError('--into goes with one bucket');
  }
  const parallel = countOf(flags.parallel, '--parallel', 1, 256);
  const wholeBytesMax = countOf(flags.wholeMax, '--whole-max', 5, 5 * 1024) * MIB;
  const partBytes = countOf(flags.partSize, '--part-size', 5, 1024) * MIB;
  const fromKeys = keysOf(io, flags.fromKeys, FROM_VARIABLES);
  const toKeys = keysOf(io, flags.toKeys, TO_VARIABLES);
  const source = new S3Client(io, {
    ...{ endpoints: fromUrls, region: flags.fromRegion, keys: fromKeys },
  });
  const target = new S3Client(io, { endpoints: toUrls, region: flags.toRegion, keys: toKeys });
  const [from, to] = [new S3Store(source), new S3Store(target)];
  const what = buckets.length === 0 ? 'all buckets' : buckets.join(' ');
  const versions = flags.versions === true;
  const job = [
    ...[fromUrls.join(','), toUrls.join(','), what, flags.prefix ?? '', flags.into ?? ''],
    versions ? 'versions' : 'objects',
  ].join(' ');
  const nowMs = (): number => io.clock.monotonicMs();
  const progress = Progress.open(flags.state ?? null, job, nowMs);
  const run = new MirrorRun({
    ...{ io, from, to, progress, versions, parallel, wholeBytesMax, partBytes },
    ...{ settings: flags.settings === true, locks: flags.locks === true },
  });
  const startedMs = nowMs();
  const say = (): string => lineOf(run.counts, nowMs() - startedMs);
  let isDone = false;
  const line = openStatusLine(flags.progress ?? io.errIsTerminal, say);
  try {
    const names = buckets.length > 0 ? buckets : await from.buckets();
    const plans = names.map((bucket): MirrorPlan => {
      return { bucket, target: flags.into ?? bucket, prefix: flags.prefix ?? '' };
    });
    for (const plan of plans) {
      if (io.signal.aborted) break;
      await run.bucket(plan);
    }
    // Of all at the end: some name other buckets.
    for (const plan of plans) await run.settingsAfter(plan);
    isDone = !io.signal.aborted && run.counts.failed === 0;
  } finally {
    line.stop();
    if (isDone) progress.remove();
    else await leave(progress, to, flags.state !== undefined);
    source.close();
    target.close();
  }
  await report(io, run, flags, nowMs() - startedMs);
}

/** With a state file a later run goes on with what was begun; without, nothing is left of it. */
async function leave(progress: Progress, to: S3Store, isKept: boolean): Promise<void> {
  if (isKept) return progress.save();
  for (const { target, uploadId } of progress.uploads()) {
    await to.abortUpload({ ...target, uploadId }).catch(() => {}); // said already, if anybody is there to hear
  }
}

async function report(io: Io, run: MirrorRun, flags: MirrorFlags, ms: number): Promise<void> {
  const { counts, failures } = run;
  const isStopped = io.signal.aborted;
  const seconds = Math.round(ms / 100) / 10;
  if (flags.json === true) await printJson(io, { ...counts, seconds, isStopped, failures });
  else io.err(`${lineOf(counts, ms)}\n`);
  if (isStopped) {
    const how = flags.state === undefined ? '' : '; the same command goes on from here';
    throw new CommandFailed(`stopped${how}`, { ...counts, code: 'stopped' });
  }
  if (counts.failed === 0) return;
  const shown = failures.slice(0, SHOWN_MAX).map(({ bucket, key, message }) => {
    return `  ${bucket}/${key}: ${message}`;
  });
  throw new CommandFailed(`${counts.failed} failed:\n${shown.join('\n')}`, { ...counts });
}

function lineOf(counts: MirrorCounts, ms: number): string {
  const { listed, copied, copiedBytes, skipped, gone, failed, unproven, settings } = counts;
  const rate = sizeText((copiedBytes * 1000) / Math.max(1, ms));
  const parts = [
    `mirror: ${listed} listed`,
    `${copied} copied (${sizeText(copiedBytes)}, ${rate}/s)`,
    `${skipped} there already`,
    ...(gone > 0 ? [`${gone} gone meanwhile`] : []),
    ...(unproven > 0 ? [`${unproven} whose ETag proves nothing`] : []),
    ...(settings > 0 ? [`${settings} settings`] : []),
    `${failed} failed`,
  ];
  return parts.join(', ');
}

function endpointsOf(text: string | undefined, name: string): string[] {
  const urls = (text ?? '').split(',').filter((part) => part !== '');
  if (urls.length === 0) throw new UsageError(`${name} is needed: the URL of an S3 endpoint`);
  for (const one of urls) {
    const url = URL.canParse(one) ? new URL(one) : null;
    if (url === null || !/^https?:$/.test(url.protocol)) {
      throw new UsageError(`${name}: not the URL of an S3 endpoint`);
    }
    if (url.username !== '' || url.password !== '') {
      throw new UsageError(`${name}: keys belong in the environment or in a file, not in the URL`);
    }
  }
  return urls;
}

interface Variables {
  readonly id: readonly string[];
  readonly secret: readonly string[];
  readonly token: readonly string[];
}

const FROM_VARIABLES: Variables = {
  id: ['MINIKV_FROM_ACCESS_KEY', 'AWS_ACCESS_KEY_ID'],
  secret: ['MINIKV_FROM_SECRET_KEY', 'AWS_SECRET_ACCESS_KEY'],
  token: ['MINIKV_FROM_SESSION_TOKEN', 'AWS_SESSION_TOKEN'],
};
const TO_VARIABLES: Variables = {
  id: ['MINIKV_S3_ACCESS_KEY'],
  secret: ['MINIKV_S3_SECRET_KEY'],
  token: [],
};

/** Of a file, else of the environment; null: requests are not signed. Never out of the command line. */
function keysOf(io: Io, path: string | undefined, names: Variables): S3KeyPair | null {
  if (path !== undefined) return keysIn(io, path);
  const found = names.id.findIndex((name) => io.env[name] !== undefined);
  if (found < 0) return null;
  const accessKeyId = io.env[names.id[found] as string] ?? '';
  const secretAccessKey = io.env[names.secret[found] as string];
  if (secretAccessKey === undefined) {
    throw new UsageError(`${names.id[found]} is set, and ${names.secret[found]} is not`);
  }
  return { accessKeyId, secretAccessKey, sessionToken: io.env[names.token[found] ?? ''] ?? null };
}

function keysIn(io: Io, path: string): S3KeyPair {
  let read: Partial<S3KeyPair>;
  try {
    read = JSON.parse(io.readFile(path)) as Partial<S3KeyPair>;
  } catch {
    throw new UsageError(`${path} has no keys: {"accessKeyId", "secretAccessKey"} as JSON`);
  }
  const { accessKeyId, secretAccessKey, sessionToken = null } = read;
  if (typeof accessKeyId !== 'string' || typeof secretAccessKey !== 'string') {
    throw new UsageError(`${path} has no keys: {"accessKeyId", "secretAccessKey"} as JSON`);
  }
  return { accessKeyId, secretAccessKey, sessionToken };
}
