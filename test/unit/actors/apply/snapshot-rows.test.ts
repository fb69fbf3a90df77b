import { describe, expect, test } from 'vitest';
import { readPointer } from '../../../../actors/apply/generation-pointer.ts';
import { GroupState } from '../../../../actors/apply/group-state.ts';
import { readLatest } from '../../../../actors/apply/read.ts';
import {
  dropOldGenerations,
  loadSnapshot,
  snapshotRows,
} from '../../../../actors/apply/snapshot-rows.ts';
import { stateHash } from '../../../../actors/apply/state-hash.ts';
import { DecodeError } from '../../../../protocol/codec.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import type { GroupId } from '../../../../protocol/types.ts';
import { GENERATION_MAX, generationOf, pointerKey, u16 } from '../../../../storage/kv/keyspace.ts';
import { encodeCounts } from '../../../../storage/kv/rows.ts';
import type { EngineCursor, EngineRange, EngineRow, StateView } from '../../../../storage/ports.ts';
import { AppliedGroup, GROUP, put, ref } from '../../../kit/applied-group.ts';
import { cursorOf, drain, MemoryState } from '../../../kit/memory-state.ts';

/** The next cursor to be opened gives its first rows only when `release` is called. */
class GatedState extends MemoryState {
  release: () => void = () => {};
  #gate: Promise<void> | null = null;

  closeGate(): void {
    this.#gate = new Promise((resolve) => {
      this.release = resolve;
    });
  }

  override view(): StateView {
    const view = super.view();
    const gate = this.#gate;
    this.#gate = null;
    if (gate === null) return view;
    const cursor = (range: EngineRange): EngineCursor => {
      const inner = view.cursor(range);
      return { next: (max) => gate.then(() => inner.next(max)), close: () => inner.close() };
    };
    return { get: (key) => view.get(key), cursor, close: () => view.close() };
  }
}

/** `count` keys, each written twice. */
function filled(count: number, value: string): AppliedGroup {
  const group = new AppliedGroup();
  for (let i = 0; i < count; i++) group.write([put(`k${i}`, value), put(`k${i}`, value)]);
  return group;
}

async function rowsOf(state: GroupState): Promise<EngineRow[]> {
  const view = state.view();
  const rows = await drain(snapshotRows(view), 10);
  await view.close();
  return rows;
}

function generationsIn(store: MemoryState): number[] {
  const ours = store.rows().filter(([key]) => key.startsWith(u16(GROUP)));
  return [...new Set(ours.map(([key]) => generationOf(key)))].filter(
    (generation) => generation > 0,
  );
}

describe('loading a snapshot', () => {
  test('B11 torn snapshot: a crash behind any write leaves the old state or the new one, whole', async () => {
    const rows = await rowsOf(filled(40, 'new').state);
    const newHash = await stateHash(filled(40, 'new').state);
    const old = filled(3, 'old');
    const oldHash = await stateHash(old.state);
    const before = old.store.batches.length;
    await loadSnapshot(old.store, GROUP, cursorOf(rows));
    const seen = new Set<string>();
    for (let crash = before; crash <= old.store.batches.length; crash++) {
      const store = MemoryState.afterCrash(old.store, crash);
      const state = GroupState.open(store, GROUP);
      const hash = await stateHash(state);
      expect(hash).toBe(state.generation === 1 ? oldHash : newHash);
      seen.add(hash);
      await loadSnapshot(store, GROUP, cursorOf(rows));
      expect(await stateHash(GroupState.open(store, GROUP))).toBe(newHash);
    }
    expect(seen.size).toBe(2);
  });

  test('the switch is written only when all rows are durable, and is made durable', async () => {
    const rows = await rowsOf(filled(40, 'new').state);
    const store = new MemoryState();
    await loadSnapshot(store, GROUP, cursorOf(rows));
    const writes = store.batches.length;
    expect(store.flushes).toEqual([writes - 1, writes]);
    expect(store.batches.at(-1)?.map((row) => row.key)).toEqual([pointerKey(GROUP)]);
  });

  test('waits for the engine while it is behind, and flushes only at the end', async () => {
    const source = new AppliedGroup();
    source.write(Array.from({ length: 400 }, (_, i) => put(`k${i}`, '1')));
    const store = new MemoryState();
    let waits = 0;
    store.pendingBytes = () => LIMITS.memtableBytesMax;
    store.drained = async () => void waits++;
    await loadSnapshot(store, GROUP, cursorOf(await rowsOf(source.state)));
    expect(waits).toBeGreaterThan(10);
    expect(store.flushes).toHaveLength(2);
  });

  test('rows left by an interrupted load are not mixed into the next one', async () => {
    const store = new MemoryState();
    const big = await rowsOf(filled(40, 'first').state);
    await loadSnapshot(store, GROUP, cursorOf(big));
    const interrupted = MemoryState.afterCrash(store, store.batches.length - 1);
    const small = filled(1, 'second');
    await loadSnapshot(interrupted, GROUP, cursorOf(await rowsOf(small.state)));
    expect(await stateHash(GroupState.open(interrupted, GROUP))).toBe(await stateHash(small.state));
  });

  test('rows that are no group’s state are refused and the old state stays', async () => {
    const group = filled(2, 'old');
    const hash = await stateHash(group.state);
    const bad: EngineRow[][] = [
      [],
      [['cx', new Uint8Array(1)]],
      [['?', new Uint8Array(1)]],
      [['', new Uint8Array(1)]],
    ];
    for (const rows of bad) {
      await expect(loadSnapshot(group.store, GROUP, cursorOf(rows))).rejects.toThrow(DecodeError);
      expect(await stateHash(GroupState.open(group.store, GROUP))).toBe(hash);
      while ((await dropOldGenerations(group.store, GROUP, 8)) > 0);
      expect(generationsIn(group.store)).toEqual([1]);
    }
  });

  test('generations wrap around at the end of their range', async () => {
    const store = new MemoryState();
    store.write([{ key: pointerKey(GROUP), value: encodeCounts([GENERATION_MAX, 0]) }]);
    const source = filled(2, 'v');
    await loadSnapshot(store, GROUP, cursorOf(await rowsOf(source.state)));
    expect(readPointer(store, GROUP)).toEqual({ current: 1, loading: 0 });
    expect(await stateHash(GroupState.open(store, GROUP))).toBe(await stateHash(source.state));
  });

  test('a pointer that is none is a decode error', () => {
    const store = new MemoryState();
    store.write([{ key: pointerKey(GROUP), value: encodeCounts([0, 0]) }]);
    expect(() => readPointer(store, GROUP)).toThrow(DecodeError);
  });
});

