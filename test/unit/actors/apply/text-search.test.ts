import { describe, expect, test } from 'vitest';
import { gcStep } from '../../../../actors/apply/gc.ts';
import { GroupState, type GroupView } from '../../../../actors/apply/group-state.ts';
import { type GroupIndex, indexById } from '../../../../actors/apply/index-codec.ts';
import { nextFill } from '../../../../actors/apply/index-fill.ts';
import { loadSnapshot, snapshotRows } from '../../../../actors/apply/snapshot-rows.ts';
import { stateHash } from '../../../../actors/apply/state-hash.ts';
import { searchText } from '../../../../actors/apply/text-search.ts';
import type { Command, WriteOp } from '../../../../protocol/commands.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import { randomInt, seededRandom } from '../../../../protocol/random.ts';
import { PREFIX_LENGTH } from '../../../../storage/kv/keyspace.ts';
import type { EngineRange } from '../../../../storage/ports.ts';
import { AppliedGroup, del, GROUP, put } from '../../../kit/applied-group.ts';
import { definitionOf } from '../../../kit/index-history.ts';
import { ALL_VSHARDS } from '../../../kit/kv-history.ts';
import { KvModel } from '../../../kit/kv-model.ts';
import { cursorOf, drain, MemoryState } from '../../../kit/memory-state.ts';

const TEXT = definitionOf(7, [], { kind: 'text', prefix: 'k' });
const WORDS = ['needle', 'noodle', 'hay', 'stack', 'n\u00e4dle', 'needles', 'dlen'];
const NEEDLES = ['needle', 'dle', 'n\u00e4d', 'stack', 'ayha', 'none at all', 'dlenee'];

class Run {
  readonly group = new AppliedGroup();
  readonly model = new KvModel();
  readonly commands: Command[] = [];
  readonly random;

  constructor(seed: number) {
    this.random = seededRandom(seed, 'text');
    this.model.apply({ type: 'own', epoch: 1, vshards: ALL_VSHARDS });
  }

  apply(command: Command): void {
    this.commands.push(command);
    this.group.apply(command);
    this.model.apply(command);
  }

  define(): void {
    this.apply({ type: 'indexes', epoch: 1, indexes: [TEXT] });
  }

