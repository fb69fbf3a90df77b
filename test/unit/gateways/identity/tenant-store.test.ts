import { describe, expect, it } from 'vitest';
import { storesOf } from '../../../../gateways/identity/tenant-store.ts';
import type { KvService } from '../../../../protocol/service.ts';
import type { TxnBody } from '../../../../protocol/txn.ts';
import { DEFAULT_TENANT, KV_SPACE } from '../../../../protocol/vshard.ts';
import { ModelService } from '../../../kit/model-service.ts';

const CTX = { deadlineMs: 1_000, traceparent: null, idempotency: null };
const LATEST = { consistency: 'linearizable', revision: null } as const;
const refOf = (key: string) => ({ tenant: DEFAULT_TENANT, space: KV_SPACE, key });

function putOf(key: string, text: string) {
  return {
    ...{ type: 'put' as const, ref: refOf(key), value: new TextEncoder().encode(text) },
    ...{ contentType: null, ttlMs: null, condition: null },
  };
}

const ALL = {
  ...{ tenant: DEFAULT_TENANT, space: KV_SPACE, start: '', end: null, reverse: false, limit: 100 },
  ...{ values: true, ...LATEST },
};

async function keysOf(store: KvService): Promise<string[]> {
  return (await store.scan(CTX, ALL)).items.map(({ ref }) => `${ref.tenant}:${ref.key}`);
}