describe('old generations', () => {
  test('go in bounded steps; the current one and other groups stay', async () => {
    const group = filled(30, 'old');
    const neighbour = GroupState.open(group.store, 6 as GroupId);
    neighbour.stageConfig({ voters: [], votersOld: null, learners: [] });
    neighbour.commitBatch();
    await loadSnapshot(group.store, GROUP, cursorOf(await rowsOf(group.state)));
    const hash = await stateHash(GroupState.open(group.store, GROUP));
    expect(generationsIn(group.store)).toEqual([1, 2]);
    let steps = 0;
    for (;;) {
      const removed = await dropOldGenerations(group.store, GROUP, 8);
      expect(removed).toBeLessThanOrEqual(8);
      if (removed === 0) break;
      steps++;
    }
    expect(steps).toBeGreaterThan(10);
    expect(await stateHash(GroupState.open(group.store, GROUP))).toBe(hash);
    expect(group.store.rows().some(([key]) => generationOf(key) === 1 && key[1] === '\x05')).toBe(
      false,
    );
    expect(GroupState.open(group.store, 6 as GroupId).config).not.toBeNull();
  });

  test('a removal that looked before a load began deletes none of its rows', async () => {
    const source = filled(5, 'new');
    const rows = await rowsOf(source.state);
    const interrupted = new MemoryState();
    await loadSnapshot(interrupted, GROUP, cursorOf(rows));
    const store = new GatedState();
    for (const batch of interrupted.batches.slice(1, -1)) store.write(batch);
    store.closeGate();
    const removal = dropOldGenerations(store, GROUP, 8);
    await loadSnapshot(store, GROUP, cursorOf(rows));
    store.release();
    expect(await removal).toBe(0);
    expect(await stateHash(GroupState.open(store, GROUP))).toBe(await stateHash(source.state));
  });

  test('a removal that is overtaken inside a load deletes none of its rows', async () => {
    const source = filled(5, 'new');
    const rows = await rowsOf(source.state);
    const interrupted = new MemoryState();
    await loadSnapshot(interrupted, GROUP, cursorOf(rows));
    const store = new GatedState();
    for (const batch of interrupted.batches.slice(1, -1)) store.write(batch);
    store.closeGate();
    const removal = dropOldGenerations(store, GROUP, 8);
    const slow = cursorOf(rows);
    const next = async (max: number): Promise<EngineRow[]> => {
      const chunk = await slow.next(max);
      if (chunk.length === 0) {
        store.release();
        expect(await removal).toBe(0);
      }
      return chunk;
    };
    await loadSnapshot(store, GROUP, { next, close: () => slow.close() });
    expect(await stateHash(GroupState.open(store, GROUP))).toBe(await stateHash(source.state));
  });

  test('removal beside a load spares what is being loaded', async () => {
    const source = filled(60, 'new');
    const rows = await rowsOf(source.state);
    const group = filled(20, 'old');
    const load = loadSnapshot(group.store, GROUP, cursorOf(rows));
    let loaded = false;
    void load.then(() => {
      loaded = true;
    });
    while (!loaded) await dropOldGenerations(group.store, GROUP, 5);
    await load;
    while ((await dropOldGenerations(group.store, GROUP, 5)) > 0);
    const state = GroupState.open(group.store, GROUP);
    expect(await stateHash(state)).toBe(await stateHash(source.state));
    expect(readLatest(state, ref('k59'), null)?.version).toBe(2);
    expect(generationsIn(group.store)).toEqual([2]);
  });
});
