import { beforeAll, describe, expect, it } from 'vitest';
import { AppError } from '../../../../protocol/errors.ts';
import type { Bucket, ObjectService } from '../../../../protocol/object-access.ts';
import {
  type NewData,
  NO_CONDITION,
  type ObjectCondition,
  type ObjectOp,
} from '../../../../protocol/object-ops.ts';
import { NO_HEAD } from '../../../../protocol/objects.ts';
import type { RequestContext } from '../../../../protocol/service.ts';
import { MemoryCluster } from '../../../kit/memory-cluster.ts';

const CTX: RequestContext = { deadlineMs: 5_000, traceparent: null, idempotency: null };
const LATEST = { versionId: null, revision: null };
const ABSENT: ObjectCondition = { match: null, noneMatch: ['*'] };
const NAMES = ['n1', 'n2', 'n3'];

type ListAsked = Parameters<ObjectService['list']>[1];
type Listed = Awaited<ReturnType<ObjectService['list']>>;

/** Real nodes; each question goes to the next one of them. */
class Client {
  readonly cluster = new MemoryCluster(NAMES.join(' '), { groupCount: 4 });
  #turn = 0;
  #drawn = 0;

  ask<T>(work: (objects: ObjectService) => Promise<T>, at?: string): Promise<T> {
    const name = at ?? (NAMES[this.#turn++ % NAMES.length] as string);
    return this.cluster.time.until(work(this.cluster.node(name).objects));
  }

  async make(name: string, objectLock = false): Promise<Bucket> {
    const wanted = { tenant: 'default', name, owner: 'me', objectLock, documents: {} };
    return (await this.ask((objects) => objects.buckets.create(CTX, wanted))).bucket;
  }

  put(
    bucket: Bucket,
    key: string,
    text: string,
    more: { condition?: ObjectCondition; ttlMs?: number } = {},
  ) {
    const { condition = NO_CONDITION, ttlMs = null } = more;
    return this.apply(bucket, {
      ...{ type: 'put', ref: this.ref(bucket, key), size: text.length, etag: `"${text}"` },
      ...{ checksum: null, head: NO_HEAD, data: this.inline(text), ttlMs, condition },
    });
  }

  inline(text: string): NewData {
    const id = Buffer.alloc(16);
    const wallMs = this.cluster.time.process().clock.wallMs();
    id.writeUIntBE(wallMs, 0, 6);
    id.writeUInt32BE(++this.#drawn, 12);
    const inline = Buffer.from(text);
    return { id, bytes: inline.length, chunkBytes: 0, holders: [], inline };
  }

  ref(bucket: Bucket, key: string) {
    return { tenant: 'default', space: bucket.rule.name, key };
  }

  async apply(bucket: Bucket, op: ObjectOp) {
    return (await this.ask((objects) => objects.apply(CTX, bucket, op))).result;
  }

  remove(bucket: Bucket, key: string, versionId: string | null = null) {
    const ref = this.ref(bucket, key);
    return this.apply(bucket, {
      ...{ type: 'delete', ref, versionId, condition: NO_CONDITION, bypass: false },
    });
  }

  async text(bucket: Bucket, key: string): Promise<string | null> {
    const read = await this.ask((objects) => objects.read(CTX, this.ref(bucket, key), LATEST));
    return read.type === 'none' ? null : Buffer.from(read.version.inline ?? []).toString();
  }

  get(name: string) {
    return this.ask((objects) => objects.buckets.get(CTX, 'default', name));
  }

  drop(name: string) {
    return this.ask((objects) => objects.buckets.delete(CTX, 'default', name));
  }
}

describe('objects over three nodes', () => {
  const client = new Client();
  beforeAll(() => client.cluster.start());

  it('is read at any node as soon as it was put at another, and told by conditions', async () => {
    const bucket = await client.make('plain');
    expect(await client.put(bucket, 'a', 'one')).toMatchObject({ type: 'put', versionId: null });
    expect(await client.text(bucket, 'a')).toBe('one');
    expect(await client.put(bucket, 'a', 'two', { condition: ABSENT })).toEqual({
      type: 'precondition_failed',
      etag: '"one"',
    });
    const match = { match: ['"one"'], noneMatch: null };
    expect(await client.put(bucket, 'a', 'two', { condition: match })).toMatchObject({
      type: 'put',
    });
    expect(await client.text(bucket, 'a')).toBe('two');
    expect(await client.remove(bucket, 'a')).toMatchObject({ type: 'deleted' });
    expect(await client.text(bucket, 'a')).toBeNull();
    expect(await client.text(bucket, 'never')).toBeNull();
  });

  it('of twenty writers that each want to be the first one is', async () => {
    const bucket = await client.make('race');
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        client.put(bucket, 'lock', `writer ${i}`, { condition: ABSENT }),
      ),
    );
    const won = results.flatMap((result, i) => (result.type === 'put' ? [i] : []));
    expect(won).toHaveLength(1);
    expect(await client.text(bucket, 'lock')).toBe(`writer ${won[0]}`);
  });

  it('an operation whose answer is lost is done once, and answered', async () => {
    const bucket = await client.make('lossy');
    await client.put(bucket, 'k', 'before');
    const idempotency = { key: 'mine', requestHash: new Uint8Array(32).fill(1) };
    const op: ObjectOp = {
      ...{ type: 'delete', ref: client.ref(bucket, 'k'), versionId: null },
      ...{ condition: NO_CONDITION, bypass: false },
    };
    const ctx = { ...CTX, idempotency };
    const first = await client.ask((objects) => objects.apply(ctx, bucket, op));
    await client.put(bucket, 'k', 'after');
    const again = await client.ask((objects) => objects.apply(ctx, bucket, op));
    expect(again.result).toEqual(first.result);
    expect(await client.text(bucket, 'k')).toBe('after');
  });

  it('keeps versions from the moment that was acknowledged, at every node', async () => {
    const before = await client.make('versions');
    await client.put(before, 'k', 'v0');
    const changed = await client.ask((objects) =>
      objects.buckets.change(CTX, 'default', 'versions', { versioning: 'enabled' }),
    );
    expect(changed.type).toBe('changed');
    // Whoever still has the bucket as it was puts a version all the same.
    const put = await client.put(before, 'k', 'v1');
    expect(put).toMatchObject({ type: 'put', versionId: expect.stringMatching(/^[0-9a-v]{13}$/) });
    await client.remove(before, 'k');
    expect(await client.text(before, 'k')).toBeNull();
    const old = await client.ask((objects) =>
      objects.read(CTX, client.ref(before, 'k'), { versionId: 'null', revision: null }),
    );
    expect(old).toMatchObject({ type: 'found', version: { isLatest: false } });
    const query = { tenant: 'default', space: 'versions', prefix: '', delimiter: null };
    const page = await client.ask((objects) =>
      objects.listVersions(CTX, { ...query, start: '', below: 0, limit: 2 }),
    );
    expect(page.entries.map((one) => 'isMarker' in one && one.isMarker)).toEqual([true, false]);
    const rest = await client.ask((objects) =>
      objects.listVersions(CTX, { ...query, ...nextOf(page.next), limit: 2 }),
    );
    expect(rest.entries).toMatchObject([{ versionId: 'null', isLatest: false }]);
    expect(rest.next).toBeNull();
  });

  it('lists all groups in order at one revision, with common prefixes once', async () => {
    const bucket = await client.make('list');
    const keys = Array.from({ length: 60 }, (_, i) => `d${i % 7}/f${i}`).concat('a', 'z');
    for (const key of keys) await client.put(bucket, key, key);
    const query = { tenant: 'default', space: 'list', prefix: '' };
    for (const delimiter of [null, '/']) {
      for (const limit of [1, 3, 10, 1000]) {
        const seen: string[] = [];
        let revision: number | null = null;
        for (let start: string | null = ''; start !== null; ) {
          const asked: ListAsked = { ...query, delimiter, start, limit, revision };
          const page: Listed = await client.ask((objects) => objects.list(CTX, asked));
          for (const one of page.entries) seen.push(one.type === 'prefix' ? one.prefix : one.key);
          // What is put between two pages is not seen by the second.
          if (revision === null) await client.put(bucket, `e-${delimiter}-${limit}`, 'late');
          expect(page.entries.length).toBeLessThanOrEqual(limit);
          ({ revision } = page);
          start = page.next;
        }
        const late = seen.filter((key) => key.startsWith('e-'));
        const wanted = delimiter === null ? keys : keys.map((key) => key.replace(/\/.*/, '/'));
        expect(seen).toEqual([...new Set([...wanted, ...late])].sort());
      }
    }
  });

  it('is gone when its time is over: for reads, listings, conditions, and the end of its bucket', async () => {
    const bucket = await client.make('brief');
    const keys = ['a', 'b', 'c', 'd', 'e', 'f'];
    for (const key of keys) await client.put(bucket, key, key, { ttlMs: 20_000 });
    expect(await client.text(bucket, 'a')).toBe('a');
    expect(await client.drop('brief')).toBe('not_empty');
    await client.cluster.time.pass(20_000);
    for (const key of keys) expect(await client.text(bucket, key)).toBeNull();
    const query = { tenant: 'default', space: 'brief', prefix: '', delimiter: null };
    const page = await client.ask((objects) =>
      objects.list(CTX, { ...query, start: '', limit: 10, revision: null }),
    );
    expect(page.entries).toEqual([]);
    const again = await client.put(bucket, 'a', 'new', { condition: ABSENT });
    expect(again).toMatchObject({ type: 'put', expiresAtMs: null });
    expect(await client.text(bucket, 'a')).toBe('new');
    await client.remove(bucket, 'a');
    expect(await client.drop('brief')).toBe('deleted');
  });

  it('uploads in parts, from any node', async () => {
    const bucket = await client.make('parts');
    const ref = client.ref(bucket, 'big');
    const upload = 'up-1';
    await client.apply(bucket, {
      type: 'uploadCreate',
      ref,
      upload,
      head: NO_HEAD,
      checksum: null,
    });
    await client.apply(bucket, {
      ...{ type: 'uploadPart', ref, upload, number: 1, size: 3, etag: 'p1', checksum: null },
      data: client.inline('abc'),
    });
    const query = { tenant: 'default', space: 'parts', prefix: '', delimiter: null, start: '' };
    const uploads = await client.ask((objects) =>
      objects.listUploads(CTX, bucket, { ...query, after: '', limit: 10 }),
    );
    expect(uploads).toMatchObject({ entries: [{ key: 'big', upload }], next: null });
    const options = { after: 0, limit: 10 };
    const parts = await client.ask((objects) =>
      objects.listParts(CTX, bucket, ref, upload, options),
    );
    expect(parts).toMatchObject({ parts: [{ number: 1, etag: 'p1' }], more: false });
    const done = await client.apply(bucket, {
      ...{
        type: 'uploadComplete',
        ref,
        upload,
        parts: [{ number: 1, etag: 'p1', checksum: null }],
      },
      ...{ etag: 'm-1', checksum: null, ttlMs: null, condition: NO_CONDITION },
    });
    expect(done).toMatchObject({ type: 'put', size: 3 });
    expect(await client.text(bucket, 'big')).toBe('abc');
    expect(
      await client.ask((objects) => objects.listParts(CTX, bucket, ref, upload, options)),
    ).toBeNull();
  });
});

function nextOf(next: { readonly key: string; readonly below: number } | null) {
  if (next === null) throw new Error('there is no next page');
  return { start: next.key, below: next.below };
}

describe('buckets over three nodes', () => {
  const client = new Client();
  beforeAll(() => client.cluster.start());

  it('is made once, listed and found at every node', async () => {
    const made = await client.make('one');
    expect(await client.get('one')).toEqual(made);
    const wanted = { tenant: 'default', name: 'one', owner: 'you', objectLock: false };
    const again = await client.ask((objects) =>
      objects.buckets.create(CTX, { ...wanted, documents: {} }),
    );
    expect(again).toEqual({ type: 'exists', bucket: made });
    for (const name of ['two', 'three']) await client.make(name);
    const listed = await client.ask((objects) =>
      objects.buckets.list(CTX, 'default', { prefix: 't', after: '', limit: 10, owner: null }),
    );
    expect(listed.map(({ rule }) => rule.name)).toEqual(['three', 'two']);
    const after = await client.ask((objects) =>
      objects.buckets.list(CTX, 'default', { prefix: '', after: 'one', limit: 1, owner: null }),
    );
    expect(after.map(({ rule }) => rule.name)).toEqual(['three']);
    expect(await client.get('none')).toBeNull();
  });

  it('of many who make it at once one does', async () => {
    const wanted = { tenant: 'default', name: 'raced', objectLock: false, documents: {} };
    const made = await Promise.all(
      Array.from({ length: 12 }, (_, i) =>
        client.ask((objects) => objects.buckets.create(CTX, { ...wanted, owner: `o${i}` })),
      ),
    );
    const creators = made.filter(({ type }) => type === 'created');
    expect(creators).toHaveLength(1);
    for (const { bucket } of made) expect(bucket).toEqual(creators[0]?.bucket);
  });

  it('keeps documents by their names, and refuses what object lock rules out', async () => {
    await client.make('conf', true);
    const change = (more: object) =>
      client.ask((objects) => objects.buckets.change(CTX, 'default', 'conf', more));
    await change({ documents: { cors: '<a/>', tagging: '<b/>' } });
    await change({ documents: { cors: null, policy: '{}' } });
    expect((await client.get('conf'))?.documents).toEqual({ tagging: '<b/>', policy: '{}' });
    expect(await change({ versioning: 'suspended' })).toEqual({ type: 'refused' });
    const retention = { mode: 'governance', periodMs: 1_000 } as const;
    expect(await change({ retention })).toMatchObject({ type: 'changed' });
    expect((await client.get('conf'))?.rule).toMatchObject({ retention, versioning: 'enabled' });
    const none = await client.ask((objects) =>
      objects.buckets.change(CTX, 'default', 'none', { documents: {} }),
    );
    expect(none).toEqual({ type: 'no_such_bucket' });
    const text = 'x'.repeat(300 * 1024);
    await expect(change({ documents: { policy: text } })).rejects.toThrow(AppError);
  });

  it('is deleted when nothing is in it, and nothing of it is met in the next one of its name', async () => {
    const first = await client.make('again');
    await client.put(first, 'a', '1');
    const ref = client.ref(first, 'u');
    const created = { type: 'uploadCreate', ref, upload: 'up', head: NO_HEAD } as const;
    await client.apply(first, { ...created, checksum: null });
    expect(await client.drop('again')).toBe('not_empty');
    expect(await client.put(first, 'a', '2')).toMatchObject({ type: 'put' });
    await client.remove(first, 'a');
    expect(await client.drop('again')).toBe('deleted');
    expect(await client.drop('again')).toBe('no_such_bucket');
    expect(await client.get('again')).toBeNull();
    expect(await client.put(first, 'a', '3')).toEqual({ type: 'no_such_bucket' });
    const second = await client.make('again');
    expect(second.rule.id).not.toBe(first.rule.id);
    expect(await client.put(first, 'a', '3')).toEqual({ type: 'no_such_bucket' });
    expect(await client.put(second, 'a', '4')).toMatchObject({ type: 'put' });
    const query = { tenant: 'default', space: 'again', prefix: '', delimiter: null, start: '' };
    const uploads = await client.ask((objects) =>
      objects.listUploads(CTX, second, { ...query, after: '', limit: 10 }),
    );
    expect(uploads.entries).toEqual([]);
  });

  it('who puts while it is being deleted is heard before or after, and never lost', async () => {
    for (let round = 0; round < 6; round++) {
      const bucket = await client.make('busy');
      const [dropped, put] = await Promise.all([
        client.drop('busy'),
        client.cluster.time.pass(round * 4).then(() => client.put(bucket, 'k', 'v')),
      ]);
      if (put.type === 'put') {
        expect(dropped).toBe('not_empty');
        expect(await client.text(bucket, 'k')).toBe('v');
        await client.remove(bucket, 'k');
        expect(await client.drop('busy')).toBe('deleted');
      } else {
        expect([dropped, put.type]).toEqual(['deleted', 'no_such_bucket']);
      }
    }
  });

  it('who puts while it is being deleted in vain is always heard', async () => {
    const bucket = await client.make('kept');
    await client.put(bucket, 'first', 'v');
    for (let round = 0; round < 8; round++) {
      const puts = [0, 1, 2].map((i) =>
        client.cluster.time.pass(round * 3 + i).then(() => client.put(bucket, `k${i}`, 'v')),
      );
      const [dropped, ...done] = await Promise.all([client.drop('kept'), ...puts]);
      expect(dropped).toBe('not_empty');
      expect(done.map(({ type }) => type)).toEqual(['put', 'put', 'put']);
    }
  });

  it('a deletion whose gateway died is brought to its end', async () => {
    const bucket = await client.make('half');
    await client.put(bucket, 'k', 'v');
    await client.remove(bucket, 'k');
    const { objects } = client.cluster.node('n3');
    objects.buckets.delete(CTX, 'default', 'half').catch(() => {});
    // Until the row says that it is being deleted, and no further.
    while ((await client.ask((at) => at.buckets.get(CTX, 'default', 'half'), 'n1')) !== null) {
      await client.cluster.time.pass(1);
    }
    client.cluster.kill('n3');
    await client.cluster.time.pass(20_000);
    const again = await client.ask(
      (at) =>
        at.buckets.create(CTX, {
          ...{ tenant: 'default', name: 'half', owner: 'me', objectLock: false, documents: {} },
        }),
      'n1',
    );
    expect(again.type).toBe('created');
    await client.cluster.startNode('n3');
    await client.cluster.ready();
  });
});
