import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mergePage, scanPage, snapshotRevision } from '../../../../actors/router/scan.ts';
import { initialShardMap } from '../../../../actors/router/shard-map.ts';
import { AppError } from '../../../../protocol/errors.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import type { ReplyOf } from '../../../../protocol/messages/request.ts';
import type { RequestContext, ScanOptions, ScanPage } from '../../../../protocol/service.ts';
import type { GroupId, NodeId } from '../../../../protocol/types.ts';
import { ref } from '../../../kit/applied-group.ts';
import { itemAt } from '../../../kit/change-events.ts';
import { FakeReach } from '../../../kit/fake-reach.ts';

const CTX: RequestContext = { deadlineMs: 5_000, traceparent: null, idempotency: null };
const MAP = initialShardMap(3);

type Range = { start: string; end: string | null; reverse: boolean; limit: number };

/** What one group answers: its keys in the range, cut after `cut` of them. */
function partOf(keys: readonly string[], range: Range, cut: number): ReplyOf<'Page'> {
  const inside = keys
    .filter((key) => key >= range.start && (range.end === null || key < range.end))
    .sort();
  if (range.reverse) inside.reverse();
  const count = Math.max(1, Math.min(cut, range.limit));
  const items = inside.slice(0, count).map((key) => itemAt(ref(key), 1));
  return { type: 'Page', items, more: inside.length > count, clock: 50 };
}

describe('a merged page', () => {
  it('and those after it have every key once, in order, wherever the groups cut', () => {
    const keys = fc.uniqueArray(fc.string({ maxLength: 3 }), { maxLength: 40 });
    const sizes = fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 9 });
    const limits = fc.integer({ min: 1, max: 7 });
    fc.assert(
      fc.property(keys, sizes, limits, fc.boolean(), (all, cuts, limit, reverse) => {
        const groups = [0, 1, 2].map((group) => all.filter((_, i) => i % 3 === group));
        const seen: string[] = [];
        let range: Range = { start: '', end: null, reverse, limit };
        for (let turn = 0; ; turn++) {
          const parts = groups.map((group, g) =>
            partOf(group, range, cuts[(turn + g) % cuts.length] as number),
          );
          const page = mergePage(parts, reverse, limit, 50);
          expect(page.items.length).toBeLessThanOrEqual(limit);
          seen.push(...page.items.map((item) => item.ref.key));
          if (page.next === null) break;
          expect(page.items.length).toBeGreaterThan(0);
          range = reverse ? { ...range, end: page.next } : { ...range, start: page.next };
        }
        const sorted = [...all].sort();
        expect(seen).toEqual(reverse ? sorted.reverse() : sorted);
      }),
      { numRuns: 300 },
    );
  });

  it('of a group that says more without a key is a defect', () => {
    const part: ReplyOf<'Page'> = { type: 'Page', items: [], more: true, clock: 1 };
    expect(() => mergePage([part], false, 10, 1)).toThrow('an empty page claims to have more');
  });
});

function world(clocks: Record<number, number>): FakeReach {
  const reach = new FakeReach();
  for (const group of [1, 2, 3]) {
    reach.leaders.set(group as GroupId, 'n2' as NodeId);
    reach.local.add(group as GroupId);
  }
  reach.answer = ({ group, body }) => {
    const clock = clocks[group] as number;
    if (body.type === 'ReadClock') return { type: 'Clock', clock, gate: null };
    return { type: 'Page', items: [itemAt(ref(`k${group}`), 1)], more: false, clock };
  };
  return reach;
}

function scan(reach: FakeReach, more: Partial<ScanOptions>): Promise<ScanPage> {
  const options: ScanOptions = {
    ...{ tenant: 't1', space: 'kv', start: '', end: null, reverse: false, limit: 10 },
    ...{ values: true, consistency: 'linearizable', revision: null, ...more },
  };
  const page = reach.outcome(scanPage(reach.calls, MAP, CTX, options));
  return page as Promise<ScanPage>;
}

const rangesOf = (reach: FakeReach) =>
  reach.asked.flatMap(({ node, body }) => (body.type === 'Range' ? [{ node, ...body }] : []));

/** Groups with these keys each, cut by count alone, as replicas answer. */
function holding(keys: Record<number, string[]>): FakeReach {
  const reach = world({ 1: 10, 2: 30, 3: 20 });
  const { answer } = reach;
  reach.answer = (asked) =>
    asked.body.type === 'Range'
      ? partOf(keys[asked.group] ?? [], asked.body, asked.body.limit)
      : answer(asked);
  return reach;
}

const numbered = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, i) => `${prefix}${String(i).padStart(4, '0')}`);

