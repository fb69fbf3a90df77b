import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nextExpiry } from '../../../../actors/apply/expire.ts';
import type { GroupView } from '../../../../actors/apply/group-state.ts';
import { listObjects } from '../../../../actors/apply/object-list.ts';
import { RowGaps } from '../../../../actors/apply/row-gaps.ts';
import { NO_CONDITION, type ObjectOp } from '../../../../protocol/object-ops.ts';
import { NO_HEAD } from '../../../../protocol/objects.ts';
import { AppliedGroup } from '../../../kit/applied-group.ts';
import { BUCKET, objectRef, RULE, VOTERS } from '../../../kit/object-history.ts';

/** Folders with none, some and many keys, and objects between them. */
const KEYS = [
  ...Array.from({ length: 40 }, (_, i) => `b/${String(i).padStart(2, '0')}`),
  ...Array.from({ length: 8 }, (_, i) => `c/${i}`),
  ...Array.from({ length: 30 }, (_, i) => `d/${i % 3}/${String(i).padStart(2, '0')}`),
  ...['a', 'b', 'c', 'c0', 'd/0', 'd/1', 'e/x', 'f'],
].sort();
/** Those where gaps begin and end. */
const EDGES = ['a', 'b', 'b/00', 'c', 'c/0', 'c0', 'd/0', 'd/0/00', 'd/1', 'd/1/01', 'e/x', 'f'];

type Step =
  | { readonly type: 'put' | 'delete'; readonly key: string; readonly ttlMs: number | null }
  | { readonly type: 'look' | 'expire' | 'wait' }
  | {
      readonly type: 'list';
      readonly view: number;
      readonly back: number;
      readonly prefix: string;
      readonly start: string;
      readonly limit: number;
    };

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constantFrom('put', 'delete'),
      key: fc.oneof(
        { weight: 4, arbitrary: fc.constantFrom(...EDGES) },
        { weight: 1, arbitrary: fc.constantFrom(...KEYS) },
      ),
      ttlMs: fc.constantFrom(null, null, 3),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constantFrom('look', 'expire', 'wait', 'wait') }) },
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('list' as const),
      view: fc.constantFrom(0, 0, 0, 1, 2),
      back: fc.constantFrom(0, 0, 0, 1, 3),
      prefix: fc.constantFrom('', '', '', 'd/', 'd/', 'd/0', 'b/'),
      start: fc.constantFrom('', '', 'b/17', 'c/', 'd/1/', 'd0'),
      limit: fc.constantFrom(2, 1_000, 1_000),
    }),
  },
) as fc.Arbitrary<Step>;

/** One group, views of it that are held while it goes on, and what listings of them say. */
class Listed {
  readonly #group = new AppliedGroup();
  readonly #views: GroupView[] = [];
  readonly #revisions: number[] = [];

  constructor() {
    this.#group.apply({ type: 'bucket', rule: RULE });
    for (const key of KEYS) this.#do(this.#put(key, null));
    this.#look();
  }

  get gaps(): RowGaps {
    return this.#group.state.gaps;
  }

  async take(step: Step): Promise<void> {
    switch (step.type) {
      case 'put':
        return this.#do(this.#put(step.key, step.ttlMs));
      case 'delete': {
        const op = { type: 'delete', ref: objectRef(step.key), versionId: null } as const;
        return this.#do({ ...op, condition: NO_CONDITION, bypass: false });
      }
      case 'wait':
        this.#group.wallMs += 4;
        return;
      case 'expire':
        return this.#expire();
      case 'look':
        this.#look();
        return;
      case 'list':
        return this.#list(step);
    }
  }

