import { AppError } from '../../protocol/errors.ts';
import type { Identities } from '../../protocol/identities.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { RequestContext } from '../../protocol/service.ts';
import {
  encodeLimit,
  LIMIT_ROWS,
  limitRow,
  limitScope,
  limitsOf,
  parseLimit,
  type RateLimit,
} from './limit-row.ts';

/** A limit and whose it is. */
export interface ScopedLimit extends RateLimit {
  readonly scope: string;
}

const ATTEMPTS_MAX = 16;

/** Sets, tells and takes away limits of rates. What is answered holds on every node that asks who somebody is; on others soon. */
export class RateLimitRows {
  readonly #identities: Identities;

  constructor(identities: Identities) {
    this.#identities = identities;
  }

  /** By scope. Rejects with `unavailable`, as all of these do. */
  async list(ctx: RequestContext): Promise<ScopedLimit[]> {
    await this.#identities.renewed(ctx.deadlineMs);
    const limits = limitsOf(this.#identities.rows(LIMIT_ROWS));
    const all = [...limits].map(([scope, limit]) => ({ scope, ...limit }));
    return all.sort((a, b) => (a.scope < b.scope ? -1 : 1));
  }

  /** Rejects with `not_found` where the scope has none. */
  async get(ctx: RequestContext, wanted: string): Promise<ScopedLimit> {
    const scope = checkedScope(wanted);
    await this.#identities.renewed(ctx.deadlineMs);
    const row = this.#identities.row(limitRow(scope));
    const limit = row === null ? null : parseLimit(row.text);
    if (limit === null) throw noLimit(scope);
    return { scope, ...limit };
  }

  /** Replaces all of it. Rejects with `too_large` where there are rateLimitsMax, `conflict` and `outcome_unknown`; may be repeated. */
  async set(ctx: RequestContext, wanted: string, limit: RateLimit): Promise<ScopedLimit> {
    const scope = checkedScope(wanted);
    const others = (await this.list(ctx)).filter((one) => one.scope !== scope);
    if (others.length >= LIMITS.rateLimitsMax) {
      const details = { limit: 'rateLimitsMax', max: LIMITS.rateLimitsMax };
      const message = `there are rateLimitsMax limits, ${LIMITS.rateLimitsMax}`;
      throw new AppError('too_large', message, { details });
    }
    await this.#put(ctx, scope, encodeLimit(limit));
    return { scope, ...limit };
  }

  /** Rejects with `not_found` where the scope has none. */
  async delete(ctx: RequestContext, wanted: string): Promise<void> {
    const { scope } = await this.get(ctx, wanted);
    await this.#put(ctx, scope, encodeLimit(null));
  }

  async #put(ctx: RequestContext, scope: string, text: string): Promise<void> {
    const name = limitRow(scope);
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      const revision = this.#identities.row(name)?.revision ?? 0;
      if (await this.#identities.put(ctx, { name, text, revision })) return;
      await this.#identities.renewed(ctx.deadlineMs);
    }
    throw new AppError('conflict', 'others are changing this limit');
  }
}

function checkedScope(text: string): string {
  const scope = limitScope(text);
  if (scope !== null) return scope;
  throw new AppError(
    'invalid_argument',
    'a limit is of key:<id>, s3-user:<name>, s3-account, tenant:<name>, bucket:<name>, prefix:<tenant>/<key prefix>, default or anonymous',
  );
}

function noLimit(scope: string): AppError {
  return new AppError('not_found', `${scope} has no limit of its own`);
}
