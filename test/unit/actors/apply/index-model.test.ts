import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { gcStep } from '../../../../actors/apply/gc.ts';
import { GroupState, type GroupView } from '../../../../actors/apply/group-state.ts';
import { type GroupIndex, indexById } from '../../../../actors/apply/index-codec.ts';
import { nextFill } from '../../../../actors/apply/index-fill.ts';
import { queryIndex } from '../../../../actors/apply/index-query.ts';
import { loadSnapshot, snapshotRows } from '../../../../actors/apply/snapshot-rows.ts';
import { stateHash } from '../../../../actors/apply/state-hash.ts';
import type { Command } from '../../../../protocol/commands.ts';
import { decodeEntry } from '../../../../protocol/index-encoding.ts';
import type { EntryPosition, IndexDefinition } from '../../../../protocol/indexes.ts';
import { REVISION_EPOCH_MS } from '../../../../protocol/revision.ts';
import { AppliedGroup, del, GROUP, put } from '../../../kit/applied-group.ts';
import { definitionOf, type Field, fullScan, values } from '../../../kit/index-history.ts';
import { ALL_VSHARDS } from '../../../kit/kv-history.ts';
import { KvModel } from '../../../kit/kv-model.ts';
import { cursorOf, drain, MemoryState } from '../../../kit/memory-state.ts';

const BY_TAGS: readonly Field[] = [['/tags', 'string']];
const BY_BOTH: readonly Field[] = [
  ['/n', 'number'],
  ['/tags', 'string'],
];
const INDEXES: readonly [IndexDefinition, readonly Field[]][] = [
  [definitionOf(1, BY_TAGS), BY_TAGS],
  [definitionOf(2, BY_BOTH, { sparse: true, prefix: 'k' }), BY_BOTH],
  [definitionOf(3, BY_BOTH), BY_BOTH],
];

const key = fc.constantFrom('k', 'k1', 'k\x002', 'other', '\xff');

