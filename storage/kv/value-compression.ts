import { LIMITS } from '../../protocol/limits.ts';
import { type Codec, type CodecName, codecOf } from './codecs.ts';
import { BODY_OFFSET, parseHistoryKey, refOfTriple } from './keyspace.ts';

/** How keys of a prefix are compressed; the longest prefix that fits counts. */
export interface CompressionRule {
  readonly prefix: string;
  /** Null: not at all. */
  readonly codec: CodecName | null;
}

/** First bytes of compressed rows: version rows begin with flags below 16. */
const MARKS: Readonly<Record<CodecName, number>> = { lz4: 0xc4, zstd: 0xc5 };
/** Mark u8, bytes in clear u32 little-endian. */
const HEAD_BYTES = 5;
/** A row below it has too little that comes again. */
const ROW_BYTES_MIN = 256;
/** A longer one is tried by its first bytes, which is cheap where nothing is to be gained. */
const SAMPLED_BYTES_MIN = 16 * 1024;
const SAMPLE_BYTES = 4 * 1024;
/** It pays from an eighth on. */
const KEPT_SHARE_MAX = 7 / 8;
/** Value, content type, and what else a row has. */
const ROW_BYTES_MAX = LIMITS.valueBytesMax + 128 * 1024;

/** A row was compressed with what this Node.js has not got: nothing is wrong with it. */
export class CodecMissing extends Error {
  override readonly name = 'CodecMissing';
}

/** Compresses rows of keys and their past, each by itself, where a rule says so and it pays. */
export class ValueCompression {
  /** The longest prefix first; latin1 of UTF-8, as row keys have it. */
  readonly #rules: readonly { readonly prefix: string; readonly codec: Codec | null }[];

  /** Throws CodecMissing. */
  constructor(rules: readonly CompressionRule[]) {
    this.#rules = rules
      .map(({ prefix, codec }) => ({
        prefix: Buffer.from(prefix, 'utf8').toString('latin1'),
        codec: codec === null ? null : tried(codecHere(codec)),
      }))
      .sort((a, b) => b.prefix.length - a.prefix.length);
  }

  /** Whether there is any rule. */
  get isWanted(): boolean {
    return this.#rules.length > 0;
  }

  uses(name: CodecName): boolean {
    return this.#rules.some(({ codec }) => codec?.name === name);
  }

  /** The row as it is kept. */
  pack(key: string, row: Uint8Array): Uint8Array {
    if (!this.isWanted || row.length < ROW_BYTES_MIN) return row;
    const codec = this.#codecFor(key);
    if (codec === null || !isWorthTrying(codec, row)) return row;
    const packed = codec.compress(row);
    if (!pays(packed.length + HEAD_BYTES, row.length)) return row;
    const out = Buffer.allocUnsafe(HEAD_BYTES + packed.length);
    out[0] = MARKS[codec.name];
    out.writeUInt32LE(row.length, 1);
    out.set(packed, HEAD_BYTES);
    return out;
  }

  #codecFor(key: string): Codec | null {
    const name = nameOf(key);
    if (name === null) return null;
    return this.#rules.find(({ prefix }) => name.startsWith(prefix))?.codec ?? null;
  }
}

/** The row as it was, whatever the rules are now. Null: it was changed. Throws CodecMissing. */
export function unpacked(key: string, row: Uint8Array): Uint8Array | null {
  const mark = row[0];
  if (mark !== MARKS.lz4 && mark !== MARKS.zstd) return row;
  const kind = key[BODY_OFFSET - 1];
  if (kind !== 'c' && kind !== 'h') return row;
  if (row.length <= HEAD_BYTES) return null;
  const length = Buffer.from(row.buffer, row.byteOffset, HEAD_BYTES).readUInt32LE(1);
  if (length > ROW_BYTES_MAX) return null;
  const codec = codecHere(mark === MARKS.lz4 ? 'lz4' : 'zstd');
  return codec.decompress(row.subarray(HEAD_BYTES), length);
}

function codecHere(name: CodecName): Codec {
  const codec = codecOf(name);
  if (codec !== null) return codec;
  throw new CodecMissing(`${name} needs Node.js 22.15 or later`);
}

/** Its library is loaded now, and not when the first value is written. */
function tried(codec: Codec): Codec {
  codec.compress(new Uint8Array(1));
  return codec;
}

function isWorthTrying(codec: Codec, row: Uint8Array): boolean {
  if (row.length > ROW_BYTES_MAX) return false;
  if (row.length < SAMPLED_BYTES_MIN) return true;
  return pays(codec.compress(row.subarray(0, SAMPLE_BYTES)).length, SAMPLE_BYTES);
}

function pays(packedBytes: number, bytes: number): boolean {
  return packedBytes <= bytes * KEPT_SHARE_MAX;
}

/** Of a key's row, current or past; null for all else. */
function nameOf(key: string): string | null {
  const kind = key[BODY_OFFSET - 1];
  if (kind !== 'c' && kind !== 'h') return null;
  const ref = refOfTriple(kind === 'c' ? key.slice(BODY_OFFSET) : parseHistoryKey(key).triple);
  return ref === null || ref.space !== KEY_SPACE ? null : ref.key;
}

const KEY_SPACE = 'kv';
