import { createReadStream, type ReadStream, type Stats, statSync } from 'node:fs';
import { createGunzip } from 'node:zlib';
import type { RootKeys } from '../../gateways/encryption/root-keys.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { randomHex } from '../../protocol/random.ts';
import { type ExportKeyFlags, exportKeys, isKeyNamed } from '../export-keys.ts';
import { CommandFailed, UsageError } from '../failures.ts';
import {
  type Progress,
  readCheckpoint,
  removeCheckpoint,
  writeCheckpoint,
} from '../import/checkpoint.ts';
import { linesOf } from '../import/lines.ts';
import {
  deb822Records,
  type ImportRecord,
  ndjsonRecords,
  parseKeyTemplate,
} from '../import/records.ts';
import { type RefusedRecord, sendBatch } from '../import/sender.ts';
import type { Io } from '../io.ts';
import { NO_PROGRESS, openProgress, type ProgressBar } from '../progress.ts';
import { isSealed, unsealed } from '../sealed-stream.ts';
import { type Context, countOf, printJson } from './context.ts';

export interface ImportFlags extends ExportKeyFlags {
  readonly format?: string;
  readonly key?: string;
  readonly batch?: string;
  readonly parallel?: string;
  readonly checkpoint?: string;
  readonly progress?: boolean;
}

/** Well below what a request may hold, and large enough that the log's sync is shared by many. */
const BATCH_BYTES = 512 * 1024;
const BATCH_RECORDS = '500';
const PARALLEL = '4';
const REFUSED_SHOWN_MAX = 20;
const CHECKPOINT_EVERY_MS = 500;

interface Source {
  readonly name: string;
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Reads it once, where it can be read again: what is encrypted and does not open is then refused as a whole. */
  check(): Promise<void>;
  /** Bytes in all; null for a stream. */
  readonly total: number | null;
  /** Bytes taken so far. */
  taken(): number;
}

/**
 * `minikv import [file]`: puts every record, in batches, a few at once. Each batch is sent until it is
 * in; with `--checkpoint` an interrupted import goes on where it was.
 */
export async function importRecords(
  context: Context,
  file: string | undefined,
  flags: ImportFlags,
): Promise<void> {
  const { io, json } = context;
  const plan = planOf(file, flags);
  const source = openSource(io, file, {
    keys: await exportKeys(io, flags),
    isExpected: isKeyNamed(flags),
  });
  const input = `${source.name} ${plan.format} ${flags.key ?? ''} ${plan.batchRecords}`;
  const found = plan.checkpoint === null ? null : readCheckpoint(plan.checkpoint, input);
  await source.check();
  const run = new ImportRun(context, plan, {
    ...(found ?? { input, runId: randomHex(io.random, 8), records: 0 }),
  });
  const nowMs = (): number => io.clock.monotonicMs();
  const shown = flags.progress ?? io.errIsTerminal;
  const bar = shown ? openProgress('import', source.total, nowMs) : NO_PROGRESS;
  try {
    const records = plan.read(linesOf(source.chunks), () => io.clock.wallMs());
    await run.all(records, source, bar);
  } finally {
    bar.stop();
    run.saveCheckpoint();
  }
  if (plan.checkpoint !== null) removeCheckpoint(plan.checkpoint);
  const { refused, skipped } = run;
  const imported = run.sent - refused.length;
  const summary = { imported, refused: refused.length, skipped };
  if (json) await printJson(io, { ...summary, refusals: refused.slice(0, REFUSED_SHOWN_MAX) });
  else {
    const before = skipped === 0 ? '' : `, ${skipped} were in already`;
    io.err(`imported ${imported} records${before}\n`);
  }
  if (refused.length > 0) {
    const shownRefusals = refused.slice(0, REFUSED_SHOWN_MAX);
    const lines = shownRefusals.map(
      (r) => `  record ${r.number} (${r.key}): ${r.message} [${r.code}]`,
    );
    throw new CommandFailed(
      `${refused.length} records were refused:\n${lines.join('\n')}`,
      summary,
    );
  }
}

interface Plan {
  readonly format: string;
  readonly batchRecords: number;
  readonly parallel: number;
  readonly checkpoint: string | null;
  read(lines: AsyncIterable<Buffer>, wallMs: () => number): AsyncGenerator<ImportRecord>;
}

function planOf(file: string | undefined, flags: ImportFlags): Plan {
  const { format = 'ndjson' } = flags;
  const fromFile = file !== undefined && file !== '-';
  if (flags.checkpoint !== undefined && !fromFile) {
    throw new UsageError('--checkpoint needs a file: standard input cannot be read twice');
  }
  const common = {
    format,
    batchRecords: countOf(flags.batch ?? BATCH_RECORDS, '--batch', 1, LIMITS.batchOpsMax),
    parallel: countOf(flags.parallel ?? PARALLEL, '--parallel', 1, 64),
    checkpoint: flags.checkpoint ?? null,
  };
  if (format === 'ndjson') {
    if (flags.key !== undefined) throw new UsageError('--key goes with --format deb822');
    return { ...common, read: ndjsonRecords };
  }
  if (format !== 'deb822') throw new UsageError(`--format is ndjson or deb822, not "${format}"`);
  if (flags.key === undefined) {
    throw new UsageError(`--format deb822 needs --key, e.g. --key 'debian/{Section}/{Package}'`);
  }
  const template = parseKeyTemplate(flags.key);
  return { ...common, read: (lines) => deb822Records(lines, template) };
}

