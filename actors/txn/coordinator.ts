import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { ReplyBody, ReplyOf, RequestOf } from '../../protocol/messages/request.ts';
import type { TxnRefusal } from '../../protocol/messages/txn.ts';
import type { Shortage } from '../../protocol/quotas.ts';
import { randomInt } from '../../protocol/random.ts';
import { wallMsOfRevision } from '../../protocol/revision.ts';
import { anchorOf, type TxnFate, type TxnId, type TxnPart } from '../../protocol/txn.ts';
import type { GroupId, Revision } from '../../protocol/types.ts';
import { gotBytes, warmRows } from '../apply/txn-eval.ts';
import { footprintOf } from '../apply/txn-locks.ts';
import { encodeOutcome } from '../apply/txn-outcome.ts';
import { recallTxn } from '../apply/txn-request.ts';
import { noRoom, type QuotaRoom } from '../quota/room.ts';
import type { QuotaRounds } from '../quota/rounds.ts';
import type { RaftState } from '../raft/state.ts';
import { highestPromise } from '../replica/closer.ts';
import type { ProposalOutcome, ReplicaContext, Reply } from '../replica/context.ts';
import { notLeader, rejected, trustedWallMs } from '../replica/context.ts';
import type { Calls } from '../router/calls.ts';
import type { ShardMap } from '../router/shard-map.ts';
import { answerTo, CONFLICT, doneReply, MISMATCH, SILENT } from './answers.ts';
import {
  type AttemptEffect,
  type AttemptEvent,
  beginAttempt,
  coordinate,
  fateInMemory,
  isInLog,
  type Verdict,
  without,
} from './attempt.ts';
import { hasEntry, NO_TAKEOVERS, tooManyClaims, withClaims } from './claims.ts';
import { Deadlines } from './deadlines.ts';
import { commitsAtHome, committedEvent, decidedEvent, readBytesOf } from './home-part.ts';
import type { Messenger } from './messenger.ts';
import { clientsPart, outcomeOf } from './outcome.ts';
import { leaderRefusal, leaseRefusal, type Participant } from './participant.ts';
import { afterRefusal, look, refuse } from './refusals.ts';
import type { Live, Running } from './running.ts';
import { shortOfTxn } from './short.ts';
import { splitTxn } from './split.ts';

type EffectOf<T extends AttemptEffect['type']> = Extract<AttemptEffect, { type: T }>;

/** How the replicas of a node reach the other groups. */
export interface GroupReach {
  readonly calls: Calls;
  readonly quotas: QuotaRounds;
  map(): ShardMap;
}

/** A pause before a conflict is met again: this, doubled each time up to the limit, with jitter. */
const CONFLICT_PAUSE_MS = 4;
const CONFLICT_PAUSE_MS_MAX = 120;
/**
 * How long an attempt holds locks in some groups while others do not vote. A group that takes longer than that
 * is asked first at the next attempt (P5).
 */
const VOTING_MS_MAX = 2_000;
/** By then the end of the voting has been noticed here. */
const PREPARE_CALL_MS = VOTING_MS_MAX + 250;

/**
 * The coordinator beside the leader of a home group: runs attempts (attempt.ts) and their effects. What it
 * decides is an entry of this group's log; losing leadership loses nothing else.
 */
export class Coordinator {
  readonly #context: ReplicaContext;
  readonly #raft: RaftState;
  readonly #participant: Participant;
  readonly #messenger: Messenger;
  readonly #reach: () => GroupReach | null;
  readonly #room: QuotaRoom;
  /** By their start, which this group's clock gives but once. */
  readonly #live = new Map<Revision, Live>();
  readonly #deadlines: Deadlines;
  /** Groups that were waited for in vain, and have not voted since (P5). */
  readonly #silent = new Set<GroupId>();
  #isLeading = false;

  constructor(
    context: ReplicaContext,
    raft: RaftState,
    participant: Participant,
    messenger: Messenger,
    reach: () => GroupReach | null,
    room: QuotaRoom,
  ) {
    this.#room = room;
    this.#context = context;
    this.#raft = raft;
    this.#participant = participant;
    this.#messenger = messenger;
    this.#reach = reach;
    this.#deadlines = new Deadlines(context.ports.clock, (start) => this.#expired(start));
  }

