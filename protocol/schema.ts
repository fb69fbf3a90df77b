import { DecodeError } from './codec.ts';

/**
 * Small typed codecs between objects and msgpack-able tuples. A record travels as an array in
 * field order; a new optional field goes to the end. `shape` feeds the schema-hash test.
 */
export interface Codec<T> {
  pack(value: T): unknown;
  /** Throws DecodeError, never anything else. */
  unpack(raw: unknown): T;
  readonly shape: string;
}

export type Of<C> = C extends Codec<infer T> ? T : never;

/** A safe integer >= 0. */
export const count: Codec<number> = {
  pack: (value) => value,
  unpack: (raw) => {
    if (typeof raw === 'number' && Number.isSafeInteger(raw) && raw >= 0) return raw;
    throw new DecodeError('expected a count');
  },
  shape: 'count',
};

export const float: Codec<number> = {
  pack: (value) => value,
  unpack: (raw) => {
    if (typeof raw === 'number' && Number.isFinite(raw)) return raw;
    throw new DecodeError('expected a number');
  },
  shape: 'float',
};

export const bool: Codec<boolean> = {
  pack: (value) => value,
  unpack: (raw) => {
    if (typeof raw === 'boolean') return raw;
    throw new DecodeError('expected a boolean');
  },
  shape: 'bool',
};

/** Text of at most `max` UTF-16 units. */
export function str<T extends string = string>(max: number): Codec<T> {
  return {
    pack: (value) => value,
    unpack: (raw) => {
      if (typeof raw === 'string' && raw.length <= max) return raw as T;
      throw new DecodeError(`expected text of at most ${max}`);
    },
    shape: `str${max}`,
  };
}

/** A latin1 byte string (see protocol/bytes.ts), carried as binary. */
export function latin1Str(max: number): Codec<string> {
  return {
    pack: (value) => Buffer.from(value, 'latin1'),
    unpack: (raw) => {
      if (!(raw instanceof Uint8Array) || raw.length > max) throw new DecodeError('expected bytes');
      return Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString('latin1');
    },
    shape: `latin1:${max}`,
  };
}

/** Binary of at most `max` bytes; a view on the received frame. */
export function bin(max: number): Codec<Uint8Array> {
  return {
    pack: (value) => value,
    unpack: (raw) => {
      if (raw instanceof Uint8Array && raw.length <= max) return raw;
      throw new DecodeError(`expected at most ${max} bytes`);
    },
    shape: `bin${max}`,
  };
}

export function oneOf<const T extends readonly string[]>(...names: T): Codec<T[number]> {
  return {
    pack: (value) => names.indexOf(value),
    unpack: (raw) => {
      const name = typeof raw === 'number' ? names[raw] : undefined;
      if (name === undefined) throw new DecodeError('unknown variant');
      return name;
    },
    shape: `oneOf(${names.join('|')})`,
  };
}

export function nullable<T>(inner: Codec<T>): Codec<T | null> {
  return {
    pack: (value) => (value === null ? null : inner.pack(value)),
    unpack: (raw) => (raw === null || raw === undefined ? null : inner.unpack(raw)),
    shape: `${inner.shape}?`,
  };
}

export function list<T>(inner: Codec<T>, max: number): Codec<T[]> {
  return {
    pack: (value) => value.map((item) => inner.pack(item)),
    unpack: (raw) => {
      if (!Array.isArray(raw) || raw.length > max) throw new DecodeError('expected a list');
      return raw.map((item) => inner.unpack(item));
    },
    shape: `[${inner.shape}]${max}`,
  };
}

type RecordOf<F> = { [K in keyof F]: Of<F[K]> };

/** An object with these fields, in this order. Missing trailing fields unpack as undefined would. */
export function record<F extends Readonly<Record<string, Codec<any>>>>(
  fields: F,
): Codec<RecordOf<F>> {
  const entries = Object.entries(fields) as [string, Codec<unknown>][];
  return {
    pack: (value) => {
      const source = value as Record<string, unknown>;
      const out = new Array<unknown>(entries.length);
      for (let i = 0; i < entries.length; i++) {
        const [name, codec] = entries[i] as [string, Codec<unknown>];
        out[i] = codec.pack(source[name]);
      }
      return out;
    },
    unpack: (raw) => {
      if (!Array.isArray(raw)) throw new DecodeError('expected a record');
      const out: Record<string, unknown> = {};
      for (let i = 0; i < entries.length; i++) {
        const [name, codec] = entries[i] as [string, Codec<unknown>];
        out[name] = codec.unpack(raw[i]);
      }
      return out as RecordOf<F>;
    },
    shape: `{${entries.map(([name, codec]) => `${name}:${codec.shape}`).join(',')}}`,
  };
}

type Variants = Readonly<Record<string, readonly [tag: number, codec: Codec<any>]>>;
type UnionOf<V extends Variants> = {
  [K in keyof V & string]: { type: K } & Of<V[K][1]>;
}[keyof V & string];

/** A discriminated union on `type`, carried as [tag, fields]. Tags are for ever. */
export function union<V extends Variants>(variants: V): Codec<UnionOf<V>> {
  const byTag = new Map<number, readonly [string, Codec<unknown>]>();
  for (const [name, [tag, codec]] of Object.entries(variants)) {
    if (byTag.has(tag)) throw new Error(`tag ${tag} is used twice`);
    byTag.set(tag, [name, codec]);
  }
  return {
    pack: (value) => {
      const variant = variants[value.type] as readonly [number, Codec<unknown>];
      return [variant[0], variant[1].pack(value)];
    },
    unpack: (raw) => {
      const tag = Array.isArray(raw) ? raw[0] : undefined;
      const found = typeof tag === 'number' ? byTag.get(tag) : undefined;
      if (found === undefined) throw new DecodeError('unknown message type');
      const value = found[1].unpack((raw as unknown[])[1]) as object;
      return { type: found[0], ...value } as UnionOf<V>;
    },
    shape: `union(${[...byTag].map(([tag, [name, c]]) => `${tag}=${name}${c.shape}`).join(';')})`,
  };
}
