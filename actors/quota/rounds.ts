import type { Clock } from '../../protocol/clock.ts';
import { AppError } from '../../protocol/errors.ts';
import {
  type Amounts,
  boundsOf,
  NO_AMOUNTS,
  QUOTA_KINDS,
  type QuotaOrder,
  type QuotaShare,
} from '../../protocol/quotas.ts';
import { type Random, randomHex, randomInt } from '../../protocol/random.ts';
import { type GroupId, META_GROUP } from '../../protocol/types.ts';
import type { Calls } from '../router/calls.ts';
import {
  clipped,
  divide,
  exceededKind,
  type Shares,
  targetsOf,
  totalUsed,
  type Want,
} from './plan.ts';
import { encodeQuotaRow, parseQuotaRow, type QuotaRow, quotaRowName } from './quota-row.ts';

/** A row and the revision that it has. */
export interface Versioned {
  readonly row: QuotaRow;
  readonly revision: number;
}

export interface RoundsHost {
  readonly calls: Calls;
  readonly clock: Clock;
  readonly random: Random;
  groups(): readonly GroupId[];
}

/** What came of a redistribution. */
export type RoundEnd =
  /** Groups have been given what could be given: whoever wants some looks again. */
  | { readonly type: 'divided'; readonly isInForce: boolean }
  /** There is less left than is wanted, in all groups together. */
  | { readonly type: 'exceeded' }
  /** Not all groups have counted what they hold. */
  | { readonly type: 'counting' }
  /** Another round came in between. */
  | { readonly type: 'overtaken' }
  /** There is no such quota: no group has a share any more. */
  | { readonly type: 'gone' };

/** A round that runs here for somebody who wants room. */
interface Running {
  readonly growth: Amounts;
  /** What comes from now on may know of more than it reads. */
  hasBegun: boolean;
  end: Promise<'again' | 'none'>;
}

const NOT_YET: Promise<'again'> = Promise.resolve('again');

function isAsMuch(growth: Amounts, other: Amounts): boolean {
  return growth.every((more, kind) => more >= (other[kind] as number));
}

/** Between a round that was overtaken and the next: each at another time. */
const PAUSE_MS_MIN = 2;
const PAUSE_MS_MAX = 24;

/**
 * Redistributions of quotas over groups: rounds, which any node may run, and any may break off. Each begins with a write of
 * the quota's row, whose revision is its number (D1 to D3 in plan.ts).
 */
export class QuotaRounds {
  readonly #host: RoundsHost;
  /** By scope: those that run here. */
  readonly #running = new Map<string, Running>();

  constructor(host: RoundsHost) {
    this.#host = host;
  }

  /**
   * Gets a group the room that it wants in a quota, or finds that there is none; `clip`: or as much as there is, then.
   * Where one runs already, waits for that instead, and has its refusal where it came before that one looked and wants as much: or
   * many who are refused would each look, one after another. `onGrant`: a round for it has begun, that others come after.
   * Rejects with AppError where a group does not answer.
   */
  async obtain(
    scope: string,
    want: Want,
    clip: boolean,
    deadlineMs: number,
    onGrant: (growth: Amounts) => void,
  ): Promise<'again' | 'none'> {
    const running = this.#running.get(scope);
    if (running !== undefined) {
      const isSame = !running.hasBegun && !clip && isAsMuch(want.growth, running.growth);
      const end = await running.end.catch(() => 'again');
      return isSame && end === 'none' ? 'none' : 'again';
    }
    const round: Running = { growth: want.growth, hasBegun: false, end: NOT_YET };
    this.#running.set(scope, round);
    try {
      round.end = this.#obtain(scope, want, clip, deadlineMs, onGrant, round);
      return await round.end;
    } finally {
      this.#running.delete(scope);
    }
  }

