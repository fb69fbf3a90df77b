import { type Command, lastEnd } from '../../protocol/commands.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { ReplyBody, RequestOf } from '../../protocol/messages/request.ts';
import type { TxnResult, TxnVote, YesVote } from '../../protocol/messages/txn.ts';
import type { Shortage } from '../../protocol/quotas.ts';
import {
  hasRange,
  type TxnEnd,
  type TxnFate,
  type TxnId,
  type TxnOp,
  type TxnOpOf,
  txnName,
} from '../../protocol/txn.ts';
import type { Revision } from '../../protocol/types.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import type { GroupView } from '../apply/group-state.ts';
import { shortOfPart } from '../apply/quota-growth.ts';
import { readRange } from '../apply/read.ts';
import type { TxnApplied } from '../apply/txn.ts';
import {
  branchOf,
  firstFailed,
  foresee,
  itemBytes,
  seeCompared,
  warmRows,
} from '../apply/txn-eval.ts';
import type { Prepared } from '../apply/txn-table.ts';
import { unseenEnds } from '../apply/unseen-ends.ts';
import type { QuotaRoom } from '../quota/room.ts';
import type { Closer } from '../replica/closer.ts';
import {
  notApplied,
  notLeader,
  type ReplicaContext,
  type Reply,
  rejected,
  trustedWallMs,
} from '../replica/context.ts';
import type { LockWaits } from '../replica/lock-waits.ts';
import type { ReadRounds } from '../replica/reads.ts';
import { roomRefusal } from '../replica/writes.ts';
import { type Ending, piecesOf, removesRanges, together } from './ends.ts';

type CommandOf<T extends Command['type']> = Extract<Command, { type: T }>;

/** How long a prepare waits for snapshots that are being taken. */
const GATE_MS_MAX = 1_000;
/** And for room in a quota. */
const ROOM_MS_MAX = 1_000;

/**
 * A group's side of transactions over several groups: prepares and resolves through its log, and votes
 * from what it has locked. A vote is a function of the locked state, so any leader gives the same.
 */
export class Participant {
  readonly #context: ReplicaContext;
  readonly #rounds: ReadRounds;
  readonly #closer: Closer;
  readonly #waits: LockWaits;
  readonly #room: QuotaRoom;
  /** Votes that read ranges, and ends that do, by transaction: whoever asks again shares them. */
  readonly #voting = new Map<string, ((vote: TxnVote) => void)[]>();
  readonly #ending = new Map<string, Reply[]>();
  /** Prepares that are on their way through the log. */
  #preparing = 0;
  #isStopped = false;

  constructor(
    context: ReplicaContext,
    rounds: ReadRounds,
    closer: Closer,
    waits: LockWaits,
    room: QuotaRoom,
  ) {
    this.#room = room;
    this.#context = context;
    this.#rounds = rounds;
    this.#closer = closer;
    this.#waits = waits;
  }

  /** Whether somebody waits for votes: they follow when entries are applied. */
  get isVoting(): boolean {
    return this.#preparing > 0;
  }

