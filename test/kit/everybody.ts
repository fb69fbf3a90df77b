import type { TlsPair } from '../../gateways/http/tls.ts';
import { parseApiKey } from '../../gateways/identity/api-key.ts';
import { Certificates } from '../../gateways/identity/certificates.ts';
import { ACTIONS, type Action } from '../../gateways/identity/decision.ts';
import type { RoleRule } from '../../gateways/identity/role.ts';
import type { startGuardedServer } from './guarded-server.ts';
import { REAL_CLOCK } from './real-clock.ts';
import type { TestAuthority } from './test-tls.ts';

/** All kinds of credentials there are, and what each may: the columns of every matrix of who may do what. */

type Guarded = Awaited<ReturnType<typeof startGuardedServer>>;

/** What holds for a request that needs this; `known`: that its sender is somebody. */
export type Needed = Action | 'known';
export type Said = 'served' | 'forbidden' | 'unauthenticated';

const CTX = { deadlineMs: 5_000, traceparent: null, idempotency: null };

const READS: readonly Action[] = [
  ...(['data:read', 'data:watch', 'lease:read', 'index:read', 'status:read'] as const),
];
const WRITES: readonly Action[] = [...READS, 'data:write', 'lease:write'];

const nobody = (): Said => 'unauthenticated';
const refused = (): Said => 'forbidden';
function may(actions: readonly Action[]): (needed: Needed) => Said {
  return (needed) => (needed === 'known' || actions.includes(needed) ? 'served' : 'forbidden');
}
/** Of what the cluster has, an administrator of a tenant sees nothing. */
function inTenant(actions: readonly Action[]): (needed: Needed) => Said {
  return may(actions.filter((one) => !one.startsWith('admin:') && one !== 'status:read'));
}

/** In words of its own, and not by the decision. */
export const EVERYBODY = {
  'admin key': may(ACTIONS),
  admin: may(ACTIONS),
  read_write: may(WRITES),
  read_only: may(READS),
  'read_write token': may(WRITES),
  'read_only token': may(READS),
  'own role that reads': may(READS),
  'own role that is denied writes': may(ACTIONS.filter((one) => !one.endsWith(':write'))),
  'own role that is denied all': may([]),
  'own role that is not there': may([]),
  'admin of acme': inTenant(ACTIONS),
  'read_write of acme': inTenant(WRITES),
  'read_only of acme': inTenant(READS),
  'read_only token of acme': inTenant(READS),
  'own role of acme': inTenant(READS),
  'admin of a suspended tenant': refused,
  'token of a suspended tenant': refused,
  'admin of a deleted tenant': nobody,
  anonymous: nobody,
  unknown: nobody,
  forged: nobody,
  malformed: nobody,
  basic: nobody,
  revoked: nobody,
  expired: nobody,
  deleted: nobody,
  'token of a revoked key': nobody,
} as const satisfies Record<string, (needed: Needed) => Said>;

/** By certificates, where the listener asks for them. */
export const WITH_CERTIFICATES = {
  'certificate of read_write': may(WRITES),
  'certificate of admin of acme': inTenant(ACTIONS),
  'certificate of a revoked key': nobody,
  'certificate of nobody': nobody,
  'certificate of another authority': nobody,
} as const satisfies Record<string, (needed: Needed) => Said>;

/** `Authorization`, or a certificate; neither: anonymous. */
export interface Credentials {
  readonly authorization?: string;
  readonly certificate?: TlsPair;
}

const ANYTHING = [{ everything: true }] as const;
const OWN_ROLES: Readonly<Record<string, readonly RoleRule[]>> = {
  reads: [{ effect: 'allow', actions: READS, resources: ANYTHING }],
  careful: [
    { effect: 'allow', actions: ['*'], resources: ANYTHING },
    {
      ...{ effect: 'deny' as const, resources: ANYTHING },
      actions: ACTIONS.filter((one) => one.endsWith(':write')),
    },
  ],
  denied: [
    { effect: 'allow', actions: ['*'], resources: ANYTHING },
    { effect: 'deny', actions: ['*'], resources: ANYTHING },
  ],
  gone: [{ effect: 'allow', actions: ['*'], resources: ANYTHING }],
};

