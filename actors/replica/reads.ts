import { LIMITS } from '../../protocol/limits.ts';
import type { Item, ReplyBody, RequestOf } from '../../protocol/messages/request.ts';
import { revisionAtWallMs } from '../../protocol/revision.ts';
import type { Revision } from '../../protocol/types.ts';
import { tripleOf } from '../../storage/kv/keyspace.ts';
import { currentKeyOf, readAt, readLatest, readRange } from '../apply/read.ts';
import { type Closer, highestPromise, type Settled } from './closer.ts';
import { notLeader, type ReplicaContext, type Reply, rejected, waited } from './context.ts';
import { answerFromView } from './from-view.ts';
import type { LockWaits } from './lock-waits.ts';

/** Rounds that may wait for confirmation or for apply at once. */
const ROUNDS_MAX = 1_024;

/**
 * Linearizable reads: everything that came in one turn shares one ReadIndex round (thesis 6.4) and is
 * served when the state machine has applied that far.
 */
export class ReadRounds {
  readonly #context: ReplicaContext;
  #nextId = 1;
  #gathering: (() => void)[] = [];
  #refusing: (() => void)[] = [];
  readonly #confirming = new Map<number, { serve: (() => void)[]; refuse: (() => void)[] }>();
  #applying: { readIndex: number; serve: (() => void)[] }[] = [];

  constructor(context: ReplicaContext) {
    this.#context = context;
  }

  /** `serve` runs when leadership was confirmed after now; `refuse` when it could not be. */
  join(serve: () => void, refuse: () => void): void {
    this.#gathering.push(serve);
    this.#refusing.push(refuse);
  }

