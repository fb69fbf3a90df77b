import { describe, expect, test } from 'vitest';
import { entryPayload } from '../../protocol/entry.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { decodeConfig } from '../../protocol/membership.ts';
import {
  append,
  config,
  configEntry,
  type Given,
  given,
  id,
  ids,
  logOf,
  preVote,
  requestVote,
} from '../kit/raft-given.ts';

const change = (voters: string, learners: string) => ({
  type: 'ChangeMembers' as const,
  voters: ids(voters),
  learners: ids(learners),
});

/** a leads a, b, c with learner d, and d has everything. */
function withLearner(): Given {
  const raft = given({ members: config('a b c', null, 'd') }).leads('b', 'c');
  return raft.acks('d');
}

/** As withLearner, but in the joint configuration {a b d} and {a b c}. */
function joint(): Given {
  return withLearner().when(change('a b d', ''));
}

describe('joint consensus', () => {
  test('a change of voters enters the joint configuration first (§6)', () => {
    const raft = joint();
    expect(raft.state.log.config).toEqual(config('a b d', 'a b c', ''));
    expect(raft.state.log.configIndex).toBe(2);
  });

  test('a configuration is in force as soon as it is in the log (§6)', () => {
    const raft = joint().syncs().acks('c', 2);
    expect(raft.state.commitIndex).toBe(1);
    const follower = given();
    follower.receives('b', append(1, 0, 0, [configEntry(1, 1, config('b c', null, 'a'))]));
    expect(follower.state.commitIndex).toBe(0);
    expect(follower.state.log.config).toEqual(config('b c', null, 'a'));
  });

  test('agreement needs majorities of both configurations (§6)', () => {
    const raft = given({ members: config('a b c', null, 'd e') }).leads('b', 'c');
    raft.acks('d').acks('e').when(change('a d e', '')).syncs();
    raft.acks('d').acks('e');
    expect(raft.state.commitIndex).toBe(1);
    raft.acks('b');
    expect(raft.state.commitIndex).toBe(2);
  });

  test('B07 elections need majorities of both configurations (§6)', () => {
    const log = [configEntry(1, 1, config('a d e', 'a b c', ''))];
    const raft = given({ log, term: 1 }).stands('d', 'e');
    expect(raft.state.role).toBe('preCandidate');
    raft.receives('b', raft.preVoteReply(true));
    expect(raft.state.role).toBe('candidate');
    raft.receives('b', raft.voteReply(true)).receives('c', raft.voteReply(true));
    expect(raft.state.role).toBe('candidate');
    raft.receives('d', raft.voteReply(true));
    expect(raft.state.role).toBe('leader');
  });

  test('the leader leaves the joint configuration when it is committed (§6)', () => {
    const raft = joint().syncs().acks('b');
    expect(raft.state.log.config).toEqual(config('a b d', null, ''));
    const last = raft.state.log.entryAt(3)!;
    expect(decodeConfig(entryPayload(last))).toEqual(config('a b d', null, ''));
  });

  test('a new leader finishes the change that it finds in its log (§6)', () => {
    const log = [configEntry(1, 1, config('a b d', 'a b c', ''))];
    const raft = given({ log, term: 1 }).wins('b').syncs().acks('b');
    expect(raft.state.log.config).toEqual(config('a b d', null, ''));
  });

  test('a truncated configuration is no longer in force (§6)', () => {
    const log = [...logOf([1]), configEntry(2, 1, config('a b d', 'a b c', ''))];
    const raft = given({ log });
    raft.receives('b', append(2, 1, 1, [logOf([2, 2])[1]!]));
    expect(raft.state.log.config).toEqual(config('a b c', null, ''));
  });

  test('one change at a time, and none before the own no-op is committed (§6, thesis 4.1)', () => {
    const early = given({ members: config('a b c', null, 'd') })
      .wins('b')
      .when(change('a b c', ''));
    expect(early.requests).toMatchObject([{ what: 'ChangeMembers', reason: 'not_ready' }]);
    const raft = joint().when(change('a b', ''));
    expect(raft.requests).toMatchObject([{ reason: 'change_in_progress' }]);
    raft.syncs().acks('b').when(change('a b', ''));
    expect(raft.requests).toMatchObject([{ reason: 'change_in_progress' }]);
    raft.syncs().acks('b').when(change('a b', ''));
    expect(raft.requests).toEqual([]);
  });

  test('I38 nonsense is refused by name', () => {
    const raft = withLearner();
    const reasonFor = (voters: string, learners: string) => {
      raft.when(change(voters, learners));
      const [request] = raft.requests;
      return request?.type === 'refused' ? request.reason : null;
    };
    expect(reasonFor('', 'a')).toBe('no_voters');
    expect(reasonFor('a b b', '')).toBe('listed_twice');
    expect(reasonFor('a b c', 'c')).toBe('listed_twice');
    expect(reasonFor('c a b', 'd')).toBe('no_change');
    expect(reasonFor('a b c e', 'd')).toBe('not_a_learner');
    const many = Array.from({ length: 33 }, (_, at) => `n${at}`).join(' ');
    expect(reasonFor(`a ${many}`, '')).toBe('too_many_members');
    expect(given().when(change('a', '')).requests).toMatchObject([{ reason: 'not_leader' }]);
  });
});

