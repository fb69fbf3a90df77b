import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Applied, applyBatch } from '../../../../actors/apply/apply.ts';
import { nextExpiry } from '../../../../actors/apply/expire.ts';
import { readFeed } from '../../../../actors/apply/feed.ts';
import { gcStep } from '../../../../actors/apply/gc.ts';
import { GroupState, type GroupView } from '../../../../actors/apply/group-state.ts';
import { comparePositions, positionAfter, positionOf } from '../../../../actors/apply/position.ts';
import { readAt, readLatest, readRange } from '../../../../actors/apply/read.ts';
import { loadSnapshot, snapshotRows } from '../../../../actors/apply/snapshot-rows.ts';
import { stateHash } from '../../../../actors/apply/state-hash.ts';
import type { ChangeEvent, Item } from '../../../../protocol/messages/request.ts';
import type { GroupId } from '../../../../protocol/types.ts';
import { MemoryEngine } from '../../../../storage/kv/memory-engine.ts';
import { MemtableStore } from '../../../../storage/kv/state-store.ts';
import { type History, histories, REFS } from '../../../kit/kv-history.ts';
import { cursorOf, drain, MemoryState } from '../../../kit/memory-state.ts';
import { REAL_CLOCK } from '../../../kit/real-clock.ts';

const GROUP = 5 as GroupId;
const RUNS = { numRuns: 100 };

/** Values as plain arrays: rows give views on their buffers, the model gives its own. */
function plain<T>(value: T): unknown {
  if (value instanceof Uint8Array) return [...value];
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, plain(field)]));
}

type PlainApplied = Omit<Applied, 'events'> & { readonly events: readonly ChangeEvent[] };

/** A replica that has applied the whole log, `batchSize` entries at a time. */
function replay(
  history: History,
  batchSize: number,
  store = new MemoryState(),
): [GroupState, PlainApplied[]] {
  const state = GroupState.open(store, GROUP);
  const applied: PlainApplied[] = [];
  for (let at = 0; at < history.entries.length; at += batchSize) {
    for (const one of applyBatch(state, history.entries.slice(at, at + batchSize))) {
      applied.push({ ...one, events: one.events.map((event) => event.eventOf(true)) });
    }
  }
  return [state, applied];
}

/** The same, removing garbage in small steps after every batch. */
async function replayCollecting(history: History, limit: number): Promise<GroupState> {
  const state = GroupState.open(new MemoryState(), GROUP);
  for (const entry of history.entries) {
    applyBatch(state, [entry]);
    await gcStep(state, limit);
  }
  return state;
}

async function withView<T>(state: GroupState, use: (view: GroupView) => Promise<T>): Promise<T> {
  const view = state.view();
  try {
    return await use(view);
  } finally {
    await view.close();
    if (state.store instanceof MemoryState) expect(state.store.viewsOpen).toBe(0);
  }
}

/** Every revision at which an answer may change, and one on each side, from the floor on. */
function interestingRevisions({ model }: History): number[] {
  const out = new Set<number>([model.floor, model.clock, model.clock + 1]);
  for (const { revision } of model.events) {
    for (const r of [revision - 1, revision, revision + 1]) if (r >= model.floor) out.add(r);
  }
  return [...out].sort((a, b) => a - b);
}

async function checkReads(state: GroupState, history: History): Promise<void> {
  const { model } = history;
  await withView(state, async (view) => {
    for (const revision of interestingRevisions(history)) {
      for (const ref of REFS) {
        expect(plain(await readAt(view, ref, revision))).toEqual(
          plain(model.readAt(ref, revision)),
        );
      }
    }
    if (model.floor > 0) {
      expect(await readAt(view, REFS[0]!, model.floor - 1)).toBe('compacted');
    }
  });
  for (const ref of REFS) {
    const item = readLatest(state, ref, model.clock);
    expect(plain(item)).toEqual(plain(model.readAt(ref, model.clock)));
  }
}

type Bounds = { start: string; end: string | null; reverse: boolean; limit: number };

