import { sleep } from '../../kit/wait.ts';
import type { Client } from './client.ts';
import { fieldsOf } from './http.ts';
import { now } from './recorder.ts';
import { transact } from './transact.ts';

/** Clients that hold a lock by a lease and write under it, sometimes for longer than they hold it. */

const LOCKS = ['one', 'two'];
const GUARDED = 'f/';
const TTL_SECONDS = 2;
const WRITES_MAX = 4;
const JSON_BODY = { 'content-type': 'application/json' };

interface Held {
  readonly lock: string;
  readonly lease: number;
  readonly token: number;
}

/** The lock under which a key is written; null for keys without one. */
export function lockKeyOf(key: string): string | null {
  return key.startsWith(GUARDED) ? `_locks/${key.slice(GUARDED.length).split('/')[0]}` : null;
}

/** A lease, the lock, some writes with its token, and the end: released, revoked, or just left. */
export async function workUnderLock(client: Client): Promise<void> {
  const lease = await grant(client);
  if (lease === null) return;
  const lock = LOCKS[Math.floor(client.random.next() * LOCKS.length)] as string;
  const token = await acquire(client, lock, lease);
  if (token !== null) {
    const writes = 1 + Math.floor(client.random.next() * WRITES_MAX);
    for (let n = 0; n < writes; n++) {
      await write(client, { lock, lease, token });
      // Now and then for longer than the lease lasts: it believes in its lock all the same.
      if (client.chance(0.05)) await sleep(TTL_SECONDS * 1_500);
    }
    if (client.chance(0.5)) await release(client, { lock, lease, token });
  }
  if (client.chance(0.7)) await client.ask('DELETE', `/v1/leases/${lease}`);
}

async function grant(client: Client): Promise<number | null> {
  const body = JSON.stringify({ ttlSeconds: TTL_SECONDS });
  const answer = await client.ask('POST', '/v1/leases', JSON_BODY, body);
  if (answer === null || answer === 'refused' || answer.status !== 201) return null;
  return Number(fieldsOf(answer)['id']);
}

async function acquire(client: Client, lock: string, lease: number): Promise<number | null> {
  const callMs = now();
  const body = JSON.stringify({ lease, waitMs: 300, value: client.shared.nextValue() });
  const answer = await client.ask('POST', `/v1/locks/${lock}`, JSON_BODY, body);
  if (answer === null || answer === 'refused' || answer.status !== 200) return null;
  const token = Number(fieldsOf(answer)['token']);
  note(client, { lock, lease, token, kind: 'acquired', callMs });
  return token;
}

/** Two keys that are guarded by the lock, in one transaction that compares its token. */
async function write(client: Client, held: Held): Promise<void> {
  const { lock, token } = held;
  const callMs = now();
  const value = () => `${token} ${client.shared.nextValue()}`;
  const result = await transact(client, {
    compare: [{ key: `_locks/${lock}`, revision: token }],
    then: [
      { op: 'put', key: `${GUARDED}${lock}`, value: value() },
      { op: 'put', key: `${GUARDED}${lock}/more`, value: value() },
    ],
  });
  if (result.outcome === 'done') note(client, { ...held, kind: 'valid', callMs });
}

async function release(client: Client, held: Held): Promise<void> {
  const { lock, token } = held;
  const callMs = now();
  const answer = await client.ask('DELETE', `/v1/locks/${lock}?token=${token}`);
  if (answer === null || answer === 'refused') return;
  if (fieldsOf(answer)['released'] === true) note(client, { ...held, kind: 'released', callMs });
}

function note(
  client: Client,
  seen: Held & { kind: 'acquired' | 'valid' | 'released'; callMs: number },
): void {
  client.shared.recorder.write({ t: 'lock', lock: { ...seen, atMs: now() } });
}
