import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { natsAdmission } from '../../../../gateways/nats-api/admission.ts';
import { serveNatsApi } from '../../../../gateways/nats-api/gateway.ts';
import { OPERATIONS, type OperationName } from '../../../../gateways/nats-api/operations.ts';
import type { ClientRequest } from '../../../../gateways/peer/request-server.ts';
import { NO_TELEMETRY } from '../../../../observability/port.ts';
import type { AuditEvent } from '../../../../protocol/audit.ts';
import { utf8 } from '../../../../protocol/bytes.ts';
import {
  type Credentials,
  credentialsOfEverybody,
  EVERYBODY,
  type Needed,
} from '../../../kit/everybody.ts';
import { startGuardedServer } from '../../../kit/guarded-server.ts';
import { REAL_CLOCK } from '../../../kit/real-clock.ts';

/** Every operation of `minikv.api.*`, by everybody: exactly the stated answer, the one that REST gives. */

const CTX = { deadlineMs: 5_000, traceparent: null, idempotency: null };

/** What each operation needs, and a request for it about a name. A new operation has to be here. */
const ASKS: Readonly<
  Record<OperationName, { needs: Needed; prefix?: string; body: (name: string) => object }>
> = {
  get: { needs: 'data:read', body: (key) => ({ key }) },
  put: { needs: 'data:write', body: (key) => ({ key, value: 'v' }) },
  delete: { needs: 'data:write', body: (key) => ({ key }) },
  batch: { needs: 'data:write', body: (key) => ({ ops: [{ op: 'put', key, value: 'v' }] }) },
  txn: { needs: 'data:write', body: (key) => ({ then: [{ op: 'put', key, value: 'v' }] }) },
  scan: { needs: 'data:read', body: (prefix) => ({ prefix }) },
  status: { needs: 'status:read', body: () => ({}) },
  leaseGrant: { needs: 'lease:write', body: () => ({ ttlSeconds: 60 }) },
  leaseKeepAlive: { needs: 'lease:write', body: () => ({ id: lease }) },
  leaseRevoke: { needs: 'lease:write', body: () => ({ id: 1 }) },
  leaseGet: { needs: 'lease:read', body: () => ({ id: lease }) },
  leaseList: { needs: 'lease:read', prefix: '', body: () => ({}) },
  lockAcquire: { needs: 'lease:write', body: (name) => ({ name, lease }) },
  lockRelease: { needs: 'lease:write', body: (name) => ({ name, token: 1 }) },
  lockGet: { needs: 'lease:read', body: (name) => ({ name }) },
};
const NAMES = Object.keys(OPERATIONS) as OperationName[];
const WHO = Object.keys(EVERYBODY) as (keyof typeof EVERYBODY)[];

let server: Awaited<ReturnType<typeof startGuardedServer>>;
let lease = 0;
let handle: (request: ClientRequest) => void;
let credentials: Map<string, Credentials>;
const written: AuditEvent[] = [];

beforeAll(async () => {
  server = await startGuardedServer();
  const { service, access, limits } = server;
  const audit = {
    ...{ hasData: false, note: (event: AuditEvent) => void written.push(event) },
    read: () => Promise.reject(new Error('not asked for')) as never,
  };
  serveNatsApi({
    server: {
      payloadBytesMax: 1 << 20,
      serveRequests: (_subject, _queue, serve) => {
        handle = serve;
      },
    },
    ...{ clock: REAL_CLOCK, telemetry: NO_TELEMETRY, durability: 'memory', requestId: () => 'r' },
    admission: natsAdmission({ service, access, allowUnsigned: false, limits, audit }),
  });
  credentials = await credentialsOfEverybody(server);
  lease = (await service.leases.grant(CTX, 600_000)).lease.lease;
}, 60_000);
afterAll(() => server.stop());

function ask(op: string, body: object, authorization: string | null) {
  return new Promise<{ status: number; body: { code?: string; value?: string } }>((resolve) => {
    handle({
      subject: `minikv.api.${op}`,
      reply: '_INBOX.x',
      header: (name) => (name.toLowerCase() === 'authorization' ? authorization : null),
      payload: utf8(JSON.stringify(body)),
      respond: (payload, headers) => {
        const status = Number(headers['Minikv-Status']);
        resolve({ status, body: JSON.parse(Buffer.from(payload).toString()) });
        return true;
      },
    });
  });
}