/** Reads a whole range page by page, as a scan does. */
async function readPages(view: GroupView, bounds: Bounds, revision: number): Promise<Item[]> {
  const items: Item[] = [];
  let { start, end } = bounds;
  for (;;) {
    const space = { tenant: 't1', space: 'kv', bytesMax: 250, values: true };
    const page = await readRange(view, { ...bounds, ...space, start, end, revision });
    if (page === 'compacted') throw new Error('compacted');
    expect(page.items.length).toBeLessThanOrEqual(bounds.limit);
    items.push(...page.items);
    const last = page.items.at(-1);
    if (!page.more || last === undefined) return items;
    if (bounds.reverse) end = last.ref.key;
    else start = `${last.ref.key}\x00`;
  }
}

async function checkRanges(state: GroupState, history: History, bounds: Bounds): Promise<void> {
  const { model } = history;
  await withView(state, async (view) => {
    for (const revision of interestingRevisions(history)) {
      const wanted = model.range('t1', 'kv', bounds.start, bounds.end, revision);
      if (bounds.reverse) wanted.reverse();
      expect(plain(await readPages(view, bounds, revision))).toEqual(plain(wanted));
    }
  });
}

async function checkFeed(state: GroupState, history: History, limit: number): Promise<void> {
  const { model } = history;
  await withView(state, async (view) => {
    const starts = model.events.map(positionOf);
    starts.push(positionAfter(model.floor), { revision: model.floor, vshard: 0, triple: '' });
    for (const after of starts) {
      const whole = await readFeed(view, after, model.clock, 1000, 1 << 20, true);
      if (after.revision < model.floor) {
        expect(whole).toBe('compacted');
        continue;
      }
      const wanted = model.events.filter((e) => comparePositions(positionOf(e), after) > 0);
      expect(plain(whole)).toEqual(plain(wanted));
      const page = await readFeed(view, after, model.clock, limit, 300, false);
      const bare = wanted.slice(0, page.length).map((e) => ({ ...e, prev: null }));
      expect(plain(page)).toEqual(plain(bare));
      expect(page.length).toBeGreaterThanOrEqual(Math.min(1, wanted.length));
    }
    const floor = positionAfter(model.floor);
    const middle = model.events[Math.floor(model.events.length / 2)]?.revision ?? 0;
    const closed = await readFeed(view, floor, middle, 1000, 1 << 20, true);
    const until = model.events.filter((e) => e.revision > model.floor && e.revision <= middle);
    expect(plain(closed)).toEqual(plain(until));
  });
}

const bounds: fc.Arbitrary<Bounds> = fc.record({
  start: fc.constantFrom('', '', 'a', 'a\x00', 'ab'),
  end: fc.constantFrom(null, null, 'a\x00b', 'b', '\xff\x00'),
  reverse: fc.boolean(),
  limit: fc.integer({ min: 1, max: 8 }),
});

