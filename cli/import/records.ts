import { textOrNull } from '../../protocol/bytes.ts';
import { CommandFailed, UsageError } from '../failures.ts';

/** One put of a batch, as POST /v1/batch takes it. */
export interface PutOp {
  readonly op: 'put';
  readonly key?: string;
  readonly keyBase64?: string;
  readonly value?: string;
  readonly base64?: string;
  readonly contentType?: string;
  /** Seconds. */
  readonly ttl?: number;
}

/** What an import reads: an operation, and where in the input it stood (from 1). */
export interface ImportRecord {
  readonly op: PutOp;
  readonly number: number;
}

/**
 * NDJSON: `{"key" | "keyBase64", "value" | "base64", "contentType"?, "ttl"? | "expiresAt"?}` per line, as
 * `export` writes it; other members are ignored, so are empty lines. Expired records are left out.
 */
export async function* ndjsonRecords(
  lines: AsyncIterable<Buffer>,
  wallMs: () => number,
): AsyncGenerator<ImportRecord> {
  let number = 0;
  for await (const line of lines) {
    number += 1;
    if (line.length === 0 || line.toString('latin1').trim() === '') continue;
    const op = ndjsonOp(line, number, wallMs());
    if (op !== null) yield { op, number };
  }
}

function ndjsonOp(line: Buffer, number: number, wallMs: number): PutOp | null {
  let raw: Record<string, unknown>;
  try {
    raw = JSON.parse(line.toString('utf8')) as Record<string, unknown>;
  } catch {
    throw new CommandFailed(`line ${number} is not JSON`);
  }
  if (typeof raw !== 'object' || raw === null)
    throw new CommandFailed(`line ${number} is no object`);
  const pick = (name: string): string | undefined => {
    const value = raw[name];
    if (value === undefined || value === null) return undefined;
    if (typeof value === 'string') return value;
    throw new CommandFailed(`line ${number}: ${name} must be a string`);
  };
  // The last line of a stream that ended well.
  if (raw['end'] === true && raw['key'] === undefined) return null;
  const key = pick('key');
  const keyBase64 = pick('keyBase64');
  const value = pick('value');
  const base64 = pick('base64');
  if ((key === undefined) === (keyBase64 === undefined)) {
    throw new CommandFailed(`line ${number} needs exactly one of key and keyBase64`);
  }
  if ((value === undefined) === (base64 === undefined)) {
    throw new CommandFailed(`line ${number} needs exactly one of value and base64`);
  }
  const contentType = pick('contentType');
  const ttl = ttlOf(raw['ttl'], pick('expiresAt'), number, wallMs);
  if (ttl === 'expired') return null;
  return defined({ op: 'put' as const, key, keyBase64, value, base64, contentType, ttl });
}

function ttlOf(
  ttl: unknown,
  expiresAt: string | undefined,
  number: number,
  wallMs: number,
): number | 'expired' | undefined {
  if (typeof ttl === 'number') return ttl;
  if (ttl !== undefined) throw new CommandFailed(`line ${number}: ttl must be a number of seconds`);
  if (expiresAt === undefined) return undefined;
  const atMs = Date.parse(expiresAt);
  if (Number.isNaN(atMs)) throw new CommandFailed(`line ${number}: expiresAt is not a time`);
  return atMs <= wallMs ? 'expired' : Math.ceil((atMs - wallMs) / 1000);
}

/** The same object without its undefined members. */
function defined<T extends object>(object: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(object).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> };
}

/**
 * deb822 (Debian policy, section 5.1): records of fields, separated by blank lines. A record's key
 * comes from the template, its value is its own text, byte by byte, each line ended by LF.
 */
export async function* deb822Records(
  lines: AsyncIterable<Buffer>,
  template: KeyTemplate,
): AsyncGenerator<ImportRecord> {
  let number = 0;
  let record: Buffer[] = [];
  for await (const line of lines) {
    if (!isBlank(line)) {
      record.push(line);
      continue;
    }
    if (record.length > 0) yield deb822Record(record, ++number, template);
    record = [];
  }
  if (record.length > 0) yield deb822Record(record, ++number, template);
}

function isBlank(line: Buffer): boolean {
  return line.every((byte) => byte === 32 || byte === 9);
}

const LF = Buffer.from('\n');

function deb822Record(
  lines: readonly Buffer[],
  number: number,
  template: KeyTemplate,
): ImportRecord {
  const bytes = Buffer.concat(lines.flatMap((line) => [line, LF]));
  const text = textOrNull(bytes);
  const key = template(deb822Fields(lines), number);
  const value = text === null ? { base64: bytes.toString('base64') } : { value: text };
  return { op: { op: 'put', key, ...value, contentType: 'text/plain; charset=utf-8' }, number };
}

/** Field names in lower case; a folded value keeps its first line only, which is all a key needs. */
function deb822Fields(lines: readonly Buffer[]): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const line of lines) {
    if (line[0] === 32 || line[0] === 9 || line[0] === 35) continue;
    const colon = line.indexOf(':');
    if (colon <= 0) continue;
    const name = line.toString('utf8', 0, colon).trim().toLowerCase();
    fields.set(name, line.toString('utf8', colon + 1).trim());
  }
  return fields;
}

/** Makes a record's key from its fields. */
export type KeyTemplate = (fields: ReadonlyMap<string, string>, number: number) => string;

/** `debian/{Section}/{Package}`: fields in braces, any case; `{Section|none}` where it may be missing. */
export function parseKeyTemplate(text: string): KeyTemplate {
  const parts = text.split(/\{([^{}]*)\}/);
  const names = parts.filter((_, i) => i % 2 === 1).map((part) => part.split('|', 1)[0]!.trim());
  if (
    names.length === 0 ||
    names.includes('') ||
    /[{}]/.test(parts.filter((_, i) => i % 2 === 0).join(''))
  ) {
    throw new UsageError(
      `a key template needs fields in braces, e.g. 'debian/{Section}/{Package}'`,
    );
  }
  return (fields, number) =>
    parts
      .map((part, i) => {
        if (i % 2 === 0) return part;
        const [name = '', fallback] = part.split('|', 2);
        const value = fields.get(name.trim().toLowerCase());
        if (value !== undefined && value !== '') return value;
        if (fallback !== undefined) return fallback;
        throw new CommandFailed(
          `record ${number} has no field ${name}; {${name}|none} gives it a fallback`,
        );
      })
      .join('');
}
