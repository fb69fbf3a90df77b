import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  encodeShardMap,
  foundingNodes,
  foundingReplicas,
  groupOf,
  initialShardMap,
  parseShardMap,
  vshardsOf,
} from '../../../../actors/router/shard-map.ts';
import type { Formation } from '../../../../protocol/messages/node.ts';
import type { GroupId, NodeId } from '../../../../protocol/types.ts';
import { vshardOf } from '../../../../protocol/vshard.ts';
import { ref } from '../../../kit/applied-group.ts';

function formation(...nodes: string[]): Formation {
  const members = nodes.map((nodeId) => ({ nodeId: nodeId as NodeId, incarnation: '0000000a' }));
  return { clusterId: 'c', members, groupCount: 4 };
}

describe('the shard map', () => {
  it('that founders start from never changes: they must agree without asking', () => {
    const text = encodeShardMap(initialShardMap(8));
    expect(text.slice(0, 52)).toBe('{"epoch":1,"groups":[1,2,3,4,5,6,7,8,1,2,3,4,5,6,7,8');
    expect(createHash('sha256').update(text).digest('hex')).toBe(
      'e57a641022c1b0a4da6455d81c2b50a65e293f47bb71bb9559516770c6b26d24',
    );
  });

  it('gives every vshard to one data group', () => {
    const map = initialShardMap(3);
    const owned = [1, 2, 3].map((group) => vshardsOf(map, group as GroupId));
    expect(owned.map((list) => list.length)).toEqual([86, 85, 85]);
    expect(owned.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: 256 }, (_, v) => v));
    expect(groupOf(map, ref('a'))).toBe(1 + (vshardOf(ref('a')) % 3));
    expect(vshardsOf(map, 0 as GroupId)).toEqual([]);
  });

  it('is read back as it was written', () => {
    const map = { ...initialShardMap(5), epoch: 9 };
    expect(parseShardMap(encodeShardMap(map))).toEqual(map);
  });

  it('is not read from anything else', () => {
    const short = JSON.stringify({ epoch: 1, groups: [1, 2] });
    const meta = encodeShardMap({ epoch: 1, groups: new Array(256).fill(0) });
    const half = encodeShardMap({ epoch: 1.5, groups: new Array(256).fill(1) });
    for (const text of ['', 'null', '1', '[]', '{', '{"epoch":1}', short, meta, half]) {
      expect(parseShardMap(text)).toBeNull();
    }
  });
});

describe('founding replicas', () => {
  it('are up to three, spread over the founders, whatever the order of their names', () => {
    const names = (group: number, ...nodes: string[]) =>
      foundingReplicas(formation(...nodes), group as GroupId).map((id) => id.split(':')[0]);
    expect(names(1, 'a')).toEqual(['a']);
    expect(names(1, 'a', 'b')).toEqual(['a', 'b']);
    expect([0, 1, 2, 3].map((group) => names(group, 'd', 'b', 'a', 'c').join(''))).toEqual([
      ...['abc', 'bcd', 'acd', 'abd'],
    ]);
    expect(names(2, 'a', 'b', 'c', 'd')).toEqual(names(2, 'd', 'c', 'b', 'a'));
  });

  it('are looked for at any founder', () => {
    expect(foundingNodes(formation('c', 'a'))).toEqual(['a', 'c']);
  });
});
