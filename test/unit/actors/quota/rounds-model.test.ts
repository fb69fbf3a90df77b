import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ensureHolds } from '../../../../actors/apply/quota-growth.ts';
import { divide, exceededKind, type Shares, targetsOf } from '../../../../actors/quota/plan.ts';
import type { Bounds, QuotaOrder, QuotaShare } from '../../../../protocol/quotas.ts';
import { ABORTED, type TxnId, type TxnOp } from '../../../../protocol/txn.ts';
import type { GroupId } from '../../../../protocol/types.ts';
import { AppliedGroup, del, put, ref } from '../../../kit/applied-group.ts';

/**
 * Groups with their real state, and rounds that any of several nodes begin, whose orders arrive late, twice or
 * never (D1 to D3, S1 to S3).
 */
const SCOPE = 'prefix:t1/k';
const GROUPS = [1, 2, 3] as GroupId[];

interface Round {
  readonly number: number;
  readonly quota: Bounds;
  readonly targets: ReadonlyMap<GroupId, Bounds>;
  readonly answers: Map<GroupId, QuotaShare>;
  isOver: boolean;
}

interface Order {
  readonly round: Round;
  readonly group: GroupId;
  readonly order: QuotaOrder;
}

class Cluster {
  readonly groups = new Map(GROUPS.map((group) => [group, new AppliedGroup()]));
  readonly orders: Order[] = [];
  readonly prepared: { group: GroupId; id: TxnId; revision: number }[] = [];
  quota: Bounds = [60, 8, null];
  #round = 0;
  #start = 0;

  group(at: number): [GroupId, AppliedGroup] {
    const group = GROUPS[at % GROUPS.length] as GroupId;
    return [group, this.groups.get(group) as AppliedGroup];
  }

  begin(): void {
    this.#round++;
    for (const applied of this.groups.values()) {
      const order: QuotaOrder = { type: 'lower', ceilings: [null, null, null] };
      applied.apply({ type: 'quotaOrder', scope: SCOPE, round: this.#round, order });
      const counted = { scope: SCOPE, since: this.#round, base: [0, 0, 0] };
      applied.apply({ type: 'quotaCounted', ...counted });
    }
    this.settle();
  }

  #nextRound(quota: Bounds, targets: ReadonlyMap<GroupId, Bounds>): Round {
    this.#round++;
    return { number: this.#round, quota, targets, answers: new Map(), isOver: false };
  }

  shares(): Shares {
    return new Map(
      GROUPS.map((group): [GroupId, QuotaShare] => {
        const { state } = this.groups.get(group) as AppliedGroup;
        ensureHolds(state);
        const share = state.quotas.get(SCOPE);
        if (share === null) throw new Error('no share');
        const used = share.used.map((amount, kind) => amount + (share.held[kind] as number));
        const { round, allowed, isCounted } = share;
        return [group, { round, allowed: allowed && [...allowed], used, isCounted }];
      }),
    );
  }

  /** Looks, draws a number and sends its first orders. */
  start(group: GroupId, growth: number[]): boolean {
    const known = this.shares();
    if (exceededKind(this.quota, known, growth) !== null) return false;
    const targets = targetsOf(this.quota, known, { group, growth });
    const round = this.#nextRound(this.quota, targets);
    for (const one of GROUPS) {
      const ceilings = [...(targets.get(one) as Bounds)];
      this.orders.push({ round, group: one, order: { type: 'lower', ceilings } });
    }
    return true;
  }

  /** An order arrives, and is answered. */
  obey({ round, group, order }: Order): void {
    const applied = this.groups.get(group) as AppliedGroup;
    applied.apply({ type: 'quotaOrder', scope: SCOPE, round: round.number, order });
    const share = this.shares().get(group) as QuotaShare;
    if (order.type !== 'lower' || round.isOver || share.round !== round.number) return;
    round.answers.set(group, share);
    if (round.answers.size < GROUPS.length) return;
    round.isOver = true;
    const { raises } = divide(round.quota, round.answers, round.targets, null);
    for (const [one, allowed] of raises) {
      const raise: QuotaOrder = { type: 'raise', allowed: [...allowed] };
      this.orders.push({ round, group: one, order: raise });
    }
  }

  /** Nobody else does anything: a round from end to end. */
  settle(group = GROUPS[0] as GroupId, growth = [0, 0, 0]): boolean {
    this.orders.length = 0;
    if (!this.start(group, growth)) return false;
    while (this.orders.length > 0) this.obey(this.orders.shift() as Order);
    return true;
  }

  prepare(at: number, ops: TxnOp[]): void {
    const [group, applied] = this.group(at);
    this.#start = Math.max(this.#start + 1, applied.state.clock);
    const id = { home: 9, term: 1, start: this.#start };
    const body = { compares: [], then: ops, otherwise: null };
    const places = ops.map((_, i) => i);
    const part = { body, comparesAt: [], thenAt: places, otherwiseAt: [] };
    const revision = applied.nextRevision();
    const { txn } = applied.apply({
      ...({ type: 'txnPrepare', revision, epoch: 1, id, part, indexEpoch: 0 } as const),
    });
    if (txn?.type === 'prepared') this.prepared.push({ group, id, revision });
  }

  end(at: number, commits: boolean): void {
    const one = this.prepared.splice(at % Math.max(1, this.prepared.length), 1)[0];
    if (one === undefined) return;
    const fate = commits ? { commitRevision: one.revision, succeeded: true } : ABORTED;
    const applied = this.groups.get(one.group) as AppliedGroup;
    applied.apply({ type: 'txnResolve', ends: [{ id: one.id, fate, removed: [] }] });
  }

  total(kind: number): number {
    let total = 0;
    for (const { state } of this.groups.values()) {
      total += state.quotas.get(SCOPE)?.used[kind] as number;
    }
    return total;
  }
}

const name = fc.integer({ min: 0, max: 5 }).map((n) => `k${n}`);
const value = fc.integer({ min: 0, max: 24 }).map((n) => 'v'.repeat(n));
const at = fc.nat(5);
type Step =
  | { type: 'put'; at: number; name: string; value: string }
  | { type: 'delete'; at: number; name: string }
  | { type: 'start'; at: number; growth: number[] }
  | { type: 'order' | 'repeat' | 'lose'; at: number }
  | { type: 'prepare'; at: number; names: string[]; value: string }
  | { type: 'end'; at: number; commits: boolean };
const steps = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.record({ type: fc.constant('put' as const), at, name, value }) },
    { weight: 2, arbitrary: fc.record({ type: fc.constant('delete' as const), at, name }) },
    {
      weight: 3,
      arbitrary: fc.record({
        ...{ type: fc.constant('start' as const), at },
        growth: fc.tuple(fc.nat(24), fc.nat(2), fc.constant(0)),
      }),
    },
    {
      weight: 9,
      arbitrary: fc.record({ type: fc.constantFrom('order', 'order', 'repeat', 'lose'), at }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        ...{ type: fc.constant('prepare' as const), at, value },
        names: fc.uniqueArray(name, { minLength: 1, maxLength: 3 }),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ type: fc.constant('end' as const), at, commits: fc.boolean() }),
    },
  ) as fc.Arbitrary<Step>,
  { minLength: 1, maxLength: 120, size: 'max' },
);