  /** Attempts that are not over. */
  get size(): number {
    return this.#live.size;
  }

  /** Undefined when there is no such attempt, or the log says how it ended; null while it is open. */
  fateOf({ start, term }: TxnId): TxnFate | null | undefined {
    const live = this.#live.get(start);
    return live?.id.term === term ? fateInMemory(live.attempt) : undefined;
  }

  begin(request: RequestOf<'Txn'>, traceparent: string | null, endMs: number, reply: Reply): void {
    this.#attempt({ request, traceparent, endMs, reply, conflicts: 0, takeovers: NO_TAKEOVERS });
  }

  lead(): void {
    this.#isLeading = true;
  }

  /** What has not been decided never will be: nobody else proposes these commits. */
  lost(): void {
    this.#isLeading = false;
    this.#silent.clear();
    for (const [start, live] of this.#live) {
      if (isInLog(live.attempt)) continue;
      this.#live.delete(start);
      if (live.attempt.phase === 'preparing') live.running.reply(notLeader(this.#context));
    }
  }

  #attempt(running: Running): void {
    const context = this.#context;
    const { request, reply } = running;
    const refusal = leaderRefusal(context);
    if (refusal !== null) return reply(refusal);
    const reach = this.#reach();
    if (reach === null) return reply(rejected('unavailable', 'this node has just started'));
    const { body, epoch, idempotency } = request;
    if (idempotency !== null) {
      const { clock } = context.clock;
      const recalled = recallTxn(context.state, idempotency, anchorOf(body), clock);
      if (recalled === 'mismatch') return reply(MISMATCH);
      if (recalled !== null) return reply(doneReply(context, recalled, true));
    }
    const map = reach.map();
    const { indexes } = context.state;
    const claiming = withClaims(indexes, body, running.takeovers);
    if ('limit' in claiming) return reply(rejected('too_large', tooManyClaims(claiming.limit)));
    if ('duplicate' in claiming) return this.#refuse(running, { type: 'duplicate', ...claiming });
    const parts = splitTxn(claiming, map);
    const own = parts.get(context.group);
    if (map.epoch < epoch || own === undefined) {
      return reply(rejected('wrong_shard', 'the shard map has changed', { hint: map.epoch }));
    }
    const groups = [...parts.keys()];
    const atHome = commitsAtHome(claiming, idempotency !== null, groups);
    if (atHome) {
      const { locks } = context.state.txns;
      // It would be refused when the others have locked their parts.
      if (!locks.isEmpty && !locks.admits(footprintOf(own.body))) {
        return this.#again(running, CONFLICT);
      }
      const short = shortOfTxn(context.state, own.body, idempotency);
      if (short !== null) return this.#makeRoom(running, short);
      warmRows(context.state, own.body);
    }
    const others = without(groups, context.group);
    const start = context.clock.assign(1, trustedWallMs(context));
    const id = { home: context.group, term: this.#raft.currentTerm, start };
    const isSilent = (group: GroupId): boolean => this.#silent.has(group);
    const asked = atHome ? others : groups;
    const { attempt, effects } = beginAttempt(claiming, asked, idempotency !== null, isSilent);
    const indexEpoch = indexes.unique.length === 0 ? 0 : indexes.epoch;
    const live: Live = { id, running, parts, others, epoch: map.epoch, indexEpoch, attempt };
    this.#live.set(start, live);
    const leftMs = running.endMs - context.ports.clock.monotonicMs();
    this.#deadlines.add(Math.max(0, Math.min(leftMs, VOTING_MS_MAX)), start);
    for (const effect of effects) this.#perform(live, effect);
  }

  #makeRoom(running: Running, short: readonly Shortage[]): void {
    const { endMs } = running;
    this.#room.make(short, endMs, running.reply, {
      again: (reply) => this.#attempt({ ...running, reply }),
      none: (scope, reply) => reply(noRoom(scope)),
    });
  }

  #expired(start: Revision): void {
    const live = this.#live.get(start);
    if (live === undefined) return;
    for (const group of live.attempt.asked) this.#missed(live, group);
    this.#on(live, { type: 'expired' });
  }

  /** A group was silent while its vote was waited for. */
  #missed({ attempt }: Live, group: GroupId): void {
    if (attempt.phase === 'preparing' && attempt.asked.includes(group)) this.#silent.add(group);
  }

  #prepare(live: Live, group: GroupId): void {
    const reach = this.#reach();
    if (reach === null) return this.#on(live, { type: 'unanswered', group });
    const part = live.parts.get(group) as TxnPart;
    const { id, epoch, indexEpoch } = live;
    const body = { type: 'TxnPrepare', epoch, id, part, indexEpoch } as const;
    const heard = (reply: ReplyBody): void => {
      if (reply.type === 'TxnVoted') this.#voted(live, group, reply);
      else failed(reply.type === 'Rejected' ? reply.code : 'internal');
    };
    const failed = (code: string): void => {
      // Its part fits no message or no entry.
      if (code === 'too_large')
        this.#on(live, { type: 'voted', group, vote: { type: 'tooLarge' } });
      else if (code === 'outcome_unknown') {
        this.#missed(live, group);
        this.#on(live, { type: 'silent', group });
      } else this.#on(live, { type: 'unanswered', group });
    };
    if (group === this.#context.group) return this.#participant.prepare(body, heard);
    const { traceparent } = live.running;
    const options = { deadlineMs: PREPARE_CALL_MS, traceparent, target: 'leader' } as const;
    reach.calls
      .call(group, body, 'TxnVoted', { ...options, repeatable: true })
      .then(heard, (error: unknown) => failed(error instanceof AppError ? error.code : 'internal'));
  }

  #voted(live: Live, group: GroupId, { vote, clock }: ReplyOf<'TxnVoted'>): void {
    const context = this.#context;
    this.#silent.delete(group);
    // Perhaps it has begun too long ago for a group that is ahead: the next attempt begins above its clock.
    if (vote.type === 'over' && clock <= highestPromise(context)) context.clock.raise(clock);
    this.#on(live, { type: 'voted', group, vote });
  }

  #on(live: Live, event: AttemptEvent): void {
    const { start } = live.id;
    if (this.#live.get(start) !== live) return;
    const { attempt, effects } = coordinate(live.attempt, event, this.#context.group);
    live.attempt = attempt;
    if (attempt.phase === 'over') this.#live.delete(start);
    for (const effect of effects) this.#perform(live, effect);
    // The next leader tells the participants, or they ask; how it is decided is still told to whoever waits.
    if (!this.#isLeading && !isInLog(attempt)) this.#live.delete(start);
  }

  #perform(live: Live, effect: AttemptEffect): void {
    switch (effect.type) {
      case 'decide':
        return this.#decide(live, effect);
      case 'commit':
        return this.#commit(live, effect);
      case 'prepare':
        for (const group of effect.groups) this.#prepare(live, group);
        return;
      case 'unlock':
        return this.#messenger.abort(live.id, effect.group);
      case 'announce':
        return this.#messenger.commit(live.id, effect.fate, effect.groups);
      case 'tell':
        return this.#answer(live, effect.verdict);
    }
  }

  /** The commit point: the entry in this group's log. */
  #decide(live: Live, { fate, failed }: EffectOf<'decide'>): void {
    const context = this.#context;
    const { id, running, parts, others: participants, attempt } = live;
    const { body, idempotency } = running.request;
    const outcome =
      failed === null
        ? clientsPart(outcomeOf(attempt.body, parts, attempt.votes, fate), body)
        : { succeeded: false, failedCompare: failed.at, revision: failed.revision, results: [] };
    // Each group's part was within the limit; the answer, and the entry that remembers it, hold all.
    if (gotBytes(outcome.results) > LIMITS.txnResultBytesMax) {
      return this.#on(live, { type: 'tooLarge' });
    }
    this.#participant.removedBy(id, fate, (removed) => {
      // In a later term this attempt may have been given up: its id names the term.
      if (!this.#isLeading || this.#raft.currentTerm !== id.term) {
        return this.#on(live, { type: 'undecided', definite: true });
      }
      const request = idempotency && {
        ...{ idempotency, anchor: anchorOf(body), outcome: encodeOutcome(outcome) },
      };
      // What is assigned behind this entry comes after it.
      context.clock.raise(fate.commitRevision);
      context.propose(
        { type: 'txnDecide', id, fate, participants, request, removed },
        (end: ProposalOutcome) => this.#on(live, decidedEvent(end)),
      );
    });
  }

  /** The commit point, and this group's own part. */
  #commit(live: Live, { above, validUntilMs, failedCompare }: EffectOf<'commit'>): void {
    const context = this.#context;
    const { id, parts, others: participants, epoch, attempt } = live;
    const propose = (): void => {
      if (!context.isLeader() || this.#raft.currentTerm !== id.term) {
        return this.#on(live, { type: 'undecided', definite: true });
      }
      context.clock.raise(above);
      const revision = context.clock.assign(1, trustedWallMs(context));
      if (wallMsOfRevision(revision) >= validUntilMs) return lapsed();
      const part = parts.get(context.group) as TxnPart;
      const { thenBytes, otherwiseBytes } = readBytesOf(attempt.votes);
      context.propose(
        {
          type: 'txnCommit',
          revision,
          epoch,
          id,
          part,
          participants,
          failedCompare,
          thenBytes,
          otherwiseBytes,
        },
        (end) => this.#on(live, committedEvent(end, context.group)),
      );
    };
    const lapsed = (): void => this.#on(live, { type: 'refused', verdict: { type: 'conflict' } });
    this.#participant.whenOpen(propose, lapsed);
  }

  #answer(live: Live, verdict: Verdict): void {
    const { running, parts, attempt } = live;
    const { request, reply } = running;
    switch (verdict.type) {
      case 'committed': {
        const outcome = outcomeOf(attempt.body, parts, verdict.votes, verdict.fate);
        return reply(doneReply(this.#context, clientsPart(outcome, request.body), false));
      }
      case 'refused':
        return this.#refused(live, verdict);
      case 'leaseStale':
        if (verdict.revision === 0) return this.#refuse(running, { type: 'leaseGone' });
        return reply(leaseRefusal(verdict.revision));
      case 'conflict':
        return this.#again(running, CONFLICT);
      case 'silent':
        return this.#again(running, SILENT);
      default:
        return reply(answerTo(this.#context, verdict));
    }
  }

  /** A claim that met a reservation may take it over: if its holder has the entry no more (U2). */
  #refused(
    { running, parts, attempt }: Live,
    verdict: Extract<Verdict, { type: 'refused' }>,
  ): void {
    const { indexes } = this.#context.state;
    const step = afterRefusal(indexes, running.request.body, attempt.body, parts, verdict);
    switch (step.type) {
      case 'tell':
        return this.#refuse(running, step.refusal);
      case 'again':
        running.takeovers = NO_TAKEOVERS;
        return this.#again(running, CONFLICT);
      case 'takeOver':
        return this.#takingOver(running, step.reservation, step.holder, null);
      case 'look':
        return look(this.#context, this.#reach(), running, step.holder, (item) => {
          const { key, duplicate } = step.clash;
          if (hasEntry(step.definition, item, duplicate.encoded)) {
            return this.#refuse(running, { type: 'duplicate', key, duplicate });
          }
          this.#takingOver(running, step.reservation, duplicate.holder, item?.revision ?? 0);
        });
    }
  }

  #takingOver(running: Running, reservation: string, holder: string, at: Revision | null): void {
    running.takeovers = new Map(running.takeovers).set(reservation, { holder, revision: at });
    this.#attempt(running);
  }

  /**
   * Locks are refused at once: whoever meets one comes back a little later, each at another time. `last` is
   * answered when there is no time for that.
   */
  #again(running: Running, last: ReplyBody): void {
    const { clock, random, telemetry } = this.#context.ports;
    telemetry.count('txn_conflicts', 1, { group: this.#context.group });
    const base = Math.min(CONFLICT_PAUSE_MS_MAX, CONFLICT_PAUSE_MS * 2 ** running.conflicts++);
    const pauseMs = randomInt(random, base >> 1, base + (base >> 1));
    if (clock.monotonicMs() + pauseMs >= running.endMs) return running.reply(last);
    clock.after(pauseMs, () => this.#attempt(running));
  }

  /** P6 */
  #refuse({ request, reply }: Running, refused: TxnRefusal): void {
    refuse(this.#context, this.#raft.currentTerm, request, refused, reply);
  }
}
