import { describe, expect, it } from 'vitest';
import {
  DemandMeter,
  HEARING_MS,
  HeardDemands,
  IDLE_PART,
  shareOf,
  TELLINGS,
} from '../../../../gateways/limits/shares.ts';
import { DEMAND_EVERY_MS } from '../../../../protocol/demand.ts';
import { seededRandom } from '../../../../protocol/random.ts';
import type { NodeId } from '../../../../protocol/types.ts';

const LIMIT = 100;
const SCOPE = 'key:a';
const asked = { scope: SCOPE, kind: 0, all: LIMIT };

interface OneNode {
  readonly id: NodeId;
  readonly meter: DemandMeter;
  readonly heard: HeardDemands;
  told: number;
  sequence: number;
  share: number;
}

/** Nodes whose windows end at different times, whose tellings come late and are lost, and whose demand jumps. */
function largestSum(seed: number, lostInARow: number): number {
  const random = seededRandom(seed, 'shares');
  const count = 2 + Math.floor(random.next() * 4);
  const nodes: OneNode[] = Array.from({ length: count }, (_, i) => ({
    ...{ id: `n${i}` as NodeId, meter: new DemandMeter(), heard: new HeardDemands(-HEARING_MS) },
    ...{ told: 0, sequence: 0, share: 0 },
  }));
  const lost = new Map<string, number>();
  const mail = new Map<number, (() => void)[]>();
  const divide = (node: OneNode, nowMs: number): void => {
    const others = nodes.filter((other) => other !== node).map(({ id }) => id);
    node.share = shareOf(
      LIMIT,
      node.meter.tellings.own,
      node.heard.of(others, asked, nowMs),
      IDLE_PART,
    );
  };
  for (const node of nodes) divide(node, 0);
  const demand = nodes.map(() => 0);
  let largest = 0;
  const phase = nodes.map(() => Math.floor(random.next() * DEMAND_EVERY_MS));
  for (let nowMs = 1; nowMs < 20_000; nowMs++) {
    for (const run of mail.get(nowMs) ?? []) run();
    nodes.forEach((node, i) => {
      node.meter.add((demand[i] as number) / 1_000);
      if ((nowMs + (phase[i] as number)) % DEMAND_EVERY_MS !== 0) return;
      if (random.next() < 0.15) demand[i] = random.next() < 0.4 ? 0 : random.next() * 4 * LIMIT;
      const told = node.meter.tick(DEMAND_EVERY_MS, LIMIT);
      const sequence = ++node.sequence;
      for (const other of nodes.filter((one) => one !== node)) {
        const way = `${node.id} ${other.id}`;
        const before = lost.get(way) ?? 0;
        if (before < lostInARow && random.next() < 0.5) {
          lost.set(way, before + 1);
          continue;
        }
        lost.set(way, 0);
        const demands = [{ scope: SCOPE, amounts: [told] }];
        const atMs = nowMs + 1 + Math.floor(random.next() * (DEMAND_EVERY_MS - 2));
        const message = { from: node.id, life: 1, sequence, demands };
        const run = (): void => other.heard.note(message, atMs);
        mail.set(atMs, [...(mail.get(atMs) ?? []), run]);
      }
      divide(node, nowMs);
    });
    largest = Math.max(
      largest,
      nodes.reduce((sum, { share }) => sum + share, 0),
    );
  }
  return largest;
}

describe('shares of a limit (ADR 0047)', () => {
  it('are equal where nobody asks, and as the demand where somebody does', () => {
    expect(shareOf(LIMIT, 0, [0, 0], IDLE_PART)).toBeCloseTo(1 / 3);
    expect(shareOf(LIMIT, 50, [0, 0], IDLE_PART)).toBeGreaterThan(0.92);
    expect(shareOf(LIMIT, 1e9, [0, 0], IDLE_PART)).toBeCloseTo(1.02 / 1.06);
    expect(shareOf(LIMIT, 0, [100, 100], IDLE_PART)).toBeGreaterThan(0);
    expect(shareOf(LIMIT, 80, [20], IDLE_PART)).toBeCloseTo(82 / 104);
    expect(shareOf(LIMIT, 80, [], IDLE_PART)).toBe(1);
  });

  it('are together never more than the limit while tellings come late and few are lost (SH1)', () => {
    for (let seed = 1; seed <= 6; seed++) {
      expect(largestSum(seed, TELLINGS - 3)).toBeLessThanOrEqual(1 + 1e-9);
    }
  });

  it('would be more, were a longer silence counted on', () => {
    const sums = [1, 2, 3].map((seed) => largestSum(seed, TELLINGS * 2));
    expect(Math.max(...sums)).toBeGreaterThan(1);
  });

  it('leave everything to the others until they were heard', () => {
    const heard = new HeardDemands(0);
    const others = ['n2' as NodeId, 'n3' as NodeId];
    expect(heard.of(others, asked, 10)).toEqual([LIMIT, LIMIT]);
    const told = { life: 1, sequence: 1, demands: [{ scope: SCOPE, amounts: [7] }] };
    heard.note({ from: 'n2' as NodeId, ...told }, 20);
    expect(heard.of(others, asked, 30)).toEqual([7, LIMIT]);
    expect(heard.of(others, asked, HEARING_MS)).toEqual([7, 0]);
    expect(heard.of(others, { ...asked, scope: 'key:b' }, 30)).toEqual([0, LIMIT]);
    expect(heard.of(others, asked, 60_000)).toEqual([0, 0]);
  });

  it('are by the latest telling of a node, and of its latest life', () => {
    const heard = new HeardDemands(-HEARING_MS);
    const from = 'n2' as NodeId;
    const tell = (life: number, sequence: number, amount: number): number[] => {
      heard.note({ from, life, sequence, demands: [{ scope: SCOPE, amounts: [amount] }] }, 0);
      return heard.of([from], asked, 1);
    };
    expect(tell(1, 5, 50)).toEqual([50]);
    expect(tell(1, 4, 40)).toEqual([50]);
    expect(tell(2, 1, 10)).toEqual([10]);
  });

  it('count as own demand what the others know', () => {
    const meter = new DemandMeter();
    for (let i = 0; i < TELLINGS; i++) {
      expect(meter.tellings.own).toBe(0);
      meter.add(100);
      meter.tick(DEMAND_EVERY_MS, 1_000);
    }
    const least = meter.tellings.own;
    expect(least).toBeGreaterThan(0);
    expect(meter.perSecond).toBeGreaterThan(least);
    meter.tellings.forget();
    expect(meter.tellings.own).toBe(0);
  });
});
