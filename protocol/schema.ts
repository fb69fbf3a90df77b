import { assert } from './assert.ts';
import { DecodeError } from './codec.ts';
import type { MessageReader } from './message-reader.ts';
import type { MessageWriter } from './message-writer.ts';

/**
 * Small typed codecs between objects and msgpack-able tuples. A record travels as an array in
 * field order; a new optional field goes to the end. `shape` feeds the schema-hash test.
 */
export interface Codec<T> {
  pack(value: T): unknown;
  /** Writes what `pack` gives, without making it. */
  write(out: MessageWriter, value: T): void;
  /** Throws DecodeError, never anything else. */
  unpack(raw: unknown): T;
  /** Reads what `unpack` gives of the message that follows, without taking that apart first. Throws DecodeError. */
  read(from: MessageReader): T;
  readonly shape: string;
  /** True where pack gives back its argument, so that a record need not call it. */
  readonly packsItself?: true;
  /** Unpacks, and reads, with `type` as the first field. Records have them, for unions. */
  unpackAs?(type: string): (raw: unknown) => T & { type: string };
  readAs?(type: string): (from: MessageReader) => T & { type: string };
}

export type Of<C> = C extends Codec<infer T> ? T : never;

/** A safe integer >= 0. */
export const count: Codec<number> = {
  pack: (value) => value,
  write: (out, value) => out.number(value),
  unpack: (raw) => {
    if (typeof raw === 'number' && Number.isSafeInteger(raw) && raw >= 0) return raw;
    throw new DecodeError('expected a count');
  },
  read: (from) => from.count(),
  shape: 'count',
  packsItself: true,
};

export const float: Codec<number> = {
  pack: (value) => value,
  write: (out, value) => out.number(value),
  unpack: (raw) => {
    if (typeof raw === 'number' && Number.isFinite(raw)) return raw;
    throw new DecodeError('expected a number');
  },
  read: (from) => float.unpack(from.value()),
  shape: 'float',
  packsItself: true,
};

export const bool: Codec<boolean> = {
  pack: (value) => value,
  write: (out, value) => out.value(value),
  unpack: (raw) => {
    if (typeof raw === 'boolean') return raw;
    throw new DecodeError('expected a boolean');
  },
  read: (from) => bool.unpack(from.value()),
  shape: 'bool',
  packsItself: true,
};

/** Text of at most `max` UTF-16 units. */
export function str<T extends string = string>(max: number): Codec<T> {
  return {
    pack: (value) => value,
    write: (out, value) => out.text(value),
    unpack: (raw) => {
      if (typeof raw === 'string' && raw.length <= max) return raw as T;
      throw new DecodeError(`expected text of at most ${max}`);
    },
    read: (from) => from.text(max) as T,
    shape: `str${max}`,
    packsItself: true,
  };
}

/** A latin1 byte string (see protocol/bytes.ts), carried as binary. */
export function latin1Str(max: number): Codec<string> {
  return {
    pack: (value) => Buffer.from(value, 'latin1'),
    write: (out, value) => out.latin1(value),
    unpack: (raw) => {
      if (!(raw instanceof Uint8Array) || raw.length > max) throw new DecodeError('expected bytes');
      return Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString('latin1');
    },
    read: (from) => from.latin1(max),
    shape: `latin1:${max}`,
  };
}

/** Binary of at most `max` bytes; a view on the received frame. */
export function bin(max: number): Codec<Uint8Array> {
  return {
    pack: (value) => value,
    write: (out, value) => out.binary(value),
    unpack: (raw) => {
      if (raw instanceof Uint8Array && raw.length <= max) return raw;
      throw new DecodeError(`expected at most ${max} bytes`);
    },
    read: (from) => from.binary(max),
    shape: `bin${max}`,
    packsItself: true,
  };
}

export function oneOf<const T extends readonly string[]>(...names: T): Codec<T[number]> {
  const unpack = (raw: unknown): T[number] => {
    const name = typeof raw === 'number' ? names[raw] : undefined;
    if (name === undefined) throw new DecodeError('unknown variant');
    return name;
  };
  return {
    pack: (value) => names.indexOf(value),
    write: (out, value) => out.number(names.indexOf(value)),
    unpack,
    read: (from) => unpack(from.value()),
    shape: `oneOf(${names.join('|')})`,
  };
}