describe('a scan', () => {
  it('asks each group for about its share of the page', async () => {
    const all = numbered('k', 300);
    const of = (group: number) => all.filter((_, i) => i % 3 === group - 1);
    for (const reverse of [false, true]) {
      const reach = holding({ 1: of(1), 2: of(2), 3: of(3) });
      const page = await scan(reach, { limit: 90, reverse });
      const expected = reverse ? [...all].reverse() : all;
      expect(page.items.map((item) => item.ref.key)).toEqual(expected.slice(0, 90));
      expect(rangesOf(reach).map(({ limit }) => limit)).toEqual([40, 40, 40]);
    }
  });

  it('asks on, once and at the same revision, where one group has more than its share', async () => {
    for (const reverse of [false, true]) {
      const reach = holding({ 1: numbered('a', 500), 2: numbered('b', 2), 3: [] });
      const page = await scan(reach, { limit: 90, reverse });
      const all = [...numbered('a', 500), ...numbered('b', 2)];
      expect(page.items.map((item) => item.ref.key)).toEqual(
        (reverse ? all.reverse() : all).slice(0, 90),
      );
      expect(page.next).not.toBeNull();
      expect(rangesOf(reach).map(({ limit, revision }) => [limit, revision])).toEqual([
        [40, 30],
        [40, 30],
        [40, 30],
        [reverse ? 48 : 50, 30],
      ]);
    }
  });

  it('fills every page but the last, whichever groups have the keys, in two rounds at most', async () => {
    const keys = fc.uniqueArray(fc.string({ maxLength: 3 }), { maxLength: 60 });
    const owners = fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 60, maxLength: 60 });
    const limits = fc.integer({ min: 1, max: 20 });
    await fc.assert(
      fc.asyncProperty(keys, owners, limits, fc.boolean(), async (all, of, limit, reverse) => {
        const held = (group: number) => all.filter((_, i) => of[i] === group);
        const expected = [...all].sort();
        if (reverse) expected.reverse();
        const reach = holding({ 1: held(1), 2: held(2), 3: held(3) });
        const page = await scan(reach, { limit, reverse });
        expect(page.items.map((item) => item.ref.key)).toEqual(expected.slice(0, limit));
        if (page.next === null) expect(all.length).toBeLessThanOrEqual(limit);
        expect(rangesOf(reach).length).toBeLessThanOrEqual(6);
      }),
      { numRuns: 300 },
    );
  });

  it('ends a page of large values where the groups did', async () => {
    const reach = holding({});
    const { answer } = reach;
    const value = new Uint8Array(LIMITS.pageBytesMax / 8);
    const items = numbered('a', 8).map((key) => ({ ...itemAt(ref(key), 1), value }));
    reach.answer = (asked) =>
      asked.body.type === 'Range' && asked.group === 1
        ? { type: 'Page', items, more: true, clock: 50 }
        : answer(asked);
    const page = await scan(reach, { limit: 90 });
    expect(page.items).toHaveLength(8);
    expect(page.next).toBe('a0007\0');
    expect(rangesOf(reach)).toHaveLength(3);
  });

  it('reads all groups at the highest of their clocks', async () => {
    const reach = world({ 1: 10, 2: 30, 3: 20 });
    expect(await reach.outcome(snapshotRevision(reach.calls, MAP, CTX))).toBe(30);
    const page = await scan(reach, {});
    expect(page).toMatchObject({ revision: 30, next: null });
    expect(page.items.map((item) => item.ref.key)).toEqual(['k1', 'k2', 'k3']);
    expect(rangesOf(reach).map(({ revision, node }) => [revision, node])).toEqual([
      [30, 'n2'],
      [30, 'n2'],
      [30, 'n2'],
    ]);
  });

  it('goes on at the revision of its first page, without asking for clocks', async () => {
    const reach = world({ 1: 10, 2: 30, 3: 20 });
    expect((await scan(reach, { revision: 25 })).revision).toBe(25);
    expect(reach.asked).toHaveLength(3);
  });

  it('at a revision ahead of the wall asks the groups whether they have reached it', async () => {
    const reach = world({ 1: 0, 2: 0, 3: 0 });
    const ahead = reach.calls.wallRevision() + 5_000;
    const refused = await reach.outcome(scan(reach, { revision: ahead }));
    expect(refused).toBeInstanceOf(AppError);
    expect((refused as AppError).code).toBe('invalid_argument');
    const reached = world({ 1: 0, 2: ahead, 3: 0 });
    expect((await scan(reached, { revision: ahead })).revision).toBe(ahead);
  });

  it('that may be stale asks the nearest replicas, and is as old as the oldest', async () => {
    const reach = world({ 1: 10, 2: 30, 3: 20 });
    const page = await scan(reach, { consistency: 'stale' });
    expect(page.revision).toBe(10);
    expect(rangesOf(reach).map(({ node, stale, revision }) => [node, stale, revision])).toEqual([
      ['n1', true, 0],
      ['n1', true, 0],
      ['n1', true, 0],
    ]);
  });
});