/** Credentials of all of EVERYBODY. Those that are good no more were good once, so that they are remembered. */
export async function credentialsOfEverybody(
  server: Guarded,
): Promise<Map<keyof typeof EVERYBODY, Credentials>> {
  const { make, admin, tenants, roles } = server;
  const all = new Map<keyof typeof EVERYBODY, Credentials>();
  const set = (name: keyof typeof EVERYBODY, key: string) => {
    all.set(name, { authorization: `Bearer ${key}` });
    return key;
  };
  for (const [name, rules] of Object.entries(OWN_ROLES)) {
    await roles.put(CTX, name, { description: '', rules });
  }
  for (const name of ['acme', 'umbrella', 'initech']) await tenants.create(CTX, name);
  const token = (key: string) => tokenOf(server, key);
  set('admin key', admin);
  set('admin', await make('admin'));
  set('read_write token', await token(set('read_write', await make('read_write'))));
  set('read_only token', await token(set('read_only', await make('read_only'))));
  set('own role that reads', await make('reads'));
  set('own role that is denied writes', await make('careful'));
  set('own role that is denied all', await make('denied'));
  await usedOnce(server, set('own role that is not there', await make('gone')));
  await roles.delete(CTX, 'gone');
  const of = (role: string, tenant: string) => make(role, null, tenant);
  set('admin of acme', await of('admin', 'acme'));
  set('read_write of acme', await of('read_write', 'acme'));
  const reader = set('read_only of acme', await of('read_only', 'acme'));
  set('read_only token of acme', await token(reader));
  set('own role of acme', await of('reads', 'acme'));
  const suspended = set('admin of a suspended tenant', await of('admin', 'umbrella'));
  set('token of a suspended tenant', await token(suspended));
  await tenants.suspend(CTX, 'umbrella');
  await usedOnce(server, set('admin of a deleted tenant', await of('admin', 'initech')));
  await tenants.delete(CTX, 'initech');
  all.set('anonymous', {});
  set('unknown', `mkv_${'a'.repeat(16)}_${'b'.repeat(43)}`);
  set('forged', `${admin.slice(0, -1)}${admin.endsWith('A') ? 'B' : 'A'}`);
  set('malformed', 'mkv_none');
  all.set('basic', { authorization: `Basic ${btoa(`x:${admin}`)}` });
  const revoked = set('revoked', await make('admin'));
  set('token of a revoked key', await token(revoked));
  await server.revoke(revoked);
  set('expired', await make('admin', 1));
  const deleted = set('deleted', await make('admin'));
  await usedOnce(server, deleted);
  await server.apiKeys.delete(CTX, null, parseApiKey(deleted)?.id ?? '');
  return all;
}

/** Of WITH_CERTIFICATES: `clients` is the authority that counts. */
export async function certificatesOfSome(
  server: Guarded,
  clients: TestAuthority,
  others: TestAuthority,
): Promise<Map<keyof typeof WITH_CERTIFICATES, Credentials>> {
  const all = new Map<keyof typeof WITH_CERTIFICATES, Credentials>();
  const certificates = new Certificates(server.service.identities, REAL_CLOCK);
  const mapped = async (who: keyof typeof WITH_CERTIFICATES, name: string, key: string) => {
    const keyId = parseApiKey(key)?.id ?? '';
    const wanted = { name: `subject:CN=${name}`, keyId, s3User: null };
    await certificates.create(CTX, wanted);
    all.set(who, { certificate: await clients.client(name) });
  };
  const writing = await server.make('read_write');
  await mapped('certificate of read_write', 'writer', writing);
  const ofAcme = await server.make('admin', null, 'acme');
  await mapped('certificate of admin of acme', 'acme-admin', ofAcme);
  const revoked = await server.make('admin');
  await mapped('certificate of a revoked key', 'revoked', revoked);
  await server.revoke(revoked);
  all.set('certificate of nobody', { certificate: await clients.client('nobody') });
  all.set('certificate of another authority', { certificate: await others.client('writer') });
  return all;
}

async function tokenOf({ access, tokens }: Guarded, key: string): Promise<string> {
  const { keyId, expiresAtMs } = await access.admit(`Bearer ${key}`, null);
  return (await tokens.issue(CTX, keyId, expiresAtMs)).token;
}

async function usedOnce({ access }: Guarded, key: string): Promise<void> {
  await access.admit(`Bearer ${key}`, 'data:read');
}
