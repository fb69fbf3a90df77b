import { describe, expect, test } from 'vitest';
import { LIMITS } from '../../protocol/limits.ts';
import { append, config, given, ids, logOf } from '../kit/raft-given.ts';

const read = (readId: number) => ({ type: 'ReadIndex' as const, readId });

describe('reads', () => {
  test('B01 a leader answers a read only after a quorum has answered it since (§8, thesis 6.4)', () => {
    const raft = given().leads('b').when(read(1));
    expect(raft.requests).toEqual([]);
    expect(raft.sentOf('AppendEntries').map(({ to }) => to)).toEqual(['b', 'c']);
    raft.acks('c');
    expect(raft.requests).toEqual([{ type: 'readConfirmed', readId: 1, readIndex: 1 }]);
  });

  test('B02 a new leader answers none before an entry of its term is committed (§8)', () => {
    const raft = given({ log: [1, 1] })
      .wins('b')
      .when(read(1))
      .syncs();
    expect([raft.requests, raft.state.commitIndex]).toEqual([[], 0]);
    raft.acks('b');
    expect(raft.state.commitIndex).toBe(3);
    expect(raft.requests).toEqual([]);
    raft.acks('b');
    expect(raft.requests).toEqual([{ type: 'readConfirmed', readId: 1, readIndex: 3 }]);
  });

  test('B03 an answer to an earlier round confirms nothing (thesis 6.4)', () => {
    const raft = given().leads('b');
    const { nonce } = raft.state.leader!.reads;
    raft.when(read(1));
    raft.receives('b', { ...acceptedAt(1, 1), nonce });
    raft.receives('c', { ...acceptedAt(1, 1), nonce });
    expect(raft.requests).toEqual([]);
    raft.receives('b', { ...acceptedAt(1, 1), nonce: nonce + 9 });
    expect(raft.requests).toEqual([]);
  });

  test('B03 no two rounds, and no two lives, share a nonce (thesis 6.4)', () => {
    const raft = given().leads('b');
    const seen = new Set<number>();
    for (let i = 0; i < 50; i++) {
      raft.when(read(i));
      seen.add(raft.state.leader!.reads.nonce);
      raft.acks('b');
    }
    expect(seen.size).toBe(50);
  });

  test('reads that come while a round is out share the next one (thesis 6.4)', () => {
    const raft = given().leads('b').when(read(1)).when(read(2)).when(read(3));
    expect(raft.sent).toEqual([]);
    raft.acks('b');
    expect(raft.requests).toMatchObject([{ readId: 1 }]);
    raft.acks('b');
    expect(raft.requests).toMatchObject([{ readId: 2 }, { readId: 3 }]);
  });

  test('the read index is the commit index when its round began (thesis 6.4)', () => {
    const raft = given().leads('b').proposes('x').syncs().when(read(1)).acks('b');
    expect(raft.requests).toEqual([{ type: 'readConfirmed', readId: 1, readIndex: 1 }]);
    raft.when(read(2)).acks('b');
    expect(raft.requests).toEqual([{ type: 'readConfirmed', readId: 2, readIndex: 2 }]);
  });

  test('B04 others refuse, and so does a leader for all reads when it steps down (§8)', () => {
    expect(given().when(read(1)).requests).toEqual([{ type: 'readRefused', readId: 1 }]);
    const raft = given().leads('b').when(read(1)).when(read(2));
    raft.receives('c', append(5, 0, 0, []));
    expect(raft.requests).toEqual([
      { type: 'readRefused', readId: 1 },
      { type: 'readRefused', readId: 2 },
    ]);
  });

  test('a lost round is repeated by the next heartbeat (thesis 6.4)', () => {
    const raft = given().leads('b').when(read(1));
    const { nonce } = raft.state.leader!.reads;
    raft.after(LIMITS.heartbeatMs).tick();
    expect(raft.sentOf('AppendEntries')).toMatchObject([{ nonce }, { nonce }]);
  });

  test('in a joint configuration both majorities confirm (§6, thesis 6.4)', () => {
    const raft = given({ members: config('a b c', null, 'd e') }).leads('b', 'c');
    raft
      .acks('d')
      .acks('e')
      .when({ type: 'ChangeMembers', voters: ids('a d e'), learners: [] });
    raft.when(read(1)).acks('d', 1).acks('e', 1);
    expect(raft.requests).toEqual([]);
    raft.acks('b', 1);
    expect(raft.requests).toMatchObject([{ type: 'readConfirmed' }]);
  });
});

