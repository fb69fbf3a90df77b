import { type Amounts, type Bounds, QUOTA_KINDS, type QuotaShare } from '../../protocol/quotas.ts';
import type { GroupId } from '../../protocol/types.ts';

/**
 * How a quota is divided over groups (ADR 0043). Pure. What a group may come to hold is the larger of its allowance and
 * what it uses; the sum of that is kept within the quota:
 *
 *   D1  Allowances are lowered first, in all groups, by a round that no group obeys an earlier one after.
 *   D2  Only what is then left of the quota, by what all groups have answered, is given out, by that round.
 *   D3  So what all groups may hold is within the quota, or is what they held when it was set below that, and grows
 *       by nothing, whichever rounds are given up half-way, cross each other or arrive late.
 */

/** The share of each group; all of them are counted. */
export type Shares = ReadonlyMap<GroupId, QuotaShare>;

/** What one group wants beside what it uses. */
export interface Want {
  readonly group: GroupId;
  readonly growth: Amounts;
}

const KINDS = QUOTA_KINDS.length;

/** The first kind of which there is less left than is wanted; null: all of it fits. */
export function exceededKind(quota: Bounds, shares: Shares, growth: Amounts): number | null {
  for (let kind = 0; kind < KINDS; kind++) {
    const bound = quota[kind] ?? null;
    const more = growth[kind] as number;
    if (bound !== null && more > 0 && totalUsed(shares, kind) + more > bound) return kind;
  }
  return null;
}

/** As much of what is wanted as there is, kind by kind. */
export function clipped(quota: Bounds, shares: Shares, growth: Amounts): number[] {
  return growth.map((more, kind) => {
    const bound = quota[kind] ?? null;
    return bound === null ? more : Math.max(0, Math.min(more, bound - totalUsed(shares, kind)));
  });
}

export function totalUsed(shares: Shares, kind: number): number {
  let total = 0;
  for (const { used } of shares.values()) total += used[kind] as number;
  return total;
}

/**
 * What each group should be allowed: what it uses, what is wanted, and an equal part of the rest; the last units of
 * it for who wants something. Where more is used than the quota, nothing. Null of a kind: the quota has no bound.
 */
export function targetsOf(quota: Bounds, shares: Shares, want: Want | null): Map<GroupId, Bounds> {
  const targets = new Map<GroupId, (number | null)[]>();
  const favoured = want?.group ?? shares.keys().next().value;
  for (const group of shares.keys()) targets.set(group, []);
  for (let kind = 0; kind < KINDS; kind++) {
    const bound = quota[kind] ?? null;
    const wanted = want?.growth[kind] ?? 0;
    const left = bound === null ? 0 : bound - totalUsed(shares, kind) - wanted;
    const part = Math.floor(Math.max(0, left) / shares.size);
    for (const [group, { used }] of shares) {
      let target: number | null = (used[kind] as number) + part;
      if (group === favoured) target += wanted + Math.max(0, left) - part * shares.size;
      if (left < 0) target = 0;
      targets.get(group)?.push(bound === null ? null : target);
    }
  }
  return targets;
}

/** What a group may come to hold under what it has answered. Infinite where nothing bounds it. */
export function extentOf({ allowed, used }: QuotaShare, kind: number): number {
  const bound = allowed?.[kind] ?? Number.POSITIVE_INFINITY;
  return Math.max(bound, used[kind] as number);
}

export interface Division {
  /** New allowances, of the groups whose allowance changes. */
  readonly raises: ReadonlyMap<GroupId, Bounds>;
  /** All groups together may hold no more than the quota, or no more than they do. */
  readonly isInForce: boolean;
}

/**
 * D2, when all groups have been lowered to `targets`: who wants something first. What another group has used
 * meanwhile is not there to be given.
 */
export function divide(
  quota: Bounds,
  lowered: Shares,
  targets: ReadonlyMap<GroupId, Bounds>,
  want: Want | null,
): Division {
  const raises = new Map<GroupId, (number | null)[]>();
  const order = [...lowered.keys()];
  if (want !== null) order.sort((a, b) => Number(b === want.group) - Number(a === want.group));
  for (const group of order) raises.set(group, [...(lowered.get(group)?.allowed ?? NO_BOUNDS)]);
  let isInForce = true;
  for (let kind = 0; kind < KINDS; kind++) {
    const bound = quota[kind] ?? null;
    if (bound === null) {
      for (const raised of raises.values()) raised[kind] = null;
      continue;
    }
    let left = bound;
    let grows = false;
    for (const share of lowered.values()) {
      const extent = extentOf(share, kind);
      left -= extent;
      grows ||= extent > (share.used[kind] as number);
    }
    if (left < 0 && grows) isInForce = false;
    for (const group of order) {
      if (left < 0) break;
      const extent = extentOf(lowered.get(group) as QuotaShare, kind);
      const target = targets.get(group)?.[kind] ?? 0;
      const given = Math.min(left, Math.max(0, target - extent));
      // What it has room for since this round began is in its extent, and in no allowance.
      if (given === 0 && group !== want?.group) continue;
      left -= given;
      (raises.get(group) as (number | null)[])[kind] = extent + given;
    }
  }
  for (const [group, raised] of raises) {
    const before = lowered.get(group)?.allowed ?? null;
    if (before !== null && raised.every((bound, kind) => bound === before[kind]))
      raises.delete(group);
  }
  return { raises, isInForce };
}

const NO_BOUNDS: Bounds = Object.freeze([null, null, null]);
