import type { Command } from '../../protocol/commands.ts';
import type { ReplyBody, RequestOf } from '../../protocol/messages/request.ts';
import type { ObjectOp } from '../../protocol/object-ops.ts';
import type { ReplicaId } from '../../protocol/types.ts';
import { tripleOf } from '../../storage/kv/keyspace.ts';
import { isWritable } from '../apply/object-write.ts';
import { currentKeyOf } from '../apply/read.ts';
import type { Transactions } from '../txn/transactions.ts';
import { handleBucketLook, handleBucketSet } from './bucket-requests.ts';
import {
  notApplied,
  notLeader,
  type ReplicaContext,
  type Reply,
  rejected,
  trustedWallMs,
  waited,
} from './context.ts';
import { handleMetaCheck, handleMetaList } from './meta-requests.ts';
import { handleDataLook } from './named-look.ts';
import {
  handleObjectList,
  handleObjectRead,
  handlePartList,
  handleUploadList,
  handleVersionList,
} from './object-reads.ts';
import { handleQuotaLook, handleQuotaOrder } from './quota-requests.ts';
import type { ReadParts } from './reads.ts';
import { handleUsageLook } from './usage-look.ts';
import type { WriteSpans } from './write-spans.ts';
import { roomRefusal } from './writes.ts';

/** What is asked of a group about objects and buckets. */

export interface ObjectParts extends ReadParts {
  readonly spans: WriteSpans;
  readonly txns: Pick<Transactions, 'room'>;
}

export type ObjectRequest = RequestOf<
  | 'ObjectWrite'
  | 'ObjectRead'
  | 'ObjectList'
  | 'VersionList'
  | 'UploadList'
  | 'PartList'
  | 'BucketSet'
  | 'BucketLook'
  | 'MetaCheck'
  | 'MetaList'
  | 'DataLook'
  | 'UsageLook'
  | 'QuotaLook'
  | 'QuotaOrder'
>;

/** Dispatch only, as in requests.ts. `endMs` is monotonic. */
export function handleObjectRequest(
  parts: ObjectParts,
  body: ObjectRequest,
  traceparent: string | null,
  endMs: number,
  reply: Reply,
): void {
  switch (body.type) {
    case 'ObjectWrite':
      return handleObjectWrite(parts, body, traceparent, endMs, reply);
    case 'ObjectRead':
      return handleObjectRead(parts, body, endMs, reply);
    case 'ObjectList':
      return handleObjectList(parts, body, reply);
    case 'VersionList':
      return handleVersionList(parts, body, reply);
    case 'UploadList':
      return handleUploadList(parts, body, reply);
    case 'PartList':
      return handlePartList(parts, body, reply);
    case 'BucketSet':
      return handleBucketSet(parts, body, endMs, reply);
    case 'BucketLook':
      return handleBucketLook(parts, body, reply);
    case 'MetaCheck':
      return handleMetaCheck(parts, body, reply);
    case 'MetaList':
      return handleMetaList(parts, body, reply);
    case 'DataLook':
      return handleDataLook(parts, body, reply);
    case 'UsageLook':
      return handleUsageLook(parts, body, reply);
    case 'QuotaLook':
      return handleQuotaLook(parts, body, reply);
    case 'QuotaOrder':
      return handleQuotaOrder(parts.context, body, reply);
  }
}

/**
 * Proposes an operation as one entry. One on an object that a prepared transaction has locked waits for its end,
 * until `endMs`.
 */
function handleObjectWrite(
  parts: ObjectParts,
  request: RequestOf<'ObjectWrite'>,
  traceparent: string | null,
  endMs: number,
  reply: Reply,
): void {
  const { context, closer, waits, spans } = parts;
  const refusal = writeRefusal(context);
  if (refusal !== null) return reply(refusal);
  const { state } = context;
  const { epoch, bucket, op, idempotency, by = null } = request;
  const again = () => handleObjectWrite(parts, request, traceparent, endMs, reply);
  const giveUp = () => reply(waited('conflict', 'a transaction or a snapshot was in the way'));
  if (!isWritable(state, op, tripleOf(op.ref))) return waits.wait(endMs, again, giveUp);
  if (closer.gate.isClosed) return closer.gate.wait(endMs, again, giveUp);
  // The disk has the time until the entry is committed to read what is current now.
  if (state.isCold) state.warm(currentKeyOf(state, op.ref), null);
  const revision = context.clock.assign(1, trustedWallMs(context));
  const span = spans.propose(traceparent);
  const command: Command = {
    type: 'object',
    revision,
    epoch,
    bucket,
    founders: foundersFor(context, op),
    op,
    idempotency,
    traceparent: span?.traceparent ?? traceparent,
    by,
  };
  context.propose(command, (outcome) => {
    span?.end(outcome.type === 'applied' ? undefined : outcome.type);
    if (outcome.type !== 'applied') return reply(notApplied(context, outcome));
    const { rejection, object, clock, repeated } = outcome.applied;
    if (rejection === 'locked') return waits.wait(endMs, again, giveUp);
    if (rejection !== null || object === null) {
      return reply(rejected('idempotency_mismatch', 'the key was used for another request'));
    }
    const done: ReplyBody = { type: 'ObjectDone', result: object, clock, repeated };
    if (object.type !== 'no_room') return reply(done);
    parts.txns.room.make(object.short, endMs, reply, {
      again: (answer) => handleObjectWrite(parts, request, traceparent, endMs, answer),
      none: (_scope, answer) => answer(done),
    });
  });
}

function writeRefusal(context: ReplicaContext): ReplyBody | null {
  // The meta group owns no keys.
  if (!context.isLeader() || context.state.epoch === 0) return notLeader(context);
  if (!context.clockTrusted()) {
    return rejected('clock_skew', 'this leader has no trusted clock and hands over');
  }
  return roomRefusal(context);
}

/** For a group whose configuration has never changed: its log does not say who holds chunks for it (O7). */
function foundersFor(context: ReplicaContext, op: ObjectOp): ReplicaId[] | null {
  const hasChunks = 'data' in op && op.data !== null && op.data.chunkBytes > 0;
  return hasChunks ? [...context.baseConfig().voters].slice(0, FOUNDERS_MAX) : null;
}

/** As the command holds them. */
const FOUNDERS_MAX = 32;
