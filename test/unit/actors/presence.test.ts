import { describe, expect, it } from 'vitest';
import type { Hello } from '../../../actors/formation.ts';
import { Presence } from '../../../actors/presence.ts';
import type { NodeId, ReplicaId } from '../../../protocol/types.ts';

function hello(url: string): Hello {
  return {
    ...{ type: 'Hello', incarnation: '00000001', clusterId: 'c', initialMembers: [] },
    ...{ groupCount: 2, roles: ['replica'], httpUrl: url, version: '0.1.0', disk: 'ok' },
    chunks: null,
  };
}

describe('presence', () => {
  it('lists who said hello, by name, with what was said last', () => {
    const presence = new Presence();
    presence.note('b:1' as ReplicaId, hello('b'), 10);
    presence.note('a:1' as ReplicaId, hello('a'), 20);
    presence.note('b:2' as ReplicaId, hello('b again'), 3_011);
    const shown = presence.list(3_020).map((seen) => [seen.replica, seen.httpUrl, seen.seenAtMs]);
    expect(shown).toEqual([
      ['a:1', 'a', 20],
      ['b:2', 'b again', 3_011],
    ]);
    expect(presence.get('b' as NodeId)?.replica).toBe('b:2');
    expect(presence.get('c' as NodeId)).toBeNull();
  });

  it('leaves a name with the incarnation that lives, and tells of the second one', () => {
    const presence = new Presence();
    const [first, second] = ['b:1', 'b:2'] as ReplicaId[] as [ReplicaId, ReplicaId];
    expect(presence.note(first, hello('first'), 0)).toBeNull();
    expect(presence.note(second, hello('second'), 1_000)).toBeNull();
    expect(presence.get('b' as NodeId)?.replica).toBe(first);
    expect([presence.isTaken(second, 1_000), presence.isTaken(first, 1_000)]).toEqual([
      true,
      false,
    ]);
    expect(presence.note(first, hello('first'), 1_500)).toBe(second);
    expect(presence.living(1_500)).toEqual([first, second]);
    expect(presence.note(second, hello('second'), 4_500)).toBeNull();
    expect(presence.get('b' as NodeId)?.replica).toBe(first);
    expect(presence.isTaken(second, 4_501)).toBe(false);
    presence.note(second, hello('second'), 4_501);
    expect(presence.get('b' as NodeId)?.replica).toBe(second);
    expect(presence.living(4_501)).toEqual([second]);
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