type Step =
  | { readonly type: 'put'; readonly key: string; readonly value: string; readonly ttlMs?: number }
  | { readonly type: 'delete'; readonly key: string }
  | { readonly type: 'define'; readonly ids: readonly number[] }
  | { readonly type: 'fill' }
  | { readonly type: 'wait'; readonly ms: number }
  | { readonly type: 'expire' }
  | { readonly type: 'collect' }
  | { readonly type: 'compact'; readonly share: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    arbitrary: fc.record({ type: fc.constant('put' as const), key, value: values }),
    weight: 9,
  },
  {
    arbitrary: fc.record({
      ...{ type: fc.constant('put' as const), key, value: values },
      ttlMs: fc.integer({ min: 1, max: 40 }),
    }),
    weight: 2,
  },
  { arbitrary: fc.record({ type: fc.constant('delete' as const), key }), weight: 3 },
  {
    arbitrary: fc.record({
      type: fc.constant('define' as const),
      ids: fc.subarray([1, 2, 3]),
    }),
    weight: 1,
  },
  { arbitrary: fc.constant({ type: 'fill' as const }), weight: 4 },
  {
    arbitrary: fc.record({
      type: fc.constant('wait' as const),
      ms: fc.integer({ min: 1, max: 30 }),
    }),
    weight: 1,
  },
  { arbitrary: fc.constant({ type: 'expire' as const }), weight: 1 },
  { arbitrary: fc.constant({ type: 'collect' as const }), weight: 1 },
  {
    arbitrary: fc.record({
      type: fc.constant('compact' as const),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
    weight: 1,
  },
);

/** A group and a model of its keys that go through the same steps. */
class Run {
  readonly group = new AppliedGroup();
  readonly model = new KvModel();
  readonly commands: Command[] = [];
  #epoch = 0;

  constructor() {
    this.model.apply({ type: 'own', epoch: 1, vshards: ALL_VSHARDS });
  }

  apply(command: Command): void {
    this.commands.push(command);
    this.group.apply(command);
    this.model.apply(command);
  }

  async take(step: Step): Promise<void> {
    const { group, model } = this;
    const revision = group.nextRevision();
    const rest = { epoch: 1, idempotency: null, traceparent: null };
    switch (step.type) {
      case 'put': {
        const options = step.ttlMs === undefined ? {} : { ttlMs: step.ttlMs };
        const ops = [put(step.key, step.value, options), put(`${step.key}~`, step.value)];
        return this.apply({ type: 'write', revision, ops, ...rest });
      }
      case 'delete':
        return this.apply({ type: 'write', revision, ops: [del(step.key)], ...rest });
      case 'define': {
        const indexes = INDEXES.map(([one]) => one).filter(({ id }) => step.ids.includes(id));
        return this.apply({ type: 'indexes', epoch: ++this.#epoch, indexes });
      }
      case 'fill':
        return this.fill();
      case 'wait':
        group.wallMs += step.ms;
        return;
      case 'expire': {
        const keys = model
          .due(group.wallMs)
          .map(({ ref, revision: seen }) => ({ ref, revision: seen }));
        return this.apply({ type: 'expire', revision, keys });
      }
      case 'collect':
        await gcStep(group.state, 3);
        return;
      case 'compact':
        return this.apply({
          type: 'compact',
          floor: Math.floor(model.floor + (model.clock - model.floor) * step.share),
        });
    }
  }

  /** One step of the first backfill that is not done. */
  async fill(): Promise<void> {
    const open = this.group.state.indexes.list.find(({ cursor }) => cursor !== null);
    if (open === undefined) return;
    const command = await inView(this.group.state, (view) => nextFill(view, open));
    if (command === null) return;
    // Cut short, so that writes come between the steps of a small group.
    const [first, second] = command.keys;
    if (first === undefined || second === undefined) return this.apply(command);
    this.apply({ ...command, keys: [first], next: second });
    this.apply({ ...command, keys: [], next: 'a late copy of the step' });
  }
}

async function inView<T>(state: GroupState, use: (view: GroupView) => Promise<T>): Promise<T> {
  const view = state.view();
  try {
    return await use(view);
  } finally {
    await view.close();
  }
}

/** The whole index at a revision, page by page. */
async function readIndex(
  view: GroupView,
  index: GroupIndex,
  revision: number,
  reverse: boolean,
  limit: number,
): Promise<unknown[]> {
  const out: unknown[] = [];
  let after: EntryPosition | null = null;
  const query = { start: '', end: '\xff', reverse, limit, revision, bytesMax: 600, values: true };
  for (;;) {
    const page = await queryIndex(view, index, { ...query, after });
    if (typeof page === 'string') throw new Error(page);
    for (const { encoded, item } of page.hits) {
      out.push({ values: decodeEntry(encoded), key: item.ref.key });
    }
    if (page.reached === null) return out;
    after = page.reached;
  }
}

function revisionsOf({ model }: Run, since: number): number[] {
  const out = new Set<number>([model.clock, model.clock + 1]);
  for (const { revision } of model.events) {
    out
      .add(revision)
      .add(revision - 1)
      .add(revision + 4096 * 5);
  }
  const least = Math.max(since, model.floor);
  return [...out].filter((revision) => revision >= least).sort((a, b) => a - b);
}

async function checkIndexes(run: Run, state: GroupState, limit: number): Promise<number> {
  let checked = 0;
  await inView(state, async (view) => {
    for (const [{ id, prefix, sparse }, fields] of INDEXES) {
      const index = indexById(state.indexes, id);
      if (index === null || index.cursor !== null) continue;
      for (const revision of revisionsOf(run, index.since)) {
        const items = run.model.range('t1', 'kv', '', null, revision);
        const wanted = fullScan(items, fields, prefix, sparse);
        expect(await readIndex(view, index, revision, false, limit)).toEqual(wanted);
        expect(await readIndex(view, index, revision, true, limit)).toEqual(wanted.reverse());
        checked++;
      }
    }
  });
  return checked;
}

const runs = fc.tuple(fc.array(step, { maxLength: 40 }), fc.integer({ min: 1, max: 5 }));

describe('an index against a full scan', () => {
  test('they are equal at every revision that can be read, both ways, while it is built, written, collected', async () => {
    let checked = 0;
    await fc.assert(
      fc.asyncProperty(runs, async ([steps, limit]) => {
        const run = new Run();
        for (const one of steps) await run.take(one);
        checked += await checkIndexes(run, run.group.state, limit);
        // All of them built, and then once more.
        await run.take({ type: 'define', ids: [1, 2, 3] });
        for (let i = 0; i < 60; i++) await run.fill();
        expect(run.group.state.indexes.list.every(({ cursor }) => cursor === null)).toBe(true);
        for (const one of steps.slice(0, 12)) {
          if (one.type !== 'define') await run.take(one);
        }
        checked += await checkIndexes(run, run.group.state, limit);
      }),
      { numRuns: 120 },
    );
    expect(checked).toBeGreaterThan(1000);
  });

  test('a replica that replays, and one that gets a snapshot, have the same index', async () => {
    await fc.assert(
      fc.asyncProperty(runs, async ([steps]) => {
        const run = new Run();
        await run.take({ type: 'define', ids: [1, 3] });
        for (const one of steps) await run.take(one);
        const replayed = new AppliedGroup();
        for (const command of run.commands) replayed.apply(command);
        const { state } = run.group;
        expect(await stateHash(replayed.state)).toBe(await stateHash(state));
        const rows = await inView(state, (view) => drain(snapshotRows(view), 7));
        const store = new MemoryState();
        await loadSnapshot(store, GROUP, cursorOf(rows));
        const restored = GroupState.open(store, GROUP);
        expect(await stateHash(restored)).toBe(await stateHash(state));
        await checkIndexes(run, restored, 3);
      }),
      { numRuns: 50 },
    );
  });

  test('past entries go with the history they belong to, and a dropped index with all its rows', async () => {
    const run = new Run();
    await run.take({ type: 'define', ids: [1, 3] });
    for (let i = 0; i < 8; i++) {
      await run.take({
        type: 'put',
        key: 'k',
        value: JSON.stringify({ n: i, tags: [`t${i}`, 'b'] }),
      });
    }
    await run.take({ type: 'delete', key: 'k' });
    const { group } = run;
    const kinds = (): number[] => ['e', 'p'].map((kind) => group.rowsOf(kind).length);
    expect(kinds()[1]).toBeGreaterThan(8);
    run.apply({ type: 'compact', floor: run.model.clock });
    group.wallMs = REVISION_EPOCH_MS + 2_000_000;
    await run.take({ type: 'put', key: 'z', value: '{"tags":["a","b"]}' });
    run.apply({ type: 'compact', floor: run.model.clock });
    while ((await gcStep(group.state, 5)) > 0);
    // k~ has two tags (and one number), z and z~ two tags each, in both indexes.
    expect(kinds()).toEqual([12, 0]);
    await run.take({ type: 'define', ids: [3] });
    while ((await gcStep(group.state, 5)) > 0);
    expect(kinds()).toEqual([6, 0]);
    await run.take({ type: 'define', ids: [] });
    while ((await gcStep(group.state, 5)) > 0);
    expect(kinds()).toEqual([0, 0]);
    expect(group.store.viewsOpen).toBe(0);
  });
});
