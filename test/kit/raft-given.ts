import { decide } from '../../actors/raft/decide.ts';
import type { RaftCommand, RaftEvent } from '../../actors/raft/events.ts';
import { recoverState } from '../../actors/raft/recover.ts';
import { createRaftState, type PeerProgress, type RaftState } from '../../actors/raft/state.ts';
import { type LogEntry, makeEntry } from '../../protocol/entry.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { encodeConfig, type GroupConfig } from '../../protocol/membership.ts';
import type { RaftMessage, RaftMessageOf, SnapshotMeta } from '../../protocol/messages/raft.ts';
import type { ReplicaId } from '../../protocol/types.ts';
import { RecordedOutbox } from './recorded-outbox.ts';

/** Given, when, then for one replica's core: no cluster, no clock, no disk. */

/** `id('a')`: the replica of node a in its first life. */
export function id(name: string): ReplicaId {
  return (name.includes(':') ? name : `${name}:00000001`) as ReplicaId;
}

/** `ids('a b c')`. */
export function ids(names: string): ReplicaId[] {
  return names.split(' ').filter(Boolean).map(id);
}

export function config(voters: string, votersOld: string | null, learners: string): GroupConfig {
  return {
    voters: ids(voters),
    votersOld: votersOld === null ? null : ids(votersOld),
    learners: ids(learners),
  };
}

export function command(index: number, term: number, text = ''): LogEntry {
  return makeEntry({ index, term, kind: 'command', clockBound: 0 }, Buffer.from(text));
}

export function configEntry(index: number, term: number, value: GroupConfig): LogEntry {
  return makeEntry({ index, term, kind: 'config', clockBound: 0 }, encodeConfig(value));
}

/** Entries from index 1 with these terms: the pictures of the paper. */
export function logOf(terms: readonly number[]): LogEntry[] {
  return terms.map((term, at) => command(at + 1, term));
}

export function append(
  term: number,
  prevLogIndex: number,
  prevLogTerm: number,
  entries: LogEntry[],
  leaderCommit = 0,
  nonce = 7,
): RaftMessageOf<'AppendEntries'> {
  return { type: 'AppendEntries', term, prevLogIndex, prevLogTerm, leaderCommit, nonce, entries };
}

export function accepted(
  term: number,
  matchIndex: number,
  nonce: number,
): RaftMessageOf<'AppendEntriesReply'> {
  return {
    type: 'AppendEntriesReply',
    term,
    success: true,
    matchIndex,
    conflictTerm: 0,
    conflictIndex: 0,
    nonce,
  };
}

export function refusedAppend(
  term: number,
  prevLogIndex: number,
  conflictTerm: number,
  conflictIndex: number,
  nonce: number,
): RaftMessageOf<'AppendEntriesReply'> {
  return {
    type: 'AppendEntriesReply',
    term,
    success: false,
    matchIndex: prevLogIndex,
    conflictTerm,
    conflictIndex,
    nonce,
  };
}

export function requestVote(
  term: number,
  lastLogIndex: number,
  lastLogTerm: number,
  transfer = false,
): RaftMessageOf<'RequestVote'> {
  return { type: 'RequestVote', term, lastLogIndex, lastLogTerm, transfer, nonce: 9 };
}

export function preVote(
  proposedTerm: number,
  lastLogIndex: number,
  lastLogTerm: number,
): RaftMessageOf<'PreVote'> {
  return { type: 'PreVote', proposedTerm, lastLogIndex, lastLogTerm, nonce: 9 };
}

export function snapshotMeta(
  snapshotId: string,
  index: number,
  term: number,
  value: GroupConfig,
  totalBytes = 100,
): SnapshotMeta {
  return {
    snapshotId,
    lastIncludedIndex: index,
    lastIncludedTerm: term,
    config: value,
    clockBound: 0,
    totalBytes,
  };
}

export interface Setup {
  readonly self?: string;
  /** Members, this replica (a) among them or not. */
  readonly members?: GroupConfig;
  readonly term?: number;
  readonly votedFor?: string;
  /** Terms of the entries from index 1 on, or the entries. */
  readonly log?: readonly number[] | readonly LogEntry[];
  readonly commitIndex?: number;
}

export interface Sent {
  readonly to: string;
  readonly when: 'before' | 'after';
  readonly message: RaftMessage;
}

/** Replica `a`, unless told otherwise: in its resting role at time 0. */
export class Given {
  readonly state: RaftState;
  readonly out: RecordedOutbox;
  nowMs = 10_000;

  constructor(state: RaftState) {
    this.state = state;
    this.out = new RecordedOutbox(state);
  }

  /** Decides one command; what it caused is in `events`, `sent` and `requests`. */
  when(command: RaftCommand): this {
    this.out.clear();
    decide(this.state, command, this.nowMs, this.out);
    return this;
  }

  receives(from: string, message: RaftMessage): this {
    return this.when({ type: 'Message', from: id(from), message });
  }

  tick(): this {
    return this.when({ type: 'Tick' });
  }

  after(ms: number): this {
    this.nowMs += ms;
    return this;
  }

  proposes(...texts: string[]): this {
    const proposals = texts.map((text, at) => ({
      proposalId: at + 1,
      kind: 'command' as const,
      clockBound: 0,
      payload: Buffer.from(text),
    }));
    return this.when({ type: 'Propose', proposals });
  }

