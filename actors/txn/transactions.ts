import type { ReplyBody, RequestOf } from '../../protocol/messages/request.ts';
import { ABORTED, hasRange, type TxnBody, type TxnFate, type TxnId } from '../../protocol/txn.ts';
import type { GroupId } from '../../protocol/types.ts';
import { decisionStart } from '../../storage/kv/keyspace.ts';
import { hasUnclaimed } from '../apply/reservations.ts';
import { readDecision } from '../apply/txn.ts';
import { ownsKeys, warmRows } from '../apply/txn-eval.ts';
import { footprintOf } from '../apply/txn-locks.ts';
import { decodeDecision, type Prepared } from '../apply/txn-table.ts';
import { noRoom, QuotaRoom } from '../quota/room.ts';
import type { RaftState } from '../raft/state.ts';
import type { Closer } from '../replica/closer.ts';
import {
  notApplied,
  notLeader,
  type ReplicaContext,
  type Reply,
  rejected,
  trustedWallMs,
  waited,
} from '../replica/context.ts';
import { LockWaits } from '../replica/lock-waits.ts';
import type { ReadRounds } from '../replica/reads.ts';
import { hasReservations } from './claims.ts';
import { Coordinator, type GroupReach } from './coordinator.ts';
import { Inquiries } from './inquiries.ts';
import { startTxnMachine, type TxnActor, type TxnEffects } from './machine.ts';
import { Messenger } from './messenger.ts';
import { leaderRefusal, leaseRefusal, Participant } from './participant.ts';
import { Releases } from './releases.ts';
import { shortOfTxn } from './short.ts';

const INQUIRE_CALL_MS = 1_500;
const UNFINISHED_ROWS = 256;

/** The transactions of one group on one replica: as home group, and as participant. */
export class Transactions implements TxnEffects {
  readonly #context: ReplicaContext;
  readonly waits: LockWaits;
  readonly room: QuotaRoom;
  readonly #reach: () => GroupReach | null;
  readonly #participant: Participant;
  readonly #coordinator: Coordinator;
  readonly #messenger: Messenger;
  readonly #inquiries = new Inquiries();
  readonly #releases: Releases;
  readonly #actor: TxnActor;
  readonly #rounds: ReadRounds;
  readonly #closer: Closer;
  #isLeading = false;
  /** Counts the times this replica began to lead. */
  #tenure = 0;
  #resuming: 'no' | 'asked' | 'done' = 'no';
  /** Transactions that had ended when those who wait were last told. */
  #endedSeen = 0;