  /** Many operations in one entry: documents become segments within it. */
  write(count: number, keys: number): void {
    const ops: WriteOp[] = [];
    for (let i = 0; i < count; i++) {
      const key = `${randomInt(this.random, 0, 9) === 0 ? 'other' : 'k'}${randomInt(this.random, 1, keys)}`;
      if (randomInt(this.random, 0, 7) === 0) ops.push(del(key));
      else ops.push(put(key, this.#text()));
    }
    const revision = this.group.nextRevision();
    const rest = { epoch: 1, idempotency: null, traceparent: null };
    this.apply({ type: 'write', revision, ops, ...rest });
  }

  #text(): string {
    let text = '';
    for (let i = randomInt(this.random, 0, 4); i > 0; i--) {
      text += WORDS[randomInt(this.random, 0, WORDS.length - 1)];
    }
    return text;
  }

  async fill(): Promise<void> {
    for (;;) {
      const index = indexById(this.group.state.indexes, TEXT.id) as GroupIndex;
      const view = this.group.state.view();
      const step = await nextFill(view, index).finally(() => view.close());
      if (step === null) return;
      this.apply(step);
      this.write(30, 300);
    }
  }
}

async function search(
  view: GroupView,
  text: string,
  revision: number,
  limit: number,
): Promise<string[]> {
  const index = indexById(view.indexes, TEXT.id) as GroupIndex;
  const out: string[] = [];
  const latin1 = Buffer.from(text).toString('latin1');
  for (let after = ''; ; ) {
    const page = await searchText(view, index, {
      ...{ text: latin1, prefix: 'k', after, limit, revision, bytesMax: 4096, values: true },
    });
    if (typeof page === 'string') throw new Error(page);
    for (const { item } of page.hits) out.push(item.ref.key);
    if (page.reached === null) return out;
    after = page.reached.key;
  }
}

/** Every needle at every revision given, against a look at every value. */
async function check(run: Run, state: GroupState, revisions: readonly number[]): Promise<void> {
  const view = state.view();
  for (const revision of revisions) {
    const items = run.model.range('t1', 'kv', 'k', 'l', revision);
    for (const [i, text] of NEEDLES.entries()) {
      const wanted = items.filter(({ value }) => Buffer.from(value).includes(Buffer.from(text)));
      const found = await search(view, text, revision, [40, 1000][i % 2] as number);
      expect([text, found]).toEqual([text, wanted.map(({ ref }) => ref.key)]);
    }
  }
  await view.close();
}

describe('a text index against a full scan', () => {
  test('what is in few of many segments is looked up there, what is in most is walked', async () => {
    const group = new AppliedGroup();
    group.apply({ type: 'indexes', epoch: 1, indexes: [TEXT] });
    const textOf = (i: number): string => {
      if (i < 1000 || i >= 1020) return 'zza common';
      return i % 5 === 0 ? 'zzq rare common' : 'zzq';
    };
    for (let from = 0; from < 20 * 256; from += 256) {
      const keys = Array.from({ length: 256 }, (_, i) => `k${from + i}`);
      group.write(keys.map((key, i) => put(key, textOf(from + i))));
    }
    const fill = nextFill(
      group.state.view(),
      indexById(group.state.indexes, TEXT.id) as GroupIndex,
    );
    for (let step = await fill; step !== null; ) {
      group.apply(step);
      const index = indexById(group.state.indexes, TEXT.id) as GroupIndex;
      step = await nextFill(group.state.view(), index);
    }
    const inner = group.state.view();
    let lookups = 0;
    const view = Object.assign(Object.create(inner) as GroupView, {
      ...{ prefix: inner.prefix, clock: inner.clock, floor: inner.floor, indexes: inner.indexes },
      cursor: (range: EngineRange) => inner.cursor(range),
      get: (key: string) => {
        if (key.charAt(PREFIX_LENGTH) === 't') lookups++;
        return inner.get(key);
      },
    });
    const rare = await search(view, 'zzq rare', inner.clock, 1000);
    expect(rare).toEqual(['k1000', 'k1005', 'k1010', 'k1015']);
    expect(lookups).toBeGreaterThan(0);
    expect(lookups).toBeLessThan(10);
    lookups = 0;
    expect(await search(view, 'common', inner.clock, 1000)).toHaveLength(20 * 256 - 16);
    expect(lookups).toBe(0);
    await inner.close();
  }, 30_000);

  test('they find the same at every revision, through segments, overwrites, retirement and collection', async () => {
    const run = new Run(1);
    const { group, model } = run;
    run.write(700, 300);
    run.define();
    await run.fill();
    const { since } = indexById(group.state.indexes, TEXT.id) as GroupIndex;
    const marks = [since, model.clock];
    for (let round = 0; round < 12; round++) {
      run.write(500, 60);
      if (round % 2 === 0) marks.push(model.clock, model.clock - 250);
      if (round === 6) {
        run.apply({ type: 'compact', floor: marks[4] as number });
        while ((await gcStep(group.state, 100)) > 0);
      }
      const text = indexById(group.state.indexes, TEXT.id)?.text;
      if (round === 11) expect(text?.oldestSegment).toBeGreaterThan(3);
    }
    const readable = marks.filter((revision) => revision >= model.floor);
    expect(readable.length).toBeGreaterThan(6);
    await check(run, group.state, readable);
    const rowsBefore = group.rowsOf('t').length;
    run.apply({ type: 'compact', floor: model.clock });
    while ((await gcStep(group.state, 100)) > 0);
    expect(group.rowsOf('t').length).toBeLessThan(rowsBefore);
    await check(run, group.state, [model.clock]);
    expect(group.store.viewsOpen).toBe(0);
  });

  test('what was overwritten does not pile up', async () => {
    const run = new Run(2);
    run.define();
    const counts: number[] = [];
    for (let round = 0; round < 24; round++) {
      run.write(500, 40);
      run.apply({ type: 'compact', floor: run.model.clock });
      while ((await gcStep(run.group.state, 1000)) > 0);
      counts.push(run.group.rowsOf('t').length);
    }
    const early = Math.max(...counts.slice(4, 12));
    expect(Math.max(...counts.slice(12))).toBeLessThan(early * 1.5);
    await check(run, run.group.state, [run.model.clock]);
  });

  test('replays, and a snapshot, give the same state and answers', async () => {
    const run = new Run(3);
    run.write(300, 200);
    run.define();
    await run.fill();
    run.write(600, 80);
    const { state } = run.group;
    const replayed = new AppliedGroup();
    for (const command of run.commands) replayed.apply(command);
    expect(await stateHash(replayed.state)).toBe(await stateHash(state));
    const view = state.view();
    const rows = await drain(snapshotRows(view), 50).finally(() => view.close());
    const store = new MemoryState();
    await loadSnapshot(store, GROUP, cursorOf(rows));
    const restored = GroupState.open(store, GROUP);
    expect(await stateHash(restored)).toBe(await stateHash(state));
    await check(run, restored, [run.model.clock]);
  });

  test('values above the limit are not in it, those at it are', async () => {
    const run = new Run(4);
    run.define();
    const at = 'x'.repeat(LIMITS.indexTextBytesMax - 6);
    const rest = { epoch: 1, idempotency: null, traceparent: null };
    const ops = [put('k1', `${at}needle`), put('k2', `${at}xneedle`), put('k3', 'needle')];
    run.apply({ type: 'write', revision: run.group.nextRevision(), ops, ...rest });
    const view = run.group.state.view();
    expect(await search(view, 'needle', run.model.clock, 10)).toEqual(['k1', 'k3']);
    await view.close();
  });
});
