import {
  type AuditEvent,
  type AuditFilter,
  type AuditRecord,
  type AuditTrail,
  isDenial,
} from '../../protocol/audit.ts';
import type { Clock } from '../../protocol/clock.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { type Disk, DiskError, type DiskFile } from '../disk/port.ts';
import { Allowance } from './allowance.ts';
import { NO_HASH, readLine, sealed } from './chain.ts';

export const AUDIT_FOLDER = 'audit';
const FLUSH_MS = 100;
/** After a write that failed. */
const RETRY_MS = 5_000;
const PENDING_BYTES_MAX = 8 * 1024 * 1024;
/** What a record takes besides its texts. */
const RECORD_BYTES = 512;
/** A reader checks the lines of so much at once, and others wait meanwhile: about 5 ms. */
const READ_BYTES = 128 * 1024;
const TEXT_CHARS_MAX = 2_048;
/**
 * Whoever shows no credentials may be refused thousands of times a second, and would soon have pushed the oldest files out:
 * so many of their records are kept, and short ones. The others are counted.
 */
const NOBODYS_PER_SEC = 20;
const NOBODYS_AT_ONCE = 1_000;
const NOBODYS_CHARS_MAX = 256;
/** So often is told how many were not. */
const SKIPPED_EVERY_MS = 10_000;
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
  /** The disk takes nothing: it is tried again. */
  failed(error: unknown): void;
  /** Records that will be on no disk: too many waited for it, or the process ends. */
  lost(records: number): void;
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

interface Pending {
  readonly at: string;
  readonly event: AuditEvent;
}

/**
 * The audit trail in files of lines (chain.ts). What was noted is written and synced together every 100 ms; what is then not on disk is
 * lost with the process. A torn last line is cut off at the next start; whatever else is not as it was written stays, for `audit verify` to show, and
 * a new chain begins behind it. While the disk takes nothing, records wait; they get their numbers when they are written, so those that found no
 * room leave no gap.
 */
export class AuditLog implements AuditTrail {
  readonly hasData: boolean;
  readonly #options: AuditOptions;
  readonly #parts: Parts;
  readonly #nobodys: Allowance;
  #file: DiskFile | null = null;
  /** Of the file that is written to; null: none is. */
  #path: string | null = null;
  /** Behind the last line that was synced. */
  #offset = 0;
  /** Of the last one that was synced. */
  #seq = 0;
  #hash = NO_HASH;
  #pending: Pending[] = [];
  #pendingBytes = 0;
  #lost = 0;
  #skipped = 0;
  #skippedToldMs = Number.NEGATIVE_INFINITY;
  #isFailing = false;
  #writing: Promise<void> | null = null;
  #cancel: (() => void) | null = null;

