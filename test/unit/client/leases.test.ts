import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createClient, type MinikvError } from '../../../client/client.ts';
import { type ModelServer, startModelServer } from '../../kit/http-start.ts';

let server: ModelServer;
beforeAll(async () => {
  server = await startModelServer();
});
afterAll(() => server.stop());

const client = () => createClient({ endpoints: server.url });
const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'none',
    (error: MinikvError) => error.code,
  );

describe('leases', () => {
  it('are granted, kept alive, listed and revoked with what is attached to them', async () => {
    const kv = client();
    const lease = await kv.leases.grant(30);
    expect(lease).toMatchObject({ ttlSeconds: 30 });
    expect((await kv.leases.keepAlive(lease.id)).id).toBe(lease.id);
    await kv.put('leased/a', 'x', { lease: lease.id });
    await kv.batch([{ op: 'put', key: 'leased/b', value: 'y', lease: lease.id }]);
    expect((await kv.get('leased/a'))?.lease).toBe(lease.id);
    expect((await kv.leases.keys(lease.id)).map(String)).toHaveLength(2);
    const listed: number[] = [];
    for await (const one of kv.leases.list()) listed.push(one.id);
    expect(listed).toContain(lease.id);
    expect(await kv.leases.revoke(lease.id)).toEqual({ removed: 2 });
    expect(await kv.leases.get(lease.id)).toBeNull();
    expect(await kv.get('leased/a')).toBeNull();
    expect(await codeOf(kv.leases.keepAlive(lease.id))).toBe('lease_not_found');
  });

  it('that are held say so when they have ended, and when they cannot be renewed in time', async () => {
    const kv = client();
    const held = await kv.leases.hold(1);
    await kv.leases.revoke(held.id);
    await aborted(held.signal);
    expect(await held.revoke()).toBe(false);
    let isCut = false;
    const cut = createClient({
      endpoints: server.url,
      fetch: (input, init) => (isCut ? Promise.reject(new TypeError('cut')) : fetch(input, init)),
    });
    const lost = await cut.leases.hold(1);
    isCut = true;
    const beganMs = performance.now();
    await aborted(lost.signal);
    expect(performance.now() - beganMs).toBeLessThan(2_000);
  });
});

describe('a lock whose release fails', () => {
  /** Refuses to release locks; all else goes through. */
  const cut = () =>
    createClient({
      endpoints: server.url,
      fetch: (input, init) =>
        init?.method === 'DELETE' && String(input).includes('/v1/locks/')
          ? Promise.resolve(new Response('{"code":"forbidden","definite":true}', { status: 403 }))
          : fetch(input, init),
    });

  it('is kept alive no longer, and goes with its lease', async () => {
    const lock = await cut().locks.acquire('unreleased');
    expect(await codeOf(lock.release())).toBe('forbidden');
    expect(lock.signal.aborted).toBe(true);
    expect(await client().leases.get(lock.lease.id)).toBeNull();
    expect((await client().locks.get('unreleased')).held).toBe(false);
  });

  it('changes nothing of what the work under it came to', async () => {
    const kv = cut();
    expect(await kv.locks.with('worked', async () => 7)).toBe(7);
    const failed = kv.locks.with('worked', () => Promise.reject(new RangeError('mine')));
    await expect(failed).rejects.toThrow(RangeError);
    expect((await client().locks.get('worked')).held).toBe(false);
  });
});

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

describe('locks', () => {
  it('have one holder at a time, with rising tokens, and are released when the work is done', async () => {
    const kv = client();
    const first = await kv.locks.acquire('l', { value: 'me' });
    expect(first.fence).toEqual({ key: '_locks/l', revision: first.token });
    expect(Buffer.from((await kv.locks.get('l')).value).toString()).toBe('me');
    expect(await codeOf(kv.locks.acquire('l'))).toBe('lock_held');
    const waiting = kv.locks.with('l', async (lock) => lock.token, { waitMs: 5_000 });
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(await first.release()).toBe(true);
    expect(await waiting).toBeGreaterThan(first.token);
    expect(await kv.locks.get('l')).toMatchObject({ held: false, token: 0, lease: null });
    expect(await first.release()).toBe(false);
    expect(first.signal.aborted).toBe(true);
  });

  it('can have any name, and are listed by it', async () => {
    const kv = client();
    const names = [Uint8Array.of(0xff, 0x2f), 'ö/1'];
    const held = await Promise.all(names.map((name) => kv.locks.acquire(name, { value: 'me' })));
    const found = new Map<string, { token: number; lease: number | null }>();
    for await (const { nameBytes, token, lease, value } of kv.locks.list()) {
      found.set(Buffer.from(nameBytes).toString('hex'), { token, lease });
      expect(Buffer.from(value).toString()).toBe('me');
    }
    for (const lock of held) {
      const { token } = lock;
      const expected = { token, lease: lock.lease.id };
      expect(found.get(Buffer.from(lock.name).toString('hex'))).toEqual(expected);
      const fenced = { compare: [lock.fence] };
      await kv.transaction(async (tx) => tx.put('of-a-holder', 'x'), fenced);
      await lock.release();
      const late = kv.transaction(async (tx) => tx.put('of-a-holder', 'y'), fenced);
      expect(await codeOf(late)).toBe('compare_failed');
    }
    for await (const { name } of kv.locks.list()) expect(name).not.toBe('ö/1');
  });

  it('leave no lease behind when they are not given', async () => {
    const kv = client();
    const holder = await kv.locks.acquire('busy');
    const count = async () => {
      let found = 0;
      for await (const _ of kv.leases.list()) found++;
      return found;
    };
    const before = await count();
    expect(await codeOf(kv.locks.acquire('busy', { waitMs: 50 }))).toBe('lock_held');
    expect(await count()).toBe(before);
    await holder.release();
  });
});
