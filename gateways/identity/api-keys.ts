import type { Clock } from '../../protocol/clock.ts';
import { AppError } from '../../protocol/errors.ts';
import type { Identities, IdentityRow } from '../../protocol/identities.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Random } from '../../protocol/random.ts';
import type { RequestContext } from '../../protocol/service.ts';
import {
  apiKeyText,
  drawApiKey,
  encodeKeyRecord,
  idOfKeyRow,
  type KeyRecord,
  keyRowName,
  parseKeyRecord,
} from './api-key.ts';
import { isRoleThere } from './role.ts';
import type { SecretHash } from './secret-hash.ts';

/** What may be shown of a key. */
export type ShownKey = Omit<KeyRecord, 'hash'> & { readonly id: string };

/** Whose keys one may see: of one tenant; null: of all. */
export type KeyScope = string | null;

export interface WantedKey {
  readonly name: string;
  readonly tenant: string;
  readonly role: string;
  /** Null: it does not expire. */
  readonly expiresInMs: number | null;
}

interface Parts {
  readonly identities: Identities;
  readonly hash: SecretHash;
  readonly random: Random;
  readonly clock: Pick<Clock, 'wallMs'>;
}

const ATTEMPTS_MAX = 16;

/** Makes, shows and ends API keys. What is answered holds on every node from then on. */
export class ApiKeys {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** `key` is shown this once. Rejects with `too_large` where there are apiKeysMax, `invalid_argument` without such a role. */
  async create(
    ctx: RequestContext,
    { name, tenant, role, expiresInMs }: WantedKey,
  ): Promise<{ readonly key: string; readonly shown: ShownKey }> {
    const { identities, hash, random, clock } = this.#parts;
    if ((await this.list(ctx, null)).length >= LIMITS.apiKeysMax) {
      const details = { limit: 'apiKeysMax', max: LIMITS.apiKeysMax };
      throw new AppError('too_large', `there are apiKeysMax keys, ${LIMITS.apiKeysMax}`, {
        details,
      });
    }
    if (!isRoleThere(identities, role)) throw noSuchRole(role);
    for (;;) {
      const drawn = drawApiKey(random);
      const createdAtMs = clock.wallMs();
      const record: KeyRecord = {
        ...{ name, tenant, role, hash: await hash.make(drawn.secret), createdAtMs },
        expiresAtMs: expiresInMs === null ? null : createdAtMs + expiresInMs,
        revokedAtMs: null,
      };
      const row = { name: keyRowName(drawn.id), text: encodeKeyRecord(record), revision: 0 };
      if (!(await identities.put(ctx, row))) continue;
      return { key: apiKeyText(drawn), shown: shownKey(drawn.id, record) };
    }
  }

  /** By id. */
  async list(ctx: RequestContext, scope: KeyScope): Promise<readonly ShownKey[]> {
    const { identities } = this.#parts;
    await identities.renewed(ctx.deadlineMs);
    return identities.rows(keyRowName('')).flatMap(({ name, text }) => {
      const record = parseKeyRecord(text);
      return record === null || !isIn(scope, record) ? [] : [shownKey(idOfKeyRow(name), record)];
    });
  }

  async get(ctx: RequestContext, scope: KeyScope, id: string): Promise<ShownKey> {
    return shownKey(id, (await this.#read(ctx, scope, id)).record);
  }

  /** Once this has resolved, no node takes the key. Of one that is revoked already too. */
  async revoke(ctx: RequestContext, scope: KeyScope, id: string): Promise<ShownKey> {
    const revokedAtMs = this.#parts.clock.wallMs();
    const record = await this.#change(ctx, scope, id, (before) =>
      before.revokedAtMs === null ? { ...before, revokedAtMs } : before,
    );
    return shownKey(id, record as KeyRecord);
  }

  /** The same, and it is shown no more. */
  async delete(ctx: RequestContext, scope: KeyScope, id: string): Promise<void> {
    await this.#change(ctx, scope, id, () => null);
  }

  async #change(
    ctx: RequestContext,
    scope: KeyScope,
    id: string,
    change: (before: KeyRecord) => KeyRecord | null,
  ): Promise<KeyRecord | null> {
    const { identities } = this.#parts;
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      const { row, record } = await this.#read(ctx, scope, id);
      const next = change(record);
      if (next === record) {
        // Whoever changed it may not have waited yet.
        await identities.settled();
        return next;
      }
      if (await identities.put(ctx, { ...row, text: encodeKeyRecord(next) })) return next;
    }
    throw new AppError('conflict', 'others are changing this key');
  }

  /** What is another tenant's is not there. */
  async #read(
    ctx: RequestContext,
    scope: KeyScope,
    id: string,
  ): Promise<{ readonly row: IdentityRow; readonly record: KeyRecord }> {
    const { identities } = this.#parts;
    await identities.renewed(ctx.deadlineMs);
    const row = identities.row(keyRowName(id));
    const record = row === null ? null : parseKeyRecord(row.text);
    if (row === null || record === null || !isIn(scope, record)) {
      throw new AppError('not_found', 'there is no such key');
    }
    return { row, record };
  }
}

function isIn(scope: KeyScope, { tenant }: KeyRecord): boolean {
  return scope === null || scope === tenant;
}

function shownKey(id: string, { hash: _, ...rest }: KeyRecord): ShownKey {
  return { id, ...rest };
}

export function noSuchRole(name: string): AppError {
  const known = 'admin, read_write, read_only, or one that was made';
  const given = JSON.stringify(name.slice(0, 64));
  return new AppError('invalid_argument', `role must be ${known}: there is no ${given}`);
}
