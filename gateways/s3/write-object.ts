import { dataIdBytes, makeDataId } from '../../protocol/blob.ts';
import { AppError } from '../../protocol/errors.ts';
import type { Requester } from '../../protocol/notifications.ts';
import type { Bucket } from '../../protocol/object-access.ts';
import type {
  NewData,
  ObjectCondition,
  ObjectOp,
  ObjectResult,
} from '../../protocol/object-ops.ts';
import { NO_CONDITION } from '../../protocol/object-ops.ts';
import type { ObjectHead } from '../../protocol/objects.ts';
import { versionIdOf } from '../../protocol/objects.ts';
import { wallMsOfRevision } from '../../protocol/revision.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import { sealed } from '../encryption/segments.ts';
import type { BodyFacts } from './body-digests.ts';
import type { Call } from './call.ts';
import { type WriteCondition, writeCondition } from './conditions.ts';
import { S3Error } from './errors.ts';
import { type Sealing, sealedHead } from './object-encryption.ts';
import type { Operation } from './operations.ts';
import type { Payload } from './request-body.ts';
import { refusalOf } from './result-errors.ts';
import { storedChecksum } from './stored-checksum.ts';

const ANY = ['*'];

export function storeCondition(condition: WriteCondition | null): ObjectCondition {
  switch (condition?.type) {
    case undefined:
      return NO_CONDITION;
    case 'absent':
      return { match: null, noneMatch: ANY };
    case 'exists':
      return { match: ANY, noneMatch: null };
    case 'matches':
      return { match: [...condition.eTags], noneMatch: null };
    case 'differs':
      return { match: null, noneMatch: [...condition.eTags] };
  }
}

export function conditionOf(call: Call): ObjectCondition {
  return storeCondition(writeCondition(call.headers));
}

export interface NewObject {
  readonly ref: KeyRef;
  readonly head: ObjectHead;
  readonly ttlMs: number | null;
  readonly condition: ObjectCondition;
  readonly sealing: Sealing | null;
}

export interface WrittenObject {
  readonly etag: string;
  readonly size: number;
  readonly versionId: string | null;
  readonly lastModifiedMs: number;
  readonly facts: BodyFacts;
}

/** Data first, then the entry that names it: until then nothing is seen of either. */
export async function writeObject(
  call: Call,
  bucket: Bucket,
  object: NewObject,
  payload: Payload,
  check: (facts: BodyFacts) => void = () => {},
): Promise<WrittenObject> {
  const { ref, ttlMs, condition, sealing } = object;
  const head = sealedHead(object.head, sealing);
  return withData(call, ref, { payload, sealing, number: 0 }, async (data, etag) => {
    const facts = payload.facts();
    check(facts);
    const checksum = storedChecksum(facts.checksum);
    const size = facts.bytes;
    const op = { type: 'put', ref, size, etag, checksum, head, data, ttlMs, condition } as const;
    const result = await apply(call, bucket, op);
    if (result.type === 'put') {
      const { versionId, revision } = result;
      return { etag, size, versionId, lastModifiedMs: wallMsOfRevision(revision), facts };
    }
    if (result.type === 'data_taken') {
      return { etag, size, ...(await versionWith(call, ref, data)), facts };
    }
    throw refusalOf(result, condition.match !== null);
  });
}

export async function apply(call: Call, bucket: Bucket, op: ObjectOp): Promise<ObjectResult> {
  const by = requesterOf(call);
  // Nobody else is told of it; the way it came is part of what is told, also by a rule that is set meanwhile.
  const isTold = bucket.rule.notifications != null || by.via !== 'other';
  const ctx = isTold ? { ...call.context(), by } : call.context();
  const { result } = await call.objects.apply(ctx, bucket, op);
  return result;
}

const WAYS: Partial<Record<Operation, Requester['via']>> = {
  PostObject: 'post',
  CopyObject: 'copy',
  DeleteObjectTagging: 'untag',
};

function requesterOf({ route, sender, who, requestId }: Call): Requester {
  return {
    via: WAYS[route.operation] ?? 'other',
    principal: who?.id ?? 'anonymous',
    address: (sender.address ?? '').replace(/^::ffff:/, '').slice(0, 64),
    requestId: requestId.slice(0, 64),
  };
}

/** Bytes as they come, and how they are stored. */
export interface NewBytes {
  readonly payload: Payload;
  readonly sealing: Sealing | null;
  /** Of the part; 0: they are no part. */
  readonly number: number;
}

/** What is written and then not named is taken away, unless it may have been named after all. */
export async function withData<T>(
  call: Call,
  ref: KeyRef,
  bytes: NewBytes,
  use: (data: NewData | null, etag: string) => Promise<T>,
): Promise<T> {
  const { data, etag } = await stored(call, ref, bytes);
  try {
    return await use(data, etag());
  } catch (error) {
    if (data !== null && wasRefused(error)) call.objects.data.discard(data);
    throw error;
  }
}

/** Certainly nothing names its data. What nobody foresaw says nothing of that. */
function wasRefused(error: unknown): boolean {
  return error instanceof S3Error || (error instanceof AppError && error.definite);
}

async function stored(
  call: Call,
  ref: KeyRef,
  { payload, sealing, number }: NewBytes,
): Promise<{ data: NewData | null; etag: () => string }> {
  const { data: store } = call.objects;
  const ofPayload = (): string => (payload.facts().md5 as Buffer).toString('hex');
  if (sealing === null) {
    return { data: await store.write(call.longContext(), ref, payload), etag: ofPayload };
  }
  const { clock, random } = call.edge.http;
  const id = makeDataId(clock.wallMs(), random.bytes(10));
  const sealer = sealing.key.sealer(dataIdBytes(id), number);
  const data = await store.write(call.longContext(), ref, sealed(payload, sealer), id);
  const ofSealed = (): string => sealer.digest().toString('hex', 0, 16);
  return { data, etag: sealing.hasOwnETag ? ofSealed : ofPayload };
}

/** An earlier attempt was done, and its answer was lost. */
async function versionWith(
  call: Call,
  ref: KeyRef,
  data: NewData | null,
): Promise<{ versionId: string; lastModifiedMs: number }> {
  const latest = { versionId: null, revision: null };
  const read = await call.objects.read(call.context(), ref, latest).catch(afterWrite);
  const [piece] = read.type === 'found' ? read.version.record.pieces : [];
  const isOurs = data !== null && piece?.data != null && Buffer.compare(piece.data, data.id) === 0;
  if (read.type === 'found' && isOurs) {
    const { record } = read.version;
    return { versionId: versionIdOf(record), lastModifiedMs: wallMsOfRevision(record.putAt) };
  }
  throw new AppError('outcome_unknown', 'it was written, and something else was written after it');
}

/** The read failed; the write was done, so its data stays. */
function afterWrite(error: unknown): never {
  if (!(error instanceof AppError)) throw error;
  throw new AppError('outcome_unknown', 'it was written, and cannot be read now', { cause: error });
}
