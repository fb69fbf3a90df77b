import type { MessageOf } from '../../protocol/envelope.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { RequestBody, RequestOf } from '../../protocol/messages/request.ts';
import { revisionAtWallMs } from '../../protocol/revision.ts';
import { META_GROUP, nodeOf, type Revision } from '../../protocol/types.ts';
import { keepMetaRows, knownMetaRows } from '../apply/meta-memory.ts';
import { readMetaRows } from '../apply/meta-state.ts';
import type { BackgroundPace } from '../kit/pace.ts';
import type { LeaseKeeper } from '../lease/keeper.ts';
import { handleAttached, handleSweep } from '../lease/sweep.ts';
import type { RaftState } from '../raft/state.ts';
import type { Transactions } from '../txn/transactions.ts';
import { type Closer, highestPromise, type Settled } from './closer.ts';
import {
  notApplied,
  notLeader,
  type ReplicaContext,
  type Reply,
  rejected,
  trustedWallMs,
} from './context.ts';
import type { ReplicaFeed } from './feed.ts';
import { answerFromView } from './from-view.ts';
import {
  handleIndexRead,
  handleIndexSet,
  handleIndexStatus,
  handleIndexStep,
} from './index-requests.ts';
import type { LockWaits } from './lock-waits.ts';
import { handleObjectRequest } from './object-requests.ts';
import {
  handleRange,
  handleRead,
  handleReadClock,
  type ReadRounds,
  refusedPromise,
} from './reads.ts';
import { statusOf } from './status.ts';
import type { WriteSpans } from './write-spans.ts';
import { handleWrite } from './writes.ts';

const META_ROWS_MAX = 4_096;
/** Of a request's time, and at most: what it waited for in vain is still told to whoever asked. */
const ANSWER_SHARE = 0.1;
const ANSWER_MS_MAX = 100;

/** Requests that clients wait for. Others are the cluster's own, or take their time as watches do. */
const OF_CLIENTS: ReadonlySet<RequestBody['type']> = new Set([
  ...(['Write', 'Read', 'Range', 'Txn', 'TxnPrepare', 'IndexQuery', 'IndexSearch'] as const),
  ...(['ObjectWrite', 'ObjectRead', 'ObjectList', 'VersionList'] as const),
]);

/** The parts of a replica that requests are handed to. */
export interface RequestParts {
  readonly context: ReplicaContext;
  readonly raft: RaftState;
  readonly rounds: ReadRounds;
  readonly closer: Closer;
  readonly feed: ReplicaFeed;
  readonly spans: WriteSpans;
  readonly leases: LeaseKeeper;
  readonly waits: LockWaits;
  readonly txns: Transactions;
  readonly pace: BackgroundPace;
}

export type Request = Pick<MessageOf<'Request'>, 'body' | 'traceparent' | 'clock' | 'deadlineMs'>;

/** Dispatch only: one call per kind of request; each answers exactly once. */
export function handleRequest(parts: RequestParts, request: Request, reply: Reply): void {
  const { context, rounds, closer, feed, pace } = parts;
  raiseClock(context, request.clock);
  const body: RequestBody = request.body;
  if (OF_CLIENTS.has(body.type)) pace.request();
  const { deadlineMs } = request;
  const waitMs = deadlineMs - Math.min(ANSWER_MS_MAX, deadlineMs * ANSWER_SHARE);
  const endMs = context.ports.clock.monotonicMs() + waitMs;
  switch (body.type) {
    case 'Write':
      return handleWrite(parts, body, request.traceparent, endMs, reply);
    case 'Read':
      return handleRead(parts, body, endMs, reply);
    case 'ReadClock':
      return handleReadClock(parts, body, reply);
    case 'Range':
      return handleRange(context, closer, body, reply);
    case 'Close':
      return handleClose(parts, body, reply);
    case 'FeedRead':
      return feed.read(body, context.clock.closed, context.state.floor, reply);
    case 'TransferLeader':
      return handleTransfer(parts, body, reply);
    case 'ChangeMembers':
      return handleChangeMembers(parts, body, reply);
    case 'MetaPut':
      return handleMetaPut(context, body, reply);
    case 'MetaRead':
      return handleMetaRead(context, rounds, body, reply);
    case 'LeaseGrant':
    case 'LeaseRevoke':
    case 'LeaseCheck':
    case 'LeaseList':
    case 'LeaseForget':
      return parts.leases.handle(body, reply);
    case 'LeaseSweep':
      return handleSweep(parts, body, reply);
    case 'Attached':
      return handleAttached(context, rounds, body, reply);
    case 'Txn':
      return parts.txns.transact(body, request.traceparent, endMs, reply);
    case 'TxnPrepare':
      return parts.txns.prepare(body, reply);
    case 'TxnResolve':
      return parts.txns.resolve(body, reply);
    case 'TxnInquire':
      return parts.txns.inquire(body, reply);
    case 'Status':
      return reply({ type: 'Status', status: statusOf(context, parts.raft) });
    case 'IndexSet':
      return handleIndexSet(context, body, reply);
    case 'IndexStep':
      return handleIndexStep(context, pace, body, reply);
    case 'IndexStatus':
      return handleIndexStatus(context, rounds, reply);
    case 'IndexQuery':
    case 'IndexSearch':
      return handleIndexRead(context, closer, body, endMs, reply);
    default:
      return handleObjectRequest(parts, body, request.traceparent, endMs, reply);
  }
}

