import { describe, expect, test } from 'vitest';
import { LIMITS } from '../../protocol/limits.ts';
import { accepted, append, command, given, id, preVote, requestVote } from '../kit/raft-given.ts';

describe('terms', () => {
  test('a message with a newer term makes every server adopt it and follow (§5.1)', () => {
    for (const raft of [given(), given().stands('b'), given().leads('b')]) {
      raft.receives('b', append(9, 0, 0, []));
      expect(raft.state).toMatchObject({ currentTerm: 9, role: 'follower', votedFor: null });
    }
  });

  test('a request with an older term is refused with the newer one (§5.1)', () => {
    const raft = given({ term: 5 });
    raft.receives('b', append(4, 0, 0, []));
    expect(raft.reply('AppendEntriesReply')).toMatchObject({ term: 5, success: false });
    raft.receives('b', requestVote(4, 9, 9));
    expect(raft.reply('RequestVoteReply')).toMatchObject({ term: 5, voteGranted: false });
    expect(raft.events).toEqual([]);
  });

  test('a leader that meets a newer term in an answer steps down (§5.1)', () => {
    const raft = given().leads('b');
    raft.receives('c', { ...accepted(9, 0, 0), success: false });
    expect(raft.state).toMatchObject({ role: 'follower', currentTerm: 9, leader: null });
  });

  test('an answer of an older term is ignored (§5.1)', () => {
    const raft = given({ term: 3 }).leads('b').proposes('x');
    raft.receives('c', accepted(3, 2, 0));
    expect(raft.events).toEqual([]);
    expect(raft.peer('c').matchIndex).toBe(0);
  });
});

describe('followers and candidates', () => {
  test('a server begins as a follower and stays one while it hears a leader (§5.2)', () => {
    const raft = given();
    expect(raft.state.role).toBe('follower');
    for (let i = 0; i < 50; i++) {
      raft
        .receives('b', append(1, 0, 0, []))
        .after(LIMITS.heartbeatMs)
        .tick();
    }
    expect(raft.state).toMatchObject({ role: 'follower', leaderId: 'b:00000001', currentTerm: 1 });
  });

  test('without a leader for an election timeout it stands, after a pre-vote (§5.2)', () => {
    const raft = given({ term: 4 }).timesOut();
    expect(raft.state).toMatchObject({ role: 'preCandidate', currentTerm: 4 });
    expect(raft.sentOf('PreVote').map(({ to }) => to)).toEqual(['b', 'c']);
    raft.receives('c', raft.preVoteReply(true));
    expect(raft.state).toMatchObject({ role: 'candidate', currentTerm: 5, votedFor: 'a:00000001' });
    expect(raft.sentOf('RequestVote').map(({ to, term }) => `${to}${term}`)).toEqual(['b5', 'c5']);
  });

  test('timeouts are drawn anew from the whole interval (§5.2)', () => {
    const raft = given();
    const drawn = new Set<number>();
    for (let i = 0; i < 300; i++) {
      raft.timesOut();
      drawn.add((raft.state.electionDeadlineMs ?? 0) - raft.nowMs);
    }
    expect(Math.min(...drawn)).toBeGreaterThanOrEqual(LIMITS.electionTimeoutMsMin);
    expect(Math.max(...drawn)).toBeLessThanOrEqual(LIMITS.electionTimeoutMsMax);
    expect(Math.max(...drawn) - Math.min(...drawn)).toBeGreaterThan(300);
    expect(drawn.size).toBeGreaterThan(100);
  });

  test('votes of a quorum make a leader, which speaks at once (§5.2)', () => {
    const raft = given({ term: 1, log: [1] }).wins('b');
    expect(raft.state).toMatchObject({ role: 'leader', leaderId: 'a:00000001' });
    expect(raft.sentOf('AppendEntries').map(({ to }) => to)).toEqual(['b', 'c']);
    expect(raft.sentOf('AppendEntries')[0]).toMatchObject({ term: 2, prevLogIndex: 1 });
  });

  test('one vote too few makes none; the candidate tries again in a new term (§5.2)', () => {
    const raft = given().stands('b').receives('b', given().stands('b').voteReply(false));
    expect(raft.state.role).toBe('candidate');
    raft.timesOut();
    expect(raft.state).toMatchObject({ role: 'preCandidate', currentTerm: 1 });
  });

  test('a repeated vote is one vote (§5.2)', () => {
    const raft = given({ members: { voters: five(), votersOld: null, learners: [] } });
    raft.stands('b', 'c');
    for (let i = 0; i < 4; i++) raft.receives('b', raft.voteReply(true));
    expect(raft.state.role).toBe('candidate');
    raft.receives('c', raft.voteReply(true));
    expect(raft.state.role).toBe('leader');
  });

  test('a candidate that hears the leader of its term follows it (§5.2)', () => {
    const raft = given().stands('b');
    raft.receives('c', append(1, 0, 0, []));
    expect(raft.state).toMatchObject({ role: 'follower', leaderId: 'c:00000001', currentTerm: 1 });
  });

  test('two leaders in one term are a broken invariant (§5.2, figure 3)', () => {
    const raft = given().leads('b');
    expect(() => raft.receives('c', append(1, 0, 0, []))).toThrow('two leaders in one term');
  });
});

