import { describe, expect, test } from 'vitest';
import type { Applied } from '../../../../actors/apply/apply.ts';
import { readMeta, readMetaRows } from '../../../../actors/apply/meta-state.ts';
import { AppliedGroup } from '../../../kit/applied-group.ts';

function metaPut(
  group: AppliedGroup,
  name: string,
  json: string,
  ifRevision: number | null,
): Applied {
  return group.apply({ type: 'metaPut', revision: group.nextRevision(), name, json, ifRevision });
}

describe('meta state', () => {
  test('a row is replaced whole, and counts its versions', () => {
    const group = new AppliedGroup();
    expect(readMeta(group.state, 'shard-map')).toBeNull();
    const first = metaPut(group, 'shard-map', '{"epoch":1}', null);
    const second = metaPut(group, 'shard-map', '{"epoch":2}', null);
    expect(second.results).toEqual([
      { type: 'put', revision: second.clock, createRevision: first.clock, version: 2 },
    ]);
    expect(second.events).toEqual([]);
    const row = { name: 'shard-map', json: '{"epoch":2}', revision: second.clock };
    expect(readMeta(group.state, 'shard-map')).toEqual(row);
  });

  test('of two compare-and-sets of one revision only the first in the log wins', () => {
    const group = new AppliedGroup();
    const created = metaPut(group, 'x', '1', 0);
    expect(created.results[0]?.type).toBe('put');
    expect(metaPut(group, 'x', '2', 0).results).toEqual([
      { type: 'precondition_failed', revision: created.clock },
    ]);
    expect(metaPut(group, 'x', '3', created.clock).results[0]?.type).toBe('put');
    expect(metaPut(group, 'x', '4', created.clock).results[0]?.type).toBe('precondition_failed');
    expect(readMeta(group.state, 'x')?.json).toBe('3');
  });

  test('rows are listed by prefix, in order, any text as a name', async () => {
    const group = new AppliedGroup();
    for (const name of ['node/n2', 'node/n1', 'nodes', 'node/ü€', 'a'])
      metaPut(group, name, name, null);
    const view = group.state.view();
    const names = (await readMetaRows(view, 'node/', 10)).map((row) => row.name);
    expect(names).toEqual(['node/n1', 'node/n2', 'node/ü€']);
    expect(await readMetaRows(view, '', 10)).toHaveLength(5);
    expect(await readMetaRows(view, '', 2)).toHaveLength(2);
    await view.close();
  });
});