  constructor(
    context: ReplicaContext,
    raft: RaftState,
    rounds: ReadRounds,
    closer: Closer,
    reach: () => GroupReach | null,
  ) {
    this.#context = context;
    this.#rounds = rounds;
    this.waits = new LockWaits(context);
    this.#reach = reach;
    this.room = new QuotaRoom(context, reach);
    this.#closer = closer;
    this.#participant = new Participant(context, rounds, closer, this.waits, this.room);
    this.#messenger = new Messenger(context, this.#participant, reach);
    const parts = [this.#participant, this.#messenger, reach] as const;
    this.#coordinator = new Coordinator(context, raft, ...parts, this.room);
    this.#releases = new Releases(context, (body, deadlineMs, reply) => {
      const endMs = context.ports.clock.monotonicMs() + deadlineMs;
      const { epoch } = context.state;
      this.transact({ type: 'Txn', epoch, body, idempotency: null }, null, endMs, reply);
    });
    this.#actor = startTxnMachine(this);
  }

  /** A whole transaction: one entry where this group has all its keys, else two-phase commit. */
  transact(
    request: RequestOf<'Txn'>,
    traceparent: string | null,
    endMs: number,
    reply: Reply,
  ): void {
    const { body, epoch } = request;
    const { state } = this.#context;
    const isWhole = !hasRange(body) && ownsKeys(state, body, epoch) && !hasReservations(body);
    if (isWhole && !this.#mustClaim(body)) return this.#alone(request, traceparent, endMs, reply);
    const refusal = leaderRefusal(this.#context);
    if (refusal !== null) return reply(refusal);
    // A leader of this moment takes over first; that is the machine's to do, once and not for each transaction.
    if (!this.#isLeading) this.tick(this.#context.ports.clock.monotonicMs());
    this.#coordinator.begin(request, traceparent, endMs, reply);
  }

  /** Whether a put of it would begin an entry of a unique index, as far as is applied here. */
  #mustClaim({ then, otherwise }: TxnBody): boolean {
    const { state } = this.#context;
    const { clock } = state;
    return hasUnclaimed(state, then, clock) || hasUnclaimed(state, otherwise ?? [], clock);
  }

  #alone(request: RequestOf<'Txn'>, traceparent: string | null, endMs: number, reply: Reply): void {
    const context = this.#context;
    const { body, epoch, idempotency } = request;
    const refusal = leaderRefusal(context);
    if (refusal !== null) return reply(refusal);
    const again = () => this.#alone(request, traceparent, endMs, reply);
    const giveUp = () => reply(waited('conflict', 'other transactions were in the way'));
    const { locks } = context.state.txns;
    if (!locks.isEmpty && !locks.admits(footprintOf(body))) {
      return this.waits.wait(endMs, again, giveUp);
    }
    if (this.#closer.gate.isClosed) return this.#closer.gate.wait(endMs, again, giveUp);
    const short = shortOfTxn(context.state, body, idempotency);
    if (short !== null) {
      return this.room.make(short, endMs, reply, {
        again: (answer) => this.#alone(request, traceparent, endMs, answer),
        none: (scope, answer) => answer(noRoom(scope)),
      });
    }
    warmRows(context.state, body);
    const revision = context.clock.assign(1, trustedWallMs(context));
    const command = { type: 'txn', revision, epoch, body, idempotency, traceparent } as const;
    context.propose(command, (end) => {
      if (end.type !== 'applied') return reply(notApplied(context, end));
      const { txn, rejection, repeated, clock } = end.applied;
      if (rejection !== null) {
        return reply(
          rejected('idempotency_mismatch', 'the idempotency key was used for another request'),
        );
      }
      if (txn?.type === 'conflict') {
        return this.#lacksRoom(request) ? again() : this.waits.wait(endMs, again, giveUp);
      }
      if (txn?.type === 'unclaimed') return this.transact(request, traceparent, endMs, reply);
      if (txn?.type === 'done') {
        return reply({ type: 'TxnDone', outcome: txn.outcome, clock, repeated });
      }
      if (txn?.type === 'wrongShard') {
        return reply(rejected('wrong_shard', 'the shard map has changed', { hint: txn.epoch }));
      }
      if (txn?.type === 'leaseStale') return reply(leaseRefusal(txn.revision));
      reply(rejected('too_large', 'the transaction reads or replaces more than it may'));
    });
  }

  /** Whether it met no lock, or would meet a want of room whatever locks it has met: no end of another one helps. */
  #lacksRoom({ body, idempotency }: RequestOf<'Txn'>): boolean {
    const { state } = this.#context;
    if (state.quotas.size === 0) return false;
    return state.txns.size === 0 || shortOfTxn(state, body, idempotency) !== null;
  }

  /** Whether what this replica applies is waited for by coordinators. */
  get isVoting(): boolean {
    return this.#participant.isVoting;
  }

  prepare(request: RequestOf<'TxnPrepare'>, reply: Reply): void {
    this.#participant.prepare(request, reply);
  }

  resolve(request: RequestOf<'TxnResolve'>, reply: Reply): void {
    this.#participant.resolve(request, reply);
  }

  /** What became of a transaction of this home group. One that nobody knows is aborted first. */
  inquire({ id }: RequestOf<'TxnInquire'>, reply: Reply): void {
    const context = this.#context;
    if (!context.isLeader()) return reply(notLeader(context));
    const answer = (fate: TxnFate | null): void =>
      reply({ type: 'TxnEnded', fate, clock: context.clock.clock });
    const live = this.#coordinator.fateOf(id);
    if (live !== undefined) return answer(live);
    const decision = readDecision(context.state, id);
    if (decision !== null) return answer(decision.fate);
    this.#abort(id, (fate) => {
      if (fate === null) reply(notLeader(context));
      else answer(fate);
    });
  }

  /** Writes an abort, unless a decision stands already; null when nothing was written. */
  #abort(id: TxnId, tell: (fate: TxnFate | null) => void): void {
    const rest = { participants: [], request: null, removed: [] };
    this.#context.clock.raise(id.start);
    this.#context.propose({ type: 'txnDecide', id, fate: ABORTED, ...rest }, (end) => {
      const txn = end.type === 'applied' ? end.applied.txn : null;
      tell(txn?.type === 'ended' ? txn.fate : null);
    });
  }

  /** Whether `tick` would do anything. */
  isDue(nowMs: number): boolean {
    const leads = this.#context.isLeader();
    return (
      this.#releases.isDue(nowMs) ||
      leads !== this.#isLeading ||
      (leads && this.#resuming === 'no') ||
      (leads && (this.#context.state.txns.size > 0 || this.#messenger.hasKnown))
    );
  }

  tick(nowMs: number): void {
    this.#actor.send({ type: 'tick', nowMs });
  }

  /** Entries were applied: what waited for locks tries again. */
  advanced(): void {
    const { ended } = this.#context.state.txns;
    if (ended === this.#endedSeen) return;
    this.#endedSeen = ended;
    this.waits.release();
  }

  lost(): void {
    this.#actor.send({ type: 'lost' });
  }

  stop(): void {
    this.#actor.stop();
    this.#participant.stop();
    this.waits.stop();
  }

  // TxnEffects.

  leads(): boolean {
    return this.#context.isLeader();
  }

  takeOver(): void {
    this.#isLeading = true;
    this.#inquiries.clear();
    this.#tenure++;
    this.#messenger.lead();
    this.#coordinator.lead();
    this.#resuming = 'no';
  }

  /** What earlier leaders decided is all applied here once a round is confirmed. */
  #takeUp(): void {
    const tenure = this.#tenure;
    const isNow = (): boolean => this.#isLeading && this.#tenure === tenure;
    this.#resuming = 'asked';
    const failed = (error: unknown): void =>
      this.#context.ports.fatal('the applied state could not be read', error);
    const done = (): void => {
      // The next tenure begins anew: others may have decided something in between.
      if (!isNow()) return;
      this.#resuming = 'done';
      this.#actor.send({ type: 'resumed' });
    };
    this.#rounds.join(
      () => this.#resume(isNow).then(done, failed),
      () => {
        if (isNow()) this.#resuming = 'no';
      },
    );
  }

  stepDown(): void {
    this.#isLeading = false;
    this.#inquiries.clear();
    this.#messenger.lost();
    this.#coordinator.lost();
    this.waits.release();
  }

  tend(nowMs: number): void {
    this.#releases.tick(nowMs);
    if (this.#resuming === 'no') this.#takeUp();
    this.#messenger.forgetKnown();
    for (const prepared of this.#inquiries.due(this.#context.state.txns.all(), nowMs)) {
      this.#ask(prepared);
    }
  }

  /** Decisions of earlier leaders whose participants have not all confirmed. */
  async #resume(isNow: () => boolean): Promise<void> {
    const { state } = this.#context;
    const view = state.view();
    const start = decisionStart(state.prefix, 'u', 0);
    const end = decisionStart(state.prefix, 'u', Number.MAX_SAFE_INTEGER);
    const cursor = view.cursor({ start, end, reverse: false });
    try {
      for (;;) {
        const rows = await cursor.next(UNFINISHED_ROWS);
        if (rows.length === 0 || !isNow()) return;
        for (const [, row] of rows) {
          const { id, fate, pending } = decodeDecision(row);
          this.#messenger.commit(id, fate, pending as GroupId[]);
        }
      }
    } finally {
      await cursor.close();
      await view.close();
    }
  }

  /** A participant asks by itself: its coordinator may be gone for good. */
  #ask(prepared: Prepared): void {
    const { id } = prepared;
    const settle = (): void =>
      this.#inquiries.answered(prepared, this.#context.ports.clock.monotonicMs());
    const learn = (fate: TxnFate | null): void => {
      if (fate === null) return settle();
      this.#participant.resolve({ type: 'TxnResolve', ends: [{ id, fate }] }, settle);
    };
    this.#context.ports.telemetry.count('txn_inquiries', 1, { group: this.#context.group });
    if (id.home === this.#context.group) {
      return this.inquire({ type: 'TxnInquire', id }, (reply) => learn(fateIn(reply)));
    }
    const reach = this.#reach();
    if (reach === null) return settle();
    const options = { deadlineMs: INQUIRE_CALL_MS, traceparent: null, target: 'leader' } as const;
    reach.calls
      .call(id.home as GroupId, { type: 'TxnInquire', id }, 'TxnEnded', {
        ...options,
        repeatable: true,
      })
      .then((reply) => learn(reply.fate), settle);
  }
}

function fateIn(reply: ReplyBody): TxnFate | null {
  return reply.type === 'TxnEnded' ? reply.fate : null;
}