  private constructor(options: AuditOptions, parts: Parts) {
    this.hasData = options.hasData;
    this.#options = options;
    this.#parts = parts;
    this.#nobodys = new Allowance(NOBODYS_PER_SEC, NOBODYS_AT_ONCE, parts.clock);
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
    const isNobodys = event.who === 'nobody' && isDenial(event.status);
    if (isNobodys && !this.#nobodys.take()) this.#skipped++;
    else if (this.#pendingBytes > PENDING_BYTES_MAX) {
      this.#lost++;
      this.#parts.reports.lost(1);
    } else this.#add(bounded(event, isNobodys ? NOBODYS_CHARS_MAX : TEXT_CHARS_MAX));
    this.#flushLater();
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
    this.#skippedToldMs = Number.NEGATIVE_INFINITY;
    await this.#flush();
    this.#cancel?.();
    if (this.#pending.length > 0) this.#parts.reports.lost(this.#pending.length);
    await this.#file?.close();
    this.#file = null;
  }

  #add(event: AuditEvent): void {
    const { who, resource, requestId } = event;
    this.#pending.push({ at: new Date(this.#parts.clock.wallMs()).toISOString(), event });
    this.#pendingBytes += bytesOf({ who, resource, requestId });
  }

  #flushLater(): void {
    const waitMs = this.#isFailing ? RETRY_MS : FLUSH_MS;
    this.#cancel ??= this.#parts.clock.after(waitMs, () => {
      this.#cancel = null;
      void this.#flush();
    });
  }

  /** Resolves when all that was noted before is on disk, or the disk has refused it. */
  async #flush(): Promise<void> {
    while (this.#writing !== null) await this.#writing;
    this.#addOwn();
    if (this.#pending.length > 0) {
      this.#writing = this.#write().finally(() => {
        this.#writing = null;
      });
      await this.#writing;
    }
    if (this.#pending.length + this.#lost + this.#skipped > 0) this.#flushLater();
  }

  /** What is missing says itself how much it is. */
  #addOwn(): void {
    const own = { who: 'minikv', from: '', status: 0, requestId: '' };
    const nowMs = this.#parts.clock.monotonicMs();
    if (this.#skipped > 0 && nowMs - this.#skippedToldMs >= SKIPPED_EVERY_MS) {
      const resource = `${this.#skipped} denied requests of nobody`;
      this.#skipped = 0;
      this.#skippedToldMs = nowMs;
      this.#add({ ...own, action: 'audit:skipped', resource });
    }
    if (this.#lost > 0 && this.#pendingBytes <= PENDING_BYTES_MAX) {
      const resource = `${this.#lost} records`;
      this.#lost = 0;
      this.#add({ ...own, action: 'audit:lost', resource });
    }
  }

  async #write(): Promise<void> {
    const batch = [...this.#pending];
    const batchBytes = this.#pendingBytes;
    let [seq, hash] = [this.#seq, this.#hash];
    const lines = batch.map(({ at, event }) => {
      const made = sealed({ seq: ++seq, at, node: this.#options.node, ...event }, hash);
      hash = made.hash;
      return made.line;
    });
    const bytes = Buffer.from(lines.join(''));
    try {
      await this.#checkRoom(bytes.length);
      const file = await this.#fileToWrite();
      await file.write(this.#offset, bytes);
      await file.sync();
    } catch (error) {
      this.#isFailing = true;
      this.#parts.reports.failed(error);
      // It is in doubt what is behind the last line: it is cut off before anything else is written.
      await this.#file?.close().catch(() => {});
      this.#file = null;
      return;
    }
    const isNew = this.#offset === 0;
    this.#isFailing = false;
    this.#offset += bytes.length;
    this.#seq = seq;
    this.#hash = hash;
    this.#pending.splice(0, batch.length);
    this.#pendingBytes -= batchBytes;
    if (isNew) await this.#removeOldest();
  }

  /** Whoever is refused often enough must not get at the room that is kept for the log of the node. */
  async #checkRoom(bytes: number): Promise<void> {
    const leftBytes = (await this.#parts.disk.freeBytes()) - bytes;
    if (leftBytes >= LIMITS.diskReserveBytes / 2) return;
    throw new DiskError('ENOSPC', 'what is left of the disk is for the log');
  }

  async #fileToWrite(): Promise<DiskFile> {
    const { disk } = this.#parts;
    if (this.#path === null || this.#offset >= this.#options.fileBytesMax) {
      await this.#file?.close();
      this.#file = null;
      this.#path = `${AUDIT_FOLDER}/${nameOf(this.#seq + 1)}`;
      this.#offset = 0;
    }
    if (this.#file === null) {
      this.#file = await disk.open(this.#path);
      await this.#file.truncate(this.#offset);
    }
    return this.#file;
  }

  /** Only once the newest one has something: a disk that takes no more must not cost what it has. */
  async #removeOldest(): Promise<void> {
    const { disk, reports } = this.#parts;
    try {
      const names = (await disk.list(AUDIT_FOLDER)).filter(isTrail);
      const tooMany = names.slice(0, Math.max(0, names.length - this.#options.filesMax));
      for (const name of tooMany) await disk.remove(`${AUDIT_FOLDER}/${name}`);
    } catch (error) {
      reports.failed(error); // with the next file
    }
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
    // What is torn is cut off before the next line is written.
    this.#path = path;
    this.#offset = good;
    return true;
  }
}

export function isTrail(name: string): boolean {
  return /^\d{16}\.ndjson$/.test(name);
}

function bytesOf({ who, resource, requestId }: Pick<AuditEvent, 'who' | 'resource' | 'requestId'>) {
  return RECORD_BYTES + who.length + resource.length + requestId.length;
}

function bounded(event: AuditEvent, charsMax: number): AuditEvent {
  const cut = (text: string) => (text.length > charsMax ? `${text.slice(0, charsMax)}...` : text);
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
