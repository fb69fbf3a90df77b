import { AppError } from '../../protocol/errors.ts';
import type { TxnRefusal } from '../../protocol/messages/txn.ts';
import type { Bucket } from '../../protocol/object-access.ts';
import type { BucketRule } from '../../protocol/object-ops.ts';
import type { RequestContext, TxnAnswer } from '../../protocol/service.ts';
import { isObjectOp, type TxnBody, type TxnOp } from '../../protocol/txn.ts';
import type { GroupId } from '../../protocol/types.ts';
import { type KeyRef, vshardOf } from '../../protocol/vshard.ts';
import { isOfBucket } from '../apply/txn-objects.ts';
import type { MapSource } from './following-map.ts';
import type { ShardMap } from './shard-map.ts';

/** What a transaction on objects needs of buckets. */
export interface BucketLook {
  settled(ctx: RequestContext, tenant: string, name: string): Promise<Bucket | null>;
  tell(group: GroupId, rule: BucketRule, deadlineMs: number): Promise<void>;
}

/** Attempts that each met a group which did not know a bucket, or a bucket that was going away. */
const ATTEMPTS_MAX = 6;

/**
 * Sends a transaction that changes objects with the ids of their buckets, and again when a group has to hear of one
 * first: then nothing has happened, and nothing is remembered (X4 in apply/txn-objects.ts).
 */
export async function transactObjects(
  buckets: BucketLook,
  source: MapSource,
  ctx: RequestContext,
  body: TxnBody,
  send: (ctx: RequestContext, body: TxnBody) => Promise<TxnAnswer>,
): Promise<TxnAnswer> {
  const endMs = source.clock.monotonicMs() + ctx.deadlineMs;
  const left = (): RequestContext => ({ ...ctx, deadlineMs: endMs - source.clock.monotonicMs() });
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
    const rules = await rulesOf(buckets, left(), body);
    if (typeof rules === 'string') throw noBucket(rules, attempt > 1 && ctx.idempotency !== null);
    const answer = await send(left(), withBuckets(body, rules));
    const { refused } = answer.outcome;
    if (refused?.type !== 'object' || !isOfBucket(refused.result)) return answer;
    const { deadlineMs } = left();
    await Promise.all(
      holdersOf(body, source.map()).map(([group, ref]) =>
        buckets.tell(group, rules.get(bucketName(ref)) as BucketRule, deadlineMs),
      ),
    );
  }
  throw new AppError('unavailable', 'a bucket keeps changing');
}

type Rules = ReadonlyMap<string, BucketRule>;

/** By bucket; or the name of one that is not there. */
async function rulesOf(
  buckets: BucketLook,
  ctx: RequestContext,
  body: TxnBody,
): Promise<Rules | string> {
  const names = new Map(changedRefs(body).map((ref) => [bucketName(ref), ref]));
  const found = await Promise.all(
    [...names].map(async ([name, { tenant, space }]) => {
      return [name, space, await buckets.settled(ctx, tenant, space)] as const;
    }),
  );
  const rules = new Map<string, BucketRule>();
  for (const [name, space, bucket] of found) {
    if (bucket === null) return space;
    rules.set(name, bucket.rule);
  }
  return rules;
}

/** `isOpen`: the other branch of a copy that is still on its way may need no bucket that is gone. */
function noBucket(name: string, isOpen: boolean): AppError {
  const message = `there is no bucket ${name}`;
  if (!isOpen) return new AppError('bucket_not_found', message, { details: { bucket: name } });
  return new AppError('outcome_unknown', `${message} any more`, { details: { bucket: name } });
}

function bucketName({ tenant, space }: KeyRef): string {
  return `${tenant}\x00${space}`;
}

function changedRefs({ then, otherwise }: TxnBody): KeyRef[] {
  return [...then, ...(otherwise ?? [])].flatMap((op) => (isObjectOp(op) ? [op.ref] : []));
}

/** Each group that has objects of a bucket to change, once for each bucket. */
function holdersOf(body: TxnBody, map: ShardMap): [GroupId, KeyRef][] {
  const holders = new Map<string, [GroupId, KeyRef]>();
  for (const ref of changedRefs(body)) {
    const group = map.groups[vshardOf(ref)] as GroupId;
    holders.set(`${group} ${bucketName(ref)}`, [group, ref]);
  }
  return [...holders.values()];
}

function withBuckets(body: TxnBody, rules: Rules): TxnBody {
  const named = (op: TxnOp): TxnOp =>
    isObjectOp(op) ? { ...op, bucket: rules.get(bucketName(op.ref))?.id ?? 0 } : op;
  const { compares, then, otherwise } = body;
  return { compares, then: then.map(named), otherwise: otherwise?.map(named) ?? null };
}

/** What an object says, as the error of the whole transaction. */
export function objectRefusal({ at, result }: Extract<TxnRefusal, { type: 'object' }>): AppError {
  const details = { at };
  switch (result.type) {
    case 'object_locked':
      return new AppError('object_locked', `operation ${at}: the version is locked`, { details });
    case 'no_such_key':
      return new AppError('object_not_found', `operation ${at}: no such object`, { details });
    case 'no_such_version':
      return new AppError('object_not_found', `operation ${at}: no such version`, { details });
    case 'method_not_allowed': {
      const message = `operation ${at}: the version is a delete marker`;
      return new AppError('object_not_found', message, { details });
    }
    case 'too_large':
      return new AppError('too_large', `operation ${at}: the object says too much`, { details });
    default:
      return new AppError('internal', `operation ${at}: ${result.type}`, { details });
  }
}