  /** The host has synced the log as it is. */
  syncs(): this {
    const { lastIndex: index, lastTerm: term } = this.state.log;
    return this.when({ type: 'LogSynced', index, term });
  }

  /** Waits until its own timer fires. */
  timesOut(): this {
    if (this.state.electionDeadlineMs === null) this.tick();
    this.nowMs = Math.max(this.nowMs, this.state.electionDeadlineMs ?? 0);
    return this.tick();
  }

  /** Wins the pre-vote with the votes of these; the election has begun. */
  stands(...voters: string[]): this {
    this.timesOut();
    for (const voter of voters) this.receives(voter, this.preVoteReply(true));
    return this;
  }

  /** Wins the election with these votes. */
  wins(...voters: string[]): this {
    this.stands(...voters);
    for (const voter of voters) this.receives(voter, this.voteReply(true));
    return this;
  }

  /** Leads, and its no-op is committed with the help of these. */
  leads(...voters: string[]): this {
    this.wins(...voters).syncs();
    for (const voter of voters) this.acks(voter);
    return this;
  }

  /** A follower has stored everything sent so far. */
  acks(from: string, matchIndex = this.state.log.lastIndex): this {
    const { currentTerm, leader } = this.state;
    return this.receives(from, accepted(currentTerm, matchIndex, leader?.reads.nonce ?? 0));
  }

  preVoteReply(voteGranted: boolean): RaftMessageOf<'PreVoteReply'> {
    const { currentTerm: term, electionNonce: nonce } = this.state;
    return { type: 'PreVoteReply', term, proposedTerm: term + 1, voteGranted, nonce };
  }

  voteReply(voteGranted: boolean): RaftMessageOf<'RequestVoteReply'> {
    const { currentTerm: term, electionNonce: nonce } = this.state;
    return { type: 'RequestVoteReply', term, voteGranted, nonce };
  }

  get events(): RaftEvent[] {
    return this.out.events;
  }

  get durable(): RaftEvent[] {
    return this.out.durable;
  }

  get requests(): RecordedOutbox['requests'] {
    return this.out.requests;
  }

  get sent(): Sent[] {
    const { beforeSync, afterSync } = this.out;
    return [
      ...beforeSync.map(({ to, message }) => ({
        to: nameOf(to),
        when: 'before' as const,
        message,
      })),
      ...afterSync.map(({ to, message }) => ({ to: nameOf(to), when: 'after' as const, message })),
    ];
  }

  /** Messages of one type that were sent now. */
  sentOf<T extends RaftMessage['type']>(type: T): ({ to: string } & RaftMessageOf<T>)[] {
    return this.sent
      .filter(({ message }) => message.type === type)
      .map(({ to, message }) => ({ ...(message as RaftMessageOf<T>), to }));
  }

  /** The only reply sent now. */
  reply<T extends RaftMessage['type']>(type: T): RaftMessageOf<T> {
    const found = this.sentOf(type);
    if (found.length !== 1) throw new Error(`${found.length} messages of type ${type} were sent`);
    return found[0] as unknown as RaftMessageOf<T>;
  }

  peer(name: string): PeerProgress {
    const peer = this.state.leader?.peers.get(id(name));
    if (peer === undefined) throw new Error(`${name} is no peer`);
    return peer;
  }

  terms(): number[] {
    const { log } = this.state;
    const terms: number[] = [];
    for (let index = log.baseIndex + 1; index <= log.lastIndex; index++) {
      terms.push(log.termAt(index) ?? -1);
    }
    return terms;
  }
}

function nameOf(replica: ReplicaId): string {
  return replica.endsWith(':00000001') ? replica.slice(0, -9) : replica;
}

export const ABC = config('a b c', null, '');

export function given(setup: Setup = {}): Given {
  const state = stateOf(setup);
  return new Given(state);
}

function stateOf(setup: Setup): RaftState {
  const first = setup.log?.[0];
  const entries =
    first === undefined || typeof first === 'number'
      ? logOf((setup.log as readonly number[]) ?? [])
      : (setup.log as readonly LogEntry[]);
  const recovered = recoverState(
    { self: id(setup.self ?? 'a'), seed: 1 },
    [
      {
        type: 'HardStateSaved',
        currentTerm: setup.term ?? entries[entries.length - 1]?.term ?? 0,
        votedFor: setup.votedFor === undefined ? null : id(setup.votedFor),
        baseIndex: 0,
        baseTerm: 0,
        baseConfig: setup.members ?? ABC,
        clockBound: 0,
      },
      ...(entries.length > 0
        ? [{ type: 'EntriesAppended' as const, prevLogIndex: 0, entries }]
        : []),
    ],
    createRaftState({ self: id(setup.self ?? 'a'), seed: 1 }).log.pointAt(0),
  ).state;
  const out = new RecordedOutbox(recovered);
  const commitIndex = setup.commitIndex ?? 0;
  if (commitIndex > 0) {
    out.emit({ type: 'CommitAdvanced', commitIndex });
    // What a replica's role is depends on what is committed.
    out.emit({ type: 'RoleChanged', role: recovered.role, leaderId: null });
  }
  return recovered;
}

export const ELECTION_MS = LIMITS.electionTimeoutMsMax;
