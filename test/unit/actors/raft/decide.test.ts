import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { RaftCommand, Role } from '../../../../actors/raft/events.ts';
import { InvariantViolation } from '../../../../protocol/assert.ts';
import type { RaftMessage, RaftMessageType } from '../../../../protocol/messages/raft.ts';
import {
  ABC,
  append,
  config,
  type Given,
  given,
  id,
  ids,
  preVote,
  refusedAppend,
  requestVote,
  snapshotMeta,
} from '../../../kit/raft-given.ts';

/** Every role meets every command and every message: the compiler finds a missing cell. */

const ROLES: Readonly<Record<Role, () => Given>> = {
  follower: () => given({ log: [1, 1], commitIndex: 1 }),
  learner: () => given({ members: config('b c', null, 'a'), log: [1, 1], commitIndex: 1 }),
  preCandidate: () => given({ log: [1, 1], commitIndex: 1 }).timesOut(),
  candidate: () => given({ log: [1, 1], commitIndex: 1 }).stands('b'),
  leader: () => given({ log: [1, 1], commitIndex: 1 }).leads('b', 'c'),
};

const META = snapshotMeta('s1', 1, 1, ABC);
const proposal = { kind: 'command' as const, clockBound: 0, payload: new Uint8Array(1) };

const COMMANDS: Readonly<Record<RaftCommand['type'], RaftCommand>> = {
  Tick: { type: 'Tick' },
  Message: { type: 'Message', from: id('b'), message: append(9, 2, 1, []) },
  Propose: { type: 'Propose', proposals: [{ proposalId: 1, ...proposal }] },
  LogSynced: { type: 'LogSynced', index: 2, term: 9 },
  ReadIndex: { type: 'ReadIndex', readId: 1 },
  ChangeMembers: { type: 'ChangeMembers', voters: ids('a b c'), learners: ids('d') },
  TransferLeader: { type: 'TransferLeader', to: null },
  LeaderGone: { type: 'LeaderGone', leader: id('b'), order: 0 },
  Applied: { type: 'Applied', appliedIndex: 1, flushedIndex: 1 },
  Compact: { type: 'Compact' },
  SnapshotReady: { type: 'SnapshotReady', meta: META },
  ChunkStored: { type: 'ChunkStored', snapshotId: 's1', nextOffset: 1 },
  SnapshotInstalled: { type: 'SnapshotInstalled', meta: META },
  SnapshotFailed: { type: 'SnapshotFailed', snapshotId: 's1' },
};

/** Role afterwards; what leaves, in order; what is asked of the host. */
function outcome(raft: Given, command: RaftCommand): string {
  try {
    raft.when(command);
  } catch (error) {
    expect(error).toBeInstanceOf(InvariantViolation);
    return 'broken invariant';
  }
  const sent = new Set(raft.sent.map(({ message }) => message.type));
  const requests = new Set(raft.requests.map(({ type }) => type));
  return [raft.state.role, ...sent, ...requests].join(' ');
}

const EXPECTED: Readonly<Record<Role, Readonly<Record<RaftCommand['type'], string>>>> = {
  follower: {
    Tick: 'follower',
    Message: 'follower AppendEntriesReply',
    Propose: 'follower proposalRefused',
    LogSynced: 'follower',
    ReadIndex: 'follower readRefused',
    ChangeMembers: 'follower refused',
    TransferLeader: 'follower refused',
    LeaderGone: 'follower',
    Applied: 'follower',
    Compact: 'follower',
    SnapshotReady: 'follower',
    ChunkStored: 'follower',
    SnapshotInstalled: 'broken invariant',
    SnapshotFailed: 'follower',
  },
  learner: {
    Tick: 'learner',
    Message: 'learner AppendEntriesReply',
    Propose: 'learner proposalRefused',
    LogSynced: 'learner',
    ReadIndex: 'learner readRefused',
    ChangeMembers: 'learner refused',
    TransferLeader: 'learner refused',
    LeaderGone: 'learner',
    Applied: 'learner',
    Compact: 'learner',
    SnapshotReady: 'learner',
    ChunkStored: 'learner',
    SnapshotInstalled: 'broken invariant',
    SnapshotFailed: 'learner',
  },
  preCandidate: {
    Tick: 'preCandidate',
    Message: 'follower AppendEntriesReply',
    Propose: 'preCandidate proposalRefused',
    LogSynced: 'preCandidate',
    ReadIndex: 'preCandidate readRefused',
    ChangeMembers: 'preCandidate refused',
    TransferLeader: 'preCandidate refused',
    LeaderGone: 'preCandidate',
    Applied: 'preCandidate',
    Compact: 'preCandidate',
    SnapshotReady: 'preCandidate',
    ChunkStored: 'preCandidate',
    SnapshotInstalled: 'broken invariant',
    SnapshotFailed: 'preCandidate',
  },
  candidate: {
    Tick: 'candidate',
    Message: 'follower AppendEntriesReply',
    Propose: 'candidate proposalRefused',
    LogSynced: 'candidate',
    ReadIndex: 'candidate readRefused',
    ChangeMembers: 'candidate refused',
    TransferLeader: 'candidate refused',
    LeaderGone: 'candidate',
    Applied: 'candidate',
    Compact: 'candidate',
    SnapshotReady: 'candidate',
    ChunkStored: 'candidate',
    SnapshotInstalled: 'broken invariant',
    SnapshotFailed: 'candidate',
  },
  leader: {
    Tick: 'leader',
    Message: 'follower AppendEntriesReply',
    Propose: 'leader AppendEntries proposed',
    LogSynced: 'leader',
    ReadIndex: 'leader AppendEntries',
    ChangeMembers: 'leader AppendEntries',
    TransferLeader: 'leader TimeoutNow',
    LeaderGone: 'leader',
    Applied: 'leader',
    Compact: 'leader',
    SnapshotReady: 'leader',
    ChunkStored: 'leader',
    SnapshotInstalled: 'broken invariant',
    SnapshotFailed: 'leader',
  },
};

