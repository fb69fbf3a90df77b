import { describe, expect, it } from 'vitest';
import { GroupState } from '../../../../actors/apply/group-state.ts';
import { currentKeyOf } from '../../../../actors/apply/read.ts';
import { AppliedGroup, GROUP, put, ref } from '../../../kit/applied-group.ts';
import { MemoryState } from '../../../kit/memory-state.ts';

/** A store that has forgotten what it knows without its engine, and answers fetches by hand. */
class ColdState extends MemoryState {
  gets = 0;
  readonly fetched: { key: string; done: (row: Uint8Array | null | undefined) => void }[] = [];

  override get(key: string): Uint8Array | null {
    this.gets++;
    return super.get(key);
  }

  override peek(): undefined {
    return undefined;
  }

  override fetch(key: string, done: (row: Uint8Array | null | undefined) => void): void {
    this.fetched.push({ key, done });
  }

  answer(row: Uint8Array | null | undefined): void {
    this.fetched.shift()?.done(row);
  }
}

/** A group that was opened again over what an earlier life wrote. */
function coldGroup(): { store: ColdState; group: AppliedGroup; state: GroupState } {
  const store = new ColdState();
  new AppliedGroup(store).write([put('a', 'old')]);
  const group = new AppliedGroup(store);
  store.gets = 0;
  return { store, group, state: group.state };
}

const keyOf = (state: GroupState, key: string) => currentKeyOf(state, ref(key));

describe('reading rows ahead', () => {
  it('brings a row once for all who ask, and the disk is not asked again', () => {
    const { store, state } = coldGroup();
    const key = keyOf(state, 'a');
    let told = 0;
    expect(state.isWarm(key)).toBe(false);
    expect(state.warm(key, () => told++)).toBe(true);
    expect(state.warm(key, () => told++)).toBe(true);
    expect(store.fetched).toHaveLength(1);
    store.answer(MemoryState.prototype.get.call(store, key));
    expect([told, state.isWarm(key), state.warm(key, null)]).toEqual([2, true, false]);
    expect(state.row(key)).not.toBeNull();
    expect(store.gets).toBe(0);
  });

  it('B01 a row that is written while it is read stays what was written', () => {
    const { store, group, state } = coldGroup();
    const key = keyOf(state, 'a');
    const old = MemoryState.prototype.get.call(store, key);
    state.warm(key, null);
    group.write([put('a', 'new')]);
    store.answer(old);
    expect(Buffer.from(state.row(key) ?? []).toString()).toContain('new');
  });

  it('what could not be read is read, and fails, where it is needed', () => {
    const { store, state } = coldGroup();
    const key = keyOf(state, 'a');
    let told = 0;
    state.warm(key, () => told++);
    store.answer(undefined);
    expect([told, state.isWarm(key)]).toEqual([1, false]);
    expect(state.row(key)).not.toBeNull();
    expect(store.gets).toBe(1);
  });

  it('is worth it for a while after apply had to wait for a row, and then no more', () => {
    const { group, state } = coldGroup();
    expect(state.isCold).toBe(false);
    group.write([put('a', 'new')]);
    expect(state.isCold).toBe(true);
    for (let i = 0; i < 1_000; i++) group.write([put('a', `${i}`)]);
    expect(state.isCold).toBe(false);
  });

  it('a row that is only passed by is right, and is not kept: neither it nor that it was cold', () => {
    const { store, group, state } = coldGroup();
    const key = keyOf(state, 'a');
    expect(Buffer.from(state.glance(key) ?? []).toString()).toContain('old');
    expect([store.gets, state.isWarm(key), state.isCold]).toEqual([1, false, false]);
    group.write([put('a', 'new')]);
    store.gets = 0;
    expect(Buffer.from(state.glance(key) ?? []).toString()).toContain('new');
    expect(store.gets).toBe(0);
    expect(state.glance(keyOf(state, 'none'))).toBeNull();
  });

  it('reads alone keep memory bounded, of keys that are there and of others', () => {
    const store = new MemoryState();
    const first = new AppliedGroup(store);
    first.write([put('big', 'x'.repeat(100_000))]);
    const state = GroupState.open(store, GROUP);
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < 40_000; i++) state.row(keyOf(state, `${i}`.padStart(4_000, 'k')));
    // Two generations of a mebibyte; unbounded it would be 160 MB.
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(60_000_000);
  });
});
