import { describe, expect, it } from 'vitest';
import { keepMetaRows, knownMetaRows } from '../../../../actors/apply/meta-memory.ts';
import { readMetaRows } from '../../../../actors/apply/meta-state.ts';
import { AppliedGroup } from '../../../kit/applied-group.ts';

function groupWith(...names: string[]) {
  const group = new AppliedGroup();
  const put = (name: string, json: string) =>
    group.apply({
      ...{ type: 'metaPut' as const, revision: group.nextRevision() },
      ...{ name, json, ifRevision: null },
    });
  for (const name of names) put(name, '"first"');
  const { state } = group;
  const read = async (prefix: string) => {
    const view = state.view();
    const rows = await readMetaRows(view, prefix, 4_096);
    keepMetaRows(state, view.appliedIndex, prefix, rows);
    await view.close();
    return rows;
  };
  return { state, put, read };
}

describe('meta rows that were read', () => {
  it('are known until the next entry, by the prefix that they were asked for', async () => {
    const { state, put, read } = groupWith('a/1', 'a/2', 'b');
    expect(knownMetaRows(state, 'a/')).toBeNull();
    const rows = await read('a/');
    expect(rows.map(({ name }) => name)).toEqual(['a/1', 'a/2']);
    expect(knownMetaRows(state, 'a/')).toEqual(rows);
    expect(knownMetaRows(state, 'a')).toBeNull();
    expect(await read('none')).toEqual([]);
    expect(knownMetaRows(state, 'none')).toEqual([]);
    put('a/1', '"second"');
    expect(knownMetaRows(state, 'a/')).toBeNull();
    await read('a/');
    expect(knownMetaRows(state, 'a/')?.[0]?.json).toBe('"second"');
  });

  it('are not kept when an entry was applied while they were read, nor when they are many', async () => {
    const { state, put, read } = groupWith('a');
    const before = state.appliedIndex;
    put('a', '"second"');
    keepMetaRows(state, before, 'a', []);
    expect(knownMetaRows(state, 'a')).toBeNull();
    for (let i = 0; i < 65; i++) put(`many/${i}`, '0');
    expect((await read('many/')).length).toBe(65);
    expect(knownMetaRows(state, 'many/')).toBeNull();
  });

  it('are nobody’s to change', async () => {
    const { state, read } = groupWith('a');
    (await read('a')).length = 0;
    const known = knownMetaRows(state, 'a');
    expect(known?.length).toBe(1);
    if (known !== null) known.length = 0;
    expect(knownMetaRows(state, 'a')?.length).toBe(1);
  });
});
