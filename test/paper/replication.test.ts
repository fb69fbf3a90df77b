import { describe, expect, test } from 'vitest';
import { LIMITS } from '../../protocol/limits.ts';
import { append, command, config, given, logOf, refusedAppend } from '../kit/raft-given.ts';

const FIVE = config('a b c d e', null, '');

describe('the leader', () => {
  test('appends a proposal to its log and sends it to all at once (§5.3)', () => {
    const raft = given().leads('b', 'c').proposes('x', 'y');
    expect(raft.state.log.lastIndex).toBe(3);
    const sent = raft.sentOf('AppendEntries');
    expect(sent.map(({ to, entries }) => [to, entries.length])).toEqual([
      ['b', 2],
      ['c', 2],
    ]);
    expect(raft.requests).toEqual([
      { type: 'proposed', proposalId: 1, index: 2, term: 1 },
      { type: 'proposed', proposalId: 2, index: 3, term: 1 },
    ]);
  });

  test('may send before its own write is done (thesis 10.2.1)', () => {
    const raft = given().leads('b', 'c').proposes('x');
    expect(raft.sent.every(({ when }) => when === 'before')).toBe(true);
  });

  test('counts itself only once its own write is synced (thesis 10.2.1)', () => {
    const raft = given().leads('b').proposes('x');
    raft.acks('b');
    expect(raft.state.commitIndex).toBe(1);
    raft.syncs();
    expect(raft.state.commitIndex).toBe(2);
  });

  test('commits without its own write when a quorum of others has it (thesis 10.2.1)', () => {
    const raft = given().leads('b', 'c').proposes('x').acks('b').acks('c');
    expect(raft.state).toMatchObject({ commitIndex: 2, syncedIndex: 1 });
  });

  test('B14 a sync of entries that were replaced meanwhile does not count (thesis 10.2.1)', () => {
    const raft = given().receives('b', append(1, 0, 0, logOf([1, 1])));
    raft.receives('c', append(2, 1, 1, [command(2, 2)]));
    raft.when({ type: 'LogSynced', index: 2, term: 1 });
    expect(raft.state.syncedIndex).toBe(0);
    const synced = given({ log: [1, 1] }).receives('c', append(2, 1, 1, [command(2, 2)]));
    expect(synced.state.syncedIndex).toBe(1);
    raft.when({ type: 'LogSynced', index: 2, term: 2 });
    expect(raft.state.syncedIndex).toBe(2);
  });

  test('an entry stored on a quorum is committed, and so is all before it (§5.3)', () => {
    const raft = given({ members: FIVE, log: [1, 1] })
      .wins('b', 'c')
      .syncs();
    raft.acks('b');
    expect(raft.state.commitIndex).toBe(0);
    raft.acks('c');
    expect(raft.state.commitIndex).toBe(3);
  });

  test('tells followers the commit index, at once when they are idle (§5.3)', () => {
    const raft = given().leads('b', 'c').proposes('x').syncs().acks('b');
    expect(raft.sentOf('AppendEntries')).toMatchObject([{ to: 'b', leaderCommit: 2 }]);
  });

  test('repeats itself until the follower has everything (§5.3)', () => {
    const raft = given({ log: [1] })
      .leads('b')
      .proposes('x');
    for (let i = 0; i < 5; i++) {
      raft.after(LIMITS.heartbeatMs).tick();
      expect(raft.sentOf('AppendEntries').map(({ to }) => to)).toContain('c');
      raft.acks('b');
    }
    raft.receives('c', refusedAppend(2, 1, 0, 1, raft.state.leader!.reads.nonce));
    expect(raft.sentOf('AppendEntries')[0]).toMatchObject({ to: 'c', prevLogIndex: 0 });
    expect(raft.sentOf('AppendEntries')[0]?.entries.length).toBe(3);
  });

  test('never changes or removes entries of its own log (§5.3, Leader Append-Only)', () => {
    const raft = given({ log: [1, 1] }).leads('b');
    const before = raft.terms();
    raft.proposes('x').acks('b').acks('c').after(99).tick();
    expect(raft.terms().slice(0, before.length)).toEqual(before);
  });

  test('starts nextIndex just after its last entry and matchIndex at 0 (figure 2)', () => {
    const raft = given({ log: [1, 1, 1] }).wins('b');
    expect(raft.peer('b')).toMatchObject({ matchIndex: 0, nextIndex: 4 });
  });

  test('pipelines: it does not wait for an answer before it sends more (thesis 10.2.1)', () => {
    const raft = given().leads('b', 'c');
    for (let i = 0; i < 5; i++) {
      raft.proposes('x');
      expect(raft.sentOf('AppendEntries').map(({ entries }) => entries.length)).toEqual([1, 1]);
    }
    expect(raft.peer('b').inflight.length).toBe(5);
  });
});