  /** At the end of a batch: one round for all that gathered. */
  flush(): void {
    if (this.#gathering.length === 0) return;
    const round = { serve: this.#gathering, refuse: this.#refusing };
    this.#gathering = [];
    this.#refusing = [];
    if (!this.#context.isLeader() || this.#confirming.size >= ROUNDS_MAX) {
      for (const refuse of round.refuse) refuse();
      return;
    }
    const readId = this.#nextId++;
    this.#confirming.set(readId, round);
    this.#context.command({ type: 'ReadIndex', readId });
  }

  confirmed(readId: number, readIndex: number): void {
    const round = this.#confirming.get(readId);
    if (round === undefined) return;
    this.#confirming.delete(readId);
    this.#applying.push({ readIndex, serve: round.serve });
  }

  refused(readId: number): void {
    const round = this.#confirming.get(readId);
    if (round === undefined) return;
    this.#confirming.delete(readId);
    for (const refuse of round.refuse) refuse();
  }

  /** Serves every confirmed round that the state machine has reached. */
  applied(appliedIndex: number): void {
    if (this.#applying.length === 0) return;
    const ready = this.#applying.filter((round) => round.readIndex <= appliedIndex);
    if (ready.length === 0) return;
    this.#applying = this.#applying.filter((round) => round.readIndex > appliedIndex);
    for (const round of ready) for (const serve of round.serve) serve();
  }
}

/** What reads need beside their requests. */
export interface ReadParts {
  readonly context: ReplicaContext;
  readonly rounds: ReadRounds;
  readonly closer: Closer;
  readonly waits: LockWaits;
}

/**
 * Point reads: the latest, a past revision, or whatever this replica has (`stale`). The latest of a key
 * that a prepared transaction writes is known at its end: it is waited for, until `endMs` (monotonic).
 */
export function handleRead(
  parts: ReadParts,
  request: RequestOf<'Read'>,
  endMs: number,
  reply: Reply,
): void {
  const { context, rounds, closer } = parts;
  if (request.stale) {
    const { revision } = request;
    if (revision === null) reply(latest(context, request, thisMoment(context)));
    else if (revision > context.clock.closed) reply(notThatFar());
    else readPast(context, request, revision, reply);
    return;
  }
  if (!context.isLeader()) return reply(notLeader(context));
  const { revision } = request;
  if (revision !== null) {
    if (revision > thisMoment(context)) return reply(inTheFuture(revision));
    closer.close(revision, (settled) => {
      if (settled === 'ok') readPast(context, request, revision, reply);
      else reply(refusedPromise(context, revision));
    });
    return;
  }
  const { state } = context;
  // By the time the round is confirmed the disk will have been asked.
  for (const ref of request.keys) state.warm(currentKeyOf(state, ref), null);
  rounds.join(
    () => serveLatest(parts, request, endMs, reply),
    () => reply(notLeader(context)),
  );
}

/**
 * A key that can expire is read at a revision of this moment under the reserved bound: what is seen
 * as expired here cannot be seen again under a later leader whose clock is behind.
 */
function serveLatest(
  parts: ReadParts,
  request: RequestOf<'Read'>,
  endMs: number,
  reply: Reply,
): void {
  const { context, closer, waits } = parts;
  if (!areReadable(context, request)) {
    const giveUp = () => reply(waited('unavailable', 'a transaction has a key of it locked'));
    return waits.wait(endMs, () => serveLatest(parts, request, endMs, reply), giveUp);
  }
  if (!request.keys.some((ref) => canExpire(context, ref))) {
    reply(latest(context, request, null));
    return;
  }
  // What expires now would be left out by a snapshot that shows what is written for its reader next.
  if (closer.gate.isClosed) {
    const giveUp = () => reply(waited('unavailable', 'a snapshot was being taken'));
    return closer.gate.wait(endMs, () => serveLatest(parts, request, endMs, reply), giveUp);
  }
  const now = thisMoment(context);
  const settle = (settled: Settled): void => {
    if (settled !== 'ok') return reply(notLeader(context));
    // Something may have been prepared meanwhile: look again.
    if (!areReadable(context, request)) return serveLatest(parts, request, endMs, reply);
    reply(latest(context, request, now));
  };
  // A transaction that is prepared below the end of a key, or on its way, may have read the key and commit below it:
  // nobody sees the end before that is over.
  if (!request.keys.some((ref) => hasExpired(context, ref, now)))
    return closer.reserve(now, settle);
  closer.close(now, settle);
  // What is closed is known at the end of a batch: this asks for one, outside of any.
  context.command({ type: 'Tick' });
}

/**
 * The revision of now. The group clock is raised to it only by the closer, which asks first whether
 * the wall clock is to be trusted: a bad one must not push the group's revisions ahead.
 */
export function thisMoment(context: ReplicaContext): Revision {
  return Math.max(context.clock.clock, revisionAtWallMs(context.ports.clock.wallMs()));
}

/** Whether no prepared transaction writes any of the keys. */
function areReadable({ state }: ReplicaContext, { keys }: RequestOf<'Read'>): boolean {
  const { txns } = state;
  return txns.size === 0 || keys.every((ref) => txns.locks.isReadable(tripleOf(ref)));
}

function hasExpired(context: ReplicaContext, ref: Item['ref'], at: Revision): boolean {
  return canExpire(context, ref) && readLatest(context.state, ref, at) === null;
}

function canExpire(context: ReplicaContext, ref: Item['ref']): boolean {
  const item = readLatest(context.state, ref, null);
  return item !== null && item.expiresAtMs !== null;
}

/** As many items as fit one message, at least one; the asker asks on for the rest. */
function latest(
  context: ReplicaContext,
  request: RequestOf<'Read'>,
  at: Revision | null,
): ReplyBody {
  const items: (Item | null)[] = [];
  let bytes = 0;
  for (const ref of request.keys) {
    const item = readLatest(context.state, ref, at);
    bytes += item === null ? 8 : item.value.length + ref.key.length + 256;
    if (bytes > LIMITS.pageBytesMax && items.length > 0) break;
    items.push(item);
  }
  return { type: 'Items', items, clock: context.clock.clock };
}

function readPast(
  context: ReplicaContext,
  request: RequestOf<'Read'>,
  revision: Revision,
  reply: Reply,
): void {
  const { state } = context;
  if (revision < state.floor) return reply(compacted(state.floor));
  answerFromView(context, reply, async (view) => {
    const found = await Promise.all(request.keys.map((ref) => readAt(view, ref, revision)));
    const items = found.filter((item) => item !== 'compacted');
    if (items.length < found.length) return compacted(view.floor);
    return { type: 'Items', items, clock: revision };
  });
}

/** This group's part of a page at a closed revision. */
export function handleRange(
  context: ReplicaContext,
  closer: Closer,
  request: RequestOf<'Range'>,
  reply: Reply,
): void {
  if (request.stale) {
    const closed = context.clock.closed;
    const at = request.revision === 0 ? closed : request.revision;
    if (at > closed) reply(notThatFar());
    else rangeAt(context, request, at, reply);
    return;
  }
  closer.close(request.revision, (settled) => {
    if (settled === 'ok') rangeAt(context, request, request.revision, reply);
    else reply(refusedPromise(context, request.revision));
  });
}

function rangeAt(
  context: ReplicaContext,
  request: RequestOf<'Range'>,
  revision: Revision,
  reply: Reply,
): void {
  const { state } = context;
  if (revision < state.floor) return reply(compacted(state.floor));
  const limit = Math.min(Math.max(1, request.limit), LIMITS.pageItemsMax);
  const range = { ...request, revision, limit, bytesMax: LIMITS.pageBytesMax };
  answerFromView(context, reply, async (view) => {
    const page = await readRange(view, range);
    if (page === 'compacted') return compacted(view.floor);
    return { type: 'Page', items: page.items, more: page.more, clock: revision };
  });
}

/** Phase 1 of a snapshot read: the clock of a leader that is one. */
export function handleReadClock(
  { context, rounds, closer }: ReadParts,
  { snapshot }: RequestOf<'ReadClock'>,
  reply: Reply,
): void {
  if (!context.isLeader()) return reply(notLeader(context));
  rounds.join(
    () => {
      const mayClose = snapshot !== null && context.isLeader();
      const gate = mayClose ? closer.gate.close(snapshot) : null;
      reply({ type: 'Clock', clock: context.clock.clock, gate });
    },
    () => reply(notLeader(context)),
  );
}

/** Why the closer refused. */
export function refusedPromise(context: ReplicaContext, revision: Revision): ReplyBody {
  if (!context.isLeader()) return notLeader(context);
  if (!context.clockTrusted()) return rejected('clock_skew', 'this leader has no trusted clock');
  if (revision > highestPromise(context)) return inTheFuture(revision);
  return rejected('overloaded', `group ${context.group} cannot promise ${revision} just now`);
}

function notThatFar(): ReplyBody {
  return rejected('unavailable', 'this replica is not that far');
}

export function inTheFuture(revision: Revision): ReplyBody {
  return rejected('invalid_argument', `revision ${revision} lies in the future`);
}

export function compacted(floor: Revision): ReplyBody {
  return rejected('compacted', 'older than the retention window', { hint: floor });
}