describe('learners', () => {
  test('a learner comes in by one entry and is caught up (thesis 4.2.1)', () => {
    const raft = given().leads('b', 'c').when(change('a b c', 'd'));
    expect(raft.state.log.config).toEqual(config('a b c', null, 'd'));
    expect(raft.sentOf('AppendEntries').map(({ to }) => to)).toContain('d');
  });

  test('B08 its acknowledgements commit nothing (thesis 4.2.1)', () => {
    const raft = given({ members: config('a b c', null, 'd e') })
      .wins('b')
      .syncs();
    raft.acks('d').acks('e');
    expect(raft.state.commitIndex).toBe(0);
  });

  test('B08 its vote is not counted (thesis 4.2.1)', () => {
    const raft = given({ members: config('a b c', null, 'd e') }).timesOut();
    raft.receives('d', raft.preVoteReply(true)).receives('e', raft.preVoteReply(true));
    expect(raft.state.role).toBe('preCandidate');
    raft.receives('b', raft.preVoteReply(true));
    raft.receives('d', raft.voteReply(true)).receives('e', raft.voteReply(true));
    expect(raft.state.role).toBe('candidate');
  });

  test('B08 its answers confirm no read and keep no leader (thesis 4.2.1, 6.4)', () => {
    const raft = given({ members: config('a b c', null, 'd e') }).leads('b');
    raft.when({ type: 'ReadIndex', readId: 1 }).acks('d').acks('e');
    expect(raft.requests).toEqual([]);
    const beats = Math.ceil(LIMITS.electionTimeoutMsMax / LIMITS.heartbeatMs) + 1;
    for (let i = 0; i < beats; i++) raft.after(LIMITS.heartbeatMs).tick();
    expect(raft.state.role).toBe('follower');
  });

  test('it never stands for election (thesis 4.2.1)', () => {
    const raft = given({ members: config('b c', null, 'a') });
    raft.tick().after(99_999).tick();
    expect(raft.state.role).toBe('learner');
    expect(raft.sent).toEqual([]);
    raft.receives('b', { type: 'TimeoutNow', term: 0, nonce: 1 });
    expect(raft.state.role).toBe('learner');
  });

  test('it answers votes: it may be a voter and not know it yet (thesis 4.2.1)', () => {
    const raft = given({ members: config('b c', null, 'a') }).receives('b', requestVote(2, 0, 0));
    expect(raft.reply('RequestVoteReply').voteGranted).toBe(true);
  });

  test('it is promoted only when it has caught up (thesis 4.2.1)', () => {
    const raft = given({ members: config('a b c', null, 'd') }).leads('b', 'c');
    raft.when(change('a b c d', ''));
    expect(raft.requests).toMatchObject([{ reason: 'learner_behind' }]);
    raft.acks('d').when(change('a b c d', ''));
    expect(raft.state.log.config).toEqual(config('a b c d', 'a b c', ''));
  });

  test('a promoted learner becomes a follower that may stand (§6)', () => {
    const raft = given({ members: config('b c', null, 'a') });
    raft.receives('b', append(1, 0, 0, [configEntry(1, 1, config('a b c', 'b c', ''))]));
    expect(raft.state.role).toBe('follower');
    raft.after(99_999).timesOut();
    expect(raft.state.role).toBe('preCandidate');
  });
});

