import {
  type AuditEvent,
  type AuditFilter,
  type AuditRecord,
  type AuditTrail,
  isDenial,
} from '../../protocol/audit.ts';
import type { Clock } from '../../protocol/clock.ts';
import type { Disk, DiskFile } from '../disk/port.ts';
import { NO_HASH, readLine, sealed } from './chain.ts';

export const AUDIT_FOLDER = 'audit';
const FLUSH_MS = 100;
/** After a write that failed. */
const RETRY_MS = 5_000;
const PENDING_BYTES_MAX = 8 * 1024 * 1024;
const READ_BYTES = 1024 * 1024;
const TEXT_CHARS_MAX = 2_048;
const NEWLINE = 0x0a;

export interface AuditOptions {
  readonly node: string;
  readonly hasData: boolean;
  readonly fileBytesMax: number;
  /** The oldest go when there are more. */
  readonly filesMax: number;
}

/** Who is told of trouble. */
export interface AuditReports {
  /** Records that are on no disk; null: too many waited for theirs. */
  lost(records: number, error: unknown): void;
  /** The file has lines that are not as they were written. */
  damaged(file: string): void;
}

interface Parts {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly reports: AuditReports;
}

/** `audit/<first seq>.ndjson`, as many digits as any may have. */
function nameOf(seq: number): string {
  return `${String(seq).padStart(16, '0')}.ndjson`;
}

/**
 * The audit trail in files of lines (chain.ts). What was noted is written and synced together every 100 ms; what is then not on disk is
 * lost with the process. A torn last line is cut off at the next start; whatever else is not as it was written stays, for `audit verify` to show, and
 * a new chain begins behind it.
 */
export class AuditLog implements AuditTrail {
  readonly hasData: boolean;
  readonly #options: AuditOptions;
  readonly #parts: Parts;
  #file: DiskFile | null = null;
  #offset = 0;
  #seq = 0;
  #hash = NO_HASH;
  #pending: string[] = [];
  #pendingBytes = 0;
  #lost = 0;
  #isFailing = false;
  #writing: Promise<void> | null = null;
  #cancel: (() => void) | null = null;

  private constructor(options: AuditOptions, parts: Parts) {
    this.hasData = options.hasData;
    this.#options = options;
    this.#parts = parts;
  }

