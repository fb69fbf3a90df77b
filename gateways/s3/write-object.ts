import { AppError } from '../../protocol/errors.ts';
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
import type { BodyFacts } from './body-digests.ts';
import type { Call } from './call.ts';
import { type WriteCondition, writeCondition } from './conditions.ts';
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
  const { ref, head, ttlMs, condition } = object;
  return withData(call, ref, payload, async (data) => {
    const facts = payload.facts();
    check(facts);
    const etag = (facts.md5 as Buffer).toString('hex');
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
  const { result } = await call.objects.apply(call.context(), bucket, op);
  return result;
}

/** What is written and then not named is taken away, unless it may have been named after all. */
export async function withData<T>(
  call: Call,
  ref: KeyRef,
  payload: Payload,
  use: (data: NewData | null) => Promise<T>,
): Promise<T> {
  const data = await call.objects.data.write(call.longContext(), ref, payload);
  try {
    return await use(data);
  } catch (error) {
    const isIndefinite = error instanceof AppError && !error.definite;
    if (data !== null && !isIndefinite) call.objects.data.discard(data);
    throw error;
  }
}

/** An earlier attempt was done, and its answer was lost. */
async function versionWith(
  call: Call,
  ref: KeyRef,
  data: NewData | null,
): Promise<{ versionId: string; lastModifiedMs: number }> {
  const read = await call.objects.read(call.context(), ref, { versionId: null, revision: null });
  const [piece] = read.type === 'found' ? read.version.record.pieces : [];
  const isOurs = data !== null && piece?.data != null && Buffer.compare(piece.data, data.id) === 0;
  if (read.type === 'found' && isOurs) {
    const { record } = read.version;
    return { versionId: versionIdOf(record), lastModifiedMs: wallMsOfRevision(record.putAt) };
  }
  throw new AppError('outcome_unknown', 'it was written, and something else was written after it');
}
