import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { applyBatch } from '../../../../actors/apply/apply.ts';
import { gcStep } from '../../../../actors/apply/gc.ts';
import { GroupState, type GroupView } from '../../../../actors/apply/group-state.ts';
import { loadSnapshot, snapshotRows } from '../../../../actors/apply/snapshot-rows.ts';
import { stateHash } from '../../../../actors/apply/state-hash.ts';
import { countUncounted, usageFlaw } from '../../../../actors/apply/usage-count.ts';
import { readUsage } from '../../../../actors/apply/usage-read.ts';
import { InvariantViolation } from '../../../../protocol/assert.ts';
import { addUsage, NO_USAGE, type Usage } from '../../../../protocol/usage.ts';
import { currentKey } from '../../../../storage/kv/keyspace.ts';
import { decodeWholeUsage, encodeWholeUsage, usageKey } from '../../../../storage/kv/usage-rows.ts';
import type { EngineWrite } from '../../../../storage/ports.ts';
import { AppliedGroup, del, GROUP, put } from '../../../kit/applied-group.ts';
import { type History, histories } from '../../../kit/kv-history.ts';
import { cursorOf, drain, MemoryState } from '../../../kit/memory-state.ts';
import { BUCKET, ObjectHistory } from '../../../kit/object-history.ts';
import { objectSteps } from '../../../kit/object-steps.ts';

async function withView<T>(state: GroupState, use: (view: GroupView) => Promise<T>): Promise<T> {
  const view = state.view();
  try {
    return await use(view);
  } finally {
    await view.close();
  }
}

/** What the rows say, by tenant and space; under '' of the whole group. */
function said(state: GroupState): Promise<Record<string, Usage>> {
  return withView(state, async (view) => {
    const { whole, items } = await readUsage(view, null, 1_000);
    const named = items.map(({ tenant, space, usage }) => [`${tenant}/${space}`, usage]);
    return { '': whole, ...Object.fromEntries(named) };
  });
}

/** What a model of S3 has in its one bucket. */
function ofObjects({ model }: ObjectHistory): Usage {
  let sum = NO_USAGE;
  const add = (some: Partial<Usage>) => {
    sum = addUsage(sum, { ...NO_USAGE, ...some });
  };
  for (const versions of model.keys.values()) {
    for (const [i, { isMarker, size }] of versions.entries()) {
      if (isMarker) add({ markers: 1 });
      else if (i === 0) add({ objects: 1, objectBytes: size });
      else add({ versions: 1, versionBytes: size });
    }
  }
  for (const { parts } of model.uploads.values()) {
    add({ uploads: 1 });
    for (const { size } of parts.values()) add({ parts: 1, partBytes: size });
  }
  return sum;
}

/** What a model of keys holds, by tenant and space; under '' all of it. */
function ofKeys({ model }: History): Record<string, Usage> {
  const sums: Record<string, Usage> = { '': NO_USAGE };
  for (const { ref, value } of model.stored) {
    const one = { ...NO_USAGE, keys: 1, keyBytes: ref.key.length + value.length };
    for (const name of ['', `${ref.tenant}/${ref.space}`]) {
      sums[name] = addUsage(sums[name] ?? NO_USAGE, one);
    }
  }
  return sums;
}

function applied(history: History, batchSize: number): { store: MemoryState; state: GroupState } {
  const store = new MemoryState();
  const state = GroupState.open(store, GROUP);
  for (let at = 0; at < history.entries.length; at += batchSize) {
    applyBatch(state, history.entries.slice(at, at + batchSize));
  }
  return { store, state };
}

/** As a version that does not count would have left it. */
function uncounted(store: MemoryState, state: GroupState): void {
  const writes: EngineWrite[] = store
    .rows()
    .filter(([key]) => key.startsWith(`${state.prefix}U`))
    .map(([key]) => ({ key, value: null }));
  store.write(writes);
}

