import { beforeEach, describe, expect, it } from 'vitest';
import { RootKeys } from '../../../../gateways/encryption/root-keys.ts';
import { ApiKeys } from '../../../../gateways/identity/api-keys.ts';
import { S3Users } from '../../../../gateways/identity/s3-users.ts';
import { SecretHash } from '../../../../gateways/identity/secret-hash.ts';
import { TenantRemoval } from '../../../../gateways/identity/tenant-removal.ts';
import { storesOf } from '../../../../gateways/identity/tenant-store.ts';
import { Tenants } from '../../../../gateways/identity/tenants.ts';
import { NO_LIMIT } from '../../../../gateways/limits/limit-row.ts';
import { RateLimitRows } from '../../../../gateways/limits/rate-limit-rows.ts';
import { AppError } from '../../../../protocol/errors.ts';
import type { Bucket } from '../../../../protocol/object-access.ts';
import { NO_CONDITION } from '../../../../protocol/object-ops.ts';
import type { ObjectHead } from '../../../../protocol/objects.ts';
import { seededRandom } from '../../../../protocol/random.ts';
import { DEFAULT_TENANT, KV_SPACE } from '../../../../protocol/vshard.ts';
import { HandClock } from '../../../kit/hand-clock.ts';
import { ModelObjects } from '../../../kit/model-objects.ts';
import { ModelService } from '../../../kit/model-service.ts';

const CTX = { deadlineMs: 1_000, traceparent: null, idempotency: null };
const SETTLE_MS = 70_000;

const HEAD: ObjectHead = {
  ...{ contentType: 'text/plain', headers: [], metadata: [], tags: [], encryption: null },
  ...{ retention: null, legalHold: null, acl: null },
};

let clock: HandClock;
let service: ModelService;
let tenants: Tenants;
let apiKeys: ApiKeys;
let objects: ModelObjects;
let isInCharge = true;
/** Scopes that have one. */
let withQuotas: string[];
const quotas = {
  list: async () => withQuotas.map((scope) => ({ scope })),
  delete: async (_ctx: unknown, wanted: string) => {
    withQuotas = withQuotas.filter((scope) => scope !== wanted);
  },
};

beforeEach(() => {
  clock = new HandClock();
  service = new ModelService();
  objects = new ModelObjects(() => clock.wallMs());
  const { identities } = service;
  const random = seededRandom(3, 'keys');
  tenants = new Tenants({ identities, clock });
  apiKeys = new ApiKeys({ identities, clock, random, hash: new SecretHash(random) });
  isInCharge = true;
  withQuotas = [];
});

/** As after a restart: it knows what the rows say, and nothing else. */
function parts() {
  return { identities: service.identities, clock, random: seededRandom(5, 's3') };
}

function removal(): TenantRemoval {
  return new TenantRemoval({
    ...{ identities: service.identities, storeOf: storesOf(service), objects, tenants, clock },
    bounds: [quotas, new RateLimitRows(service.identities)],
    isInCharge: () => isInCharge,
    log: () => {},
  });
}

function putOf(key: string) {
  return {
    ...{ type: 'put' as const, ref: { tenant: DEFAULT_TENANT, space: KV_SPACE, key } },
    ...{ value: new Uint8Array(1), contentType: null, ttlMs: null, condition: null },
  };
}

async function fill(tenant: string, count: number): Promise<void> {
  const store = storesOf(service)(tenant);
  for (let i = 0; i < count; i++) await store.put(CTX, putOf(`k${i}`));
  await store.indexes.define(CTX, {
    ...{ name: 'i', tenant, space: KV_SPACE, prefix: '', sparse: false },
    ...{ kind: 'text' as const, fields: [], unique: false },
  });
  await apiKeys.create(CTX, { name: 'k', tenant, role: 'admin', expiresInMs: null });
}

async function left(tenant: string): Promise<[keys: number, indexes: number, credentials: number]> {
  const store = storesOf(service)(tenant);
  const { items } = await store.scan(CTX, {
    ...{ tenant, space: KV_SPACE, start: '', end: null, reverse: false, limit: 100_000 },
    ...{ values: false, consistency: 'linearizable' as const, revision: null },
  });
  const indexes = await store.indexes.list(CTX);
  return [items.length, indexes.length, (await apiKeys.list(CTX, tenant)).length];
}

function listOf(tenant: string) {
  return { tenant, space: 'b', prefix: '', delimiter: null, start: '', below: 0, limit: 100 };
}

