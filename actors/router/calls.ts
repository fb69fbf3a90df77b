import type { Telemetry } from '../../observability/port.ts';
import type { Clock } from '../../protocol/clock.ts';
import { AppError, isErrorCode } from '../../protocol/errors.ts';
import type { ReplyBody, ReplyOf, RequestBody } from '../../protocol/messages/request.ts';
import { revisionAtWallMs } from '../../protocol/revision.ts';
import type { GroupId, NodeId, Revision } from '../../protocol/types.ts';
import type { PendingRequests } from './pending.ts';

/** How the router reaches replicas; implemented by the node. */
export interface Reach {
  readonly nodeId: NodeId;
  /** The group's leader as far as this node knows. */
  leaderOf(group: GroupId): NodeId | null;
  /** A reply named another leader (or none). */
  noteLeader(group: GroupId, leader: NodeId | null): void;
  /** Whether a replica of the group is on this node. */
  isLocal(group: GroupId): boolean;
  /** Nodes that may hold a replica of the group, this one excluded. */
  candidates(group: GroupId): readonly NodeId[];
  /** Hands the request over. False: it certainly did not leave. */
  send(node: NodeId, group: GroupId, request: OutgoingRequest): boolean;
}

export interface OutgoingRequest {
  readonly requestId: number;
  readonly deadlineMs: number;
  readonly traceparent: string | null;
  readonly body: RequestBody;
}

export interface CallOptions {
  readonly deadlineMs: number;
  readonly traceparent: string | null;
  /** `leader`: only the leader can answer. `any`: a replica, the local one first. */
  readonly target: 'leader' | 'any';
  /** Asking twice is harmless: a read, or a write with an idempotency key. */
  readonly repeatable: boolean;
}

/** How long one attempt of a repeatable call waits before another is made. */
const ATTEMPT_MS = 1_000;
const RETRY_PAUSE_MS = 25;

/**
 * One logical call to a group: finds the leader, follows redirects, retries what is definite or
 * repeatable, and never hides indeterminacy. A write that was handed over and not answered is
 * `outcome_unknown`.
 */
export class Calls {
  readonly #clock: Clock;
  readonly #reach: Reach;
  readonly #pending: PendingRequests;
  readonly #telemetry: Telemetry;
  /** Calls that pause, by group: a new leader wakes them. */
  readonly #pausing = new Map<GroupId, Set<() => void>>();

  constructor(clock: Clock, reach: Reach, pending: PendingRequests, telemetry: Telemetry) {
    this.#clock = clock;
    this.#reach = reach;
    this.#pending = pending;
    this.#telemetry = telemetry;
  }