describe('the follower', () => {
  test('refuses entries that do not follow on what it has (§5.3)', () => {
    const raft = given({ log: [1] });
    raft.receives('b', append(1, 2, 1, [command(3, 1)]));
    expect(raft.reply('AppendEntriesReply')).toMatchObject({
      success: false,
      matchIndex: 2,
      conflictTerm: 0,
      conflictIndex: 2,
    });
    raft.receives('b', append(2, 1, 2, [command(2, 2)]));
    expect(raft.reply('AppendEntriesReply')).toMatchObject({ conflictTerm: 1, conflictIndex: 1 });
    expect(raft.terms()).toEqual([1]);
  });

  test('removes a conflicting entry and all that follow it (§5.3)', () => {
    const raft = given({ log: [1, 1, 2, 2] });
    raft.receives('b', append(3, 2, 1, [command(3, 3)]));
    expect(raft.terms()).toEqual([1, 1, 3]);
    expect(raft.durable.at(-1)).toMatchObject({ type: 'EntriesAppended', prevLogIndex: 2 });
  });

  test('a late message removes nothing that matches (§5.3)', () => {
    const raft = given({ log: [1, 1, 1, 1] });
    raft.receives('b', append(1, 0, 0, logOf([1, 1])));
    expect(raft.terms()).toEqual([1, 1, 1, 1]);
    expect(raft.durable).toEqual([]);
    expect(raft.reply('AppendEntriesReply')).toMatchObject({ success: true, matchIndex: 2 });
  });

  test('stores only what is new of a message it has in part (§5.3)', () => {
    const raft = given({ log: [1, 1] });
    raft.receives('b', append(1, 0, 0, logOf([1, 1, 1])));
    expect(raft.durable).toMatchObject([{ type: 'EntriesAppended', prevLogIndex: 2 }]);
  });

  test('B14 confirms entries only after their sync (§5.3)', () => {
    const raft = given().receives('b', append(1, 0, 0, logOf([1])));
    expect(raft.sent.map(({ when }) => when)).toEqual(['after']);
  });

  test('commits up to leaderCommit, but not beyond the last new entry (§5.3, figure 2)', () => {
    const raft = given({ log: [1, 1, 1] });
    raft.receives('b', append(1, 1, 1, [], 3));
    expect(raft.state.commitIndex).toBe(1);
    raft.receives('b', append(1, 1, 1, [command(2, 1)], 3));
    expect(raft.state.commitIndex).toBe(2);
  });

  test('commitIndex never falls (figure 2)', () => {
    const raft = given({ log: [1, 1, 1] });
    raft.receives('b', append(1, 3, 1, [], 3)).receives('b', append(1, 3, 1, [], 1));
    expect(raft.state.commitIndex).toBe(3);
  });

  test('B06 a leader that contradicts a committed entry stops the replica (§5.4.3)', () => {
    const raft = () => given({ log: [1, 1], commitIndex: 2 });
    const conflicting = append(2, 1, 1, [command(2, 2)]);
    expect(() => raft().receives('b', conflicting)).toThrow('contradicts a committed entry');
    expect(() => raft().receives('b', append(2, 2, 2, []))).toThrow('contradicts a committed');
  });

  test('I40 a malformed message is dropped', () => {
    const raft = given({ log: [1] });
    for (const message of [
      append(1, 1, 1, [command(3, 1)]),
      append(1, 1, 1, [command(2, 2)]),
      append(1, 1, 2, []),
      append(2 ** 52, 1, 1, []),
    ]) {
      raft.receives('b', message);
      expect([raft.events, raft.sent]).toEqual([[], []]);
    }
  });
});