/** As the role's own term sees them, from another voter. */
const MESSAGES: Readonly<Record<RaftMessageType, (term: number) => RaftMessage>> = {
  PreVote: (term) => preVote(term + 1, 9, 9),
  PreVoteReply: (term) => ({
    type: 'PreVoteReply',
    term,
    proposedTerm: term + 1,
    voteGranted: true,
    nonce: 0,
  }),
  RequestVote: (term) => requestVote(term, 9, 9),
  RequestVoteReply: (term) => ({ type: 'RequestVoteReply', term, voteGranted: true, nonce: 0 }),
  AppendEntries: (term) => append(term, 2, 1, []),
  AppendEntriesReply: (term) => refusedAppend(term, 2, 0, 1, 0),
  InstallSnapshot: (term) => ({
    type: 'InstallSnapshot',
    term,
    meta: snapshotMeta('s2', 9, 1, ABC),
    offset: 0,
    data: new Uint8Array(1),
    nonce: 1,
  }),
  InstallSnapshotReply: (term) => ({
    type: 'InstallSnapshotReply',
    term,
    snapshotId: 's1',
    nextOffset: 1,
    installed: false,
    nonce: 0,
  }),
  TimeoutNow: (term) => ({ type: 'TimeoutNow', term, nonce: 1 }),
};

const EXPECTED_OF_MESSAGE: Readonly<Record<Role, Readonly<Record<RaftMessageType, string>>>> = {
  follower: {
    PreVote: 'follower PreVoteReply',
    PreVoteReply: 'follower',
    RequestVote: 'follower RequestVoteReply',
    RequestVoteReply: 'follower',
    AppendEntries: 'follower AppendEntriesReply',
    AppendEntriesReply: 'follower',
    InstallSnapshot: 'follower storeChunk',
    InstallSnapshotReply: 'follower',
    TimeoutNow: 'follower',
  },
  learner: {
    PreVote: 'learner PreVoteReply',
    PreVoteReply: 'learner',
    RequestVote: 'learner RequestVoteReply',
    RequestVoteReply: 'learner',
    AppendEntries: 'learner AppendEntriesReply',
    AppendEntriesReply: 'learner',
    InstallSnapshot: 'learner storeChunk',
    InstallSnapshotReply: 'learner',
    TimeoutNow: 'learner',
  },
  preCandidate: {
    PreVote: 'follower PreVoteReply',
    PreVoteReply: 'preCandidate',
    RequestVote: 'preCandidate RequestVoteReply',
    RequestVoteReply: 'preCandidate',
    AppendEntries: 'follower AppendEntriesReply',
    AppendEntriesReply: 'preCandidate',
    InstallSnapshot: 'follower storeChunk',
    InstallSnapshotReply: 'preCandidate',
    TimeoutNow: 'preCandidate',
  },
  candidate: {
    PreVote: 'candidate PreVoteReply',
    PreVoteReply: 'candidate',
    RequestVote: 'candidate RequestVoteReply',
    RequestVoteReply: 'candidate',
    AppendEntries: 'follower AppendEntriesReply',
    AppendEntriesReply: 'candidate',
    InstallSnapshot: 'follower storeChunk',
    InstallSnapshotReply: 'candidate',
    TimeoutNow: 'candidate',
  },
  leader: {
    PreVote: 'leader PreVoteReply',
    PreVoteReply: 'leader',
    RequestVote: 'leader RequestVoteReply',
    RequestVoteReply: 'leader',
    AppendEntries: 'broken invariant',
    AppendEntriesReply: 'leader',
    InstallSnapshot: 'broken invariant',
    InstallSnapshotReply: 'leader',
    TimeoutNow: 'leader',
  },
};

