import { afterEach, describe, expect, it } from 'vitest';
import { AppError } from '../../../../protocol/errors.ts';
import type { Bucket, BucketChange } from '../../../../protocol/object-access.ts';
import {
  NO_CONDITION,
  type ObjectCondition,
  type ObjectOp,
} from '../../../../protocol/object-ops.ts';
import { decodeRecord, NO_HEAD, type ObjectHead } from '../../../../protocol/objects.ts';
import type { RequestContext, TxnAnswer } from '../../../../protocol/service.ts';
import type { Compare, TxnBody, TxnOp } from '../../../../protocol/txn.ts';
import { type KeyRef, vshardOf } from '../../../../protocol/vshard.ts';
import { MemoryCluster } from '../../../kit/memory-cluster.ts';

const GROUPS = 2;
const BUCKET = 'papers';
const CTX: RequestContext = { deadlineMs: 5_000, traceparent: null, idempotency: null };

function kv(key: string): KeyRef {
  return { tenant: 'default', space: 'kv', key };
}

function object(key: string): KeyRef {
  return { tenant: 'default', space: BUCKET, key };
}

/** A name in the data group 1 or 2. */
function nameIn(group: number, refOf: (key: string) => KeyRef): string {
  for (let i = 0; ; i++) if (1 + (vshardOf(refOf(`k${i}`)) % GROUPS) === group) return `k${i}`;
}

const OBJECT = nameIn(2, object);
const NEAR = nameIn(2, kv);
const FAR = nameIn(1, kv);

function put(key: string, value: string): TxnOp {
  return { type: 'put', ref: kv(key), value: Buffer.from(value), contentType: null, ttlMs: null };
}

function remove(key = OBJECT, versionId: string | null = null): TxnOp {
  return { type: 'deleteObject', ref: object(key), bucket: 0, versionId };
}

function tag(key: string, value: string): TxnOp {
  const tags = [{ name: 'state', value }];
  return { type: 'tagObject', ref: object(key), bucket: 0, versionId: null, tags };
}

function etagIs(etag: string): Compare {
  return { ref: object(OBJECT), relation: '=', target: { type: 'etag', etag } };
}

const clusters: MemoryCluster[] = [];
afterEach(() => {
  for (const cluster of clusters.splice(0)) expect(cluster.fatals).toEqual([]);
});

class Client {
  readonly cluster: MemoryCluster;
  bucket: Bucket | null = null;

  constructor(names: string) {
    this.cluster = new MemoryCluster(names, { groupCount: GROUPS });
    clusters.push(this.cluster);
  }

  get node() {
    return this.cluster.node('n1');
  }

  async start(change: BucketChange = {}): Promise<this> {
    await this.cluster.start();
    const wanted = { tenant: 'default', name: BUCKET, owner: 'me', documents: {} };
    const { objectLock = false } = change;
    const { buckets } = this.node.objects;
    const made = await this.wait(buckets.create(CTX, { ...wanted, objectLock }));
    this.bucket = made.bucket;
    if (change.versioning !== undefined) await this.change(change);
    return this;
  }

  wait<T>(work: Promise<T>): Promise<T> {
    return this.cluster.time.until(work);
  }

  change(change: BucketChange) {
    return this.wait(this.node.objects.buckets.change(CTX, 'default', BUCKET, change));
  }

  async apply(op: ObjectOp) {
    return (await this.wait(this.node.objects.apply(CTX, this.bucket as Bucket, op))).result;
  }

  put(key: string, etag: string, condition: ObjectCondition = NO_CONDITION, head = NO_HEAD) {
    return this.apply(putOf(key, etag, condition, head));
  }

  transact(body: Partial<TxnBody>, more: Partial<RequestContext> = {}): Promise<TxnAnswer> {
    const whole = { compares: [], then: [], otherwise: null, ...body };
    return this.wait(this.node.service.transact({ ...CTX, ...more }, whole));
  }

  async etag(key = OBJECT): Promise<string | null> {
    const asked = { versionId: null, revision: null };
    const read = await this.wait(this.node.objects.read(CTX, object(key), asked));
    return read.type === 'none' ? null : read.version.record.etag;
  }

  async value(key: string): Promise<string | null> {
    const options = { consistency: 'linearizable', revision: null } as const;
    const { item } = await this.wait(this.node.service.get(CTX, kv(key), options));
    return item === null ? null : Buffer.from(item.value).toString();
  }
}