export function nullable<T>(inner: Codec<T>): Codec<T | null> {
  return {
    pack: (value) => (value === null || value === undefined ? null : inner.pack(value)),
    write: (out, value) => {
      if (value === null || value === undefined) out.value(null);
      else inner.write(out, value);
    },
    unpack: (raw) => (raw === null || raw === undefined ? null : inner.unpack(raw)),
    read: (from) => (from.isNull() ? null : inner.read(from)),
    shape: `${inner.shape}?`,
  };
}

/** A field at the end of a record that older writers do not know: what was not written is null. */
export function later<T>(inner: Codec<T>): Codec<T | null> & { readonly isLater: true } {
  return { ...nullable(inner), isLater: true };
}

export function list<T>(inner: Codec<T>, max: number): Codec<T[]> {
  return {
    pack: (value) => {
      const out = new Array<unknown>(value.length);
      for (let i = 0; i < value.length; i++) out[i] = inner.pack(value[i] as T);
      return out;
    },
    write: (out, value) => {
      out.beginList(value.length);
      for (let i = 0; i < value.length; i++) inner.write(out, value[i] as T);
      out.endList();
    },
    unpack: (raw) => {
      if (!Array.isArray(raw) || raw.length > max) throw new DecodeError('expected a list');
      const out = new Array<T>(raw.length);
      for (let i = 0; i < raw.length; i++) out[i] = inner.unpack(raw[i]);
      return out;
    },
    read: (from) => {
      const length = from.beginList();
      if (length > max) throw new DecodeError('expected a list');
      const out = new Array<T>(length);
      for (let i = 0; i < length; i++) out[i] = inner.read(from);
      from.endList(0);
      return out;
    },
    shape: `[${inner.shape}]${max}`,
  };
}

type LaterKeys<F> = {
  [K in keyof F]: F[K] extends { readonly isLater: true } ? K : never;
}[keyof F];
type RecordOf<F> = [LaterKeys<F>] extends [never]
  ? { [K in keyof F]: Of<F[K]> }
  : { [K in Exclude<keyof F, LaterKeys<F>>]: Of<F[K]> } & { [K in LaterKeys<F>]?: Of<F[K]> };

/** An object with these fields, in this order. Missing trailing fields unpack as undefined would. */
// biome-ignore lint/suspicious/noExplicitAny: codecs of any types; what they are is kept in F.
export function record<F extends Readonly<Record<string, Codec<any>>>>(
  fields: F,
): Codec<RecordOf<F>> {
  const entries = Object.entries(fields) as [string, Codec<unknown>][];
  return {
    pack: generatePack(entries),
    write: generateWrite(entries),
    unpack: generateUnpack<RecordOf<F>>(entries, null),
    unpackAs: (type) => generateUnpack<RecordOf<F> & { type: string }>(entries, type),
    read: generateRead<RecordOf<F>>(entries, null),
    readAs: (type) => generateRead<RecordOf<F> & { type: string }>(entries, type),
    shape: `{${entries.map(([name, codec]) => `${name}:${codec.shape}`).join(',')}}`,
  };
}

const IDENTIFIER = /^[A-Za-z][A-Za-z0-9_]*$/;

/**
 * Record codecs are generated once at load: `(v) => [v.a, c1.pack(v.b)]` and its reverse as an object
 * literal. A loop over field names is several times slower, and gives every record the same shapeless
 * objects. Names come from this program's own schemas and are checked to be identifiers.
 */
function generatePack(entries: readonly [string, Codec<unknown>][]): (value: never) => unknown {
  const parts = entries.map(([name, codec], i) =>
    codec.packsItself === true ? `v.${checked(name)}` : `c${i}.pack(v.${checked(name)})`,
  );
  return generate(entries, `return (v) => [${parts.join(', ')}];`) as (value: never) => unknown;
}