describe('votes', () => {
  test('one vote per term, first come, first served (§5.2)', () => {
    const raft = given({ term: 1 });
    raft.receives('b', requestVote(2, 0, 0));
    expect(raft.reply('RequestVoteReply')).toMatchObject({ term: 2, voteGranted: true });
    raft.receives('c', requestVote(2, 0, 0));
    expect(raft.reply('RequestVoteReply').voteGranted).toBe(false);
    raft.receives('b', requestVote(2, 0, 0));
    expect(raft.reply('RequestVoteReply').voteGranted).toBe(true);
    expect(raft.durable).toEqual([]);
  });

  test('B13 term and vote are events of one batch, and the reply waits for their sync (§5.2)', () => {
    const raft = given({ term: 1 }).receives('b', requestVote(2, 0, 0));
    expect(raft.durable).toEqual([
      { type: 'TermAdvanced', term: 2 },
      { type: 'VoteCast', candidateId: 'b:00000001' },
    ]);
    expect(raft.sent.map(({ when }) => when)).toEqual(['after']);
  });

  test('a vote granted waits anew for the candidate; one refused does not (§5.2)', () => {
    const raft = given({ term: 1, log: [1] }).tick();
    const deadline = raft.state.electionDeadlineMs;
    raft.after(100).receives('b', requestVote(2, 0, 0));
    expect(raft.state.electionDeadlineMs).toBe(deadline);
    raft.receives('c', requestVote(2, 1, 1));
    expect(raft.state.electionDeadlineMs).not.toBe(deadline);
  });

  test('a follower with a newer last term refuses the vote (§5.4.1)', () => {
    const raft = given({ log: [1, 2] }).receives('b', requestVote(3, 9, 1));
    expect(raft.reply('RequestVoteReply').voteGranted).toBe(false);
  });

  test('with equal last terms the longer log is more up to date (§5.4.1)', () => {
    const refused = given({ log: [1, 1] }).receives('b', requestVote(3, 1, 1));
    expect(refused.reply('RequestVoteReply').voteGranted).toBe(false);
    const granted = given({ log: [1, 1] }).receives('b', requestVote(3, 2, 1));
    expect(granted.reply('RequestVoteReply').voteGranted).toBe(true);
  });

  test('a newer last term wins over a longer log (§5.4.1)', () => {
    const raft = given({ log: [1, 1, 1] }).receives('b', requestVote(3, 1, 2));
    expect(raft.reply('RequestVoteReply').voteGranted).toBe(true);
  });
});

