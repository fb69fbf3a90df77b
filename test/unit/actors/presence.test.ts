import { describe, expect, it } from 'vitest';
import type { Hello } from '../../../actors/formation.ts';
import { Presence } from '../../../actors/presence.ts';
import type { NodeId, ReplicaId } from '../../../protocol/types.ts';

function hello(url: string): Hello {
  return {
    ...{ type: 'Hello', incarnation: '00000001', clusterId: 'c', initialMembers: [] },
    ...{ groupCount: 2, roles: ['replica'], httpUrl: url, version: '0.1.0', disk: 'ok' },
  };
}

describe('presence', () => {
  it('lists who said hello, by name, with what was said last', () => {
    const presence = new Presence();
    presence.note('b:1' as ReplicaId, hello('b'), 10);
    presence.note('a:1' as ReplicaId, hello('a'), 20);
    presence.note('b:2' as ReplicaId, hello('b again'), 30);
    expect(presence.list(40).map((seen) => [seen.replica, seen.httpUrl, seen.seenAtMs])).toEqual([
      ['a:1', 'a', 20],
      ['b:2', 'b again', 30],
    ]);
    expect(presence.get('b' as NodeId)?.replica).toBe('b:2');
    expect(presence.get('c' as NodeId)).toBeNull();
  });

  it('forgets who was silent for a minute', () => {
    const presence = new Presence();
    presence.note('a:1' as ReplicaId, hello('a'), 0);
    presence.note('b:1' as ReplicaId, hello('b'), 5_000);
    expect(presence.list(60_000)).toHaveLength(2);
    expect(presence.list(60_001).map(({ nodeId }) => nodeId)).toEqual(['b']);
    expect(presence.get('a' as NodeId)).toBeNull();
  });
});
