import { assert } from '../../protocol/assert.ts';
import { entriesToKeep, type LogEntry } from '../../protocol/entry.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { GroupConfig } from '../../protocol/membership.ts';
import type { DurableRaftEvent } from './events.ts';
import { evolve } from './evolve.ts';
import { EMPTY_CONFIG, type LogPoint } from './log.ts';
import { restingRole } from './roles.ts';
import { createRaftState, type RaftConfig, type RaftState, type RaftView } from './state.ts';

/** From the WAL to a state, and from a state to the WAL's next checkpoint. */

export interface Recovered {
  readonly state: RaftState;
  /** Must be in the WAL before anything else is appended to it. Usually empty. */
  readonly repair: readonly DurableRaftEvent[];
}

/**
 * Rebuilds a replica from its WAL and from what its engine has applied. The engine may be ahead of
 * the log: a snapshot was loaded and the crash came before SnapshotRestored was synced. What is
 * applied is committed, so the log restarts there and keeps only a suffix that matches.
 */
export function recoverState(
  config: RaftConfig,
  events: Iterable<DurableRaftEvent>,
  applied: LogPoint,
): Recovered {
  const state = foldEvents(config, events);
  const { log } = state;
  assert(applied.index >= log.baseIndex, 'the engine lost entries that have left the log');
  const repair: DurableRaftEvent[] = [];
  if (log.termAt(applied.index) !== applied.term) {
    assert(applied.term <= state.currentTerm, 'the engine is of a term that the log never saw');
    assert(applied.index > state.commitIndex, 'the engine contradicts a committed entry');
    const restored = restoredAt(applied);
    evolve(state, restored);
    repair.push(restored);
  }
  if (applied.index > state.commitIndex) {
    evolve(state, { type: 'CommitAdvanced', commitIndex: applied.index });
  }
  const { index: appliedIndex, index: flushedIndex } = applied;
  evolve(state, { type: 'AppliedAdvanced', appliedIndex, flushedIndex });
  evolve(state, { type: 'SyncAdvanced', syncedIndex: log.lastIndex });
  evolve(state, { type: 'RoleChanged', role: restingRole(state), leaderId: null });
  return { state, repair };
}

/** What the records alone make; InvariantViolation where they contradict each other. */
export function foldEvents(config: RaftConfig, events: Iterable<DurableRaftEvent>): RaftState {
  const state = createRaftState(config);
  const { log } = state;
  for (const event of events) {
    if (event.type !== 'EntriesAppended') evolve(state, event);
    else evolve(state, { ...event, entries: entriesToKeep(event.entries, log.slab) });
  }
  return state;
}

function restoredAt(applied: LogPoint): DurableRaftEvent {
  return {
    type: 'SnapshotRestored',
    meta: {
      snapshotId: '',
      lastIncludedIndex: applied.index,
      lastIncludedTerm: applied.term,
      config: applied.config,
      clockBound: applied.clockBound,
      totalBytes: 0,
    },
  };
}

/**
 * The whole durable state as events, to write before old WAL segments go. Evolving them again
 * changes nothing, also when only the first of them survive a crash: entries that are already
 * there stay.
 */
export function checkpointEvents(s: RaftView): DurableRaftEvent[] {
  const { log } = s;
  const events: DurableRaftEvent[] = [hardState(s)];
  for (let next = log.baseIndex + 1; next <= log.lastIndex; ) {
    const entries: LogEntry[] = log.entriesFrom(
      next,
      LIMITS.appendEntriesMax,
      LIMITS.appendBytesMax,
    );
    events.push({ type: 'EntriesAppended', prevLogIndex: next - 1, entries });
    next += entries.length;
  }
  return events;
}

/** currentTerm, votedFor and where the log begins, in one record (Figure 2, durable state). */
export function hardState(s: RaftView): Extract<DurableRaftEvent, { type: 'HardStateSaved' }> {
  const { currentTerm, votedFor, log } = s;
  return hardStateAt(currentTerm, votedFor, log.pointAt(log.baseIndex));
}

/** The first record of a replica: of a founding member, or (null) of one that joins and learns. */
export function birthOf(
  founders: GroupConfig | null,
): Extract<DurableRaftEvent, { type: 'HardStateSaved' }> {
  const config = founders ?? EMPTY_CONFIG;
  return hardStateAt(0, null, { index: 0, term: 0, config, clockBound: 0 });
}

function hardStateAt(
  currentTerm: number,
  votedFor: RaftView['votedFor'],
  base: LogPoint,
): Extract<DurableRaftEvent, { type: 'HardStateSaved' }> {
  return {
    type: 'HardStateSaved',
    currentTerm,
    votedFor,
    baseIndex: base.index,
    baseTerm: base.term,
    baseConfig: base.config,
    clockBound: base.clockBound,
  };
}