describe.each(WHO)('%s', (who) => {
  it('gets the stated answer from every operation', async () => {
    const { authorization = null } = credentials.get(who) as Credentials;
    for (const op of NAMES) {
      const { needs, body } = ASKS[op];
      const said = EVERYBODY[who](needs);
      written.length = 0;
      // What was read and allowed once goes a shorter way the second time.
      for (let turn = 0; turn < 2; turn++) {
        const { status, body: shown } = await ask(op, body('a/k'), authorization);
        const cell = `${who}: ${op}: ${status} ${shown.code}`;
        if (said === 'served') expect([401, 403], cell).not.toContain(status);
        else expect([status, shown.code], cell).toEqual([said === 'forbidden' ? 403 : 401, said]);
      }
      const denied = written.map(({ from, action, resource }) => [from, action, resource]);
      const line = ['nats', needs, `minikv.api.${op}`];
      expect(denied).toEqual(said === 'served' ? [] : [line, line]);
    }
  });
});

describe('a role of one’s own', () => {
  it('holds for the names that it gives', async () => {
    const rules = [
      {
        ...{ effect: 'allow' as const, actions: ['data:*', 'lease:*'] },
        resources: [{ keys: 'in/' }, { keys: '_locks/in/' }],
      },
      { effect: 'deny' as const, actions: ['data:write'], resources: [{ keys: 'in/no/' }] },
    ];
    await server.roles.put(CTX, 'app', { description: '', rules });
    const key = `Bearer ${await server.make('app')}`;
    for (const op of NAMES) {
      const { needs, body, prefix } = ASKS[op];
      const isNamed = JSON.stringify(body('in/k')) !== JSON.stringify(body('out/k'));
      for (const name of ['in/k', 'in/no/k', 'out/k']) {
        const isIn = !isNamed || name.startsWith('in/');
        const isDenied = needs === 'data:write' && name.startsWith('in/no/');
        const isAllowed = needs !== 'status:read' && prefix === undefined && isIn && !isDenied;
        const { status } = await ask(op, body(name), key);
        const cell = `${op} ${name} ${status}`;
        if (isAllowed) expect([401, 403], cell).not.toContain(status);
        else expect(status, cell).toBe(403);
      }
    }
  });
});

describe('a tenant', () => {
  it('has leases and locks of its own; those of others are answered as none', async () => {
    const { authorization = null } = credentials.get('read_write of acme') as Credentials;
    const other = `Bearer ${server.admin}`;
    const granted = await ask('leaseGrant', { ttlSeconds: 60 }, authorization);
    const { id } = granted.body as { id?: number };
    for (const lease of [id ?? 0, (id ?? 0) + 1_000]) {
      for (const op of ['leaseGet', 'leaseKeepAlive', 'leaseRevoke']) {
        const { status, body: told } = await ask(op, { id: lease }, other);
        expect([op, status, told.code]).toEqual([op, 404, 'lease_not_found']);
      }
      const lock = await ask('lockAcquire', { name: 'x', lease }, other);
      expect([lock.status, lock.body.code]).toEqual([404, 'lease_not_found']);
    }
    expect((await ask('lockAcquire', { name: 'x', lease: id }, authorization)).status).toBe(200);
    expect((await ask('lockGet', { name: 'x' }, other)).body).toMatchObject({ held: false });
    expect((await ask('leaseRevoke', { id }, authorization)).status).toBe(200);
  });

  it('sees its own, and a node that asks nobody knows one tenant', async () => {
    const { authorization = null } = credentials.get('read_write of acme') as Credentials;
    const admin = `Bearer ${server.admin}`;
    await ask('put', { key: 'mine', value: 'the cluster’s' }, admin);
    expect((await ask('get', { key: 'mine' }, authorization)).status).toBe(404);
    await ask('put', { key: 'mine', value: 'acme’s' }, authorization);
    expect((await ask('get', { key: 'mine' }, authorization)).body.value).toBe('acme’s');
    expect((await ask('get', { key: 'mine' }, admin)).body.value).toBe('the cluster’s');
    const parts = { service: server.service };
    const request = { header: () => null } as unknown as ClientRequest;
    const open = natsAdmission({ ...parts, allowUnsigned: true });
    const admitted = { store: server.service, guard: null, meters: null };
    expect(await open.admit('get', request)).toEqual(admitted);
    const shut = natsAdmission({ ...parts, allowUnsigned: false });
    await expect(shut.admit('get', request)).rejects.toMatchObject({ code: 'unauthenticated' });
  });
});
