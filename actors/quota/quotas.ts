import type { Clock } from '../../protocol/clock.ts';
import { AppError, onlyRefusals } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import {
  parseQuotaScope,
  QUOTA_KINDS,
  type Quota,
  type QuotaState,
  type Quotas,
  quotaScopeText,
} from '../../protocol/quotas.ts';
import type { RequestContext } from '../../protocol/service.ts';
import { META_GROUP } from '../../protocol/types.ts';
import type { Calls } from '../router/calls.ts';
import { parseQuotaRow, QUOTA_ROWS, type QuotaRow } from './quota-row.ts';
import type { QuotaRounds, RoundEnd, Versioned } from './rounds.ts';

const ROWS_AT_ONCE = 256;
/** How long a quota that is set is waited for where what is there has to be counted: it goes on without. */
const COUNTING_MS_MAX = 1_500;
const COUNTING_STEP_MS = 30;
/** Quotas whose usage is asked for at once. */
const LOOKS_MAX = 16;

/** Quotas over calls to all groups. */
export class RoutedQuotas implements Quotas {
  readonly #calls: Calls;
  readonly #rounds: QuotaRounds;
  readonly #clock: Clock;

  constructor(calls: Calls, rounds: QuotaRounds, clock: Clock) {
    this.#calls = calls;
    this.#rounds = rounds;
    this.#clock = clock;
  }