function generateWrite(
  entries: readonly [string, Codec<unknown>][],
): (out: MessageWriter, value: never) => void {
  const parts = entries.map(([name], i) => `c${i}.write(out, v.${checked(name)});`);
  const body = `return (out, v) => {
    out.beginList(${entries.length});
    ${parts.join(' ')}
    out.endList();
  };`;
  return generate(entries, body) as (out: MessageWriter, value: never) => void;
}

function generateUnpack<T>(
  entries: readonly [string, Codec<unknown>][],
  type: string | null,
): (raw: unknown) => T {
  const parts = entries.map(([name], i) => `${checked(name)}: c${i}.unpack(raw[${i}])`);
  if (type !== null) parts.unshift(`type: '${checked(type)}'`);
  const body = `return (raw) => {
    if (!Array.isArray(raw)) throw new DecodeError('expected a record');
    return { ${parts.join(', ')} };
  };`;
  return generate(entries, body) as (raw: unknown) => T;
}

function generateRead<T>(
  entries: readonly [string, Codec<unknown>][],
  type: string | null,
): (from: MessageReader) => T {
  const reads = entries.map(
    (_, i) => `const f${i} = n > ${i} ? c${i}.read(from) : c${i}.unpack(undefined);`,
  );
  const parts = entries.map(([name], i) => `${checked(name)}: f${i}`);
  if (type !== null) parts.unshift(`type: '${checked(type)}'`);
  const body = `return (from) => {
    const n = from.beginList();
    ${reads.join(' ')}
    from.endList(n - ${entries.length});
    return { ${parts.join(', ')} };
  };`;
  return generate(entries, body) as (from: MessageReader) => T;
}

function generate(entries: readonly [string, Codec<unknown>][], body: string): unknown {
  const names = entries.map((_, i) => `c${i}`);
  const make = new Function('DecodeError', ...names, body);
  return make(DecodeError, ...entries.map(([, codec]) => codec));
}

function checked(name: string): string {
  assert(IDENTIFIER.test(name), `${name} cannot be a field of a record`);
  return name;
}

// biome-ignore lint/suspicious/noExplicitAny: codecs of any types; what they are is kept in V.
type Variants = Readonly<Record<string, readonly [tag: number, codec: Codec<any>]>>;
type UnionOf<V extends Variants> = {
  [K in keyof V & string]: { type: K } & Of<V[K][1]>;
}[keyof V & string];

/** A discriminated union on `type`, carried as [tag, fields]. Tags are for ever. */
export function union<V extends Variants>(variants: V): Codec<UnionOf<V>> {
  const byTag: (((raw: unknown) => UnionOf<V>) | undefined)[] = [];
  const readers: (((from: MessageReader) => UnionOf<V>) | undefined)[] = [];
  const byName = new Map<string, readonly [tag: number, codec: Codec<unknown>]>();
  for (const [name, [tag, codec]] of Object.entries(variants)) {
    assert(byTag[tag] === undefined, `tag ${tag} is used twice`);
    const { unpackAs, readAs } = codec;
    assert(unpackAs !== undefined && readAs !== undefined, `${name} is not a record`);
    byTag[tag] = unpackAs(name);
    readers[tag] = readAs(name);
    byName.set(name, [tag, codec]);
  }
  const rows = Object.entries(variants);
  return {
    pack: (value) => {
      const [tag, codec] = byName.get(value.type) as readonly [number, Codec<unknown>];
      return [tag, codec.pack(value)];
    },
    write: (out, value) => {
      const [tag, codec] = byName.get(value.type) as readonly [number, Codec<unknown>];
      out.beginList(2);
      out.number(tag);
      codec.write(out, value);
      out.endList();
    },
    unpack: (raw) => {
      const tag = Array.isArray(raw) ? raw[0] : undefined;
      const unpack = typeof tag === 'number' ? byTag[tag] : undefined;
      if (unpack === undefined) throw new DecodeError('unknown message type');
      return unpack((raw as unknown[])[1]);
    },
    read: (from) => {
      const length = from.beginList();
      const read = length > 1 ? readers[from.count()] : undefined;
      if (read === undefined) throw new DecodeError('unknown message type');
      const value = read(from);
      from.endList(length - 2);
      return value;
    },
    shape: `union(${rows.map(([name, [tag, c]]) => `${tag}=${name}${c.shape}`).join(';')})`,
  };
}