function take(cluster: Cluster, step: Step): void {
  const { orders } = cluster;
  switch (step.type) {
    case 'put': {
      const [, group] = cluster.group(step.at);
      const { results, rejection } = group.write([put(step.name, step.value)]);
      expect(rejection === null ? results[0]?.type : rejection).toMatch(/put|no_room|locked/);
      return;
    }
    case 'delete':
      cluster.group(step.at)[1].write([del(step.name)]);
      return;
    case 'start':
      cluster.start(cluster.group(step.at)[0], step.growth);
      return;
    case 'order': {
      const [order] = orders.splice(step.at % Math.max(1, orders.length), 1);
      if (order !== undefined) cluster.obey(order);
      return;
    }
    case 'repeat': {
      const order = orders[step.at % Math.max(1, orders.length)];
      if (order !== undefined) cluster.obey(order);
      return;
    }
    case 'lose':
      orders.splice(step.at % Math.max(1, orders.length), 1);
      return;
    case 'prepare':
      cluster.prepare(
        step.at,
        step.names.map(
          (key, i): TxnOp =>
            i === 2
              ? { type: 'delete', ref: ref(key) }
              : {
                  ...({ type: 'put', ref: ref(key), contentType: null, ttlMs: null } as const),
                  value: Buffer.from(step.value),
                },
        ),
      );
      return;
    case 'end':
      cluster.end(step.at, step.commits);
  }
}

describe('shares of a quota and the rounds that divide it', () => {
  test('a raise that was late cannot undo a lowering', () => {
    const cluster = new Cluster();
    cluster.begin();
    const [first, second] = GROUPS as [GroupId, GroupId];
    cluster.start(first, [60, 0, 0]);
    for (const order of cluster.orders.splice(0)) cluster.obey(order);
    const late = cluster.orders.splice(0);
    expect(late.map(({ group, order }) => [group, order.type])).toEqual([[first, 'raise']]);
    expect(cluster.settle(second, [60, 0, 0])).toBe(true);
    for (const order of late) cluster.obey(order);
    const put58 = [put('k1', 'x'.repeat(58))];
    expect(cluster.group(0)[1].write(put58).rejection).toBe('no_room');
    expect(cluster.group(1)[1].write(put58).results[0]?.type).toBe('put');
    expect(cluster.total(0)).toBe(60);
  });

  test('what groups hold together never passes the quota, and the last of it can be had', () => {
    fc.assert(
      fc.property(steps, (list) => {
        const cluster = new Cluster();
        cluster.begin();
        for (const step of list) {
          take(cluster, step);
          expect(cluster.total(0)).toBeLessThanOrEqual(60);
          expect(cluster.total(1)).toBeLessThanOrEqual(8);
        }
        while (cluster.prepared.length > 0) cluster.end(0, true);
        expect(cluster.total(0)).toBeLessThanOrEqual(60);
        // All that is left goes into one key of one group.
        const left = 60 - cluster.total(0);
        const [group, applied] = cluster.group(1);
        const fits = left > 4 && cluster.total(1) < 8;
        if (!fits) return;
        expect(cluster.settle(group, [left, 1, 0])).toBe(true);
        const { results } = applied.write([put('kLast', 'x'.repeat(left - 5))]);
        expect(results[0]?.type).toBe('put');
        expect(cluster.total(0)).toBe(60);
        expect(applied.write([put('kMore', '')]).rejection).toBe('no_room');
        expect(cluster.settle(group, [5, 1, 0])).toBe(false);
      }),
      { numRuns: 400 },
    );
  });
});