  /** Goes on where the last process ended. */
  static async open(options: AuditOptions, parts: Parts): Promise<AuditLog> {
    const log = new AuditLog(options, parts);
    const names = (await parts.disk.list(AUDIT_FOLDER)).filter(isTrail);
    for (const name of names.reverse()) {
      if (await log.#resume(name)) break;
    }
    return log;
  }

  note(event: AuditEvent): void {
    if (this.#pendingBytes > PENDING_BYTES_MAX) {
      this.#lost++;
      this.#parts.reports.lost(1, null);
      return;
    }
    this.#add(bounded(event));
  }

  async *read(filter: AuditFilter): AsyncGenerator<AuditRecord> {
    await this.#flush();
    const lastSeq = this.#seq;
    for (const name of (await this.#parts.disk.list(AUDIT_FOLDER)).filter(isTrail)) {
      for await (const line of linesOf(this.#parts.disk, `${AUDIT_FOLDER}/${name}`)) {
        const record = readLine(line)?.record;
        if (record === undefined || record.seq > lastSeq || !fits(record, filter)) continue;
        yield record;
      }
    }
  }

  /** Writes what is left. */
  async close(): Promise<void> {
    this.#cancel?.();
    await this.#flush();
    this.#cancel?.();
    await this.#file?.close();
    this.#file = null;
  }

  #add(event: AuditEvent): void {
    const at = new Date(this.#parts.clock.wallMs()).toISOString();
    const record = { seq: this.#seq + 1, at, node: this.#options.node, ...event };
    const { line, hash } = sealed(record, this.#hash);
    this.#seq = record.seq;
    this.#hash = hash;
    this.#pending.push(line);
    this.#pendingBytes += Buffer.byteLength(line);
    const waitMs = this.#isFailing ? RETRY_MS : FLUSH_MS;
    this.#cancel ??= this.#parts.clock.after(waitMs, () => {
      this.#cancel = null;
      void this.#flush();
    });
  }

  /** Resolves when all that was noted before is on disk, or was lost. */
  async #flush(): Promise<void> {
    while (this.#writing !== null) await this.#writing;
    if (this.#pending.length === 0) return;
    this.#writing = this.#write().finally(() => {
      this.#writing = null;
    });
    await this.#writing;
  }

  async #write(): Promise<void> {
    const firstSeq = this.#seq - this.#pending.length + 1;
    const bytes = Buffer.from(this.#pending.join(''));
    const count = this.#pending.length;
    this.#pending = [];
    this.#pendingBytes = 0;
    try {
      const file = await this.#fileFor(firstSeq);
      await file.write(this.#offset, bytes);
      await file.sync();
      this.#offset += bytes.length;
      this.#isFailing = false;
    } catch (error) {
      this.#isFailing = true;
      await this.#giveUp(count, error);
    }
    if (this.#lost === 0 || this.#isFailing) return;
    // A gap says itself how wide it is.
    const lost = this.#lost;
    this.#lost = 0;
    const own = { who: 'minikv', from: '', status: 0, requestId: '' };
    this.#add({ ...own, action: 'audit:lost', resource: `${lost} records` });
  }

  /** The file is in doubt: the next records go into another one. */
  async #giveUp(count: number, error: unknown): Promise<void> {
    this.#parts.reports.lost(count, error);
    this.#lost += count;
    const file = this.#file;
    this.#file = null;
    this.#offset = 0;
    await file?.close().catch(() => {});
  }

  async #fileFor(firstSeq: number): Promise<DiskFile> {
    if (this.#file !== null && this.#offset < this.#options.fileBytesMax) return this.#file;
    await this.#file?.close();
    const { disk } = this.#parts;
    this.#file = await disk.open(`${AUDIT_FOLDER}/${nameOf(firstSeq)}`);
    this.#offset = await this.#file.size();
    const names = (await disk.list(AUDIT_FOLDER)).filter(isTrail);
    const tooMany = names.slice(0, Math.max(0, names.length - this.#options.filesMax));
    for (const name of tooMany) await disk.remove(`${AUDIT_FOLDER}/${name}`);
    return this.#file;
  }

  /** False: nothing whole is in that file, so it is gone, and the one before counts. */
  async #resume(name: string): Promise<boolean> {
    const { disk, reports } = this.#parts;
    const path = `${AUDIT_FOLDER}/${name}`;
    let good = 0;
    let isDamaged = false;
    for await (const { line, end } of placedLines(disk, path)) {
      const read = end === null ? null : readLine(line);
      if (read === null) {
        isDamaged = end !== null;
        if (isDamaged) break;
        continue;
      }
      this.#seq = read.record.seq;
      this.#hash = read.hash;
      good = end as number;
    }
    if (isDamaged) {
      reports.damaged(path);
      this.#seq = Math.max(this.#seq, Number.parseInt(name, 10)) + 1_000_000;
      this.#hash = NO_HASH;
      return true;
    }
    if (good === 0) {
      await disk.remove(path);
      return false;
    }
    const file = await disk.open(path);
    await file.truncate(good);
    this.#file = file;
    this.#offset = good;
    return true;
  }
}

export function isTrail(name: string): boolean {
  return /^\d{16}\.ndjson$/.test(name);
}

function bounded(event: AuditEvent): AuditEvent {
  const cut = (text: string) =>
    text.length > TEXT_CHARS_MAX ? `${text.slice(0, TEXT_CHARS_MAX)}...` : text;
  return {
    ...event,
    who: cut(event.who),
    resource: cut(event.resource),
    requestId: cut(event.requestId),
  };
}

function fits(
  record: AuditRecord,
  { sinceMs, untilMs, who, action, denied }: AuditFilter,
): boolean {
  const atMs = Date.parse(record.at);
  if (sinceMs !== null && atMs < sinceMs) return false;
  if (untilMs !== null && atMs >= untilMs) return false;
  if (who !== null && record.who !== who) return false;
  if (action !== null && !record.action.startsWith(action)) return false;
  return !denied || isDenial(record.status);
}

/** Whole lines of a file, without their ends. */
export async function* linesOf(
  disk: Pick<Disk, 'openToRead'>,
  path: string,
): AsyncGenerator<string> {
  for await (const { line, end } of placedLines(disk, path)) {
    if (end !== null) yield line;
  }
}

/** Lines, each with where it ends; null: it has no end yet. */
async function* placedLines(
  disk: Pick<Disk, 'openToRead'>,
  path: string,
): AsyncGenerator<{ readonly line: string; readonly end: number | null }> {
  const file = await disk.openToRead(path);
  if (file === null) return;
  try {
    const size = await file.size();
    let rest: Buffer = Buffer.alloc(0);
    let start = 0;
    for (let offset = 0; offset < size; ) {
      const bytes = await file.read(offset, Math.min(READ_BYTES, size - offset));
      if (bytes.length === 0) break;
      offset += bytes.length;
      rest = Buffer.concat([rest, bytes]);
      for (let at = rest.indexOf(NEWLINE); at >= 0; at = rest.indexOf(NEWLINE)) {
        const line = rest.toString('utf8', 0, at);
        start += at + 1;
        rest = rest.subarray(at + 1);
        yield { line, end: start };
      }
    }
    if (rest.length > 0) yield { line: rest.toString('utf8'), end: null };
  } finally {
    await file.close();
  }
}
