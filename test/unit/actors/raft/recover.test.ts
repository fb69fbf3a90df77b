import { describe, expect, test } from 'vitest';
import type { DurableRaftEvent } from '../../../../actors/raft/events.ts';
import type { LogPoint } from '../../../../actors/raft/log.ts';
import { birthOf, checkpointEvents, recoverState } from '../../../../actors/raft/recover.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import { ABC, config, given, id, logOf } from '../../../kit/raft-given.ts';

const SELF = { self: id('a'), seed: 1 };
const NOTHING: LogPoint = birthPoint();

function birthPoint(): LogPoint {
  return {
    index: 0,
    term: 0,
    config: { voters: [], votersOld: null, learners: [] },
    clockBound: 0,
  };
}

const appended = (entries = logOf([1, 1, 2])): DurableRaftEvent[] => [
  birthOf(ABC),
  { type: 'TermAdvanced', term: 2 },
  { type: 'VoteCast', candidateId: id('b') },
  { type: 'EntriesAppended', prevLogIndex: 0, entries },
];

describe('recovery', () => {
  test('folds the events; what is applied is committed, what is there is synced', () => {
    const point = { index: 2, term: 1, config: ABC, clockBound: 0 };
    const { state, repair } = recoverState(SELF, appended(), point);
    expect(repair).toEqual([]);
    expect(state).toMatchObject({
      currentTerm: 2,
      votedFor: 'b:00000001',
      role: 'follower',
      leaderId: null,
      commitIndex: 2,
      appliedIndex: 2,
      flushedIndex: 2,
      syncedIndex: 3,
    });
  });

  test('a replica that joins knows nobody and waits as a learner', () => {
    const { state } = recoverState(SELF, [birthOf(null)], NOTHING);
    expect(state).toMatchObject({ role: 'learner', currentTerm: 0 });
    expect(state.log.config.voters).toEqual([]);
  });

  test('B11 an engine ahead of the log restarts the log there, durably', () => {
    const members = config('a b d', null, '');
    const point = { index: 9, term: 2, config: members, clockBound: 77 };
    const { state, repair } = recoverState(SELF, appended(), point);
    expect(repair).toMatchObject([{ type: 'SnapshotRestored' }]);
    expect([state.log.baseIndex, state.log.lastIndex, state.log.clockBound]).toEqual([9, 9, 77]);
    const again = recoverState(SELF, [...appended(), ...repair], point);
    expect(again.repair).toEqual([]);
    expect(again.state.log.config).toEqual(members);
  });

  test('B11 entries that contradict the engine go', () => {
    const point = { index: 3, term: 1, config: ABC, clockBound: 0 };
    const { state } = recoverState(SELF, appended(), point);
    expect([state.log.baseIndex, state.log.baseTerm, state.log.lastIndex]).toEqual([3, 1, 3]);
  });

  test('B17 an engine behind the compacted log is damage, not a state', () => {
    const base = { baseIndex: 2, baseTerm: 1, baseConfig: ABC, clockBound: 0 };
    const events = [...appended(), { type: 'LogCompacted' as const, ...base }];
    expect(() => recoverState(SELF, events, NOTHING)).toThrow('the engine lost entries');
  });

  test('a checkpoint alone rebuilds the same durable state', () => {
    const raft = given({ members: config('a', null, '') })
      .tick()
      .syncs();
    const sizes = [300_000, 300_000, 300_000, 300_000, 800_000, 400_000];
    for (const size of sizes) raft.proposes('x'.repeat(size));
    raft.syncs().when({ type: 'Applied', appliedIndex: 7, flushedIndex: 7 });
    raft.when({ type: 'Compact' });
    const { log, currentTerm, votedFor } = raft.state;
    const events = checkpointEvents(raft.state);
    expect(events.length).toBeGreaterThan(2);
    const { state } = recoverState(SELF, events, log.pointAt(7));
    expect([state.currentTerm, state.votedFor]).toEqual([currentTerm, votedFor]);
    expect(state.log.pointAt(7)).toEqual(log.pointAt(7));
    expect([state.log.baseIndex, state.log.bytes]).toEqual([log.baseIndex, log.bytes]);
  });
});

describe('compaction', () => {
  test('waits for a snapshot under way, unless the log has become huge', () => {
    const raft = given({ log: [1, 1] }).leads('b');
    raft.out.emit({ type: 'SnapshotRequested' });
    for (let i = 0; i < 8; i++) raft.proposes('x'.repeat(400_000));
    raft.syncs().acks('b').when({ type: 'Applied', appliedIndex: 11, flushedIndex: 11 });
    raft.when({ type: 'Compact' });
    expect(raft.durable).toEqual([]);
    for (let i = 0; i < 90; i++) raft.proposes('x'.repeat(800_000)).syncs().acks('b');
    expect(raft.state.log.bytes).toBeGreaterThan(LIMITS.walCheckpointBytes);
    raft.when({ type: 'Compact' });
    expect(raft.state.log.baseIndex).toBe(11);
  });

  test('keeps the configuration and the clock bound of what it drops', () => {
    const raft = given({ members: config('a', null, '') })
      .tick()
      .syncs();
    const payload = new Uint8Array(600_000);
    for (const clockBound of [50, 10, 20, 30]) {
      const proposal = { proposalId: 1, kind: 'command' as const, clockBound, payload };
      raft.when({ type: 'Propose', proposals: [proposal] });
    }
    raft.syncs().when({ type: 'Applied', appliedIndex: 5, flushedIndex: 5 });
    raft.when({ type: 'Compact' });
    expect(raft.durable).toMatchObject([{ baseIndex: 4, clockBound: 50 }]);
  });
});
