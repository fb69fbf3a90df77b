import { describe, expect, it } from 'vitest';
import {
  BOUNDS,
  type Bounds,
  flawsOf,
  nodeResult,
  type Sample,
  soak,
} from '../../bench/soak/soak.ts';

/** In ten seconds memtables and caches fill: only what is far from flat shows. */
const SHORT: Bounds = {
  ...BOUNDS,
  rss: { slopeMax: 2, noise: 60 },
  heap: { slopeMax: 1, noise: 12 },
  external: { slopeMax: 1, noise: 40 },
  lag: { slopeMax: 2, noise: 1_000 },
};

/** A short form of `npm run soak`, and what it would say of a leak. */
describe('a node under mixed load', () => {
  it('stays flat, and has no sockets left afterwards', { timeout: 120_000 }, async () => {
    const lines: string[] = [];
    const result = await soak({
      ...{ nodes: 1, minutes: 1 / 3, perSecond: 150, fill: 2_000, bounds: SHORT },
      say: (line) => lines.push(line),
    });
    expect(result.flaws, lines.join('\n')).toEqual([]);
    expect(result.counts.ok).toBeGreaterThan(500);
    expect(result.counts.watches).toBeGreaterThan(20);
    expect(result.nodes[0]?.samples.length).toBeGreaterThan(5);
    const sample = result.nodes[0]?.samples[0] as Sample;
    for (const figure of ['rss', 'heap', 'handles', 'sockets'] as const) {
      expect(sample[figure], figure).toBeGreaterThan(0);
    }
  });

  it('would be found to leak', () => {
    const counts = { ok: 1000, refused: 0, failed: 0, dropped: 0, watches: 9, events: 99 };
    const samples = (rss: number, handles: number): Sample[] =>
      Array.from({ length: 60 }, (_, i) => ({
        ...{ minute: i / 6, rss: 200 + (rss * i) / 6, heap: 40, external: 10 },
        ...{ handles: 30 + (handles * i) / 6, sockets: 40 + (i % 7), lag: 5 + (i % 3) },
      }));
    const flaws = (rss: number, handles: number, socketsLeft: number): string[] =>
      flawsOf([nodeResult('n1', samples(rss, handles), socketsLeft)], counts);
    expect(flaws(0, 0, 0)).toEqual([]);
    expect(flaws(10, 0, 0)).toEqual([expect.stringMatching(/^n1: rss grows by 10\.00 per minute/)]);
    expect(flaws(0, 3, 0)).toEqual([expect.stringMatching(/handles grows/)]);
    expect(flaws(0, 0, 9)).toEqual(['n1: 9 sockets are left']);
    expect(flawsOf([], { ...counts, ok: 10, failed: 9, events: 0 })).toHaveLength(2);
  });
});
