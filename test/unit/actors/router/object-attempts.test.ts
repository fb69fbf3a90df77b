import { describe, expect, it } from 'vitest';
import { RoutedObjects } from '../../../../actors/router/objects.ts';
import { initialShardMap } from '../../../../actors/router/shard-map.ts';
import { Snapshots } from '../../../../actors/router/snapshots.ts';
import { AppError } from '../../../../protocol/errors.ts';
import type { Bucket, ObjectData } from '../../../../protocol/object-access.ts';
import {
  type BucketRule,
  type NewData,
  NO_CONDITION,
  type ObjectOp,
  type ObjectResult,
} from '../../../../protocol/object-ops.ts';
import { NO_HEAD } from '../../../../protocol/objects.ts';
import { seededRandom } from '../../../../protocol/random.ts';
import type { GroupId, NodeId, ReplicaId } from '../../../../protocol/types.ts';
import { type Answer, FakeReach, rejected } from '../../../kit/fake-reach.ts';

const CTX = { deadlineMs: 1_000, traceparent: null, idempotency: null };
const REF = { tenant: 'default', space: 'bucket', key: 'k' };
const [R1, R2] = ['n1.1', 'n2.1'] as [ReplicaId, ReplicaId];
const DONE: Answer = { type: 'Done', revision: 1 };
const STORED: ObjectResult = {
  ...{ type: 'put', revision: 7, versionId: null, etag: 'e', size: 9, expiresAtMs: null },
};
const CHUNKS: NewData = {
  ...{ id: new Uint8Array(16).fill(1), bytes: 100_000, chunkBytes: 65_536 },
  ...{ holders: [R1], inline: null },
};

function ruleOf(epoch: number): BucketRule {
  const name = { tenant: REF.tenant, name: REF.space, id: 1, epoch };
  return { ...name, versioning: 'off', objectLock: false, retention: null, state: 'live' };
}

function bucketOf(epoch: number): Bucket {
  return { rule: ruleOf(epoch), createdAtMs: 0, owner: 'me', documents: {} };
}

/** A router whose only group the test plays: answers to operations, in their order, and to the rest. */
class Played {
  readonly reach = new FakeReach();
  /** Copies of data that are asked for. */
  replicate: ObjectData['replicate'] = () => Promise.reject(new Error('no copies are expected'));
  readonly #objects: RoutedObjects;

  constructor(answers: readonly ObjectResult[], rest: (type: string) => Answer) {
    const { reach } = this;
    const left = [...answers];
    for (const group of [0, 1]) reach.leaders.set(group as GroupId, 'n1' as NodeId);
    reach.answer = ({ body }) => {
      if (body.type !== 'ObjectWrite') return rest(body.type);
      return {
        type: 'ObjectDone',
        result: left.shift() as ObjectResult,
        clock: 7,
        repeated: false,
      };
    };
    const map = initialShardMap(1);
    const host = {
      ...{ clock: reach.clock, random: seededRandom(1), map: () => map },
      refreshMap: () => Promise.resolve(),
    };
    const data = {
      replicate: (...args: Parameters<ObjectData['replicate']>) => this.replicate(...args),
    } as ObjectData;
    const snapshots = new Snapshots(reach.calls, reach.clock, () => map, 'n1');
    this.#objects = new RoutedObjects(reach.calls, host, snapshots, data);
  }

  async put(bucket: Bucket, data: NewData | null): Promise<unknown> {
    const op: ObjectOp = {
      ...{ type: 'put', ref: REF, size: 9, etag: 'e', checksum: null, head: NO_HEAD, data },
      ...{ ttlMs: null, condition: NO_CONDITION },
    };
    const told = await this.reach.outcome(this.#objects.apply(CTX, bucket, op));
    if (told instanceof AppError) return [told.code, told.definite];
    return (told as { readonly result: ObjectResult }).result;
  }

  /** Names under which the operation was asked for. */
  names(): string[] {
    return this.reach.asked.flatMap(({ body }) =>
      body.type === 'ObjectWrite' ? [body.idempotency?.key ?? ''] : [],
    );
  }
}

/** The meta group's row of the bucket. */
function bucketRow(bucket: Bucket): Answer {
  const json = JSON.stringify({ v: 1, ...bucket, isSettled: true, writer: 'w' });
  const name = `bucket/${REF.tenant}/${REF.space}`;
  return { type: 'MetaChecked', changed: [{ name, json, revision: 5 }], unknown: [], clock: 5 };
}

describe('an operation that meets something which has to be done first', () => {
  it('meets the end of a bucket that is live again: it is asked under another name', async () => {
    const played = new Played([{ type: 'no_such_bucket' }, STORED], (type) =>
      type === 'MetaCheck' ? bucketRow(bucketOf(3)) : DONE,
    );
    expect(await played.put(bucketOf(1), null)).toEqual(STORED);
    const [first, second] = played.names();
    expect(second).toBe(`${first}~1`);
    expect(played.reach.asked.map(({ body }) => body.type)).toContain('BucketSet');
  });

  it('meets a group that has not got the bucket: it is told, and asked under the same name', async () => {
    const played = new Played([{ type: 'bucket_unknown', epoch: 0 }, STORED], () => DONE);
    expect(await played.put(bucketOf(1), null)).toEqual(STORED);
    const [first, second] = played.names();
    expect(second).toBe(first);
  });

  it('what fails after a group was not ready is an unknown outcome: a copy may be on its way', async () => {
    const full = rejected('storage_full');
    const played = new Played([{ type: 'bucket_unknown', epoch: 0 }], () => full);
    expect(await played.put(bucketOf(1), null)).toEqual(['outcome_unknown', false]);
    const copied = new Played([{ type: 'copies_missing', voters: [R1, R2] }], () => DONE);
    copied.replicate = () => Promise.reject(new AppError('unavailable', 'no disk takes it'));
    expect(await copied.put(bucketOf(1), CHUNKS)).toEqual(['outcome_unknown', false]);
  });

  it('what fails before any answer is what it is', async () => {
    const played = new Played([], () => DONE);
    played.reach.answer = () => rejected('storage_full');
    expect(await played.put(bucketOf(1), null)).toEqual(['storage_full', true]);
  });

  it('is asked with the copies that were made, under the same name', async () => {
    const played = new Played([{ type: 'copies_missing', voters: [R1, R2] }, STORED], () => DONE);
    played.replicate = async (_ctx, _ref, data, voters) => ({ ...data, holders: [...voters] });
    expect(await played.put(bucketOf(1), CHUNKS)).toEqual(STORED);
    const holders = played.reach.asked.flatMap(({ body }) =>
      body.type === 'ObjectWrite' && 'data' in body.op ? [body.op.data?.holders] : [],
    );
    expect(holders).toEqual([[R1], [R1, R2]]);
    const [first, second] = played.names();
    expect(second).toBe(first);
  });

  it('gives up after some attempts, and says that nobody can tell', async () => {
    const unknown: ObjectResult = { type: 'bucket_unknown', epoch: 0 };
    const played = new Played(Array(6).fill(unknown), () => DONE);
    expect(await played.put(bucketOf(1), null)).toEqual(['outcome_unknown', false]);
  });
});