describe('pre-vote', () => {
  test('it changes neither term, vote nor timer (thesis 9.6)', () => {
    const raft = given({ term: 3 }).receives('b', preVote(9, 0, 0));
    expect(raft.events).toEqual([]);
    expect(raft.reply('PreVoteReply')).toMatchObject({ term: 3, voteGranted: true });
  });

  test('whoever is granted one gets a moment before this replica stands itself', () => {
    const raft = given().tick();
    const dueMs = raft.state.electionDeadlineMs as number;
    raft.after(dueMs - raft.nowMs - 1).receives('b', preVote(1, 0, 0));
    expect(raft.reply('PreVoteReply')).toMatchObject({ voteGranted: true });
    expect(raft.state.electionDeadlineMs).toBeGreaterThan(dueMs);
    expect(raft.state.electionDeadlineMs).toBeLessThan(dueMs + LIMITS.electionTimeoutMsMin);
  });

  test('of two equal logs that ask each other the lower id steps back, of others the shorter', () => {
    expect(
      given()
        .timesOut()
        .receives('b', preVote(1, 0, 0)).state.role,
    ).toBe('follower');
    const higher = given({ self: 'c' })
      .timesOut()
      .receives('b', preVote(1, 0, 0));
    expect(higher.state.role).toBe('preCandidate');
    expect(higher.reply('PreVoteReply')).toMatchObject({ voteGranted: true });
    const shorter = given({ self: 'c', log: [1] })
      .timesOut()
      .receives('b', preVote(2, 2, 1));
    expect(shorter.state.role).toBe('follower');
    const longer = given({ log: [1, 1] })
      .timesOut()
      .receives('b', preVote(2, 1, 1));
    expect(longer.state.role).toBe('preCandidate');
    expect(longer.reply('PreVoteReply')).toMatchObject({ voteGranted: false });
  });

  test('an attempt that cannot be won any more is repeated soon, once the leader is said to be gone', () => {
    const raft = given().receives('b', append(1, 0, 0, []));
    raft.when({ type: 'LeaderGone', leader: id('b'), order: 0 }).timesOut();
    const waitMs = (): number => (raft.state.electionDeadlineMs as number) - raft.nowMs;
    raft.receives('c', raft.preVoteReply(false));
    expect(waitMs()).toBeGreaterThanOrEqual(LIMITS.electionTimeoutMsMin);
    raft.receives('b', raft.preVoteReply(false));
    expect(waitMs()).toBeLessThanOrEqual(150);
    const elsewhere = given().timesOut();
    elsewhere.state.leaderHeardMs = elsewhere.nowMs - LIMITS.electionTimeoutMsMax;
    for (const voter of ['b', 'c']) elsewhere.receives(voter, elsewhere.preVoteReply(false));
    const laterMs = (elsewhere.state.electionDeadlineMs as number) - elsewhere.nowMs;
    expect(laterMs).toBeGreaterThanOrEqual(LIMITS.electionTimeoutMsMin);
  });

  test('it is refused while a leader is heard (thesis 9.6)', () => {
    const raft = given().receives('b', append(1, 0, 0, []));
    raft.after(LIMITS.electionTimeoutMsMin - 1).receives('c', preVote(2, 0, 0));
    expect(raft.reply('PreVoteReply').voteGranted).toBe(false);
    raft.after(1).receives('c', preVote(2, 0, 0));
    expect(raft.reply('PreVoteReply').voteGranted).toBe(true);
  });

  test('it is refused to a log that is behind, and for a term that is past (thesis 9.6)', () => {
    const raft = given({ log: [1, 2] });
    raft.receives('b', preVote(3, 1, 2));
    expect(raft.reply('PreVoteReply').voteGranted).toBe(false);
    raft.receives('b', preVote(2, 2, 2));
    expect(raft.reply('PreVoteReply').voteGranted).toBe(false);
  });

  test('a server that was cut off keeps its term, however often it tries (thesis 9.6)', () => {
    const raft = given({ term: 4 });
    for (let i = 0; i < 20; i++) raft.timesOut();
    expect(raft.state).toMatchObject({ currentTerm: 4, role: 'preCandidate' });
  });

  test('a refusal with a newer term is adopted, so that the next try can win (thesis 9.6)', () => {
    const raft = given({ log: [1] }).timesOut();
    raft.receives('b', { ...raft.preVoteReply(false), term: 7 });
    expect(raft.state).toMatchObject({ currentTerm: 7, role: 'follower' });
  });

  test('an answer to an earlier try is not counted (thesis 9.6)', () => {
    const raft = given().timesOut();
    const late = raft.preVoteReply(true);
    raft.timesOut().receives('b', late);
    expect(raft.state.role).toBe('preCandidate');
  });
});

describe('disruption', () => {
  test('while a leader is heard a vote request changes nothing, not even the term (thesis 4.2.3)', () => {
    const raft = given().receives('b', append(1, 0, 0, []));
    raft.receives('c', requestVote(99, 9, 9));
    expect(raft.state.currentTerm).toBe(1);
    expect(raft.reply('RequestVoteReply')).toMatchObject({ term: 1, voteGranted: false });
    expect(raft.durable).toEqual([]);
  });

  test('a leader ignores vote requests while it leads (thesis 4.2.3)', () => {
    const raft = given()
      .leads('b')
      .receives('c', requestVote(99, 9, 9));
    expect(raft.state).toMatchObject({ role: 'leader', currentTerm: 1 });
  });

  test('a request that the leader itself caused is answered (thesis 4.2.3)', () => {
    const raft = given().receives('b', append(1, 0, 0, [command(1, 1)]));
    raft.receives('c', requestVote(2, 1, 1, true));
    expect(raft.reply('RequestVoteReply')).toMatchObject({ term: 2, voteGranted: true });
  });

  test('a leader that hears no quorum for an election timeout steps down (thesis 6.2)', () => {
    const raft = given().leads('b').when({ type: 'ReadIndex', readId: 1 });
    raft.after(LIMITS.electionTimeoutMsMax).tick();
    expect(raft.state.role).toBe('leader');
    raft.after(1).tick();
    expect(raft.state).toMatchObject({ role: 'follower', currentTerm: 1, leaderId: null });
    expect(raft.requests).toEqual([{ type: 'readRefused', readId: 1 }]);
  });

  test('one follower of two is a quorum with the leader (thesis 6.2)', () => {
    const raft = given().leads('b');
    for (let i = 0; i < 20; i++) raft.after(LIMITS.heartbeatMs).tick().acks('c');
    expect(raft.state.role).toBe('leader');
  });

  test('B13 a server that restarts in a term it has voted in does not vote again (§5.2)', () => {
    const raft = given({ term: 2, votedFor: 'b' }).receives('c', requestVote(2, 0, 0));
    expect(raft.reply('RequestVoteReply').voteGranted).toBe(false);
  });
});

function five() {
  return ['a', 'b', 'c', 'd', 'e'].map((name) => `${name}:00000001`) as never[];
}
