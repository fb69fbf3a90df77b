import { describe, expect, it } from 'vitest';
import type { PutOp } from '../../../../protocol/commands.ts';
import { AppError } from '../../../../protocol/errors.ts';
import { homeOfLease } from '../../../../protocol/lease.ts';
import type { KvService, RequestContext } from '../../../../protocol/service.ts';
import { put, ref } from '../../../kit/applied-group.ts';
import { MemoryCluster } from '../../../kit/memory-cluster.ts';

const CTX: RequestContext = { deadlineMs: 5_000, traceparent: null, idempotency: null };
const LATEST = { consistency: 'linearizable', revision: null } as const;
const KEYS = Array.from({ length: 24 }, (_, i) => `k${i}`);

/** Of whom the keys are. */
const leasesOf = (service: KvService) => service.leases.ofTenant('t1');

function attach(key: string, lease: number): PutOp {
  return { ...(put(key, 'v') as PutOp), attach: { lease, until: 0 } };
}

/** A cluster whose nodes are asked one after another until one answers. */
class Client {
  readonly cluster: MemoryCluster;
  readonly names: string[];

  constructor(cluster: MemoryCluster, names: string) {
    this.cluster = cluster;
    this.names = names.split(' ');
  }

  /** Runs in virtual time; an error is its code. */
  async ask<T>(work: (service: KvService) => Promise<T>, at = this.names[0]): Promise<T | string> {
    try {
      return await this.cluster.time.until(work(this.cluster.node(at as string).service));
    } catch (error) {
      if (error instanceof AppError) return error.code;
      throw error;
    }
  }

  async grant(ttlMs: number): Promise<number> {
    const granted = await this.ask((service) => leasesOf(service).grant(CTX, ttlMs));
    if (typeof granted === 'string') throw new Error(granted);
    return granted.lease.lease;
  }

  keepAlive(lease: number, at?: string) {
    return this.ask(
      async (service) => (await leasesOf(service).keepAlive(CTX, lease)).lease.remainingMs,
      at,
    );
  }

  attachAll(lease: number) {
    return this.ask((service) =>
      Promise.all(
        KEYS.map(async (key) => (await service.put(CTX, attach(key, lease))).result.type),
      ),
    );
  }

  /** Begins to attach a key; the outcome's type, or the code of a refusal. */
  attach(name: string, key: string, lease: number): Promise<string> {
    return this.cluster
      .node(name)
      .service.put(CTX, attach(key, lease))
      .then(
        ({ result }) => (result.type === 'lease_stale' ? 'lease_not_found' : result.type),
        (error: AppError) => error.code,
      );
  }

  /** Begins to attach keys in one transaction over their groups. */
  attachInOne(name: string, keys: readonly string[], lease: number): Promise<string> {
    const then = keys.map((key) => {
      const { ref: to, value } = attach(key, lease);
      const rest = { contentType: null, ttlMs: null, attach: { lease, until: 0 } };
      return { type: 'put' as const, ref: to, value, ...rest };
    });
    const body = { compares: [], then, otherwise: null };
    return this.cluster
      .node(name)
      .service.transact(CTX, body)
      .then(
        () => 'put',
        (error: AppError) => error.code,
      );
  }

  /** Which of the keys are there. */
  async found(at?: string): Promise<string[]> {
    const items = await this.ask(
      (service) => Promise.all(KEYS.map((key) => service.get(CTX, ref(key), LATEST))),
      at,
    );
    if (typeof items === 'string') throw new Error(items);
    return KEYS.filter((_, i) => items[i]?.item !== null);
  }

  pass(ms: number): Promise<void> {
    return this.cluster.time.pass(ms);
  }

  leaderOf(lease: number, at = this.names[0]): string {
    const status = this.cluster.node(at as string).service.status();
    const vshard = homeOfLease(lease);
    const group = status.groups.find(({ vshards }) => vshards?.includes(vshard));
    return String(group?.leader);
  }
}

async function clusterOf(names: string): Promise<Client> {
  const cluster = new MemoryCluster(names, { groupCount: 4 });
  await cluster.start();
  return new Client(cluster, names);
}

