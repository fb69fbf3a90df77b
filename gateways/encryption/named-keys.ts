import type { Clock } from '../../protocol/clock.ts';
import { AppError } from '../../protocol/errors.ts';
import type { KeyRow, KeyRows } from '../../protocol/key-rows.ts';
import type { Random } from '../../protocol/random.ts';
import type { RequestContext } from '../../protocol/service.ts';
import { encodeKeyRow, type KeyState, type NamedKeyRow, parseKeyRow } from './key-row.ts';
import { KEY_BYTES, unwrapKey, wrapKey } from './key-wrap.ts';
import type { RootKeys } from './root-keys.ts';

const KEY_ID = /^[A-Za-z0-9][A-Za-z0-9/_-]{0,127}$/;
const PURPOSE = 'named keys';
/** A key that was disabled is used this long at most. */
const REMEMBERED_MS = 1_000;
const REMEMBERED_MAX = 4_096;
const VERSIONS_MAX = 1_000;

export function isKeyId(text: string): boolean {
  return KEY_ID.test(text);
}

/** A version of a named key, unwrapped. */
export interface NamedKey {
  readonly id: string;
  readonly version: number;
  readonly key: Uint8Array;
}

/** What may be shown of a key. */
export interface ShownKey {
  readonly id: string;
  readonly state: KeyState;
  readonly version: number;
  /** Unix ms. */
  readonly createdAtMs: number;
}

export type KeyRefusalReason = 'not_found' | 'disabled' | 'no_root_key' | 'other_root_key';

/** The key cannot be used. */
export class KeyRefusal extends Error {
  override readonly name = 'KeyRefusal';
  readonly reason: KeyRefusalReason;

  constructor(reason: KeyRefusalReason, message: string) {
    super(message);
    this.reason = reason;
  }
}

interface Parts {
  readonly rows: KeyRows;
  /** Null: this node was given none, so it has no named keys. */
  readonly roots: RootKeys | null;
  readonly random: Random;
  readonly clock: Pick<Clock, 'monotonicMs' | 'wallMs'>;
}

interface Remembered {
  readonly row: NamedKeyRow | null;
  readonly atMs: number;
}

/**
 * The local key service: keys with names and versions, the same on every node of the cluster. Each is kept in the
 * meta group, wrapped under the root key; what is unwrapped stays in memory.
 */
export class NamedKeys {
  readonly #parts: Parts;
  readonly #remembered = new Map<string, Remembered>();
  /** Unwrapped versions, by their place and their wrapped form: the one is good for the other only. */
  readonly #unwrapped = new Map<string, Uint8Array>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** The version that wraps now. `isMade`: a key that is not there is made. Throws KeyRefusal. */
  async current(ctx: RequestContext, id: string, isMade: boolean): Promise<NamedKey> {
    this.#rootsOf();
    let row = await this.#row(ctx, id);
    if (row === null && isMade) {
      await this.create(ctx, id);
      row = await this.#row(ctx, id);
    }
    return this.#opened(id, row, null);
  }

  /** A version that has wrapped something. Throws KeyRefusal. */
  async version(ctx: RequestContext, id: string, version: number): Promise<NamedKey> {
    this.#rootsOf();
    let row = await this.#row(ctx, id);
    // It was made since this node looked.
    if (row === null || row.versions.length < version) row = await this.#freshRow(ctx, id);
    return this.#opened(id, row, version);
  }

  /** Throws KeyRefusal where a key is wrapped under a root key that this node has not got. */
  async check(ctx: RequestContext): Promise<void> {
    if (this.#parts.roots === null) return;
    for (const { id, text } of await this.#parts.rows.list(ctx)) {
      const row = parseKeyRow(text);
      for (let version = 1; version <= row.versions.length; version++) {
        this.#unwrap(id, row, version);
      }
    }
  }

  async list(ctx: RequestContext): Promise<readonly ShownKey[]> {
    return (await this.#parts.rows.list(ctx)).map(({ id, text }) => shown(id, parseKeyRow(text)));
  }

  /** As it is already where somebody has made it. */
  async create(ctx: RequestContext, id: string): Promise<ShownKey> {
    const createdAtMs = this.#parts.clock.wallMs();
    return this.#change(ctx, id, (row) => {
      return row ?? { state: 'enabled', createdAtMs, versions: [this.#newVersion(id, 1)] };
    });
  }

  /** What was wrapped under older versions stays readable. */
  rotate(ctx: RequestContext, id: string): Promise<ShownKey> {
    return this.#change(ctx, id, (row) => {
      const { versions } = present(row);
      if (versions.length >= VERSIONS_MAX) throw new AppError('too_large', 'too many versions');
      const version = this.#newVersion(id, versions.length + 1);
      return { ...present(row), versions: [...versions, version] };
    });
  }

