import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RaftLog } from '../../../../actors/raft/log.ts';
import { type LogEntry, makeEntry } from '../../../../protocol/entry.ts';
import { encodeConfig, type GroupConfig } from '../../../../protocol/membership.ts';
import { ABC, command, config, logOf } from '../../../kit/raft-given.ts';

function logWith(entries: readonly LogEntry[]): RaftLog {
  const log = new RaftLog();
  log.replaceAfter(0, entries);
  return log;
}

describe('RaftLog', () => {
  test('an empty log ends where it begins', () => {
    const log = new RaftLog();
    expect([log.lastIndex, log.lastTerm, log.bytes, log.clockBound]).toEqual([0, 0, 0, 0]);
    expect(log.termAt(0)).toBe(0);
    expect([log.termAt(1), log.termAt(-1), log.entryAt(0)]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  test('knows first and last index of a term (§5.3)', () => {
    const log = logWith(logOf([1, 1, 4, 4, 4, 6]));
    expect([1, 2, 3, 5, 6].map((index) => log.firstIndexOfTermAt(index))).toEqual([1, 1, 3, 3, 6]);
    expect(log.lastIndexOfTerm(4, 6)).toBe(5);
    expect(log.lastIndexOfTerm(4, 4)).toBe(4);
    expect(log.lastIndexOfTerm(5, 6)).toBe(0);
    expect(log.lastIndexOfTerm(6, 3)).toBe(0);
  });

  test('refuses gaps, compacted prefixes and entries out of step', () => {
    const log = logWith(logOf([1, 1]));
    expect(() => log.replaceAfter(3, [command(4, 1)])).toThrow('gap');
    expect(() => log.replaceAfter(2, [command(4, 1)])).toThrow('consecutive');
    log.restart({ index: 2, term: 1, config: ABC, clockBound: 0 });
    expect(() => log.replaceAfter(1, [command(2, 1)])).toThrow('compacted');
    expect(() => log.entriesFrom(2, 9, 9)).toThrow('left the log');
  });

  test('reads pages by count and bytes, but always one entry', () => {
    const log = logWith(logOf([1, 1, 1]));
    const size = log.entryAt(1)!.bytes.length;
    expect(log.entriesFrom(1, 2, 9999).length).toBe(2);
    expect(log.entriesFrom(1, 9, size * 2).length).toBe(2);
    expect(log.entriesFrom(3, 9, 1).length).toBe(1);
    expect(log.entriesFrom(4, 9, 9)).toEqual([]);
    expect([log.bytes, log.bytesAfter(1), log.bytesAfter(3)]).toEqual([3 * size, 2 * size, 0]);
  });

  test('a restart keeps a suffix that matches, and only that (§7)', () => {
    const kept = logWith(logOf([1, 1, 2]));
    kept.restart({ index: 2, term: 1, config: ABC, clockBound: 5 });
    expect([kept.baseIndex, kept.lastIndex, kept.clockBound]).toEqual([2, 3, 0]);
    const dropped = logWith(logOf([1, 1, 2]));
    dropped.restart({ index: 2, term: 2, config: ABC, clockBound: 5 });
    expect([dropped.baseIndex, dropped.lastIndex, dropped.clockBound]).toEqual([2, 2, 5]);
    const ahead = logWith(logOf([1]));
    ahead.restart({ index: 9, term: 3, config: ABC, clockBound: 0 });
    expect([ahead.lastIndex, ahead.lastTerm, ahead.config]).toEqual([9, 3, ABC]);
  });

  test('agrees with a plain list, whatever is appended, replaced and compacted', () => {
    const step = fc.record({
      back: fc.nat({ max: 4 }),
      kinds: fc.array(fc.constantFrom('command' as const, 'config' as const), { maxLength: 4 }),
      bound: fc.nat({ max: 100 }),
      compact: fc.nat({ max: 3 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const log = new RaftLog();
        const model: LogEntry[] = [];
        let term = 0;
        for (const { back, kinds, bound, compact } of steps) {
          term++;
          const prev = Math.max(log.baseIndex, model.length - back);
          const entries = kinds.map((kind, at) => entryOf(prev + 1 + at, term, kind, bound));
          log.replaceAfter(prev, entries);
          if (entries.length > 0) model.splice(prev, model.length, ...entries);
          const index = Math.min(model.length, log.baseIndex + compact);
          log.restart(log.pointAt(index));
          agrees(log, model);
        }
      }),
      { numRuns: 300 },
    );
  });
});

function entryOf(
  index: number,
  term: number,
  kind: 'command' | 'config',
  clockBound: number,
): LogEntry {
  const payload = kind === 'config' ? encodeConfig(configOf(index)) : new Uint8Array(index % 7);
  return makeEntry({ index, term, kind, clockBound }, payload);
}

function configOf(index: number): GroupConfig {
  return config(`v${index}`, null, '');
}

function agrees(log: RaftLog, model: readonly LogEntry[]): void {
  expect(log.lastIndex).toBe(model.length);
  let clockBound = 0;
  let inForce: GroupConfig = { voters: [], votersOld: null, learners: [] };
  model.forEach((entry, at) => {
    const index = at + 1;
    clockBound = Math.max(clockBound, entry.clockBound);
    if (entry.kind === 'config') inForce = configOf(index);
    if (index < log.baseIndex) return;
    expect(log.pointAt(index)).toEqual({ index, term: entry.term, config: inForce, clockBound });
  });
  expect([log.clockBound, log.config]).toEqual([clockBound, inForce]);
  const held = model.slice(log.baseIndex);
  expect(log.bytes).toBe(held.reduce((sum, { bytes }) => sum + bytes.length, 0));
}