describe('a lease over many groups', () => {
  it('expires with all its keys when nobody keeps it alive', async () => {
    const client = await clusterOf('n1');
    const lease = await client.grant(2_000);
    expect(new Set(await client.attachAll(lease))).toEqual(new Set(['put']));
    for (let i = 0; i < 4; i++) {
      await client.pass(1_200);
      expect(await client.keepAlive(lease)).toBe(2_000);
    }
    expect(await client.found()).toEqual(KEYS);
    await client.pass(2_600);
    expect(await client.found()).toEqual([]);
    expect(await client.keepAlive(lease)).toBe('lease_not_found');
    expect(await client.ask((service) => service.put(CTX, attach('late', lease)))).toBe(
      'lease_not_found',
    );
  });

  it('leaves nothing behind: its row goes when all promises about it have run out', async () => {
    const client = await clusterOf('n1');
    const lease = await client.grant(60_000);
    await client.attachAll(lease);
    const revoked = await client.ask((service) => leasesOf(service).revoke(CTX, lease));
    expect(revoked).toMatchObject({ removed: KEYS.length, isSwept: true });
    expect(await client.found()).toEqual([]);
    await client.pass(4_000);
    const again = await client.ask((service) => leasesOf(service).revoke(CTX, lease));
    expect(again).toBe('lease_not_found');
  });

  it('is not there to another tenant: not to be seen, kept alive, ended or attached to', async () => {
    const client = await clusterOf('n1 n2 n3');
    const lease = await client.grant(60_000);
    await client.attachAll(lease);
    const gone = ['lease_not_found', 'lease_not_found', 'lease_not_found'];
    for (const tenant of ['t2', 'default']) {
      for (const id of [lease, lease + 1]) {
        const of = (service: KvService) => service.leases.ofTenant(tenant);
        const told = [
          await client.ask((service) => of(service).look(CTX, id)),
          await client.ask((service) => of(service).keepAlive(CTX, id)),
          await client.ask((service) => of(service).revoke(CTX, id)),
        ];
        expect(told).toEqual(gone);
        const theirs = { ...attach('a', id), ref: ref('a', tenant) };
        expect(await client.ask((service) => service.put(CTX, theirs))).toBe('lease_not_found');
        const op = { type: 'put' as const, ref: theirs.ref, value: theirs.value };
        const then = [{ ...op, contentType: null, ttlMs: null, attach: { lease: id, until: 0 } }];
        const body = { compares: [], then, otherwise: null };
        expect(await client.ask((service) => service.transact(CTX, body))).toBe('lease_not_found');
        const attached = await client.ask((service) => of(service).attached(CTX, id, 10));
        expect(attached).toMatchObject({ keys: [], more: false });
      }
      const list = await client.ask((service) => service.leases.ofTenant(tenant).list(CTX, 0, 10));
      expect(list).toMatchObject({ leases: [], next: null });
    }
    const own = await client.ask((service) => leasesOf(service).list(CTX, 0, 10));
    expect(own).toMatchObject({ leases: [{ lease }], next: null });
    expect(await client.found()).toEqual(KEYS);
  });

  it('L1 a grant that is asked for again gets the same lease, and none once that has ended', async () => {
    const client = await clusterOf('n1');
    const idempotency = { key: 'grant-1', requestHash: new Uint8Array(32) };
    const grant = () =>
      client.ask(
        async (s) => (await leasesOf(s).grant({ ...CTX, idempotency }, 60_000)).lease.lease,
      );
    const lease = await grant();
    expect(await grant()).toBe(lease);
    await client.ask((service) => leasesOf(service).revoke(CTX, lease as number));
    expect(await grant()).toBe('lease_not_found');
    // Its row has gone by then.
    await client.pass(6_000);
    expect(await grant()).toBe('lease_not_found');
    expect(await client.keepAlive(lease as number)).toBe('lease_not_found');
  });

  it('a put beside the end of its lease is refused, or goes with it', async () => {
    const client = await clusterOf('n1 n2 n3');
    const seen = new Set<string>();
    for (let i = 0; i < 12; i++) {
      const lease = await client.grant(60_000);
      const attaching = Promise.all(
        client.names.flatMap((name) => KEYS.map((key) => client.attach(name, key, lease))),
      );
      await client.pass(i / 2);
      const revoked = await client.ask((service) => leasesOf(service).revoke(CTX, lease));
      expect(revoked).toMatchObject({ isSwept: true });
      for (const outcome of await client.cluster.time.until(attaching)) seen.add(outcome);
      // Of a promise that was given before the end, nothing is left when it has run out.
      await client.pass(3_500);
      expect(await client.found()).toEqual([]);
    }
    expect([...seen].sort()).toEqual(['lease_not_found', 'put']);
  });

  it('a transaction beside the end of its lease is refused, or goes with it, whole', async () => {
    const client = await clusterOf('n1 n2 n3');
    const seen = new Set<string>();
    for (let i = 0; i < 12; i++) {
      const lease = await client.grant(60_000);
      const attaching = client.names.flatMap((name, n) =>
        [0, 1].map((part) => client.attachInOne(name, KEYS.slice(n * 8 + part, n * 8 + 8), lease)),
      );
      await client.pass(i / 2);
      const revoked = await client.ask((service) => leasesOf(service).revoke(CTX, lease));
      // Every coordinator lives, so what was prepared has ended before the answer.
      expect(revoked).toMatchObject({ isSwept: true });
      for (const outcome of await client.cluster.time.until(Promise.all(attaching))) {
        seen.add(outcome);
      }
      await client.pass(3_500);
      expect(await client.found()).toEqual([]);
    }
    expect([...seen].sort()).toEqual(['lease_not_found', 'put']);
  });

  it('B21 what transactions attached before a revoke was asked for is gone when that answers', async () => {
    const client = await clusterOf('n1 n2 n3');
    for (let i = 0; i < 6; i++) {
      const lease = await client.grant(60_000);
      const [from, by] = [client.names[i % 3], client.names[(i + 1) % 3]] as [string, string];
      const attaching = client.attachInOne(from, KEYS, lease);
      expect(await client.cluster.time.until(attaching)).toBe('put');
      const revoked = await client.ask((service) => leasesOf(service).revoke(CTX, lease), by);
      expect(revoked).toMatchObject({ removed: KEYS.length, isSwept: true });
      expect(await client.found(from)).toEqual([]);
    }
  });

  it('F24 what a coordinator that died left prepared holds up the last sweep, and goes with the lease', async () => {
    const seen = new Set<number>();
    for (const ms of [0.5, 1, 2, 4, 8]) {
      const client = await clusterOf('n1 n2 n3');
      const lease = await client.grant(60_000);
      void client.attachInOne('n1', KEYS, lease);
      await client.pass(ms);
      client.cluster.kill('n1');
      const revoked = await client.ask((service) => leasesOf(service).revoke(CTX, lease), 'n2');
      // What the dead one left is known, and waited for, before a revoke loses its patience.
      expect(revoked).toMatchObject({ isSwept: true });
      // All or nothing, whatever was lost on the way, and nothing once all promises have run out.
      seen.add((await client.found('n2')).length);
      await client.pass(8_000);
      expect(await client.found('n2')).toEqual([]);
    }
    for (const count of seen) expect([0, KEYS.length]).toContain(count);
  });

  it('B20 outlives its leader: the next one gives it the whole time again, and ends it', async () => {
    const client = await clusterOf('n1 n2 n3');
    const lease = await client.grant(3_000);
    await client.attachAll(lease);
    await client.pass(2_500);
    const leader = client.leaderOf(lease);
    const other = client.names.find((name) => name !== leader) as string;
    client.cluster.kill(leader);
    await client.pass(2_000);
    // 4.5 s after the grant, it lives: its time began anew with the new leader.
    const kept = await client.keepAlive(lease, other);
    expect(kept).toBe(3_000);
    expect(await client.found(other)).toEqual(KEYS);
    await client.pass(4_000);
    expect(await client.found(other)).toEqual([]);
  });

  it('F24 what a killed leader left of a sweep is finished by the next one', async () => {
    const client = await clusterOf('n1 n2 n3');
    const lease = await client.grant(60_000);
    await client.attachAll(lease);
    const leader = client.leaderOf(lease);
    const other = client.names.find((name) => name !== leader) as string;
    // The end is in the log; the leader dies before anything was removed.
    const revoking = leasesOf(client.cluster.node(leader).service).revoke(CTX, lease);
    revoking.catch(() => {});
    for (let i = 0; i < 200; i++) {
      await client.pass(1);
      if (typeof (await client.ask((s) => leasesOf(s).look(CTX, lease), other)) === 'string') break;
    }
    client.cluster.kill(leader);
    await client.pass(6_000);
    expect(await client.found(other)).toEqual([]);
  });

  it('a leader that is cut off ends nothing that lives on elsewhere', async () => {
    const client = await clusterOf('n1 n2 n3');
    const lease = await client.grant(2_000);
    await client.attachAll(lease);
    const leader = client.leaderOf(lease);
    const other = client.names.find((name) => name !== leader) as string;
    client.cluster.cut(leader, true);
    for (let i = 0; i < 6; i++) {
      await client.pass(900);
      expect(await client.keepAlive(lease, other)).toBe(2_000);
    }
    client.cluster.cut(leader, false);
    await client.pass(1_000);
    expect(await client.keepAlive(lease, other)).toBe(2_000);
    expect(await client.found(other)).toEqual(KEYS);
  });
});