async function put(tenant: string, bucket: Bucket, key: string): Promise<void> {
  const { result } = await objects.apply(CTX, bucket, {
    ...{ type: 'put', ref: { tenant, space: 'b', key }, size: 0, etag: 'd'.repeat(32) },
    ...{ checksum: null, data: null, head: HEAD, ttlMs: null, condition: NO_CONDITION },
  });
  expect(result.type).toBe('put');
}

async function exists(name: string): Promise<boolean> {
  return (await tenants.list(CTX)).some((tenant) => tenant.name === name);
}

describe('the deletion of a tenant', () => {
  it('takes away its quotas and limits, and no others, before its name is free', async () => {
    const limits = new RateLimitRows(service.identities);
    const limit = { ...NO_LIMIT, requestsPerSecond: 5 };
    const theirs = ['tenant:acme', 'bucket:acme/photos', 'prefix:acme/a/b'];
    const others = ['tenant:acme-2', 'tenant:other', 'bucket:acme', 'prefix:other/acme/'];
    for (const name of ['acme', 'other']) await tenants.create(CTX, name);
    for (const scope of [...theirs, 's3-user:acme/ada', ...others, 'default']) {
      await limits.set(CTX, scope, limit);
    }
    withQuotas = [...theirs, ...others];
    await tenants.delete(CTX, 'acme');
    await removal().turn();
    expect(withQuotas).toHaveLength(7);
    await clock.pass(SETTLE_MS);
    for (let i = 0; i < 3; i++) await removal().turn();
    expect(await exists('acme')).toBe(false);
    expect(withQuotas).toEqual(others);
    const left = (await limits.list(CTX)).map(({ scope }) => scope);
    expect(left).toEqual([...others, 'default'].sort());
  });

  it("takes away all that is theirs, nothing that is others', and then frees the name", async () => {
    for (const name of ['acme', 'other']) await tenants.create(CTX, name);
    for (const name of ['acme', 'other', DEFAULT_TENANT]) await fill(name, 1_200);
    await removal().turn();
    expect(await left('acme')).toEqual([1_200, 1, 1]);
    await tenants.delete(CTX, 'acme');
    await removal().turn();
    expect(await left('acme')).toEqual([0, 0, 0]);
    const { deletion } = await tenants.get(CTX, 'acme');
    expect(deletion).toMatchObject({ credentials: 1, indexes: 1, keys: 1_200 });
    for (const name of ['other', DEFAULT_TENANT]) expect(await left(name)).toEqual([1_200, 1, 1]);
    await clock.pass(SETTLE_MS);
    expect(await removal().turn()).toBe(true);
    expect(await exists('acme')).toBe(false);
    expect(await removal().turn()).toBe(false);
    expect((await tenants.create(CTX, 'acme')).deletion).toBeNull();
    expect(await left('acme')).toEqual([0, 0, 0]);
  });

  it('revokes their leases, and what is attached goes with them', async () => {
    for (const name of ['acme', 'other']) await tenants.create(CTX, name);
    const granted = new Map<string, number>();
    for (const tenant of ['acme', 'other', DEFAULT_TENANT]) {
      const store = storesOf(service)(tenant);
      for (let i = 0; i < 70; i++) {
        const { lease } = (await store.leases.grant(CTX, 60_000)).lease;
        granted.set(tenant, lease);
        await store.put(CTX, { ...putOf(`k${i}`), attach: { lease, until: 0 } });
      }
    }
    await tenants.delete(CTX, 'acme');
    await removal().turn();
    expect((await tenants.get(CTX, 'acme')).deletion).toMatchObject({ leases: 70, keys: 0 });
    expect(await left('acme')).toEqual([0, 0, 0]);
    for (const tenant of ['other', DEFAULT_TENANT]) {
      const { leases } = storesOf(service)(tenant);
      expect((await leases.list(CTX, 0, 1_000)).leases).toHaveLength(70);
      const lease = granted.get(tenant) as number;
      expect((await leases.attached(CTX, lease, 10)).keys).toHaveLength(1);
    }
    await clock.pass(SETTLE_MS);
    // One that was granted by a request which had begun before, and one that ends by itself meanwhile.
    const { leases } = storesOf(service)('acme');
    const late = (await leases.grant(CTX, 60_000)).lease.lease;
    await removal().turn();
    expect(await exists('acme')).toBe(true);
    await expect(leases.look(CTX, late)).rejects.toMatchObject({ code: 'lease_not_found' });
    await removal().turn();
    expect(await exists('acme')).toBe(false);
  });

  it('counts on where a deletion began before tenants had leases', async () => {
    await tenants.create(CTX, 'acme');
    await tenants.delete(CTX, 'acme');
    const row = service.identities.row('tenant/acme');
    const { record } = JSON.parse(row?.text ?? '');
    delete record.deletion.leases;
    const text = JSON.stringify({ v: 1, record });
    await service.identities.put(CTX, { name: 'tenant/acme', text, revision: row?.revision ?? 0 });
    await storesOf(service)('acme').leases.grant(CTX, 60_000);
    await removal().turn();
    expect((await tenants.get(CTX, 'acme')).deletion).toMatchObject({ leases: 1 });
  });

  it('says what it waits for, and sees what a request wrote that had begun before', async () => {
    await tenants.create(CTX, 'acme');
    await tenants.delete(CTX, 'acme');
    await removal().turn();
    const waiting = (await tenants.get(CTX, 'acme')).deletion;
    expect(waiting?.waitsFor).toBe('requests that had begun before');
    await storesOf(service)('acme').put(CTX, putOf('late'));
    await clock.pass(SETTLE_MS);
    await removal().turn();
    // Something was there: only a turn that finds nothing is the last one.
    expect((await tenants.get(CTX, 'acme')).deletion).toMatchObject({ keys: 1, waitsFor: null });
    await removal().turn();
    expect(await exists('acme')).toBe(false);
  });

  it('goes on after a crash in the middle', async () => {
    await tenants.create(CTX, 'acme');
    await fill('acme', 1_200);
    await tenants.delete(CTX, 'acme');
    let batches = 0;
    const batch = service.batch.bind(service);
    service.batch = async (ctx, ops, budget) => {
      if (++batches === 2) throw new AppError('unavailable', 'the node has gone');
      return batch(ctx, ops, budget);
    };
    await removal().turn();
    expect(await left('acme')).toEqual([700, 0, 0]);
    expect(await exists('acme')).toBe(true);
    await clock.pass(SETTLE_MS);
    await removal().turn();
    await removal().turn();
    expect(await exists('acme')).toBe(false);
  });

  it('takes away buckets with all versions, and users of S3, but nothing that a hold keeps', async () => {
    for (const name of ['acme', 'other']) await tenants.create(CTX, name);
    for (const tenant of ['acme', 'other']) {
      const { bucket } = await objects.buckets.create(CTX, {
        ...{ tenant, name: 'b', owner: 'o', objectLock: false, documents: {} },
      });
      await objects.buckets.change(CTX, tenant, 'b', { versioning: 'enabled' });
      for (const key of ['x', 'x', 'y']) await put(tenant, bucket, key);
    }
    const users = new S3Users({ ...parts(), roots: new RootKeys([Buffer.alloc(32, 7)]) });
    const wanted = { name: 'u', displayName: 'U', email: null, role: 'admin' as const };
    for (const tenant of ['acme', 'other']) {
      await users.ofTenant(tenant).createUser(CTX, wanted);
      await users.ofTenant(tenant).createKey(CTX, { user: 'u', expiresInMs: null });
    }
    await tenants.delete(CTX, 'acme');
    for (let i = 0; i < 2; i++) await removal().turn();
    expect((await tenants.get(CTX, 'acme')).deletion).toMatchObject({
      ...{ credentials: 2, buckets: 1, versions: 3 },
    });
    expect(await objects.buckets.get(CTX, 'acme', 'b')).toBeNull();
    expect((await objects.listVersions(CTX, listOf('other'))).entries).toHaveLength(3);
    expect(await users.ofTenant('other').listKeys(CTX)).toHaveLength(1);
    expect(await users.ofTenant('acme').listUsers(CTX)).toEqual([]);
    await clock.pass(SETTLE_MS);
    await removal().turn();
    expect(await exists('acme')).toBe(false);
  });

  it('is the work of one node', async () => {
    await tenants.create(CTX, 'acme');
    await fill('acme', 1);
    await tenants.delete(CTX, 'acme');
    isInCharge = false;
    expect(await removal().turn()).toBe(false);
    expect(await left('acme')).toEqual([1, 1, 1]);
  });

  it('begins by itself, and ends with its node', async () => {
    await tenants.create(CTX, 'acme');
    await tenants.delete(CTX, 'acme');
    const running = removal();
    running.start();
    for (let i = 0; i < 80 && (await exists('acme')); i++) await clock.pass(1_000);
    expect(await exists('acme')).toBe(false);
    await running.stop();
  });
});