  prepare(request: RequestOf<'TxnPrepare'>, reply: Reply): void {
    const context = this.#context;
    const refusal = leaderRefusal(context);
    if (refusal !== null) return reply(refusal);
    if (this.#closer.gate.isClosed) {
      const giveUp = () =>
        reply({ type: 'TxnVoted', vote: { type: 'conflict' }, clock: context.clock.clock });
      return this.whenOpen(() => this.prepare(request, reply), giveUp);
    }
    const { epoch, id, part, indexEpoch } = request;
    if (this.#waits.isWanted(part.body)) {
      return reply({ type: 'TxnVoted', vote: { type: 'conflict' }, clock: context.clock.clock });
    }
    const { state } = context;
    const short = state.quotas.size > 0 ? shortOfPart(state, part.body) : null;
    if (short !== null) return this.#makeRoom(short, request, reply);
    warmRows(state, part.body);
    const revision = context.clock.assign(1, trustedWallMs(context));
    const command = { type: 'txnPrepare', revision, epoch, id, part, indexEpoch } as const;
    this.#preparing++;
    context.propose(command, (outcome) => {
      this.#preparing--;
      if (outcome.type !== 'applied') return reply(notApplied(context, outcome));
      this.#vote(id, revision, outcome.applied.txn, (vote) => {
        reply({ type: 'TxnVoted', vote, clock: context.clock.clock });
      });
    });
  }

  /** Votes when there is room for its part, or that there is none. */
  #makeRoom(short: readonly Shortage[], request: RequestOf<'TxnPrepare'>, reply: Reply): void {
    const context = this.#context;
    const voted = (vote: TxnVote): ReplyBody => ({
      ...{ type: 'TxnVoted', vote, clock: context.clock.clock },
    });
    // Without an answer of other groups the attempt is made again.
    const told: Reply = (body) =>
      reply(body.type === 'Waited' ? voted({ type: 'conflict' }) : body);
    this.#room.make(short, context.ports.clock.monotonicMs() + ROOM_MS_MAX, told, {
      again: (answer) => this.prepare(request, answer),
      none: (scope, answer) => answer(voted({ type: 'noRoom', scope })),
    });
  }

  /** Runs it at once, or when no snapshot is being taken any more (ADR 0029); gives up after a while. */
  whenOpen(run: () => void, giveUp: () => void): void {
    const { gate } = this.#closer;
    if (!gate.isClosed) return run();
    const endMs = this.#context.ports.clock.monotonicMs() + GATE_MS_MAX;
    const again = (): void => (gate.isClosed ? gate.wait(endMs, again, giveUp) : run());
    gate.wait(endMs, again, giveUp);
  }

  #vote(id: TxnId, revision: number, txn: TxnApplied | null, tell: (vote: TxnVote) => void): void {
    if (txn?.type === 'compareFailed') return tell({ type: 'compareFailed', at: txn.at, revision });
    if (txn?.type === 'wrongShard') return tell(txn);
    if (txn?.type !== 'prepared') return tell({ type: txn?.type === 'over' ? 'over' : 'conflict' });
    const prepared = this.#context.state.txns.get(id);
    // Resolved in the same batch of entries: an abort has overtaken it.
    if (prepared === null) return tell({ type: 'over' });
    const vote = this.#voteOfKeys(prepared);
    if (vote.type !== 'yes' || !hasRange(prepared.part.body)) return tell(vote);
    const name = txnName(id);
    const isAsked = this.#voting.get(name)?.push(tell) !== undefined;
    if (isAsked) return;
    const tells = [tell];
    this.#voting.set(name, tells);
    const isOver = () => this.#isStopped || this.#context.state.txns.get(id) !== prepared;
    const isUnseen = unseenEnds(this.#context.state.txns, prepared);
    const read = (view: GroupView) => addRanges(view, prepared, vote, isUnseen, isOver);
    this.#withView(read).then((whole) => {
      this.#voting.delete(name);
      for (const one of tells) one(whole);
    }, this.#unreadable);
  }

  #voteOfKeys({ part, revision }: Prepared): TxnVote {
    const { state } = this.#context;
    const { body, comparesAt } = part;
    const seen = { validUntilMs: Number.POSITIVE_INFINITY };
    const then = foresee(state, body.then, revision, seen);
    const otherwise = body.otherwise === null ? [] : foresee(state, body.otherwise, revision, seen);
    if (then === null || otherwise === null) return { type: 'tooLarge' };
    const failed = firstFailed(state, body.compares, revision);
    const failedCompare = failed === null ? null : (comparesAt[failed] as number);
    seeCompared(state, body.compares, revision, seen);
    const validUntilMs = Number.isFinite(seen.validUntilMs) ? seen.validUntilMs : null;
    return { type: 'yes', revision, failedCompare, validUntilMs, then, otherwise };
  }

  /** Done: the ends are applied here, or were before. */
  resolve({ ends }: RequestOf<'TxnResolve'>, reply: Reply): void {
    const context = this.#context;
    if (!context.isLeader()) return reply(notLeader(context));
    const others: TxnEnd[] = [];
    const known = this.#prepared(ends, others);
    if (others.length === 0) return this.#end(known, reply);
    const answer = together(2, reply);
    this.#end(known, answer);
    // Perhaps the others are in the log and not applied here yet: a round tells how far that has to be.
    this.#rounds.join(
      () => this.#end(this.#prepared(others, []), answer),
      () => answer(notLeader(context)),
    );
  }

  /** What is prepared of this; the others go into `others`. */
  #prepared(ends: readonly TxnEnd[], others: TxnEnd[]): Ending[] {
    const { txns } = this.#context.state;
    const endings: Ending[] = [];
    for (const end of ends) {
      const prepared = txns.get(end.id);
      if (prepared === null) others.push(end);
      else endings.push({ prepared, fate: end.fate });
    }
    return endings;
  }

  /** Those that remove ranges have an entry each, the others share. */
  #end(endings: readonly Ending[], reply: Reply): void {
    const ranged = endings.filter(removesRanges);
    const plain = ranged.length === 0 ? endings : endings.filter((one) => !removesRanges(one));
    const pieces = piecesOf(plain);
    const parts = ranged.length + pieces.length;
    if (parts === 0) return reply({ type: 'Done', revision: this.#context.clock.clock });
    const answer = together(parts, reply);
    for (const ending of ranged) this.#endRanged(ending, answer);
    for (const piece of pieces) {
      const ends = piece.map(({ prepared, fate }) => ({ id: prepared.id, fate, removed: [] }));
      this.#log(ends, answer);
    }
  }

  #endRanged({ prepared: { id }, fate }: Ending, reply: Reply): void {
    const name = txnName(id);
    const isAsked = this.#ending.get(name)?.push(reply) !== undefined;
    if (isAsked) return;
    const replies = [reply];
    this.#ending.set(name, replies);
    this.removedBy(id, fate, (removed) => {
      this.#ending.delete(name);
      const tell = (body: ReplyBody): void => {
        for (const one of replies) one(body);
      };
      if (!this.#context.isLeader()) return tell(notLeader(this.#context));
      this.#log([{ id, fate, removed }], tell);
    });
  }

  #log(ends: CommandOf<'txnResolve'>['ends'], tell: Reply): void {
    const context = this.#context;
    // What is assigned behind this entry comes after it.
    context.clock.raise(lastEnd(ends));
    context.propose({ type: 'txnResolve', ends }, (outcome) => {
      if (outcome.type !== 'applied') return tell(notApplied(context, outcome));
      tell({ type: 'Done', revision: context.clock.clock });
    });
  }

  /** The keys that the range deletes of the chosen branch find; they are locked, so it is the same at any time. */
  removedBy(id: TxnId, fate: TxnFate, use: (removed: KeyRef[]) => void): void {
    const prepared = this.#context.state.txns.get(id);
    const ops = prepared === null ? [] : branchOf(prepared.part.body, fate.succeeded);
    const ranges = ops.filter((op) => op.type === 'deleteRange');
    if (prepared === null || fate.commitRevision === 0 || ranges.length === 0) return use([]);
    this.#withView(async (view) => {
      const removed: KeyRef[] = [];
      for (const range of ranges) {
        if (this.#isStopped) return null;
        for (const item of await itemsOf(view, prepared, range)) removed.push(item.ref);
      }
      return removed;
    }).then((removed) => {
      if (removed !== null) use(removed);
    }, this.#unreadable);
  }

  /** What is being read ends soon, and nobody hears of it. */
  stop(): void {
    this.#isStopped = true;
  }

  readonly #unreadable = (error: unknown): void => {
    if (!this.#isStopped) {
      this.#context.ports.fatal('the applied state could not be read', error);
    }
  };

  async #withView<T>(read: (view: GroupView) => Promise<T>): Promise<T> {
    const view = this.#context.state.view();
    try {
      return await read(view);
    } finally {
      await view.close();
    }
  }
}

