import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LeaseTable } from '../../../../actors/lease/table.ts';

/** Looks every 100 ms, as the leader does. */
function look(table: LeaseTable, fromMs: number, toMs: number): Map<number, number> {
  const found = new Map<number, number>();
  for (let now = fromMs; now <= toMs; now += 100) {
    for (const lease of table.due(now, 100)) if (!found.has(lease)) found.set(lease, now);
  }
  return found;
}

describe('deadlines', () => {
  it('a lease is due when its time is over, not before', () => {
    const table = new LeaseTable(0);
    table.add(1, 1_000, 5, 0);
    table.add(2, 2_500, 6, 0);
    expect([...look(table, 0, 5_000)]).toEqual([
      [1, 1_000],
      [2, 2_500],
    ]);
  });

  it('T1 a renewal counts from when it was asked for, and never backwards', () => {
    const table = new LeaseTable(0);
    table.add(1, 1_000, 5, 0);
    look(table, 0, 800);
    table.renew(1, 700);
    table.renew(1, 300);
    table.renew(9, 300);
    expect(look(table, 900, 3_000).get(1)).toBe(1_700);
  });

  it('T2 a lease whose end was proposed is due again only when that has failed', () => {
    const table = new LeaseTable(0);
    table.add(1, 1_000, 5, 0);
    look(table, 0, 900);
    table.beginEnd(1);
    expect(look(table, 1_000, 2_000).size).toBe(0);
    table.ended(1, false);
    expect(table.due(2_100, 10)).toEqual([1]);
    table.beginEnd(1);
    table.ended(1, true);
    expect(table.due(2_200, 10)).toEqual([]);
    expect(table.size).toBe(0);
  });

  it('B20 F19 a time in which this process did not run is no time of any lease', () => {
    const table = new LeaseTable(0);
    table.add(1, 1_000, 5, 0);
    look(table, 0, 500);
    expect(table.due(60_000, 10)).toEqual([]);
    expect(look(table, 60_100, 62_000).get(1)).toBe(60_500);
  });

  it('a time in which there was no lease, and so nobody looked, is no pause', () => {
    const table = new LeaseTable(0);
    table.add(1, 1_000, 5, 600_000);
    expect(look(table, 600_000, 603_000).get(1)).toBe(601_000);
    table.beginEnd(1);
    table.ended(1, true);
    table.add(2, 1_000, 6, 900_000);
    expect(look(table, 900_000, 903_000).get(2)).toBe(901_000);
  });

  it('an added lease that is known keeps its time', () => {
    const table = new LeaseTable(0);
    table.add(1, 1_000, 5, 0);
    table.add(1, 9_000, 6, 500);
    expect(table.get(1, 400)).toEqual({ ttlMs: 1_000, grantRevision: 5, remainingMs: 600 });
    expect(table.get(2, 400)).toBeNull();
  });

  it('never gives a lease less than its time since the last renewal, whatever the pauses', () => {
    const steps = fc.array(fc.tuple(fc.integer({ min: 1, max: 2_000 }), fc.boolean()));
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 3_000 }), (all, ttlMs) => {
        const table = new LeaseTable(0);
        table.add(1, ttlMs, 1, 0);
        let [now, renewedMs] = [0, 0];
        for (const [pauseMs, renews] of all) {
          now += pauseMs;
          if (table.due(now, 1).length > 0) {
            expect(now - renewedMs).toBeGreaterThanOrEqual(ttlMs);
            return;
          }
          if (!renews) continue;
          table.renew(1, now);
          renewedMs = now;
        }
      }),
    );
  });
});