  async #obtain(
    scope: string,
    want: Want,
    clip: boolean,
    deadlineMs: number,
    onGrant: (growth: Amounts) => void,
    round: Running,
  ): Promise<'again' | 'none'> {
    const endMs = this.#host.clock.monotonicMs() + deadlineMs;
    // Whoever has waited for the round before comes in this turn.
    await new Promise<void>((resolve) => this.#host.clock.soon(resolve));
    round.hasBegun = true;
    const known = await this.read(scope, deadlineMs);
    const end = await this.run(scope, known, want, this.#left(endMs), onGrant);
    if (end.type === 'exceeded') {
      if (clip) await this.#clip(scope, known, want, endMs, onGrant);
      return 'none';
    }
    if (end.type !== 'divided') await this.pause();
    return 'again';
  }

  async #clip(
    scope: string,
    known: Versioned | null,
    want: Want,
    endMs: number,
    onGrant: (growth: Amounts) => void,
  ): Promise<void> {
    const quota = known?.row.quota ?? null;
    if (quota === null) return;
    const { shares } = await this.look(scope, this.#left(endMs));
    if (shares === null) return;
    const growth = clipped(boundsOf(quota), shares, want.growth);
    if (growth.some((more) => more > 0)) {
      await this.run(scope, known, { ...want, growth }, this.#left(endMs), onGrant);
    }
  }

  /** Linearizable; null: the scope never had a quota. */
  async read(scope: string, deadlineMs: number): Promise<Versioned | null> {
    const body = { type: 'MetaCheck', rows: [{ name: quotaRowName(scope), revision: 0 }] } as const;
    const call = { ...REPEATABLE, deadlineMs };
    const { changed } = await this.#host.calls.call(
      META_GROUP,
      { ...body, rows: [...body.rows] },
      'MetaChecked',
      call,
    );
    const [found] = changed;
    if (found === undefined) return null;
    return { row: parseQuotaRow(found.json), revision: found.revision };
  }

  /** One round of the quota as it was read. */
  async run(
    scope: string,
    known: Versioned | null,
    want: Want | null,
    deadlineMs: number,
    onGrant: (growth: Amounts) => void = () => {},
  ): Promise<RoundEnd> {
    const endMs = this.#host.clock.monotonicMs() + deadlineMs;
    if (known === null) return { type: 'gone' };
    const { row } = known;
    if (row.quota === null) {
      await this.#orderAll(scope, known.revision, () => ({ type: 'remove' }), deadlineMs);
      return { type: 'gone' };
    }
    const quota = boundsOf(row.quota);
    const { shares, isWhole } = await this.look(scope, deadlineMs);
    if (shares === null) {
      if (isWhole) return { type: 'counting' };
      // Some groups have not heard of it. They begin no share by a round from before another quota was removed.
      const first = await this.write({ ...row }, known.revision, this.#left(endMs));
      if (first === null) return { type: 'overtaken' };
      await this.#orderAll(scope, first, () => NOTHING, this.#left(endMs));
      return { type: 'counting' };
    }
    if (want !== null && exceededKind(quota, shares, want.growth) !== null) {
      return { type: 'exceeded' };
    }
    const revision = await this.write({ ...row }, known.revision, this.#left(endMs));
    if (revision === null) return { type: 'overtaken' };
    // Later rounds look after this write: they are to leave it alone.
    if (want !== null) onGrant(want.growth);
    const targets = targetsOf(quota, shares, want);
    const lowered = await this.#orderAll(
      scope,
      revision,
      (group) => ({ type: 'lower', ceilings: [...(targets.get(group) ?? [])] }),
      this.#left(endMs),
    );
    if (lowered === null) return { type: 'overtaken' };
    const { raises, isInForce } = divide(quota, lowered, targets, want);
    const raised = await this.#orderEach(
      scope,
      revision,
      [...raises].map(([group, allowed]) => [group, { type: 'raise', allowed: [...allowed] }]),
      this.#left(endMs),
    );
    return raised === null ? { type: 'overtaken' } : { type: 'divided', isInForce };
  }

  /** Shares null: not all groups have counted; `isWhole`: all have begun to. */
  async look(
    scope: string,
    deadlineMs: number,
  ): Promise<{ shares: Shares | null; used: number[] | null; isWhole: boolean }> {
    const found = await Promise.all(
      this.#host.groups().map(async (group) => {
        const body = { type: 'QuotaLook' as const, scope };
        const options = { ...REPEATABLE, deadlineMs };
        const { share } = await this.#host.calls.call(group, body, 'QuotaFound', options);
        return [group, share] as const;
      }),
    );
    const known = found.filter((one): one is readonly [GroupId, QuotaShare] => one[1] !== null);
    const shares = new Map(known);
    const isWhole = known.length === found.length;
    const isCounted = isWhole && known.every(([, share]) => share.isCounted);
    const used = isCounted ? QUOTA_KINDS.map((_, kind) => totalUsed(shares, kind)) : null;
    return { shares: isCounted ? shares : null, used, isWhole };
  }

  /** Resolves with the row's new revision; null: it is not as it was. An unknown outcome is an AppError. */
  async write(
    row: Omit<QuotaRow, 'writer'>,
    revision: number,
    deadlineMs: number,
  ): Promise<number | null> {
    const writer = this.draw();
    const json = encodeQuotaRow({ ...row, writer });
    const put = { name: quotaRowName(row.scope), json, ifRevision: revision };
    const options = { ...TO_LEADER, deadlineMs };
    try {
      const done = await this.#host.calls.call(
        META_GROUP,
        { type: 'MetaPut', ...put },
        'Done',
        options,
      );
      return done.revision;
    } catch (error) {
      if (error instanceof AppError && error.code === 'precondition_failed') return null;
      throw error;
    }
  }

  draw(): string {
    return randomHex(this.#host.random, 8);
  }

  pause(): Promise<void> {
    const { clock, random } = this.#host;
    return new Promise((resolve) => {
      clock.after(randomInt(random, PAUSE_MS_MIN, PAUSE_MS_MAX), resolve);
    });
  }

  #left(endMs: number): number {
    return Math.max(1, endMs - this.#host.clock.monotonicMs());
  }

  #orderAll(
    scope: string,
    round: number,
    orderOf: (group: GroupId) => QuotaOrder,
    deadlineMs: number,
  ): Promise<Shares | null> {
    const orders = this.#host.groups().map((group) => [group, orderOf(group)] as const);
    return this.#orderEach(scope, round, orders, deadlineMs);
  }

  /** Null: a group has heard of another round, or has not counted. */
  async #orderEach(
    scope: string,
    round: number,
    orders: readonly (readonly [GroupId, QuotaOrder])[],
    deadlineMs: number,
  ): Promise<Shares | null> {
    const options = { ...REPEATABLE, deadlineMs };
    const found = await Promise.all(
      orders.map(async ([group, order]) => {
        const body = { type: 'QuotaOrder' as const, scope, round, order };
        const { share } = await this.#host.calls.call(group, body, 'QuotaFound', options);
        return [group, share] as const;
      }),
    );
    const shares = new Map<GroupId, QuotaShare>();
    for (const [group, share] of found) {
      if (share === null || share.round !== round || !share.isCounted) return null;
      shares.set(group, share);
    }
    return shares;
  }
}

/** No ceiling: groups that have no share begin one. */
const NOTHING: QuotaOrder = { type: 'lower', ceilings: NO_AMOUNTS.map(() => null) };
const TO_LEADER = { traceparent: null, target: 'leader', repeatable: false } as const;
const REPEATABLE = { traceparent: null, target: 'leader', repeatable: true } as const;
