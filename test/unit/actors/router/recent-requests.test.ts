import { describe, expect, it } from 'vitest';
import { RecentRequests } from '../../../../actors/router/recent-requests.ts';
import { randomInt, seededRandom } from '../../../../protocol/random.ts';
import { type NodeId, parseNodeId } from '../../../../protocol/types.ts';

const n1 = parseNodeId('n1') as NodeId;
const n2 = parseNodeId('n2') as NodeId;
const WINDOW = 1 << 20;

describe('recent requests', () => {
  it('B09 knows a request that the bus delivers twice', () => {
    const recent = new RecentRequests();
    expect(recent.isRepeat(n1, 1, 7)).toBe(false);
    expect(recent.isRepeat(n1, 1, 7)).toBe(true);
  });

  it('tells nodes, their lives and requests apart', () => {
    const recent = new RecentRequests();
    expect(recent.isRepeat(n1, 1, 7)).toBe(false);
    expect(recent.isRepeat(n2, 1, 7)).toBe(false);
    expect(recent.isRepeat(n1, 2, 7)).toBe(false);
    expect(recent.isRepeat(n1, 1, 8)).toBe(false);
  });

  it('takes requests that overtook each other once each', () => {
    const recent = new RecentRequests();
    for (const id of [100, 98, 99, 101]) expect(recent.isRepeat(n1, 1, id)).toBe(false);
    for (const id of [98, 99, 100, 101]) expect(recent.isRepeat(n1, 1, id)).toBe(true);
  });

  it('remembers over half a window, and takes what is older for a repeat', () => {
    const recent = new RecentRequests();
    expect(recent.isRepeat(n1, 1, 5)).toBe(false);
    expect(recent.isRepeat(n1, 1, 5 + WINDOW / 2)).toBe(false);
    expect(recent.isRepeat(n1, 1, 5)).toBe(true);
    expect(recent.isRepeat(n1, 1, 6)).toBe(false);
    expect(recent.isRepeat(n1, 1, 5 + 3 * WINDOW)).toBe(false);
    expect(recent.isRepeat(n1, 1, 7)).toBe(true);
  });

  it('tells as a set of the last ids would, from any first id', () => {
    const random = seededRandom(1);
    for (const first of [1, 0x7fff_fffe * 0x10_0000]) {
      const recent = new RecentRequests();
      const noted = new Set<number>();
      let wrong = 0;
      for (let i = 0, next = first; i < 200_000; i++) {
        next += randomInt(random, 0, 20);
        const id = Math.max(first, next - randomInt(random, 0, 400));
        if (recent.isRepeat(n1, 1, id) !== noted.has(id)) wrong++;
        noted.add(id);
      }
      expect(wrong).toBe(0);
    }
  });

  it('costs a bit for an id', () => {
    const before = process.memoryUsage();
    const recent = new RecentRequests();
    for (let id = 0; id < WINDOW; id++) recent.isRepeat(n1, 1, 0x7fff_fffe * 0x10_0000 + id);
    const after = process.memoryUsage();
    const grown = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers;
    expect(recent.isRepeat(n1, 1, 0x7fff_fffe * 0x10_0000 + WINDOW - 1)).toBe(true);
    expect(grown).toBeLessThan(8_000_000);
  });

  it('knows the last few lives of a node', () => {
    const recent = new RecentRequests();
    for (let life = 1; life <= 4; life++) expect(recent.isRepeat(n1, life, 7)).toBe(false);
    for (let life = 1; life <= 4; life++) expect(recent.isRepeat(n1, life, 7)).toBe(true);
  });
});