describe('back-up over conflicts', () => {
  const refuse = (log: number[], conflictTerm: number, conflictIndex: number) => {
    const raft = given({ log }).wins('b').syncs();
    const { nextIndex } = raft.peer('c');
    const nonce = raft.state.leader!.reads.nonce;
    const { currentTerm } = raft.state;
    raft.receives(
      'c',
      refusedAppend(currentTerm, nextIndex - 1, conflictTerm, conflictIndex, nonce),
    );
    return raft;
  };

  test('a follower that is too short is asked from its end (§5.3)', () => {
    expect(refuse([1, 1, 1, 1], 0, 2).peer('c').nextIndex).toBe(2);
  });

  test('a term the leader has is skipped to its last entry of it (§5.3)', () => {
    expect(refuse([4, 4, 5, 5, 6, 6], 4, 1).peer('c').nextIndex).toBe(3);
  });

  test('a term the leader has not is skipped whole (§5.3)', () => {
    expect(refuse([1, 4, 4, 6, 6], 5, 2).peer('c').nextIndex).toBe(2);
  });

  test('one refusal per conflicting term, not per entry (§5.3)', () => {
    const leader = refuse([1, 1, 1, 4, 4, 5, 5, 6, 6, 6], 3, 7);
    expect(leader.sentOf('AppendEntries')).toMatchObject([{ to: 'c', prevLogIndex: 6 }]);
  });

  test('a late refusal of what has matched since does nothing (§5.3)', () => {
    const raft = given({ log: [1, 1, 1] }).leads('b', 'c');
    raft.receives('c', refusedAppend(2, 2, 0, 1, raft.state.leader!.reads.nonce));
    expect(raft.peer('c')).toMatchObject({ mode: 'replicate', nextIndex: 5, matchIndex: 4 });
  });
});

describe('commitment', () => {
  test('B06 an entry of an earlier term is not committed by counting (§5.4.2, figure 8)', () => {
    // S1 of figure 8 (c): it leads term 4, and entry 2 of term 2 is now on a quorum.
    const s1 = given({ members: FIVE, term: 3, log: [1, 2] })
      .wins('b', 'c')
      .syncs();
    expect(s1.state.currentTerm).toBe(4);
    s1.acks('b', 2).acks('c', 2);
    expect(s1.state.commitIndex).toBe(0);
    // (e): with an entry of term 4 on a quorum, it is committed, and the older one with it.
    s1.acks('b', 3).acks('c', 3);
    expect(s1.state.commitIndex).toBe(3);
  });

  test('B05 a new leader has every committed entry: others cannot win (§5.4.3)', () => {
    const voter = given({ log: [1, 2], commitIndex: 2 });
    voter.receives('b', { ...vote(9, 1, 1) });
    expect(voter.reply('RequestVoteReply').voteGranted).toBe(false);
  });

  test('B10 a proposal is refused only when it was not appended (§8)', () => {
    const follower = given().proposes('x');
    expect(follower.requests).toEqual([
      { type: 'proposalRefused', proposalId: 1, reason: 'not_leader' },
    ]);
    expect(follower.events).toEqual([]);
    const deposed = given().leads('b').proposes('x');
    deposed.receives('c', append(9, 0, 0, []));
    expect(deposed.requests).toEqual([]);
  });

  test('applied never passes committed (figure 2)', () => {
    const raft = given({ log: [1, 1], commitIndex: 1 });
    expect(() => raft.when({ type: 'Applied', appliedIndex: 2, flushedIndex: 0 })).toThrow();
  });
});

function vote(term: number, lastLogIndex: number, lastLogTerm: number) {
  return {
    type: 'RequestVote' as const,
    term,
    lastLogIndex,
    lastLogTerm,
    transfer: false,
    nonce: 1,
  };
}
