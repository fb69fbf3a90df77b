import { type LogEntry, packEntries, unpackEntries } from '../entry.ts';
import { LIMITS } from '../limits.ts';
import { configCodec } from '../membership.ts';
import * as s from '../schema.ts';

/**
 * Messages between the replicas of one group. Routing (from, to, group) is in the envelope.
 * `nonce` names one attempt; a reply repeats it, so that a late or repeated reply cannot be taken
 * for an answer to a newer question. Delivery is at most once, unordered, possibly repeated.
 */
const entries: s.Codec<LogEntry[]> = {
  pack: (value) => packEntries(value),
  write: (out, value) => out.binary(packEntries(value)),
  unpack: (raw) => unpackEntries(s.bin(LIMITS.busPayloadBytesMax).unpack(raw)),
  read: (from) => unpackEntries(from.binary(LIMITS.busPayloadBytesMax)),
  shape: 'entries1',
};

/** What a snapshot stands for: the state after `lastIncludedIndex`. */
export const snapshotMetaCodec = s.record({
  /** Random hex; the same id has the same bytes, so a transfer can resume. */
  snapshotId: s.str(64),
  lastIncludedIndex: s.count,
  lastIncludedTerm: s.count,
  config: configCodec,
  /** Highest clockBound of the entries it covers. */
  clockBound: s.count,
  totalBytes: s.count,
});
export type SnapshotMeta = s.Of<typeof snapshotMetaCodec>;

export const raftMessages = {
  /** PreVote (thesis 9.6). `proposedTerm` is not a term: receiving it changes no term. */
  PreVote: [
    1,
    s.record({
      proposedTerm: s.count,
      lastLogIndex: s.count,
      lastLogTerm: s.count,
      nonce: s.count,
    }),
  ],
  PreVoteReply: [
    2,
    s.record({ term: s.count, proposedTerm: s.count, voteGranted: s.bool, nonce: s.count }),
  ],
  /** `transfer`: caused by TimeoutNow, so that a live leader's lease does not refuse it (thesis 4.2.3). */
  RequestVote: [
    3,
    s.record({
      term: s.count,
      lastLogIndex: s.count,
      lastLogTerm: s.count,
      transfer: s.bool,
      nonce: s.count,
    }),
  ],
  RequestVoteReply: [4, s.record({ term: s.count, voteGranted: s.bool, nonce: s.count })],
  /** With no entries it is a heartbeat, a probe, or carries a new leaderCommit. */
  AppendEntries: [
    5,
    s.record({
      term: s.count,
      prevLogIndex: s.count,
      prevLogTerm: s.count,
      leaderCommit: s.count,
      /** The leader's ReadIndex round at sending. */
      nonce: s.count,
      entries,
    }),
  ],
  AppendEntriesReply: [
    6,
    s.record({
      term: s.count,
      success: s.bool,
      /** On success: the highest index known to match and synced. On failure: prevLogIndex refused. */
      matchIndex: s.count,
      /** On failure, for conflict back-up (section 5.3): term of the conflicting entry and its first index. */
      conflictTerm: s.count,
      conflictIndex: s.count,
      nonce: s.count,
    }),
  ],
  InstallSnapshot: [
    7,
    s.record({
      term: s.count,
      meta: snapshotMetaCodec,
      offset: s.count,
      data: s.bin(LIMITS.snapshotChunkBytes),
      nonce: s.count,
    }),
  ],
  InstallSnapshotReply: [
    8,
    s.record({
      term: s.count,
      snapshotId: s.str(64),
      /** The next byte wanted; totalBytes when all is stored and installed. */
      nextOffset: s.count,
      installed: s.bool,
      nonce: s.count,
    }),
  ],
  TimeoutNow: [9, s.record({ term: s.count, nonce: s.count })],
} as const;

export const raftMessageCodec = s.union(raftMessages);
export type RaftMessage = s.Of<typeof raftMessageCodec>;
export type RaftMessageType = RaftMessage['type'];
export type RaftMessageOf<T extends RaftMessageType> = Extract<RaftMessage, { type: T }>;