  /** The revision of this node's wall clock. */
  wallRevision(): Revision {
    return revisionAtWallMs(this.#clock.wallMs());
  }

  /** Resolves with the wanted reply, or rejects with an AppError. */
  call<T extends ReplyBody['type']>(
    group: GroupId,
    body: RequestBody,
    wanted: T,
    options: CallOptions,
  ): Promise<ReplyOf<T>> {
    if (!this.#telemetry.tracing || options.traceparent === null) {
      return this.#call(group, body, wanted, options);
    }
    const span = this.#telemetry.span(`group.${body.type}`, options.traceparent);
    span.set('minikv.group', group);
    const traceparent = span.traceparent ?? options.traceparent;
    const reply = this.#call(group, body, wanted, { ...options, traceparent });
    reply.then(
      () => span.end(),
      (error: unknown) => span.end(error),
    );
    return reply;
  }

  /** The first attempt, without the frame of an async function: nearly all need no second one. */
  #call<T extends ReplyBody['type']>(
    group: GroupId,
    body: RequestBody,
    wanted: T,
    options: CallOptions,
  ): Promise<ReplyOf<T>> {
    const endMs = this.#clock.monotonicMs() + options.deadlineMs;
    const node = options.deadlineMs > 0 ? this.#target(group, options.target, 0) : null;
    if (node === null) return this.#insist(group, body, wanted, options, endMs, null);
    return new Promise((resolve, reject) => {
      this.#attempt(node, group, body, options.deadlineMs, options, (reply) => {
        if (isReply(reply) && reply.type === wanted) resolve(reply as ReplyOf<T>);
        else
          this.#insist(group, body, wanted, options, endMs, { node, reply }).then(resolve, reject);
      });
    });
  }

  /** Goes on after the first attempt, if it had a node to ask, until `endMs`. */
  async #insist<T extends ReplyBody['type']>(
    group: GroupId,
    body: RequestBody,
    wanted: T,
    options: CallOptions,
    endMs: number,
    first: { readonly node: NodeId; readonly reply: ReplyBody | null } | null,
  ): Promise<ReplyOf<T>> {
    let failure: AppError | null = null;
    // Once a write was handed over and not answered, no later refusal makes it definite.
    let unanswered = false;
    for (let attempt = 0; ; attempt++) {
      const leftMs = endMs - this.#clock.monotonicMs();
      const asked = attempt === 0 ? first : null;
      if (leftMs <= 0 && asked === null) {
        throw unanswered ? unknownOutcome(group) : (failure ?? noAnswer(group));
      }
      const node = asked === null ? this.#target(group, options.target, attempt) : asked.node;
      if (node === null) {
        failure ??= new AppError('unavailable', `group ${group} has no known leader`);
        await this.#pause(group, Math.min(leftMs, RETRY_PAUSE_MS));
        continue;
      }
      const reply =
        asked === null
          ? await new Promise<ReplyBody | null>((resolve) => {
              this.#attempt(node, group, body, leftMs, options, resolve);
            })
          : asked.reply;
      if (reply === NOT_SENT) {
        failure = new AppError('unavailable', `node ${node} cannot be reached`);
      } else if (reply === FULL) {
        if (unanswered) throw unknownOutcome(group);
        throw new AppError('overloaded', 'too many requests are waiting on this node');
      } else if (reply === null) {
        if (!options.repeatable) throw unknownOutcome(group);
        unanswered ||= isWrite(body);
        failure = noAnswer(group);
        this.#reach.noteLeader(group, null);
      } else if (reply.type === wanted) {
        return reply as ReplyOf<T>;
      } else if (reply.type === 'Waited') {
        failure = new AppError(isErrorCode(reply.code) ? reply.code : 'internal', reply.message);
      } else if (reply.type === 'Rejected') {
        failure = this.#rejection(group, node, reply, body, unanswered);
      } else {
        throw new AppError('internal', `unexpected reply ${reply.type}`);
      }
      this.#telemetry.count('request_retries');
      const pauseMs = attempt === 0 ? 2 : RETRY_PAUSE_MS;
      await this.#pause(group, Math.min(Math.max(0, endMs - this.#clock.monotonicMs()), pauseMs));
    }
  }

  #target(group: GroupId, target: 'leader' | 'any', attempt: number): NodeId | null {
    const local = this.#reach.isLocal(group);
    if (target === 'any' && local && attempt === 0) return this.#reach.nodeId;
    const leader = this.#reach.leaderOf(group);
    if (leader !== null) return leader;
    // Without a leader in sight a replica elsewhere may know it; with one here, that one will.
    if (local && target === 'leader') return null;
    const candidates = this.#reach.candidates(group);
    return candidates[attempt % Math.max(1, candidates.length)] ?? null;
  }

  #attempt(
    node: NodeId,
    group: GroupId,
    body: RequestBody,
    leftMs: number,
    options: CallOptions,
    settle: (reply: ReplyBody | null) => void,
  ): void {
    const waitMs = options.repeatable ? Math.min(leftMs, ATTEMPT_MS + waitOf(body)) : leftMs;
    const asked = { group, node, asLeader: options.target === 'leader' };
    const requestId = this.#pending.open(waitMs, asked, settle);
    if (requestId === null) return settle(FULL);
    const deadlineMs = Math.ceil(waitMs);
    const request = { requestId, deadlineMs, traceparent: options.traceparent, body };
    if (!this.#reach.send(node, group, request)) this.#pending.reply(requestId, NOT_SENT);
  }

  /** Retryable refusals come back as the failure to remember; the others are thrown. */
  #rejection(
    group: GroupId,
    asked: NodeId,
    reply: ReplyOf<'Rejected'>,
    body: RequestBody,
    unanswered: boolean,
  ): AppError {
    const code = isErrorCode(reply.code) ? reply.code : 'internal';
    const details: Record<string, unknown> = {};
    if (code === 'compacted') details['oldestRevision'] = reply.hint;
    if (code === 'conflict' && reply.hint > 0) details['beyondPromise'] = reply.hint;
    const error = new AppError(code, reply.message, { definite: reply.definite, details });
    if (code === 'not_leader') {
      // One that names itself is handing over, and does not know yet to whom.
      this.#reach.noteLeader(group, reply.leader === asked ? null : reply.leader);
      return new AppError('unavailable', `group ${group} has no leader that answers`);
    }
    if (code === 'overloaded' && !isWrite(body)) return error;
    if (code === 'wrong_shard') details['epoch'] = reply.hint;
    throw unanswered ? unknownOutcome(group) : error;
  }

  /** The group has a leader that this node did not know: whoever waits for one asks it now. */
  leaderKnown(group: GroupId): void {
    const pausing = this.#pausing.get(group);
    if (pausing !== undefined) for (const wake of [...pausing]) wake();
  }

  #pause(group: GroupId, ms: number): Promise<void> {
    return new Promise((resolve) => {
      let pausing = this.#pausing.get(group);
      if (pausing === undefined) {
        pausing = new Set();
        this.#pausing.set(group, pausing);
      }
      const wake = (): void => {
        cancel();
        pausing.delete(wake);
        resolve();
      };
      pausing.add(wake);
      const cancel = this.#clock.after(ms, wake);
    });
  }
}

/** No replies of anybody: compared by identity. */
const NOT_SENT: ReplyBody = { type: 'Done', revision: 0 };
const FULL: ReplyBody = { type: 'Done', revision: 0 };

function isReply(reply: ReplyBody | null): reply is ReplyBody {
  return reply !== null && reply !== NOT_SENT && reply !== FULL;
}

const WRITES: ReadonlySet<RequestBody['type']> = new Set([
  ...(['Write', 'MetaPut', 'LeaseGrant', 'LeaseRevoke'] as const),
  ...(['Txn', 'TxnPrepare', 'TxnResolve', 'ObjectWrite'] as const),
]);

/** What may have happened when nobody answers. */
export function isWrite({ type }: RequestBody): boolean {
  return WRITES.has(type);
}

function waitOf(body: RequestBody): number {
  return body.type === 'FeedRead' ? body.waitMs : 0;
}

function noAnswer(group: GroupId): AppError {
  return new AppError('deadline_exceeded', `group ${group} did not answer in time`);
}

function unknownOutcome(group: GroupId): AppError {
  return new AppError(
    'outcome_unknown',
    `group ${group} took the write, but its leader went away or fell silent before it answered`,
  );
}