describe('a new leader', () => {
  test('appends a no-op of its term at once (§8)', () => {
    const raft = given({ log: [1] }).wins('b');
    expect(raft.state.log.entryAt(2)).toMatchObject({ kind: 'noop', term: 2 });
  });

  test('its no-op promises no more and no less than the log did (§8)', () => {
    const raft = given().leads('b');
    const payload = new Uint8Array(1);
    const proposal = { proposalId: 1, kind: 'command' as const, payload };
    raft.when({ type: 'Propose', proposals: [{ ...proposal, clockBound: 900 }] });
    raft.when({ type: 'Propose', proposals: [{ ...proposal, clockBound: 300 }] });
    expect(raft.state.log.clockBound).toBe(900);
    raft
      .receives('c', append(5, 3, 1, []))
      .after(99_999)
      .wins('b');
    expect(raft.state.log.entryAt(4)).toMatchObject({ kind: 'noop', clockBound: 900 });
  });
});

describe('transfer of leadership', () => {
  const to = (name: string | null) =>
    ({ type: 'TransferLeader', to: name === null ? null : `${name}:00000001` }) as never;

  test('a target that is up to date is told to stand at once (thesis 3.10)', () => {
    const raft = given().leads('b', 'c').when(to('c'));
    expect(raft.sentOf('TimeoutNow')).toMatchObject([{ to: 'c', term: 1 }]);
  });

  test('a target that is behind gets the log first (thesis 3.10)', () => {
    const raft = given().leads('b', 'c').proposes('x').when(to('c'));
    expect(raft.sentOf('TimeoutNow')).toEqual([]);
    raft.syncs().acks('c');
    expect(raft.sentOf('TimeoutNow')).toMatchObject([{ to: 'c' }]);
  });

  test('without a named target it is the one with the most log (thesis 3.10)', () => {
    const raft = given().leads('b', 'c').proposes('x').syncs().acks('c').when(to(null));
    expect(raft.sentOf('TimeoutNow')).toMatchObject([{ to: 'c' }]);
  });

  test('proposals are refused meanwhile (thesis 3.10)', () => {
    const raft = given().leads('b', 'c').when(to('c')).proposes('x');
    expect(raft.requests).toMatchObject([{ type: 'proposalRefused', reason: 'transferring' }]);
  });

  test('the target stands without a pre-vote, past the lease, and wins (thesis 3.10, 4.2.3)', () => {
    const raft = given().receives('b', append(1, 0, 0, logOf([1])));
    raft.receives('b', { type: 'TimeoutNow', term: 1, nonce: 1 });
    expect(raft.state).toMatchObject({ role: 'candidate', currentTerm: 2 });
    expect(raft.sentOf('RequestVote')).toMatchObject([{ transfer: true }, { transfer: true }]);
    raft.receives('b', raft.voteReply(true));
    expect(raft.state.role).toBe('leader');
  });

  test('I40 only the leader of the term may ask for it', () => {
    const raft = given().receives('b', append(2, 0, 0, []));
    raft.receives('c', { type: 'TimeoutNow', term: 2, nonce: 1 });
    raft.receives('b', { type: 'TimeoutNow', term: 1, nonce: 1 });
    expect(raft.state.role).toBe('follower');
  });

  test('after an election timeout it is given up, and proposals are welcome (thesis 3.10)', () => {
    const raft = given().leads('b', 'c').when(to('c'));
    raft
      .after(LIMITS.electionTimeoutMsMax - 1)
      .acks('b')
      .tick();
    raft.after(1).tick();
    expect(raft.requests).toEqual([
      { type: 'refused', what: 'TransferLeader', reason: 'timed_out' },
    ]);
    raft.proposes('x');
    expect(raft.requests).toMatchObject([{ type: 'proposed' }]);
  });

  test('what cannot be done is refused by name (thesis 3.10)', () => {
    const reason = (raft: ReturnType<typeof given>) => {
      const [request] = raft.requests;
      return request?.type === 'refused' ? request.reason : null;
    };
    expect(reason(given().when(to('b')))).toBe('not_leader');
    expect(reason(given().leads('b').when(to('a')))).toBe('already_leader');
    expect(reason(given().leads('b').when(to('x')))).toBe('not_a_voter');
    expect(reason(given().leads('b').when(to('b')).when(to('c')))).toBe('transferring');
    const alone = given({ members: config('a', null, '') })
      .tick()
      .when(to(null));
    expect(reason(alone)).toBe('no_target');
  });
});

function acceptedAt(term: number, matchIndex: number) {
  return {
    type: 'AppendEntriesReply' as const,
    term,
    success: true,
    matchIndex,
    conflictTerm: 0,
    conflictIndex: 0,
    nonce: 0,
  };
}