describe('those who leave', () => {
  test('a leader that is not a member manages without counting itself (§6)', () => {
    const raft = withLearner().when(change('b c d', '')).syncs().acks('b').acks('c');
    // The joint entry is committed; now only b, c and d count.
    expect(raft.state.log.config).toEqual(config('b c d', null, ''));
    raft.syncs().acks('b');
    expect(raft.state).toMatchObject({ role: 'leader', commitIndex: 2 });
  });

  test('B24 it steps down when the new configuration is committed, and names a successor (§6)', () => {
    const raft = withLearner().when(change('b c d', '')).syncs().acks('b').acks('c').syncs();
    raft.acks('c').acks('b');
    expect(raft.state).toMatchObject({ role: 'learner', leader: null, commitIndex: 3 });
    expect(raft.sentOf('TimeoutNow')).toMatchObject([{ to: 'b', term: 1 }]);
    expect(raft.sentOf('AppendEntries').every(({ leaderCommit }) => leaderCommit === 3)).toBe(true);
  });

  test('a removed follower hears of its removal before it is let go (§6)', () => {
    const raft = given().leads('b', 'c').when(change('a b', '')).syncs().acks('b');
    expect(raft.sentOf('AppendEntries').map(({ to }) => to)).toContain('c');
    raft.syncs().acks('b');
    expect(raft.sentOf('AppendEntries').filter(({ to }) => to === 'c')).toMatchObject([
      { leaderCommit: 3 },
    ]);
    expect([...raft.state.leader!.peers.keys()]).toEqual([id('b')]);
  });

  test('one whose removal is not known to be committed may still be needed (thesis 4.2.2)', () => {
    const members = config('b', null, '');
    const raft = given({ members: config('a', null, ''), log: [configEntry(1, 1, members)] });
    expect(raft.state.role).toBe('follower');
    raft.stands('b');
    expect(raft.state.role).toBe('candidate');
    raft.receives('b', raft.voteReply(true));
    expect(raft.state.role).toBe('leader');
    raft.syncs();
    expect(raft.state.commitIndex).toBe(0);
    raft.acks('b');
    expect(raft.state).toMatchObject({ role: 'learner', commitIndex: 2 });
  });

  test('B24 a removed server cannot disrupt: it is not heard while a leader is (thesis 4.2.3)', () => {
    const raft = given().receives('b', append(1, 0, 0, []));
    raft.receives('x', preVote(9, 99, 99));
    expect(raft.reply('PreVoteReply').voteGranted).toBe(false);
    raft.receives('x', requestVote(9, 99, 99));
    expect(raft.state.currentTerm).toBe(1);
  });

  test('I40 B08 answers from a former life of a member count for nobody', () => {
    const raft = given().stands('b');
    raft.receives('b:0000000f', raft.voteReply(true));
    expect([raft.state.role, raft.events]).toEqual(['candidate', []]);
    const leader = given().leads('b').proposes('x');
    leader.receives('c:0000000f', { ...leader.voteReply(true), term: 2 ** 30 });
    expect(leader.state).toMatchObject({ role: 'leader', currentTerm: 1 });
    leader.acks('c:0000000f');
    expect(leader.events).toEqual([]);
  });

  test('requests are judged by term, not by configuration: this log may be behind (§6)', () => {
    const raft = given().receives('x', append(3, 0, 0, logOf([3])));
    expect(raft.reply('AppendEntriesReply').success).toBe(true);
    const voter = given().receives('x', requestVote(3, 0, 0));
    expect(voter.reply('RequestVoteReply').voteGranted).toBe(true);
  });
});

describe('one voter', () => {
  test('needs no message and no timeout to lead (§5.2)', () => {
    const raft = given({ members: config('a', null, ''), term: 3, log: [1, 3] }).tick();
    expect(raft.state).toMatchObject({ role: 'leader', currentTerm: 4 });
    expect(raft.sent).toEqual([]);
    raft.syncs();
    expect(raft.state.commitIndex).toBe(3);
    raft.when({ type: 'ReadIndex', readId: 1 });
    expect(raft.requests).toEqual([{ type: 'readConfirmed', readId: 1, readIndex: 3 }]);
  });

  test('sends learners nothing of a term that a crash could make it forget (thesis 3.8)', () => {
    const raft = given({ members: config('a', null, 'd') }).tick();
    expect(raft.sent.map(({ when }) => when)).toEqual(['after']);
    raft.syncs().acks('d').proposes('x');
    expect(raft.sent.map(({ when }) => when)).toEqual(['before']);
  });
});
