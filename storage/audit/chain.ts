import { createHash } from 'node:crypto';
import type { AuditRecord } from '../../protocol/audit.ts';

/**
 * A record is one line of JSON. Its last member is the SHA-256 of all before it, which begins with the hash of the line
 * before: no line can be changed, left out or put in without changing all that follow.
 */

/** Before the first line. */
export const NO_HASH = '0'.repeat(64);
const MARK = ',"hash":"';
const TAIL = /^([0-9a-f]{64})"\}$/;

export interface Sealed {
  /** With its newline. */
  readonly line: string;
  readonly hash: string;
}

export function sealed(record: AuditRecord, prev: string): Sealed {
  const { seq, at, node, who, from, action, resource, status, requestId } = record;
  const fields = { prev, seq, at, node, who, from, action, resource, status, requestId };
  const head = JSON.stringify(fields).slice(0, -1);
  const hash = hashOf(head);
  return { line: `${head}${MARK}${hash}"}\n`, hash };
}

export interface ReadLine {
  readonly record: AuditRecord;
  readonly prev: string;
  readonly hash: string;
}

/** Null: that is no line of a trail, or it was changed. Without its newline. The hash is no secret: whoever can write the file can make one. */
export function readLine(line: string): ReadLine | null {
  const at = line.lastIndexOf(MARK);
  const hash = at < 0 ? null : TAIL.exec(line.slice(at + MARK.length));
  if (hash === null || hashOf(line.slice(0, at)) !== hash[1]) return null;
  const fields = fieldsOf(line);
  if (fields === null) return null;
  const { prev, seq, at: when, node, who, from, action, resource, status, requestId } = fields;
  const record = { seq, at: when, node, who, from, action, resource, status, requestId };
  // Names that nobody writes, or others in their place, make another line of the same record.
  const isOurs = sealed(record, prev).hash === hash[1];
  return isOurs ? { record, prev, hash: hash[1] as string } : null;
}

type Fields = AuditRecord & { readonly prev: string };
const TEXTS = ['prev', 'at', 'node', 'who', 'from', 'action', 'resource', 'requestId'] as const;

function fieldsOf(line: string): Fields | null {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const fields = value as Fields;
  if (TEXTS.some((name) => typeof fields[name] !== 'string')) return null;
  return isCount(fields.seq) && isCount(fields.status) ? fields : null;
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** What a check of a trail found. */
export interface TrailCheck {
  readonly records: number;
  readonly firstSeq: number | null;
  readonly lastSeq: number | null;
  /** Of the last line: kept elsewhere it shows whether lines were cut off the end since. */
  readonly lastHash: string | null;
  /** Null: nothing is wrong. */
  readonly fault: { readonly file: string; readonly line: number; readonly what: string } | null;
}

/** Checks lines in their order; pure. */
export class TrailChecker {
  #last: ReadLine | null = null;
  #firstSeq: number | null = null;
  #records = 0;
  #fault: TrailCheck['fault'] = null;

  /** The next line; '' and what follows the first fault are passed over. */
  add(text: string, file: string, line: number): void {
    if (text === '' || this.#fault !== null) return;
    const read = readLine(text);
    const what = read === null ? 'the line was changed, or is cut off' : this.#breakBefore(read);
    if (read === null || what !== null) {
      this.#fault = { file, line, what: what ?? '' };
      return;
    }
    this.#firstSeq ??= read.record.seq;
    this.#last = read;
    this.#records++;
  }

  result(): TrailCheck {
    return {
      ...{ records: this.#records, firstSeq: this.#firstSeq },
      ...{ lastSeq: this.#last?.record.seq ?? null, lastHash: this.#last?.hash ?? null },
      fault: this.#fault,
    };
  }

  #breakBefore({ prev, record }: ReadLine): string | null {
    if (this.#last === null) {
      const isWhole = record.seq !== 1 || prev === NO_HASH;
      return isWhole ? null : 'the first line follows another one';
    }
    if (record.seq !== this.#last.record.seq + 1)
      return `record ${this.#last.record.seq + 1} is missing`;
    return prev === this.#last.hash ? null : 'the line does not follow the one before';
  }
}