/** Why this replica cannot log a transaction now; null when it can. */
export function leaderRefusal(context: ReplicaContext): ReplyBody | null {
  if (!context.isLeader() || context.state.epoch === 0) return notLeader(context);
  if (!context.clockTrusted()) {
    return rejected('clock_skew', 'this leader has no trusted clock and hands over');
  }
  return roomRefusal(context);
}

/** T5: promises have to reach to `revision`. Nothing was done. */
export function leaseRefusal(revision: Revision): ReplyBody {
  return rejected('conflict', 'a promise about a lease has run out', { hint: revision });
}

/**
 * The same vote with what the ranges hold; they are locked too. Where they show an end that is not to be seen yet it is
 * a vote for the time before that, which is over: no commit comes of it. `isOver`: nobody waits for the vote any more.
 */
async function addRanges(
  view: GroupView,
  prepared: Prepared,
  vote: YesVote,
  isUnseen: ReturnType<typeof unseenEnds>,
  isOver: () => boolean,
): Promise<TxnVote> {
  let validUntilMs = vote.validUntilMs ?? Number.POSITIVE_INFINITY;
  const onEnd = (triple: string, expiresAtMs: number): void => {
    if (isUnseen(triple, expiresAtMs)) validUntilMs = Math.min(validUntilMs, expiresAtMs);
  };
  for (const branch of ['then', 'otherwise'] as const) {
    const ops = prepared.part.body[branch] ?? [];
    const results = vote[branch];
    let bytes = 0;
    let removed = 0;
    let removedBytes = 0;
    let replacedBytes = 0;
    for (const result of results) if (result.type === 'got') bytes += itemBytes(result.item);
    for (const [i, op] of ops.entries()) {
      if (op.type !== 'range' && op.type !== 'deleteRange') continue;
      if (isOver()) return OVER;
      const deletedBytesMax = LIMITS.txnReplacedBytesMax - replacedBytes;
      const found = await rangeOf(view, prepared, op, deletedBytesMax, onEnd);
      const isCut = found.more && (op.type === 'deleteRange' || found.items.length < op.limit);
      if (isCut) return TOO_LARGE;
      for (const item of found.items) {
        validUntilMs = Math.min(validUntilMs, item.expiresAtMs ?? Number.POSITIVE_INFINITY);
        if (op.type === 'range') bytes += itemBytes(item);
        else {
          removedBytes += nameBytes(item.ref);
          replacedBytes += item.value.length;
        }
      }
      if (op.type === 'deleteRange') removed += found.items.length;
      if (bytes > LIMITS.txnResultBytesMax || removed > LIMITS.rangeDeleteKeysMax) return TOO_LARGE;
      if (removedBytes > LIMITS.rangeDeleteBytesMax) return TOO_LARGE;
      if (replacedBytes > LIMITS.txnReplacedBytesMax) return TOO_LARGE;
      results[i] = resultOf(op, found);
    }
  }
  return { ...vote, validUntilMs: Number.isFinite(validUntilMs) ? validUntilMs : null };
}