describe('the store of a tenant', () => {
  it('of the cluster itself is the service, and of others always the same one', () => {
    const service = new ModelService();
    const storeOf = storesOf(service);
    expect(storeOf(DEFAULT_TENANT)).toBe(service);
    expect(storeOf('acme')).toBe(storeOf('acme'));
    expect(storeOf('acme')).not.toBe(storeOf('other'));
  });

  it('puts, gets, lists and deletes keys of its own, whatever tenant is named', async () => {
    const storeOf = storesOf(new ModelService());
    const [acme, other, own] = [storeOf('acme'), storeOf('other'), storeOf(DEFAULT_TENANT)];
    await acme.put(CTX, putOf('a', 'of acme'));
    await acme.batch(CTX, [{ kind: 'write', op: { ...putOf('b', '2'), ref: refOf('b') } }]);
    expect(await keysOf(acme)).toEqual(['acme:a', 'acme:b']);
    expect([await keysOf(other), await keysOf(own)]).toEqual([[], []]);
    for (const store of [other, own]) {
      expect((await store.get(CTX, refOf('a'), LATEST)).item).toBeNull();
      expect((await store.get(CTX, { ...refOf('a'), tenant: 'none' }, LATEST)).item).toBeNull();
      const gone = await store.delete(CTX, refOf('a'), null);
      expect(gone.result).toMatchObject({ type: 'deleted', deleted: false });
    }
    const named = { ...refOf('a'), tenant: 'acme' };
    expect((await other.get(CTX, named, LATEST)).item).toBeNull();
    expect(await other.batch(CTX, [{ kind: 'get', ref: named }])).toMatchObject({
      results: [{ kind: 'get', item: null }],
    });
    expect((await acme.get(CTX, refOf('a'), LATEST)).item?.ref.tenant).toBe('acme');
  });

  it('changes in a transaction what is its own: keys, ranges, compares, both branches', async () => {
    const storeOf = storesOf(new ModelService());
    const [acme, own] = [storeOf('acme'), storeOf(DEFAULT_TENANT)];
    for (const store of [acme, own]) await store.put(CTX, putOf('k/1', 'old'));
    const exists = { type: 'exists' as const, exists: true };
    const body: TxnBody = {
      compares: [{ ref: { ...refOf('k/1'), tenant: 'default' }, relation: '=', target: exists }],
      then: [
        { type: 'deleteRange', tenant: 'default', space: KV_SPACE, start: 'k/', end: 'k0' },
        { type: 'put', ref: refOf('n'), value: new Uint8Array(1), contentType: null, ttlMs: null },
      ],
      otherwise: [{ type: 'delete', ref: refOf('k/1') }],
    };
    expect((await acme.transact(CTX, body)).outcome.succeeded).toBe(true);
    expect(await keysOf(acme)).toEqual(['acme:n']);
    expect(await keysOf(own)).toEqual(['default:k/1']);
    // The compare is of its own key too: that is gone, so the other branch is done.
    expect((await acme.transact(CTX, body)).outcome.succeeded).toBe(false);
    expect(await keysOf(own)).toEqual(['default:k/1']);
  });

  it('watches its own keys, also where it resumes with a token of another', async () => {
    const storeOf = storesOf(new ModelService());
    const [acme, other] = [storeOf('acme'), storeOf('other')];
    const options = {
      ...{ tenant: DEFAULT_TENANT, space: KV_SPACE, prefix: '', prev: false, initial: false },
      from: null,
    };
    const watch = await acme.watch(CTX, options);
    await other.put(CTX, putOf('x', 'unseen'));
    await acme.put(CTX, putOf('y', 'seen'));
    const seen = await watch.next();
    const events = seen?.filter((message) => message.type === 'event') ?? [];
    expect(events.map(({ event }) => event.ref)).toEqual([{ ...refOf('y'), tenant: 'acme' }]);
    watch.close();
    const token = events[0]?.token ?? '';
    const resumed = await other.watch(CTX, { ...options, from: { token } });
    await acme.put(CTX, putOf('z', 'unseen'));
    await other.put(CTX, putOf('w', 'seen'));
    const next = (await resumed.next())?.filter((message) => message.type === 'event') ?? [];
    expect(next.map(({ event }) => event.ref.key)).toEqual(['w']);
    resumed.close();
  });

  it('has indexes of its own, under names of its own', async () => {
    const storeOf = storesOf(new ModelService());
    const [acme, other] = [storeOf('acme'), storeOf('other')];
    const index = {
      ...{ name: 'i', tenant: DEFAULT_TENANT, space: KV_SPACE, prefix: '', sparse: false },
      ...{ kind: 'text' as const, fields: [], unique: false },
    };
    await acme.put(CTX, putOf('a', 'a long text'));
    await acme.indexes.define(CTX, index);
    expect(await other.indexes.list(CTX)).toEqual([]);
    await expect(other.indexes.inspect(CTX, 'i')).rejects.toMatchObject({ code: 'not_found' });
    expect(await other.indexes.drop(CTX, 'i')).toBe(false);
    const wanted = {
      text: 'long',
      prefix: '',
      limit: 10,
      values: false,
      revision: null,
      after: '',
    };
    await expect(other.indexes.search(CTX, wanted)).rejects.toMatchObject({ code: 'not_found' });
    // Another one of the same name is no conflict.
    await other.indexes.define(CTX, { ...index, prefix: 'x' });
    const { items } = await acme.indexes.search(CTX, wanted);
    expect(items.map(({ ref }) => `${ref.tenant}:${ref.key}`)).toEqual(['acme:a']);
  });

  it('has leases of its own, and those of others are not there', async () => {
    const service = new ModelService();
    const storeOf = storesOf(service);
    const [acme, other, own] = [storeOf('acme'), storeOf('other'), storeOf(DEFAULT_TENANT)];
    const { lease } = (await acme.leases.grant(CTX, 60_000)).lease;
    const attached = (id: number) => ({ ...putOf('a', '1'), attach: { lease: id, until: 0 } });
    const attach = async (store: KvService, id: number) =>
      (await store.put(CTX, attached(id))).result.type;
    expect(await attach(acme, lease)).toBe('put');
    const gone = { code: 'lease_not_found' };
    for (const store of [other, own]) {
      for (const id of [lease, lease + 1]) {
        await expect(store.leases.look(CTX, id)).rejects.toMatchObject(gone);
        await expect(store.leases.keepAlive(CTX, id)).rejects.toMatchObject(gone);
        await expect(store.leases.revoke(CTX, id)).rejects.toMatchObject(gone);
        expect(await attach(store, id)).toBe('lease_stale');
        expect((await store.leases.attached(CTX, id, 10)).keys).toEqual([]);
      }
      expect((await store.leases.list(CTX, 0, 10)).leases).toEqual([]);
    }
    expect((await acme.leases.list(CTX, 0, 10)).leases).toMatchObject([{ lease }]);
    expect((await acme.leases.attached(CTX, lease, 10)).keys.map(({ key }) => key)).toEqual(['a']);
    expect(await acme.leases.revoke(CTX, lease)).toMatchObject({ removed: 1 });
    expect(await keysOf(acme)).toEqual([]);
    await expect(acme.transferLeader(CTX, 1, null)).rejects.toMatchObject({ code: 'forbidden' });
    expect(acme.members(1)).toBeNull();
  });

  it('draws ids of leases from idempotency keys that are the tenant’s own', async () => {
    const service = new ModelService();
    const storeOf = storesOf(service);
    const ctx = { ...CTX, idempotency: { key: 'k', requestHash: new Uint8Array(32) } };
    for (const tenant of ['acme', 'acme', 'other', DEFAULT_TENANT]) {
      await storeOf(tenant).leases.grant(ctx, 60_000);
    }
    const keys = service.contexts.slice(-4).map(({ idempotency }) => idempotency?.key);
    expect(keys[0]).toBe(keys[1]);
    expect(new Set(keys).size).toBe(3);
    expect(keys[3]).toBe('k');
  });
});
