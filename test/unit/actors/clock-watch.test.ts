import { describe, expect, it } from 'vitest';
import { ClockWatch } from '../../../actors/clock-watch.ts';
import { type NodeId, parseNodeId } from '../../../protocol/types.ts';

const n2 = parseNodeId('n2') as NodeId;
const n3 = parseNodeId('n3') as NodeId;

describe('the clock watch', () => {
  it('F19 distrusts its own clock in the moment it jumps', () => {
    const watch = new ClockWatch();
    for (let nowMs = 0; nowMs < 10_000; nowMs += 80) {
      watch.note(n2, 1_000_000 + nowMs, nowMs);
      watch.note(n3, 1_000_000 + nowMs, nowMs);
    }
    expect(watch.isTrusted(1_010_000, 10_000)).toBe(true);
    expect(watch.isTrusted(1_010_001 + 3_600_000, 10_001)).toBe(false);
    expect(watch.isTrusted(1_010_001 - 3_600_000, 10_001)).toBe(false);
  });

  it('keeps its trust when one peer of two is off', () => {
    const watch = new ClockWatch();
    watch.note(n2, 1_000_000 + 3_600_000, 0);
    watch.note(n3, 1_000_000, 0);
    expect(watch.isTrusted(1_000_000, 0)).toBe(true);
  });

  it('takes a late message for a late message', () => {
    const watch = new ClockWatch();
    watch.note(n2, 1_000_000, 0);
    watch.note(n2, 1_000_000, 9_000);
    expect(watch.offsetMs(n2, 1_009_000, 9_000)).toBe(0);
  });

  it('F19 does not believe a peer that was an hour ahead and was set right, when its own clock goes there', () => {
    const watch = new ClockWatch();
    watch.note(n2, 1_000_000 + 3_600_000, 0);
    watch.note(n2, 1_001_000, 1_000);
    watch.note(n3, 1_001_000, 1_000);
    expect(watch.isTrusted(1_001_000, 1_000)).toBe(true);
    expect(watch.isTrusted(1_002_000 + 3_600_000, 2_000)).toBe(false);
  });

  it('keeps its trust while all that it hears is late', () => {
    const watch = new ClockWatch();
    for (const peer of [n2, n3]) {
      watch.note(peer, 1_000_000, 0);
      watch.note(peer, 1_000_000, 9_000);
    }
    expect(watch.isTrusted(1_009_000, 9_000)).toBe(true);
    expect(watch.isTrusted(1_009_000 + 3_600_000, 9_000)).toBe(false);
  });
});