describe('apply against a model that forgets nothing', () => {
  test('results, events, counters and reads at every revision from the floor on are the model’s', async () => {
    await fc.assert(
      fc.asyncProperty(histories(40), fc.integer({ min: 1, max: 9 }), async (history, size) => {
        const [state, applied] = replay(history, size);
        expect(
          plain(
            applied.map(({ results, repeated, rejection, events }) => ({
              results,
              repeated,
              rejection,
              events,
            })),
          ),
        ).toEqual(plain(history.outcomes));
        const { model } = history;
        expect(state.clock).toBe(model.clock);
        expect(state.floor).toBe(model.floor);
        expect(state.sequence).toBe(model.events.length);
        expect(state.keyCount).toBe(model.keyCount);
        await checkReads(state, history);
      }),
      RUNS,
    );
  });

  test('ranges forward and in reverse, page by page, at every revision are the model’s', async () => {
    await fc.assert(
      fc.asyncProperty(histories(30), bounds, fc.boolean(), async (history, range, collect) => {
        const state = collect ? await replayCollecting(history, 3) : replay(history, 4)[0];
        await checkRanges(state, history, range);
      }),
      RUNS,
    );
  });

  test('B19 watch: the feed from every position is what apply yielded, no gap, no repeat, prev included', async () => {
    await fc.assert(
      fc.asyncProperty(
        histories(30),
        fc.integer({ min: 1, max: 5 }),
        fc.boolean(),
        async (history, limit, collect) => {
          const state = collect ? await replayCollecting(history, 2) : replay(history, 4)[0];
          await checkFeed(state, history, limit);
        },
      ),
      RUNS,
    );
  });

  test('due keys for the leader’s expire command are the model’s', async () => {
    await fc.assert(
      fc.asyncProperty(histories(30), fc.nat(8_000_000), async (history, aheadMs) => {
        const [state] = replay(history, 4);
        const wallMs = 1_735_689_600_000 + 1_000_000 + aheadMs;
        const due = (await withView(state, (view) => nextExpiry(view, 1000, wallMs))).keys;
        const wanted = history.model.due(wallMs).map(({ ref, revision }) => ({ ref, revision }));
        expect(due).toEqual(wanted);
      }),
      RUNS,
    );
  });

  test('a replica that removes garbage and one that does not agree in hash and in every read', async () => {
    await fc.assert(
      fc.asyncProperty(histories(40), fc.integer({ min: 1, max: 6 }), async (history, limit) => {
        const [lazy] = replay(history, 3);
        const eager = await replayCollecting(history, limit);
        expect(await stateHash(eager)).toBe(await stateHash(lazy));
        while ((await gcStep(eager, limit)) > 0);
        expect(await stateHash(eager)).toBe(await stateHash(lazy));
        await checkReads(eager, history);
      }),
      RUNS,
    );
  });

  test('over memtables and an engine, written to it while the log goes on, everything is the same', async () => {
    await fc.assert(
      fc.asyncProperty(
        histories(30),
        bounds,
        fc.nat(4_000),
        async (history, range, memtableBytes) => {
          const onFatal = (error: unknown): never => {
            throw error;
          };
          const waits = { memtableAgeMs: 60_000, mayWrite: () => true };
          const options = { memtableBytes, ...waits, onFatal };
          const store = new MemtableStore(new MemoryEngine(REAL_CLOCK), REAL_CLOCK, options);
          const state = GroupState.open(store, GROUP);
          for (const [i, entry] of history.entries.entries()) {
            applyBatch(state, [entry]);
            await gcStep(state, 3);
            if (i % 9 === 8) await store.flush();
          }
          expect(await stateHash(state)).toBe(await stateHash(replay(history, 4)[0]));
          await checkReads(state, history);
          await checkRanges(state, history, range);
          await checkFeed(state, history, 3);
          await store.close();
        },
      ),
      { numRuns: 60 },
    );
  });

  test('a snapshot of any prefix plus the tail equals full replay', async () => {
    await fc.assert(
      fc.asyncProperty(histories(40), fc.nat(), fc.boolean(), async (history, cut, collect) => {
        const count = cut % (history.entries.length + 1);
        const head = { ...history, entries: history.entries.slice(0, Math.max(1, count)) };
        const source = collect ? await replayCollecting(head, 2) : replay(head, 3)[0];
        const rows = await withView(source, (view) => drain(snapshotRows(view), 7));
        const store = new MemoryState();
        replay({ ...history, entries: history.entries.slice(0, 1) }, 1, store);
        await loadSnapshot(store, GROUP, cursorOf(rows));
        const restored = GroupState.open(store, GROUP);
        expect(restored.generation).toBe(2);
        expect(await stateHash(restored)).toBe(await stateHash(source));
        applyBatch(restored, history.entries.slice(head.entries.length));
        const [full] = replay(history, 5);
        expect(await stateHash(restored)).toBe(await stateHash(full));
        expect(restored.owned).toEqual(full.owned);
        await checkReads(restored, history);
      }),
      RUNS,
    );
  });

  test('B17 applied index atomic with data: after a crash behind any write, replay from the applied index gives the same state', async () => {
    await fc.assert(
      fc.asyncProperty(
        histories(25),
        fc.nat(),
        fc.integer({ min: 1, max: 4 }),
        async (history, at, size) => {
          const store = new MemoryState();
          const [full] = replay(history, size, store);
          expect(store.batches).toHaveLength(Math.ceil(history.entries.length / size));
          const crashed = MemoryState.afterCrash(store, at % (store.batches.length + 1));
          const state = GroupState.open(crashed, GROUP);
          expect(
            state.appliedIndex % size === 0 || state.appliedIndex === history.entries.length,
          ).toBe(true);
          applyBatch(state, history.entries.slice(state.appliedIndex));
          expect(await stateHash(state)).toBe(await stateHash(full));
          expect(crashed.rows()).toEqual(store.rows());
        },
      ),
      RUNS,
    );
  });
});