  setState(ctx: RequestContext, id: string, state: KeyState): Promise<ShownKey> {
    return this.#change(ctx, id, (row) =>
      present(row).state === state ? present(row) : { ...present(row), state },
    );
  }

  /** Wraps every key under the newest root key; says how many were under another. Throws KeyRefusal. */
  async rewrap(
    ctx: RequestContext,
  ): Promise<{ readonly keys: number; readonly rewrapped: number }> {
    const rows = await this.#parts.rows.list(ctx);
    let rewrapped = 0;
    for (const { id } of rows) {
      let isChanged = false;
      await this.#change(ctx, id, (row) => {
        const { currentId } = this.#rootsOf();
        isChanged = present(row).versions.some(({ rootId }) => rootId !== currentId);
        if (!isChanged) return present(row);
        const versions = present(row).versions.map((_, index) =>
          this.#wrapped(id, index + 1, this.#unwrap(id, present(row), index + 1)),
        );
        return { ...present(row), versions };
      });
      if (isChanged) rewrapped++;
    }
    return { keys: rows.length, rewrapped };
  }

  async #change(
    ctx: RequestContext,
    id: string,
    change: (row: NamedKeyRow | null) => NamedKeyRow,
  ): Promise<ShownKey> {
    for (;;) {
      const stored = await this.#parts.rows.get(ctx, id);
      const row = stored === null ? null : parseKeyRow(stored.text);
      const next = change(row);
      this.#remembered.delete(id);
      if (next === row) return shown(id, next);
      const text = encodeKeyRow(next);
      const put: KeyRow = { id, text, revision: stored?.revision ?? 0 };
      if (await this.#parts.rows.put(ctx, put)) return shown(id, next);
    }
  }

  async #row(ctx: RequestContext, id: string): Promise<NamedKeyRow | null> {
    const known = this.#remembered.get(id);
    const nowMs = this.#parts.clock.monotonicMs();
    if (known !== undefined && nowMs - known.atMs < REMEMBERED_MS) return known.row;
    return this.#freshRow(ctx, id);
  }

  async #freshRow(ctx: RequestContext, id: string): Promise<NamedKeyRow | null> {
    if (!isKeyId(id)) return null;
    // As of the question, not of the answer.
    const atMs = this.#parts.clock.monotonicMs();
    const stored = await this.#parts.rows.get(ctx, id);
    const row = stored === null ? null : parseKeyRow(stored.text);
    if (this.#remembered.size >= REMEMBERED_MAX) this.#remembered.clear();
    if (row === null) this.#remembered.delete(id);
    else this.#remembered.set(id, { row, atMs });
    return row;
  }

  #opened(id: string, row: NamedKeyRow | null, wanted: number | null): NamedKey {
    if (row === null) throw new KeyRefusal('not_found', 'there is no such key');
    if (row.state === 'disabled') throw new KeyRefusal('disabled', 'the key is disabled');
    const version = wanted ?? row.versions.length;
    return { id, version, key: this.#unwrap(id, row, version) };
  }

  #unwrap(id: string, row: NamedKeyRow, version: number): Uint8Array {
    const found = row.versions[version - 1];
    if (found === undefined) throw new KeyRefusal('not_found', 'there is no such version');
    const place = `${id} ${version} ${found.rootId} ${found.wrapped}`;
    const known = this.#unwrapped.get(place);
    if (known !== undefined) return known;
    const under = this.#rootsOf().purpose(found.rootId, PURPOSE);
    const wrapped = Buffer.from(found.wrapped, 'base64');
    const key = under === null ? null : unwrapKey(under, wrapped, placeOf(id, version));
    if (key === null) {
      throw new KeyRefusal(
        'other_root_key',
        `the key is wrapped under root key ${found.rootId}, which this node has not got`,
      );
    }
    if (this.#unwrapped.size >= REMEMBERED_MAX) this.#unwrapped.clear();
    this.#unwrapped.set(place, key);
    return key;
  }

  #newVersion(id: string, version: number) {
    return this.#wrapped(id, version, this.#parts.random.bytes(KEY_BYTES));
  }

  #wrapped(id: string, version: number, key: Uint8Array) {
    const roots = this.#rootsOf();
    const under = roots.purpose(roots.currentId, PURPOSE) as Uint8Array;
    const wrapped = wrapKey(under, key, placeOf(id, version), this.#parts.random);
    return { rootId: roots.currentId, wrapped: wrapped.toString('base64') };
  }

  #rootsOf(): RootKeys {
    const { roots } = this.#parts;
    if (roots !== null) return roots;
    throw new KeyRefusal('no_root_key', 'this node has no root key (encryption-root-key)');
  }
}

/** A wrapped key is good for this name and version only. */
function placeOf(id: string, version: number): Uint8Array {
  return Buffer.from(`minikv 1 named key ${version} ${id}`);
}

function present(row: NamedKeyRow | null): NamedKeyRow {
  if (row === null) throw new AppError('not_found', 'there is no such key');
  return row;
}

function shown(id: string, { state, versions, createdAtMs }: NamedKeyRow): ShownKey {
  return { id, state, version: versions.length, createdAtMs };
}
