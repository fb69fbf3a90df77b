import { describe, expect, test, vi } from 'vitest';
import { gcStep } from '../../../../actors/apply/gc.ts';
import { indexById } from '../../../../actors/apply/index-codec.ts';
import { nextFill } from '../../../../actors/apply/index-fill.ts';
import { type IndexPage, queryIndex } from '../../../../actors/apply/index-query.ts';
import { WorkMeter } from '../../../../actors/apply/work-meter.ts';
import type { EntryPosition } from '../../../../protocol/indexes.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import { AppliedGroup, put } from '../../../kit/applied-group.ts';
import { definitionOf } from '../../../kit/index-history.ts';

/** A group with one index over /tags, built, and documents as large as asked for. */
async function indexed(): Promise<AppliedGroup> {
  const group = new AppliedGroup();
  const indexes = [definitionOf(1, [['/tags', 'string']])];
  group.apply({ type: 'indexes', epoch: 1, indexes });
  const view = group.state.view();
  const step = await nextFill(view, indexById(group.state.indexes, 1)!);
  await view.close();
  group.apply(step);
  return group;
}

function documentOf(tags: number, bytes: number, first = 0): string {
  const names = Array.from({ length: tags }, (_, i) => `t${String(first + i).padStart(6, '0')}`);
  return JSON.stringify({ tags: names, rest: 'x'.repeat(bytes) });
}

async function pageOf(
  group: AppliedGroup,
  revision: number,
  after: EntryPosition | null,
  meter?: WorkMeter,
  limit = 1000,
): Promise<IndexPage | 'compacted' | 'over'> {
  const view = group.state.view();
  const query = { start: '', end: '\xff', reverse: false, limit, revision, after, values: false };
  try {
    const index = indexById(view.indexes, 1)!;
    return await queryIndex(view, index, { ...query, bytesMax: LIMITS.pageBytesMax }, meter);
  } finally {
    await view.close();
  }
}

describe('the work of a query', () => {
  test('parses a version once, however many of its entries it is asked about', async () => {
    const group = await indexed();
    group.write([put('a', documentOf(900, 10))]);
    const revision = group.state.clock;
    group.write([put('a', documentOf(900, 10, 5_000))]);
    const parse = vi.spyOn(JSON, 'parse');
    const page = await pageOf(group, revision, null);
    const parsed = parse.mock.calls.length;
    parse.mockRestore();
    expect(typeof page === 'string' ? page : page.hits.length).toBe(900);
    expect(parsed).toBe(1);
  });

  test('parses nothing where the newest version is the one at the revision', async () => {
    const group = await indexed();
    group.write([put('a', documentOf(300, 10))]);
    const revision = group.state.clock;
    group.write([put('z', '{}')]);
    const parse = vi.spyOn(JSON, 'parse');
    const page = await pageOf(group, revision, null);
    const parsed = parse.mock.calls.length;
    parse.mockRestore();
    expect(typeof page === 'string' ? page : page.hits.length).toBe(300);
    expect(parsed).toBe(0);
  });

  test('is bounded: pages end behind indexPageParsedBytesMax, and together they are the whole answer', async () => {
    const group = await indexed();
    const large = LIMITS.valueBytesMax - 20_000;
    // Their tags alternate in index order: each hit is of another key than the one before.
    const keys = Array.from({ length: 16 }, (_, i) => `k${String(i).padStart(2, '0')}`);
    for (const key of keys) group.write([put(key, documentOf(2, large))]);
    const revision = group.state.clock;
    for (const key of keys) group.write([put(key, '{}')]);
    const seen: string[] = [];
    const pages: number[] = [];
    for (let after: EntryPosition | null = null, ended = false; !ended; ) {
      const page = await pageOf(group, revision, after);
      if (typeof page === 'string') throw new Error(page);
      seen.push(...page.hits.map(({ encoded, item }) => encoded + item.ref.key));
      pages.push(page.hits.length);
      after = page.reached;
      ended = after === null;
    }
    const most = Math.ceil(LIMITS.indexPageParsedBytesMax / large);
    expect(pages.length).toBeGreaterThanOrEqual(3);
    expect(Math.max(...pages)).toBeLessThanOrEqual(most + keys.length);
    expect(seen).toHaveLength(2 * keys.length);
    expect([...new Set(seen)].sort()).toEqual(seen);
  });

  test('gives others their turn, and ends when its deadline has passed', async () => {
    const group = await indexed();
    for (let i = 0; i < 20; i++) group.write([put(`k${i}`, documentOf(3, 200_000))]);
    const revision = group.state.clock;
    for (let i = 0; i < 20; i++) group.write([put(`k${i}`, '{}')]);
    let turns = 0;
    const patient = new WorkMeter((run) => {
      turns++;
      setImmediate(run);
    });
    const page = await pageOf(group, revision, null, patient);
    expect(typeof page === 'string' ? page : page.hits.length).toBe(60);
    expect(turns).toBeGreaterThanOrEqual(10);
    turns = 0;
    const late = new WorkMeter(
      (run) => {
        turns++;
        run();
      },
      () => turns >= 3,
    );
    expect(await pageOf(group, revision, null, late)).toBe('over');
    expect(turns).toBe(3);
  });
});

describe('the removal of past entries', () => {
  test('gives others their turn between large values, and removes the same', async () => {
    const group = await indexed();
    for (let i = 0; i < 12; i++) group.write([put('a', documentOf(50, 200_000, i * 7))]);
    group.compact(group.state.clock);
    group.wallMs += 100;
    let [turns, rowsSeen] = [0, 0];
    const meter = new WorkMeter((run) => {
      turns++;
      // Meanwhile others write.
      group.write([put('b', documentOf(1, 10, turns))]);
      rowsSeen = group.rowsOf('p').length;
      setImmediate(run);
    });
    while ((await gcStep(group.state, 100, meter)) > 0);
    expect(turns).toBeGreaterThanOrEqual(5);
    expect(rowsSeen).toBeGreaterThan(0);
    // Those that the change below the floor did not reach, and b's own.
    const left = group.rowsOf('p').filter(([row]) => row.includes('a'));
    const plain = await indexed();
    for (let i = 0; i < 12; i++) plain.write([put('a', documentOf(50, 200_000, i * 7))]);
    plain.compact(plain.state.clock);
    while ((await gcStep(plain.state, 100)) > 0);
    expect(left).toHaveLength(plain.rowsOf('p').length);
  });
});
