import { describe, expect, it } from 'vitest';
import { RecentRequests } from '../../../../actors/router/recent-requests.ts';
import { type NodeId, parseNodeId } from '../../../../protocol/types.ts';

const n1 = parseNodeId('n1') as NodeId;
const n2 = parseNodeId('n2') as NodeId;

describe('recent requests', () => {
  it('knows a request that the bus delivers twice (B9)', () => {
    const recent = new RecentRequests();
    expect(recent.isRepeat(n1, 7, 0)).toBe(false);
    expect(recent.isRepeat(n1, 7, 13_000)).toBe(true);
  });

  it('tells nodes and requests apart', () => {
    const recent = new RecentRequests();
    expect(recent.isRepeat(n1, 7, 0)).toBe(false);
    expect(recent.isRepeat(n2, 7, 0)).toBe(false);
    expect(recent.isRepeat(n1, 8, 0)).toBe(false);
  });

  it('remembers for at least one generation and forgets after two', () => {
    const recent = new RecentRequests();
    recent.isRepeat(n1, 1, 0);
    recent.isRepeat(n1, 2, 31_000);
    expect(recent.isRepeat(n1, 1, 32_000)).toBe(true);
    recent.isRepeat(n1, 3, 62_000);
    recent.isRepeat(n1, 4, 93_000);
    expect(recent.isRepeat(n1, 1, 94_000)).toBe(false);
  });
});
