import { describe, expect, test } from 'vitest';
import {
  EMPTY_CATALOG,
  encodeCatalog,
  indexNamed,
  parseCatalog,
  withIndex,
  withoutIndex,
  withState,
} from '../../../../actors/indexer/catalog.ts';
import { type ObservedGroup, planWork } from '../../../../actors/indexer/plan.ts';
import type { NewIndex } from '../../../../protocol/index-access.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import type { GroupId } from '../../../../protocol/types.ts';
import { definitionOf } from '../../../kit/index-history.ts';

function newIndex(name: string): NewIndex {
  const { id: _, ...rest } = definitionOf(1, [['/a', 'string']]);
  return { ...rest, tenant: 'default', name };
}

function group(id: number, epoch: number, built: Readonly<Record<number, boolean>>): ObservedGroup {
  const indexes = Object.entries(built).map(([index, isBuilt]) => {
    return { id: Number(index), isBuilt, keys: 0, since: 0 };
  });
  return { group: id as GroupId, status: { type: 'Indexes', epoch, indexes, keys: 0 } };
}

function named(name: string, tenant = 'default') {
  return { tenant, name };
}

const two = withIndex(withIndex(EMPTY_CATALOG, newIndex('a')), newIndex('b'));

describe('the catalog', () => {
  test('gives each definition an id of its own and an epoch, and never an id twice', () => {
    expect(two).toMatchObject({ epoch: 2, nextId: 3 });
    expect(indexNamed(two, named('b'))).toMatchObject({ id: 2, state: 'building' });
    const again = withIndex(withoutIndex(two, named('b')), newIndex('b'));
    expect([again.epoch, indexNamed(again, named('b')).id]).toEqual([4, 3]);
    expect(parseCatalog(encodeCatalog(again))).toEqual(again);
  });

  test('the same definition again changes nothing, another under its name is a conflict', () => {
    expect(withIndex(two, newIndex('a'))).toBe(two);
    expect(() => withIndex(two, { ...newIndex('a'), sparse: true })).toThrow(/another index/);
    expect(withoutIndex(two, named('none'))).toBe(two);
    expect(withState(two, 9, 'live')).toBe(two);
    expect(() => indexNamed(two, named('none'))).toThrow(/no index/);
    const other = withIndex(two, { ...newIndex('a'), tenant: 'acme', prefix: 'x' });
    expect(indexNamed(other, named('a', 'acme'))).toMatchObject({ id: 3, prefix: 'x' });
    expect(withoutIndex(other, named('a', 'acme')).indexes).toEqual(two.indexes);
    expect(() => indexNamed(two, named('a', 'acme'))).toThrow(/no index/);
  });

  test('holds so many indexes and no more', () => {
    let full = EMPTY_CATALOG;
    for (let i = 0; i < LIMITS.indexesMax; i++) full = withIndex(full, newIndex(`i${i}`));
    expect(() => withIndex(full, newIndex('more'))).toThrow(/indexesMax/);
  });
});

describe('what the builder does next', () => {
  test('groups that do not know the catalog are told; the others are filled, one index at a time', () => {
    const groups = [group(1, 1, { 1: false }), group(2, 2, { 1: false, 2: false })];
    const work = planWork({ catalog: two, groups, isComplete: true });
    expect(work).toMatchObject({ tell: [1], fill: [{ group: 2, id: 1 }], live: [] });
  });

  test('a paused index rests, and those after it go on', () => {
    const catalog = withState(two, 1, 'paused');
    const groups = [group(1, 2, { 1: false, 2: false })];
    const work = planWork({ catalog, groups, isComplete: true });
    expect(work).toMatchObject({ tell: [], fill: [{ group: 1, id: 2 }], live: [] });
  });

  test('an index is live when every group of the cluster has built it', () => {
    const built = [group(1, 2, { 1: true, 2: true }), group(2, 2, { 1: true, 2: false })];
    expect(planWork({ catalog: two, groups: built, isComplete: true }).live).toEqual([1]);
    expect(planWork({ catalog: two, groups: built, isComplete: false }).live).toEqual([]);
    const missing = [group(1, 2, { 1: true, 2: true }), group(2, 1, { 1: true })];
    expect(planWork({ catalog: two, groups: missing, isComplete: true }).live).toEqual([1]);
    const done = withState(withState(two, 1, 'live'), 2, 'live');
    expect(planWork({ catalog: done, groups: built, isComplete: true })).toMatchObject({
      ...{ tell: [], fill: [], live: [] },
    });
  });
});