function each<T extends string>(record: Readonly<Record<T, unknown>>): T[] {
  return Object.keys(record) as T[];
}

describe('every role', () => {
  test('has an answer to every command', () => {
    const seen: Record<string, Record<string, string>> = {};
    for (const role of each(ROLES)) {
      seen[role] = {};
      for (const type of each(COMMANDS)) seen[role][type] = outcome(ROLES[role](), COMMANDS[type]);
    }
    expect(seen).toEqual(EXPECTED);
  });

  test('has an answer to every message of its term', () => {
    const seen: Record<string, Record<string, string>> = {};
    for (const role of each(ROLES)) {
      seen[role] = {};
      for (const type of each(MESSAGES)) {
        const raft = ROLES[role]();
        const message = MESSAGES[type](raft.state.currentTerm);
        seen[role][type] = outcome(raft, { type: 'Message', from: id('c'), message });
      }
    }
    expect(seen).toEqual(EXPECTED_OF_MESSAGE);
  });

  test('hears every message of an older term without changing', () => {
    for (const role of each(ROLES)) {
      for (const type of each(MESSAGES)) {
        const raft = ROLES[role]();
        raft.receives('c', MESSAGES[type](raft.state.currentTerm - 1));
        expect(raft.events, `${role} ${type}`).toEqual([]);
      }
    }
  });
});

const count = fc.oneof(fc.nat({ max: 4 }), fc.constantFrom(2 ** 32, Number.MAX_SAFE_INTEGER));

const anyMessage: fc.Arbitrary<RaftMessage> = fc.oneof(
  fc.record({
    type: fc.constant('AppendEntriesReply' as const),
    term: count,
    success: fc.boolean(),
    matchIndex: count,
    conflictTerm: count,
    conflictIndex: count,
    nonce: count,
  }),
  fc.record({
    type: fc.constant('InstallSnapshotReply' as const),
    term: count,
    snapshotId: fc.constantFrom('s1', ''),
    nextOffset: count,
    installed: fc.boolean(),
    nonce: count,
  }),
  fc.record({
    type: fc.constant('InstallSnapshot' as const),
    term: count,
    meta: fc.record({
      snapshotId: fc.constantFrom('s1', 's2'),
      lastIncludedIndex: count,
      lastIncludedTerm: count,
      config: fc.constant(ABC),
      clockBound: count,
      totalBytes: count,
    }),
    offset: count,
    data: fc.uint8Array({ maxLength: 3 }),
    nonce: count,
  }),
  fc.record({
    type: fc.constant('RequestVote' as const),
    term: count,
    lastLogIndex: count,
    lastLogTerm: count,
    transfer: fc.boolean(),
    nonce: count,
  }),
  fc.record({
    type: fc.constant('PreVote' as const),
    proposedTerm: count,
    lastLogIndex: count,
    lastLogTerm: count,
    nonce: count,
  }),
  fc.record({
    type: fc.constant('RequestVoteReply' as const),
    term: count,
    voteGranted: fc.boolean(),
    nonce: count,
  }),
  fc.record({
    type: fc.constant('PreVoteReply' as const),
    term: count,
    proposedTerm: count,
    voteGranted: fc.boolean(),
    nonce: count,
  }),
  fc.record({ type: fc.constant('TimeoutNow' as const), term: count, nonce: count }),
);

test('I40 no forged message but a false leader throws, and terms stay safe integers', () => {
  const from = fc.constantFrom('a', 'b', 'c', 'd', 'b:0000000f');
  fc.assert(
    fc.property(
      fc.constantFrom(...each(ROLES)),
      fc.array(fc.tuple(from, anyMessage), { maxLength: 12 }),
      (role, messages) => {
        const raft = ROLES[role]();
        const leads = raft.state.role === 'leader';
        for (const [sender, message] of messages) {
          if (leads && message.type === 'InstallSnapshot') continue;
          // Two leaders of one term are what a replica must stop for.
          const falseLeader =
            message.type === 'InstallSnapshot' && raft.state.leaderId !== id(sender);
          if (falseLeader && message.term <= raft.state.currentTerm) continue;
          raft.receives(sender, message).tick().after(50);
        }
        expect(Number.isSafeInteger(raft.state.currentTerm)).toBe(true);
      },
    ),
    { numRuns: 1500 },
  );
});