describe('usage', () => {
  test('of a key is its name and its value, as it is now', async () => {
    const group = new AppliedGroup();
    group.write([put('key', 'value'), put('other', '')]);
    const two = { ...NO_USAGE, keys: 2, keyBytes: 13 };
    expect(await said(group.state)).toEqual({ '': two, 't1/kv': two });
    group.write([put('key', 'longer value')]);
    group.write([put('key', 'x', { tenant: 't2' }), del('other')]);
    expect(await said(group.state)).toEqual({
      '': { ...NO_USAGE, keys: 2, keyBytes: 19 },
      't1/kv': { ...NO_USAGE, keys: 1, keyBytes: 15 },
      't2/kv': { ...NO_USAGE, keys: 1, keyBytes: 4 },
    });
    group.write([del('key')]);
    expect((await said(group.state))['t1/kv']).toBeUndefined();
  });

  test('of objects is what a model of S3 holds, after every step', async () => {
    await fc.assert(
      fc.asyncProperty(objectSteps(40), async (steps) => {
        const history = new ObjectHistory();
        for (const step of steps) {
          await history.take(step);
          const wanted = ofObjects(history);
          const { '': whole, [`${BUCKET.tenant}/${BUCKET.space}`]: own = NO_USAGE } = await said(
            history.group.state,
          );
          expect({ whole, own }).toEqual({ whole: wanted, own: wanted });
        }
      }),
      { numRuns: 200 },
    );
  });

  test('of keys is what a model holds, whatever the batches', async () => {
    await fc.assert(
      fc.asyncProperty(histories(30), fc.integer({ min: 1, max: 7 }), async (history, size) => {
        const { state } = applied(history, size);
        expect(await said(state)).toEqual(ofKeys(history));
        expect(await withView(state, usageFlaw)).toBeNull();
      }),
      { numRuns: 200 },
    );
  });

  test('is what a scan finds after a crash behind any batch, from a snapshot, and without garbage', async () => {
    await fc.assert(
      fc.asyncProperty(objectSteps(40), fc.nat(), async (steps, crash) => {
        const history = new ObjectHistory();
        for (const step of steps) await history.take(step);
        const { state, store } = history.group;
        const left = MemoryState.afterCrash(store, 1 + (crash % store.batches.length));
        expect(await withView(GroupState.open(left, GROUP), usageFlaw)).toBeNull();
        const rows = await withView(state, (view) => drain(snapshotRows(view), 7));
        const loaded = new MemoryState();
        await loadSnapshot(loaded, GROUP, cursorOf(rows));
        expect(await countUncounted(loaded, GROUP)).toBeNull();
        expect(await said(GroupState.open(loaded, GROUP))).toEqual(await said(state));
        while ((await gcStep(state, 3)) > 0);
        expect(await withView(state, usageFlaw)).toBeNull();
      }),
      { numRuns: 100 },
    );
  });

  test('a scan finds what was counted wrongly', async () => {
    const group = new AppliedGroup();
    group.write([put('key', 'value')]);
    const key = currentKey(group.state.prefix, 't1\x00kv\x00key');
    group.store.write([{ key, value: null }]);
    expect(await withView(group.state, usageFlaw)).toMatch(/^usage of .* a scan finds 0 0/);
  });

  test('a row that is counted cannot be written past the counts', () => {
    const { state } = new AppliedGroup();
    const key = currentKey(state.prefix, 't1\x00kv\x00key');
    expect(() => state.stage(key, null)).toThrow(InvariantViolation);
  });
});

describe('a state that was not counted', () => {
  test('is counted before it is opened, as if it always had been', async () => {
    await fc.assert(
      fc.asyncProperty(objectSteps(40), async (steps) => {
        const history = new ObjectHistory();
        for (const step of steps) await history.take(step);
        const { state, store } = history.group;
        const hash = await stateHash(state);
        uncounted(store, state);
        expect(() => GroupState.open(store, GROUP)).toThrow();
        const rows = ['c', 'n', 'q', 'w'].flatMap((kind) => history.group.rowsOf(kind)).length;
        expect(await countUncounted(store, GROUP)).toBe(rows);
        expect(await stateHash(GroupState.open(store, GROUP))).toBe(hash);
        expect(await countUncounted(store, GROUP)).toBeNull();
      }),
      { numRuns: 50 },
    );
  });

  test('with counts that say something else is counted anew', async () => {
    const group = new AppliedGroup();
    group.write([put('key', 'value')]);
    const { store, state } = group;
    const before = await said(state);
    const wrong = (store.get(usageKey(state.prefix, 't1\x00kv')) as Uint8Array).map((byte) => byte);
    const written = ['t1\x00kv', 't1\x00gone'].map((scope) => usageKey(state.prefix, scope));
    store.write(written.map((key) => ({ key, value: wrong.fill(1, 7, 8) })));
    const key = usageKey(state.prefix, '');
    const whole = decodeWholeUsage(store.get(key) as Uint8Array);
    const others = [
      // An older version has applied more entries since.
      { ...whole, appliedIndex: whole.appliedIndex - 1 },
      { ...whole, format: whole.format + 1 },
    ];
    for (const other of others) {
      store.write([{ key, value: encodeWholeUsage(other) }]);
      expect(() => GroupState.open(store, GROUP)).toThrow(InvariantViolation);
      expect(await countUncounted(store, GROUP)).toBe(1);
      expect(await said(GroupState.open(store, GROUP))).toEqual(before);
    }
  });

  test('that nothing was applied to is left alone', async () => {
    const store = new MemoryState();
    expect(await countUncounted(store, GROUP)).toBeNull();
    expect(store.batches).toEqual([]);
  });
});