const TOO_LARGE: TxnVote = { type: 'tooLarge' };
const OVER: TxnVote = { type: 'over' };

type RangeFound = Exclude<Awaited<ReturnType<typeof readRange>>, 'compacted'>;

function resultOf(op: TxnOp, { items, more }: RangeFound): TxnResult {
  if (op.type === 'deleteRange') return { type: 'deleted', count: items.length };
  return { type: 'page', items, more };
}

function nameBytes({ tenant, space, key }: KeyRef): number {
  return tenant.length + space.length + key.length + 16;
}

/** A range delete with its values, up to `deletedBytesMax` of them; null: without, and all of it. */
async function rangeOf(
  view: GroupView,
  { revision }: Prepared,
  op: TxnOpOf<'range'> | TxnOpOf<'deleteRange'>,
  deletedBytesMax: number | null,
  onEnd: (triple: string, expiresAtMs: number) => void,
): Promise<RangeFound> {
  const isRead = op.type === 'range';
  const deletedMax = deletedBytesMax ?? Number.POSITIVE_INFINITY;
  const found = await readRange(view, {
    ...{ tenant: op.tenant, space: op.space, start: op.start, end: op.end, revision },
    reverse: isRead && op.reverse,
    limit: isRead ? Math.min(op.limit, LIMITS.pageItemsMax) : LIMITS.rangeDeleteKeysMax + 1,
    values: isRead ? op.values : deletedBytesMax !== null,
    // More than the limit, so that it shows.
    bytesMax: isRead ? LIMITS.txnResultBytesMax * 2 : deletedMax,
    onEnd,
  });
  // The floor stays below what is prepared.
  return found === 'compacted' ? { items: [], more: false } : found;
}

async function itemsOf(view: GroupView, prepared: Prepared, op: TxnOpOf<'deleteRange'>) {
  return (await rangeOf(view, prepared, op, null, () => {})).items;
}