function putOf(
  key: string,
  etag: string,
  condition: ObjectCondition = NO_CONDITION,
  head: ObjectHead = NO_HEAD,
): ObjectOp {
  const rest = { size: 0, etag, checksum: null, head, data: null, ttlMs: null, condition };
  return { type: 'put', ref: object(key), ...rest };
}

async function codeOf(work: Promise<unknown>): Promise<unknown> {
  const error: unknown = await work.catch((one: unknown) => one);
  if (!(error instanceof AppError)) throw new Error(`not refused: ${JSON.stringify(error)}`);
  expect(error.definite).toBe(true);
  return error.code;
}

const PLACES = [
  ['n1', NEAR],
  ['n1', FAR],
  ['n1 n2 n3', FAR],
] as const;

describe.each(PLACES)('objects in transactions over %s, with the key %s', (names, key) => {
  it('a key is put and an object deleted at one revision, with an event each', async () => {
    const client = await new Client(names).start();
    await client.put(OBJECT, 'one');
    const seen = client.cluster.published.length;
    const { outcome } = await client.transact({
      compares: [
        etagIs('one'),
        { ref: kv(key), relation: '=', target: { type: 'exists', exists: false } },
      ],
      then: [put(key, 'gone'), remove()],
    });
    expect(outcome.succeeded).toBe(true);
    const deleted = { type: 'objectDeleted', gone: true, versionId: null, marker: false };
    expect(outcome.results[1]).toEqual(deleted);
    expect([await client.value(key), await client.etag()]).toEqual(['gone', null]);
    await client.cluster.time.pass(500);
    const events = client.cluster.published.slice(seen);
    const own = events.filter(({ revision }) => revision === outcome.revision);
    expect(own.map(({ kind, ref }) => `${kind} ${ref.space}`).sort()).toEqual([
      `delete ${BUCKET}`,
      'put kv',
    ]);
  });

  it('a compare of an object that fails does the other branch, or nothing', async () => {
    const client = await new Client(names).start();
    await client.put(OBJECT, 'two');
    const compares = [etagIs('one')];
    const nothing = await client.transact({ compares, then: [put(key, 'x'), remove()] });
    expect(nothing.outcome).toMatchObject({ succeeded: false, failedCompare: 0 });
    const other = { compares, then: [remove()], otherwise: [put(key, 'y'), tag(OBJECT, 'seen')] };
    expect((await client.transact(other)).outcome.succeeded).toBe(false);
    expect([await client.value(key), await client.etag()]).toEqual(['y', 'two']);
    const { outcome } = await client.transact({ then: [{ type: 'get', ref: object(OBJECT) }] });
    const [got] = outcome.results;
    const value = got?.type === 'got' ? got.item?.value : undefined;
    expect(decodeRecord(value as Uint8Array).head.tags).toEqual([{ name: 'state', value: 'seen' }]);
  });

  it('a deletion where there are versions is a marker that bears the revision', async () => {
    const client = await new Client(names).start({ versioning: 'enabled' });
    const first = await client.put(OBJECT, 'one');
    const versionId = first.type === 'put' ? first.versionId : null;
    const { outcome } = await client.transact({ then: [put(key, '1'), remove()] });
    const marker = outcome.revision.toString(32).padStart(13, '0');
    const [, result] = outcome.results;
    expect(result).toEqual({ type: 'objectDeleted', gone: true, versionId: marker, marker: true });
    expect(await client.etag()).toBeNull();
    const back = await client.transact({ then: [put(key, '2'), remove(OBJECT, marker)] });
    expect(back.outcome.results[1]).toMatchObject({ versionId: marker, marker: true });
    expect(await client.etag()).toBe('one');
    await client.transact({ then: [put(key, '3'), remove(OBJECT, versionId)] });
    expect(await client.etag()).toBeNull();
  });

  it('a version under a lock keeps all of it from being done', async () => {
    const client = await new Client(names).start({ objectLock: true });
    const held = await client.put(OBJECT, 'one', NO_CONDITION, { ...NO_HEAD, legalHold: true });
    const versionId = held.type === 'put' ? held.versionId : null;
    const idempotency = { key: 'once', requestHash: new Uint8Array(32) };
    const body = { then: [put(key, 'x'), remove(OBJECT, versionId)] };
    expect(await codeOf(client.transact(body))).toBe('object_locked');
    expect(await codeOf(client.transact(body, { idempotency }))).toBe('object_locked');
    const change = { type: 'legalHold', legalHold: false } as const;
    const rest = { versionId, change, condition: NO_CONDITION, bypass: false };
    await client.apply({ type: 'amend', ref: object(OBJECT), ...rest });
    expect(await codeOf(client.transact(body, { idempotency }))).toBe('object_locked');
    expect([await client.value(key), await client.etag()]).toEqual([null, 'one']);
    await client.transact(body);
    expect([await client.value(key), await client.etag()]).toEqual(['x', null]);
  });

  it('what is not there cannot be tagged, and a deletion of it is none', async () => {
    const client = await new Client(names).start();
    expect(await codeOf(client.transact({ then: [put(key, 'x'), tag('none', 'a')] }))).toBe(
      'object_not_found',
    );
    expect(await client.value(key)).toBeNull();
    const { outcome } = await client.transact({ then: [put(key, 'x'), remove('none')] });
    expect(outcome.results[1]).toMatchObject({ type: 'objectDeleted', gone: false });
  });

  it('a bucket that no group has heard of is told to them, one that is not there is refused', async () => {
    const client = await new Client(names).start();
    const { outcome } = await client.transact({ then: [put(key, '1'), remove('none')] });
    expect(outcome.results[1]).toMatchObject({ gone: false });
    const ref = { ...object('a'), space: 'no-such-bucket' };
    const then: TxnOp[] = [
      put(key, '2'),
      { type: 'deleteObject', ref, bucket: 0, versionId: null },
    ];
    expect(await codeOf(client.transact({ then }))).toBe('bucket_not_found');
    expect(await client.value(key)).toBe('1');
  });

  it('is done once under an idempotency key', async () => {
    const client = await new Client(names).start();
    await client.put(OBJECT, 'one');
    const idempotency = { key: 'once', requestHash: new Uint8Array(32) };
    const body = { then: [put(key, '1'), remove()] };
    const first = await client.transact(body, { idempotency });
    await client.put(OBJECT, 'two');
    expect(await client.transact(body, { idempotency })).toMatchObject({
      outcome: first.outcome,
      repeated: true,
    });
    expect(await client.etag()).toBe('two');
  });

  it('of those who race for an object with the same ETag one wins, puts of S3 among them', async () => {
    const client = await new Client(names).start();
    await client.put(OBJECT, 'start');
    const match = { match: ['start'], noneMatch: null };
    const { objects, service } = client.node;
    const racers = Array.from({ length: 12 }, async (_, i): Promise<boolean> => {
      if (i % 2 === 0) {
        const op = putOf(OBJECT, `put ${i}`, match);
        const { result } = await objects.apply(CTX, client.bucket as Bucket, op);
        return result.type === 'put';
      }
      const then = [put(key, `winner ${i}`), remove()];
      const body = { compares: [etagIs('start')], then, otherwise: null };
      return (await service.transact(CTX, body)).outcome.succeeded;
    });
    const won = (await client.wait(Promise.all(racers))).flatMap((one, i) => (one ? [i] : []));
    expect(won).toHaveLength(1);
    const [winner = 0] = won;
    const isPut = winner % 2 === 0;
    expect(await client.etag()).toBe(isPut ? `put ${winner}` : null);
    expect(await client.value(key)).toBe(isPut ? null : `winner ${winner}`);
  });

  it('versioning is enabled while transactions delete: nothing is destroyed after the answer', async () => {
    const client = await new Client(names).start();
    const keys = Array.from({ length: 12 }, (_, i) => `many ${i}`);
    for (const one of keys) await client.put(one, `etag of ${one}`);
    const { objects, service } = client.node;
    let isEnabled = false;
    const change = objects.buckets
      .change(CTX, 'default', BUCKET, { versioning: 'enabled' })
      .then(() => {
        isEnabled = true;
      });
    const removed = keys.map(async (one) => {
      const wasEnabled = isEnabled;
      const then = [put(key + one, '1'), remove(one)];
      const { outcome } = await service.transact(CTX, { compares: [], then, otherwise: null });
      return { wasEnabled, result: outcome.results[1] };
    });
    const late = change.then(async () => {
      const then = [put(key, '1'), remove(keys[0])];
      const { outcome } = await service.transact(CTX, { compares: [], then, otherwise: null });
      return { wasEnabled: true, result: outcome.results[1] };
    });
    for (const { wasEnabled, result } of await client.wait(Promise.all([...removed, late]))) {
      if (wasEnabled) expect(result).toMatchObject({ marker: true });
    }
  });
});
