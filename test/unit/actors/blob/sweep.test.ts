import { describe, expect, it } from 'vitest';
import {
  type GroupSight,
  judgeData,
  judgePage,
  type SweepSight,
} from '../../../../actors/blob/sweep.ts';
import { type ChunkName, chunkText, type DataId, makeDataId } from '../../../../protocol/blob.ts';
import { randomInt, seededRandom } from '../../../../protocol/random.ts';
import { nextRevision, revisionAtWallMs, wallMsOfRevision } from '../../../../protocol/revision.ts';
import type { GroupId } from '../../../../protocol/types.ts';
import { chunkOf } from '../../../conformance/blob-store.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const T0 = 1_800_000_000_000;
const RETENTION_MS = HOUR;

function view(group: number, closedMs: number, named: readonly DataId[] = []): GroupSight {
  const closedRevision = revisionAtWallMs(closedMs);
  return {
    ...{ group: group as GroupId, closedRevision, mapEpoch: 1 },
    isNamed: (id) => named.includes(id),
  };
}

const ID = chunkOf(T0, 1).data;
const sight = (...views: GroupSight[]): SweepSight => ({
  ...{ groups: [1 as GroupId, 2 as GroupId], views, ageMsMax: DAY },
});

describe('data that may go', () => {
  it('is named nowhere, and nowhere can be named any more: a day at the closed revision', () => {
    const old = T0 + DAY;
    expect(judgeData(ID, sight(view(1, old), view(2, old)))).toBe('unneeded');
    expect(judgeData(ID, sight(view(1, old), view(2, old - 1)))).toBe('young');
    expect(judgeData(ID, sight(view(1, old), view(2, old, [ID])))).toBe('named');
    expect(judgeData(ID, sight(view(1, T0), view(2, T0, [ID])))).toBe('named');
  });

  it('stays while a group was not asked, or rows may be moving', () => {
    const old = T0 + 9 * DAY;
    expect(judgeData(ID, sight(view(1, old)))).toBe('unseen');
    expect(judgeData(ID, sight())).toBe('unseen');
    expect(judgeData(ID, { ...sight(), groups: [] })).toBe('unseen');
    const moved = { ...view(2, old), mapEpoch: 2 };
    expect(judgeData(ID, sight(view(1, old), moved))).toBe('unseen');
    expect(judgeData(ID, sight(view(1, old, [ID]), moved))).toBe('named');
  });

  it('stays when its id is of the future', () => {
    const later = makeDataId(T0 + 400 * DAY, Buffer.alloc(10));
    expect(judgeData(later, sight(view(1, T0), view(2, T0)))).toBe('young');
  });

  it('is judged once for all chunks of an object, and files that are no chunks are left alone', () => {
    const asked: DataId[] = [];
    const old = T0 + DAY;
    const counting = { ...view(1, old), isNamed: (id: DataId) => asked.push(id) < 0 };
    const files = [
      ...[0, 1, 2].map((number) => ({ path: '', name: { data: ID, number } })),
      { path: 'x', name: null },
      { path: '', name: chunkOf(T0 + 1, 2) },
    ];
    const page = judgePage(files, { groups: [1 as GroupId], views: [counting], ageMsMax: DAY });
    expect(page.unneeded.map(({ number }) => number)).toEqual([0, 1, 2]);
    expect(page.counts).toEqual({ named: 0, young: 1, unseen: 0, unneeded: 3 });
    expect(asked.length).toBe(2);
  });
});

/** An entry of a group's log: it names data, ends what named it, moves the floor, or only the clock. */
interface Entry {
  readonly revision: number;
  readonly names: DataId | null;
  readonly ends: DataId | null;
  readonly floor: number;
}

/** State of a group at an index: D rows with the revision at which the name ended; 0 while there is one. */
class Rows {
  readonly rows = new Map<DataId, number>();
  revision = 0;

  apply({ revision, names, ends, floor }: Entry): void {
    this.revision = revision;
    if (names !== null && !this.rows.has(names)) {
      const ageMs = wallMsOfRevision(revision) - Number.parseInt(names.slice(0, 12), 16);
      if (Math.abs(ageMs) < DAY) this.rows.set(names, 0);
    }
    if (ends !== null && this.rows.get(ends) === 0) this.rows.set(ends, revision);
    for (const [id, ended] of this.rows) if (ended !== 0 && ended <= floor) this.rows.delete(id);
  }
}

type Judge = (id: DataId, sight: SweepSight, nowMs: number) => boolean;

/**
 * Gateways that draw ids, copy chunks, stall for hours and then name them; groups whose logs are applied late by the
 * node that sweeps; removals, floors, clocks that are off. Tells how many needed chunks were swept, how many went
 * rightly, and how many that nothing will ever name were left at the end.
 */