  async list(ctx: RequestContext): Promise<readonly QuotaState[]> {
    const endMs = this.#endOf(ctx);
    const rows = (await this.#rows(ctx.deadlineMs)).filter(({ row }) => row.quota !== null);
    const found: QuotaState[] = [];
    for (let i = 0; i < rows.length; i += LOOKS_MAX) {
      const some = rows.slice(i, i + LOOKS_MAX);
      found.push(...(await Promise.all(some.map(({ row }) => this.#stateOf(row, endMs)))));
    }
    return found.sort((a, b) => (a.scope < b.scope ? -1 : 1));
  }

  async get(ctx: RequestContext, text: string): Promise<QuotaState> {
    const endMs = this.#endOf(ctx);
    const scope = scopeText(text);
    const known = await this.#rounds.read(scope, ctx.deadlineMs);
    if (known === null || known.row.quota === null) throw noQuota(scope);
    return this.#stateOf(known.row, endMs);
  }

  async set(ctx: RequestContext, text: string, quota: Quota): Promise<QuotaState> {
    const endMs = this.#endOf(ctx);
    const scope = scopeText(text);
    await this.#checkCount(scope, ctx.deadlineMs);
    await this.#write(scope, quota, endMs);
    const untilMs = Math.min(endMs, this.#clock.monotonicMs() + COUNTING_MS_MAX);
    while (!(await this.#finish(scope, endMs)) && this.#clock.monotonicMs() < untilMs) {
      await new Promise<void>((resolve) => this.#clock.after(COUNTING_STEP_MS, resolve));
    }
    return this.get({ ...ctx, deadlineMs: this.#left(endMs) }, scope);
  }

  async delete(ctx: RequestContext, text: string): Promise<void> {
    const endMs = this.#endOf(ctx);
    const { scope } = await this.get(ctx, text);
    await this.#write(scope, null, endMs);
    while (!(await this.#finish(scope, endMs))) await this.#rounds.pause();
  }

  /** Takes unfinished quotas a step on. Resolves with how many were finished. */
  async finishAll(deadlineMs: number): Promise<number> {
    const endMs = this.#clock.monotonicMs() + deadlineMs;
    let finished = 0;
    for (const { row } of await this.#rows(deadlineMs)) {
      if (row.isSettled) continue;
      const isDone = await this.#finish(row.scope, endMs).catch((error: unknown) => {
        onlyRefusals(error);
        return false;
      });
      if (isDone) finished++;
    }
    return finished;
  }

  /** Whether every group has done what the quota asks of it, as far as one step gets. */
  async #finish(scope: string, endMs: number): Promise<boolean> {
    const known = await this.#rounds.read(scope, this.#left(endMs));
    if (known === null || known.row.isSettled) return true;
    const end = await this.#rounds.run(scope, known, null, this.#left(endMs));
    if (end.type === 'overtaken') await this.#rounds.pause();
    if (!isFinal(end)) return false;
    return this.#settle(scope, endMs, known);
  }

  /** What was done is written down, unless another quota has been set since. */
  async #settle(scope: string, endMs: number, before: Versioned): Promise<boolean> {
    const known = await this.#rounds.read(scope, this.#left(endMs));
    if (known === null || known.row.isSettled) return true;
    if (known.row.id !== before.row.id) return false;
    const row = { ...known.row, isSettled: true };
    return (await this.#rounds.write(row, known.revision, this.#left(endMs))) !== null;
  }

  async #write(scope: string, quota: Quota | null, endMs: number): Promise<void> {
    for (;;) {
      const known = await this.#rounds.read(scope, this.#left(endMs));
      const row = { scope, id: this.#rounds.draw(), quota, isSettled: false };
      const revision = known?.revision ?? 0;
      if ((await this.#rounds.write(row, revision, this.#left(endMs))) !== null) return;
      if (this.#clock.monotonicMs() >= endMs)
        throw new AppError('conflict', `others change ${scope}`);
      await this.#rounds.pause();
    }
  }

  async #stateOf({ scope, quota, isSettled }: QuotaRow, endMs: number): Promise<QuotaState> {
    const { used } = await this.#rounds.look(scope, this.#left(endMs));
    const usage =
      used === null ? null : Object.fromEntries(QUOTA_KINDS.map((kind, i) => [kind, used[i]]));
    return {
      ...{ scope, quota: quota as Quota, usage: usage as QuotaState['usage'] },
      state: isSettled && used !== null ? 'enforced' : 'counting',
    };
  }

  async #checkCount(scope: string, deadlineMs: number): Promise<void> {
    const rows = await this.#rows(deadlineMs);
    const others = rows.filter(({ row }) => row.quota !== null && row.scope !== scope);
    if (others.length < LIMITS.quotasMax) return;
    const details = { limit: 'quotasMax', max: LIMITS.quotasMax };
    throw new AppError('too_large', `there are quotasMax quotas, ${LIMITS.quotasMax}`, { details });
  }

  async #rows(deadlineMs: number): Promise<Versioned[]> {
    const found: Versioned[] = [];
    for (let after = ''; ; ) {
      const body = { type: 'MetaList' as const, prefix: QUOTA_ROWS, after, limit: ROWS_AT_ONCE };
      const options = { ...REPEATABLE, deadlineMs };
      const page = await this.#calls.call(META_GROUP, body, 'MetaListed', options);
      for (const { name, json, revision } of page.rows) {
        after = name;
        found.push({ row: parseQuotaRow(json), revision });
      }
      if (!page.more) return found;
    }
  }

  #endOf({ deadlineMs }: RequestContext): number {
    return this.#clock.monotonicMs() + deadlineMs;
  }

  #left(endMs: number): number {
    return Math.max(1, endMs - this.#clock.monotonicMs());
  }
}

function isFinal(end: RoundEnd): boolean {
  return end.type === 'gone' || (end.type === 'divided' && end.isInForce);
}

function scopeText(text: string): string {
  const scope = parseQuotaScope(text);
  if (scope !== null) return quotaScopeText(scope);
  throw new AppError(
    'invalid_argument',
    'a quota is of tenant:<name>, bucket:<name>, bucket:<tenant>/<name> or prefix:<tenant>/<key prefix>',
  );
}

function noQuota(scope: string): AppError {
  return new AppError('not_found', `${scope} has no quota`);
}

const REPEATABLE = { traceparent: null, target: 'leader', repeatable: true } as const;