/** `isExpected`: it has to be encrypted. */
function openSource(
  io: Io,
  file: string | undefined,
  { keys, isExpected }: { readonly keys: RootKeys | null; readonly isExpected: boolean },
): Source {
  if (file === undefined || file === '-') {
    if (io.stdinIsTerminal) throw new UsageError('nothing to import: name a file, or pipe one in');
    const chunks = unsealed(io.stdin, keys, isExpected);
    return { name: '-', chunks, total: null, taken: () => 0, check: async () => {} };
  }
  let stats: Stats;
  try {
    stats = statSync(file);
  } catch (error) {
    throw new CommandFailed(`cannot read ${file}: ${(error as Error).message}`, {}, error);
  }
  let stream: ReadStream | null = null;
  const read = async function* (): AsyncGenerator<Uint8Array> {
    stream = createReadStream(file, { highWaterMark: 256 * 1024 });
    if (!file.endsWith('.gz')) return yield* stream;
    const unpacked = createGunzip();
    stream.on('error', (error) => unpacked.destroy(error));
    yield* stream.pipe(unpacked);
  };
  const open = () => unsealed(read(), keys, isExpected);
  return {
    check: async () => {
      if (!stats.isFile()) return;
      for await (const first of read()) {
        if (!isExpected && !isSealed(first)) return;
        break;
      }
      for await (const _ of open());
    },
    name: `${file} ${stats.size} ${stats.mtimeMs}`,
    // Opened when it is read: what comes before may still refuse.
    chunks: { [Symbol.asyncIterator]: open },
    total: stats.isFile() ? stats.size : null,
    taken: () => stream?.bytesRead ?? 0,
  };
}

/** One import under way: fills batches, keeps `parallel` of them in the air, remembers how far it is. */
class ImportRun {
  readonly refused: RefusedRecord[] = [];
  sent = 0;
  skipped = 0;
  readonly #context: Context;
  readonly #plan: Plan;
  #progress: Progress;
  #savedMs = Number.NEGATIVE_INFINITY;
  readonly #inFlight = new Set<Promise<void>>();
  /** Batches that are in although one before them is not: their first record and their count. */
  readonly #ahead = new Map<number, number>();
  #failure: unknown = null;

  constructor(context: Context, plan: Plan, progress: Progress) {
    this.#context = context;
    this.#plan = plan;
    this.#progress = progress;
  }

  async all(records: AsyncIterable<ImportRecord>, source: Source, bar: ProgressBar): Promise<void> {
    const start = this.#progress.records;
    let batch: ImportRecord[] = [];
    let bytes = 0;
    let position = 0;
    const flush = async (): Promise<void> => {
      if (batch.length > 0) await this.#launch(batch, position - batch.length);
      batch = [];
      bytes = 0;
      bar.update(source.taken(), this.sent);
    };
    for await (const record of records) {
      if (this.#failure !== null || this.#context.io.signal.aborted) break;
      position += 1;
      if (position <= start) {
        this.skipped += 1;
        continue;
      }
      batch.push(record);
      bytes += sizeOf(record);
      if (batch.length >= this.#plan.batchRecords || bytes >= BATCH_BYTES) await flush();
    }
    if (this.#failure === null && !this.#context.io.signal.aborted) await flush();
    await Promise.all(this.#inFlight);
    bar.update(source.taken(), this.sent);
    if (this.#failure !== null) throw this.#failure;
    if (this.#context.io.signal.aborted) {
      throw new CommandFailed(`stopped after ${this.sent} records`, { imported: this.sent });
    }
  }

  saveCheckpoint(): void {
    if (this.#plan.checkpoint !== null) writeCheckpoint(this.#plan.checkpoint, this.#progress);
  }

  /** Waits for a free place, then sends without waiting for the answer. */
  async #launch(batch: readonly ImportRecord[], first: number): Promise<void> {
    while (this.#inFlight.size >= this.#plan.parallel) await Promise.race(this.#inFlight);
    if (this.#failure !== null) return;
    const sending = this.#send(batch, first).catch((error: unknown) => {
      this.#failure ??= error;
    });
    this.#inFlight.add(sending);
    void sending.finally(() => this.#inFlight.delete(sending));
  }

  async #send(batch: readonly ImportRecord[], first: number): Promise<void> {
    const { io, client } = this.#context;
    const key = `import-${this.#progress.runId}-${first}`;
    this.refused.push(...(await sendBatch(io, client, batch, key)));
    this.sent += batch.length;
    this.#ahead.set(first, batch.length);
    let { records } = this.#progress;
    for (;;) {
      const count = this.#ahead.get(records);
      if (count === undefined) break;
      this.#ahead.delete(records);
      records += count;
    }
    this.#progress = { ...this.#progress, records };
    const nowMs = io.clock.monotonicMs();
    if (nowMs - this.#savedMs < CHECKPOINT_EVERY_MS) return;
    this.#savedMs = nowMs;
    this.saveCheckpoint();
  }
}

function sizeOf({ op }: ImportRecord): number {
  const { key, keyBase64, value, base64 } = op;
  return 32 + (key ?? keyBase64 ?? '').length + (value ?? base64 ?? '').length;
}