function run(seed: number, judge: Judge): { lost: number; swept: number; left: number } {
  const random = seededRandom(seed, 'sweep');
  const groups = [1, 2, 3].map((group) => ({ group: group as GroupId, log: [] as Entry[] }));
  const latest = groups.map(() => new Rows());
  const files = new Map<string, ChunkName>();
  const pending: { id: DataId; at: number; dueMs: number }[] = [];
  const result = { lost: 0, swept: 0, left: 0 };
  let nowMs = T0;

  const append = (at: number, change: Partial<Entry>) => {
    const last = groups[at]!.log.at(-1)?.revision ?? 0;
    const entry = {
      revision: nextRevision(last, nowMs),
      names: null,
      ends: null,
      floor: 0,
      ...change,
    };
    groups[at]!.log.push(entry);
    latest[at]!.apply(entry);
  };
  const viewOf = (at: number): GroupSight => {
    const { group, log } = groups[at]!;
    const rows = new Rows();
    const lag = random.next() < 0.5 ? 0 : randomInt(random, 0, 12);
    for (const entry of log.slice(0, Math.max(0, log.length - lag))) rows.apply(entry);
    const isNamed = (id: DataId) => rows.rows.has(id);
    return { group, closedRevision: rows.revision, mapEpoch: 1, isNamed };
  };
  const sweep = () => {
    const views = groups.map((_, at) => viewOf(at));
    const all = { groups: groups.map(({ group }) => group), views, ageMsMax: DAY };
    for (const [text, name] of [...files]) {
      if (!judge(name.data, all, nowMs)) continue;
      files.delete(text);
      result.swept++;
    }
    for (const { rows } of latest) {
      for (const id of rows.keys())
        if (!files.has(chunkText({ data: id, number: 0 }))) result.lost++;
    }
  };
  const step = (isLast: boolean) => {
    nowMs += randomInt(random, 1, isLast ? DAY : 4 * HOUR);
    const at = randomInt(random, 0, 2);
    if (!isLast && random.next() < 0.5) {
      const clockOffMs = randomInt(random, -2 * HOUR, 2 * HOUR);
      const id = makeDataId(nowMs + clockOffMs, random.bytes(10));
      files.set(chunkText({ data: id, number: 0 }), { data: id, number: 0 });
      const stallMs = random.next() < 0.5 ? 0 : randomInt(random, 0, 30 * HOUR);
      if (random.next() < 0.8) pending.push({ id, at, dueMs: nowMs + stallMs });
    }
    for (const due of pending.splice(0)) {
      if (due.dueMs > nowMs) pending.push(due);
      else append(due.at, { names: due.id });
    }
    const [id] = latest[at]!.rows.keys();
    if (id !== undefined && random.next() < 0.4) append(at, { ends: id });
    if (random.next() < 0.5) append(at, { floor: revisionAtWallMs(nowMs - RETENTION_MS) });
    if (random.next() < 0.6) sweep();
  };
  for (let i = 0; i < 120; i++) step(false);
  for (let i = 0; i < 20; i++) step(true);
  nowMs += 3 * DAY;
  for (const at of [0, 1, 2]) {
    for (let i = 0; i < 13; i++) append(at, { floor: revisionAtWallMs(nowMs - RETENTION_MS) });
  }
  sweep();
  const named = new Set(latest.flatMap(({ rows }) => [...rows.keys()]));
  for (const name of files.values()) if (!named.has(name.data)) result.left++;
  return result;
}

const total = (judge: Judge) => {
  const sum = { lost: 0, swept: 0, left: 0 };
  for (let seed = 1; seed <= 60; seed++) {
    const { lost, swept, left } = run(seed, judge);
    sum.lost += lost;
    sum.swept += swept;
    sum.left += left;
  }
  return sum;
};

describe('sweeping beside late names, lagging views and floors', () => {
  it('never takes what a record names or the past needs, and in the end takes all the rest', () => {
    const { lost, swept, left } = total((id, all) => judgeData(id, all) === 'unneeded');
    expect(lost).toBe(0);
    expect(swept).toBeGreaterThan(500);
    expect(left).toBe(0);
  });

  it.each<[string, Judge]>([
    [
      'the wall clock in place of the closed revision',
      (id, { views }, nowMs) =>
        nowMs - Number.parseInt(id.slice(0, 12), 16) >= DAY && !views.some((v) => v.isNamed(id)),
    ],
    [
      'one group in place of all',
      (id, all) => judgeData(id, { ...all, groups: all.groups.slice(0, 1) }) === 'unneeded',
    ],
    [
      "the newest group's closed revision for all",
      (id, all) => {
        const closedRevision = Math.max(...all.views.map((v) => v.closedRevision));
        const views = all.views.map((v) => ({ ...v, closedRevision }));
        return judgeData(id, { ...all, views }) === 'unneeded';
      },
    ],
    [
      'an age of less than a day',
      (id, all) => judgeData(id, { ...all, ageMsMax: DAY / 2 }) === 'unneeded',
    ],
    ['the rows alone', (id, { views }) => !views.some((v) => v.isNamed(id))],
  ])('would lose data by %s', (_, judge) => {
    expect(total(judge).lost).toBeGreaterThan(0);
  });
});