  #put(key: string, ttlMs: number | null): ObjectOp {
    const head = { head: NO_HEAD, data: null, checksum: null } as const;
    const ref = objectRef(key);
    return { type: 'put', ref, size: 0, etag: 'e', ...head, ttlMs, condition: NO_CONDITION };
  }

  #do(op: ObjectOp): void {
    const group = this.#group;
    group.apply({
      ...{ type: 'object', revision: group.nextRevision(), epoch: 1, bucket: RULE.id },
      ...{ founders: VOTERS, op, idempotency: null, traceparent: null },
    });
    this.#revisions.push(group.state.clock);
  }

  async #expire(): Promise<void> {
    const group = this.#group;
    const view = group.state.view();
    const { keys } = await nextExpiry(view, 100, group.wallMs);
    await view.close();
    if (keys.length > 0) group.apply({ type: 'expire', revision: group.nextRevision(), keys });
  }

  #look(): void {
    this.#views.push(this.#group.state.view());
  }

  /** Against a listing without a delimiter, which knows of no gaps. */
  async #list(step: Extract<Step, { type: 'list' }>): Promise<void> {
    if (step.view === 0) this.#look();
    const view = this.#views[Math.max(0, this.#views.length - 1 - step.view)] as GroupView;
    const seen = this.#revisions.filter((revision) => revision <= view.clock);
    const revision = step.back === 0 ? view.clock : (seen.at(-step.back) ?? view.clock);
    const { prefix, start, limit } = step;
    const asked = { ...BUCKET, prefix, start, bytesMax: 1_000_000 };
    const all = await listObjects(view, { ...asked, delimiter: null, limit: 1_000 }, revision);
    const page = await listObjects(view, { ...asked, delimiter: '/', limit }, revision);
    if (all === 'compacted' || page === 'compacted') throw new Error('nothing was compacted');
    const names = all.entries.map((entry) => ('key' in entry ? entry.key : ''));
    const wanted: string[] = [];
    for (const name of names) {
      const at = name.indexOf('/', prefix.length);
      const shown = at < 0 ? name : name.slice(0, at + 1);
      if (wanted.at(-1) !== shown) wanted.push(shown);
    }
    const shown = page.entries.map((entry) => ('prefix' in entry ? entry.prefix : entry.key));
    expect(shown).toEqual(wanted.slice(0, limit));
    expect(page.next).toBe(wanted[limit] ?? null);
  }

  async close(): Promise<void> {
    for (const view of this.#views) await view.close();
  }
}

describe('gaps that listings know of', () => {
  it('never change what a listing of any view says at any revision', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyStep, { minLength: 20, maxLength: 80 }), async (steps) => {
        const listed = new Listed();
        for (const step of steps) await listed.take(step);
        await listed.close();
      }),
      { numRuns: 300 },
    );
  });

  it('are found by a listing that jumps, and used by the next', async () => {
    const listed = new Listed();
    const list: Step = {
      ...{ type: 'list', view: 0, back: 0, prefix: '', start: '', limit: 1_000 },
    };
    await listed.take(list);
    const { prefix } = new AppliedGroup().state;
    const behind = `${prefix}c${BUCKET.tenant}\0${BUCKET.space}\0b0`;
    const { gaps } = listed;
    expect(gaps.after(behind, gaps.writes, Number.MAX_SAFE_INTEGER)?.endsWith('\0c')).toBe(true);
    await listed.take(list);
    await listed.close();
  });

  const gap = { start: 'c', next: 'g', since: 0, clock: 10 };

  it('end with a row that is written in them, or where they end', () => {
    for (const [key, isKnown] of Object.entries({
      b: true,
      c: false,
      d: false,
      g: false,
      h: true,
    })) {
      const gaps = new RowGaps(10);
      gaps.remember(gap);
      gaps.written(key);
      expect(gaps.after('c', 1, 10), key).toBe(isKnown ? 'g' : null);
    }
  });

  it('are known to no reader of an earlier view or revision', () => {
    const gaps = new RowGaps(10);
    gaps.written('a');
    gaps.remember({ ...gap, since: 1 });
    expect(gaps.after('c', 1, 10)).toBe('g');
    expect(gaps.after('c', 0, 10)).toBeNull();
    expect(gaps.after('c', 1, 9)).toBeNull();
  });

  it('are not remembered when a write came after the view that saw them, or too many did', () => {
    const gaps = new RowGaps(10);
    gaps.written('d');
    gaps.remember(gap);
    expect(gaps.after('c', 1, 10)).toBeNull();
    gaps.remember({ ...gap, since: 1 });
    expect(gaps.after('c', 1, 10)).toBe('g');
    const busy = new RowGaps(10);
    for (let i = 0; i < 600; i++) busy.written('z');
    busy.remember(gap);
    expect(busy.after('c', 600, 10)).toBeNull();
  });

  it('are bounded: the oldest go', () => {
    const gaps = new RowGaps(3);
    for (const start of ['a', 'b', 'c', 'd', 'e']) gaps.remember({ ...gap, start });
    const known = ['a', 'b', 'c', 'd', 'e'].filter((start) => gaps.after(start, 0, 10) !== null);
    expect(known).toEqual(['c', 'd', 'e']);
    gaps.written('d');
    expect(gaps.after('e', 1, 10)).toBe('g');
    expect(gaps.after('d', 1, 10)).toBeNull();
  });
});