/**
 * What the asker has seen, in this group or another, has lower revisions than what is written for it
 * now. A clock from further ahead than clocks may differ is not followed.
 */
function raiseClock(context: ReplicaContext, clock: Revision): void {
  if (!context.isLeader() || clock <= context.clock.clock) return;
  const { clock: wall, telemetry } = context.ports;
  if (clock <= revisionAtWallMs(wall.wallMs() + LIMITS.clockOffsetMsMax))
    context.clock.raise(clock);
  else telemetry.count('clocks_refused');
}

function handleClose(
  { context, closer, rounds }: RequestParts,
  { revision, gate }: RequestOf<'Close'>,
  reply: Reply,
): void {
  // First the clock, then the gate: whoever has waited comes after the snapshot.
  const isReachable = revision <= highestPromise(context);
  if (context.isLeader() && context.clockTrusted() && isReachable) context.clock.raise(revision);
  const wasClosed = gate !== null && closer.gate.open(gate);
  // That it was closed here says nothing if somebody else leads by now: a round tells.
  let isConfirmed: boolean | null = wasClosed ? null : false;
  let settled: Settled | null = null;
  const answer = (): void => {
    if (isConfirmed === null || settled === null) return;
    const { closed } = context.clock;
    if (settled === 'ok') reply({ type: 'Closed', closed, wasClosed: isConfirmed });
    else reply(refusedPromise(context, revision));
  };
  const confirm = (confirmed: boolean) => (): void => {
    isConfirmed = confirmed;
    answer();
  };
  if (wasClosed) rounds.join(confirm(true), confirm(false));
  closer.close(revision, (result) => {
    settled = result;
    answer();
  });
}

/** Answers when the transfer has begun; who leads next shows in the status. */
function handleTransfer(
  parts: RequestParts,
  body: RequestOf<'TransferLeader'>,
  reply: Reply,
): void {
  const { context, raft } = parts;
  if (!context.isLeader()) return reply(notLeader(context));
  const to = raft.log.config.voters.find((voter) => nodeOf(voter) === body.to);
  if (body.to !== null && to === undefined) {
    return reply(rejected('invalid_argument', `node ${body.to} has no vote in this group`));
  }
  context.command({ type: 'TransferLeader', to: to ?? null });
  reply({ type: 'Done', revision: context.clock.clock });
}

/**
 * Answers when the change was handed to the core; its outcome shows in the status. An order that was
 * planned on another configuration is late or repeated: it could undo what came after it.
 */
function handleChangeMembers(
  { context, raft }: RequestParts,
  body: RequestOf<'ChangeMembers'>,
  reply: Reply,
): void {
  if (!context.isLeader()) return reply(notLeader(context));
  if (body.configIndex !== raft.log.configIndex) {
    return reply(rejected('conflict', 'the members have changed since this was planned'));
  }
  if (body.voters.length === 0) {
    return reply(rejected('invalid_argument', 'a group needs a voter'));
  }
  context.command({ type: 'ChangeMembers', voters: body.voters, learners: body.learners });
  reply({ type: 'Done', revision: context.clock.clock });
}

function handleMetaPut(context: ReplicaContext, body: RequestOf<'MetaPut'>, reply: Reply): void {
  if (context.group !== META_GROUP) {
    return reply(rejected('invalid_argument', 'only the meta group has meta rows'));
  }
  if (!context.isLeader()) return reply(notLeader(context));
  if (!context.clockTrusted()) {
    return reply(rejected('clock_skew', 'this leader has no trusted clock and hands over'));
  }
  const revision = context.clock.assign(1, trustedWallMs(context));
  const { name, json, ifRevision } = body;
  context.propose({ type: 'metaPut', revision, name, json, ifRevision }, (outcome) => {
    if (outcome.type !== 'applied') return reply(notApplied(context, outcome));
    const result = outcome.applied.results[0];
    if (result?.type === 'put') return reply({ type: 'Done', revision: result.revision });
    return reply(rejected('precondition_failed', `${name} has changed`));
  });
}

function handleMetaRead(
  context: ReplicaContext,
  rounds: ReadRounds,
  body: RequestOf<'MetaRead'>,
  reply: Reply,
): void {
  const serve = () => {
    const { state } = context;
    const known = knownMetaRows(state, body.prefix);
    if (known !== null) return reply({ type: 'MetaRows', rows: known, clock: context.clock.clock });
    answerFromView(context, reply, async (view) => {
      const rows = await readMetaRows(view, body.prefix, META_ROWS_MAX);
      keepMetaRows(state, view.appliedIndex, body.prefix, rows);
      return { type: 'MetaRows', rows, clock: context.clock.clock };
    });
  };
  if (body.stale) return serve();
  if (!context.isLeader()) return reply(notLeader(context));
  rounds.join(serve, () => reply(notLeader(context)));
}
