import type { Clock } from '../../protocol/clock.ts';
import { AppError } from '../../protocol/errors.ts';
import type { Identities, IdentityRow } from '../../protocol/identities.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Random } from '../../protocol/random.ts';
import { DEFAULT_TENANT } from '../../protocol/vshard.ts';
import {
  ADMIN_ID,
  type ApiKey,
  isSameSecret,
  keyRowName,
  parseApiKey,
  parseKeyRecord,
} from './api-key.ts';
import { mappingsOf } from './certificates.ts';
import { ClientCertificate, type Credential } from './client-certificate.ts';
import {
  type Action,
  decide,
  decideSomewhere,
  type Principal,
  type Reason,
  type Resource,
  ROLES,
  standing,
} from './decision.ts';
import { type Grant, type GrantParts, grantOf, type Judged, type Known } from './grant.ts';
import { reasonOf, refusalOf } from './guard.ts';
import type { IssuerClaims, IssuerTokens } from './issuer-tokens.ts';
import { isBuiltIn, type NamedRole, roleNamed } from './role.ts';
import type { SecretHash } from './secret-hash.ts';
import { Sessions } from './sessions.ts';
import { standingOf, tenantRow } from './tenant.ts';
import { type TokenClaims, Tokens } from './tokens.ts';

export interface AccessParts {
  readonly identities: Identities;
  readonly hash: SecretHash;
  readonly random: Random;
  readonly clock: Pick<Clock, 'wallMs'>;
  /** The administrator's key: configured, the same on all nodes. */
  readonly adminKey: ApiKey;
  readonly tokens: Tokens;
  /** Null: no tokens but its own are taken. */
  readonly issuer: IssuerTokens | null;
}

/** What a key's row says, with the role that it names. */
interface KeyReading {
  readonly phc: string;
  readonly role: NamedRole;
  readonly roleName: string;
  readonly principal: Principal;
}

/**
 * Who sends a request by its `Authorization`, and whether they may. What is answered is true of the moment of the call:
 * nothing counts but a current view of the identities (ADR 0038).
 */
export class Access {
  readonly #parts: AccessParts;
  readonly #sessions: Sessions;
  readonly #verifying = new Map<string, Promise<boolean>>();
  readonly #read = new WeakMap<IdentityRow, KeyReading | 'deleted'>();
  readonly #issued = new WeakMap<IssuerClaims, { revision: number; principal: Principal | null }>();
  readonly #admin: Principal;
  readonly #followed = new Set<() => void>();
  #stopListening: (() => void) | null = null;

  constructor(parts: AccessParts) {
    this.#parts = parts;
    this.#sessions = new Sessions(parts.random);
    this.#admin = { ...LASTING, id: ADMIN_ID, tenant: DEFAULT_TENANT, rules: ROLES.admin };
  }

  /**
   * Whoever may, where that can be told at once; null where it cannot, or where they may not. `nameOf`: what it is
   * about, asked for where that counts; null: a request that says so only inside.
   */
  admittedNow(
    credential: Credential,
    action: Action,
    nameOf: (() => Resource) | null,
  ): Pick<Grant, 'by' | 'who' | 'tenant'> | null {
    const judged = this.#judgeNow(credential);
    if (judged === null || !('principal' in judged)) return null;
    const { by, principal } = judged;
    if (this.#reason(principal, action) !== 'allowed') return null;
    if (!isBuiltIn(principal.rules)) {
      if (nameOf === null) return null;
      const { wallMs } = this.#conditions();
      if (reasonOf(principal, { action, on: nameOf() }, wallMs) !== 'allowed') return null;
    }
    return { by, who: principal.id, tenant: principal.tenant };
  }

  /** Of whoever has shown that they are, also where they may not; `nobody` where that is not known at once. */
  whoNow(credential: Credential): string {
    const judged = this.#judgeNow(credential);
    return judged !== null && 'principal' in judged ? judged.principal.id : 'nobody';
  }

  /**
   * Rejects with `unauthenticated`, `forbidden`, or `unavailable` where this node cannot tell. `action` null: anything they like.
   * Where the grant has a guard, this only says that there are names for which they may.
   */
  async admit(credential: Credential, action: Action | null): Promise<Grant> {
    const judged = this.#judgeNow(credential) ?? (await this.#judge(credential));
    if ('refusal' in judged) throw judged.refusal;
    const reason = (principal: Principal): Reason => this.#reason(principal, action);
    const refusal = refusalOf(reason(judged.principal), action);
    if (refusal !== null) throw refusal;
    return grantOf(this.#grantParts(credential), judged, reason);
  }

  #conditions(): { wallMs: number } {
    return { wallMs: this.#parts.clock.wallMs() };
  }

  #reason(principal: Principal, action: Action | null): Reason {
    const place = standingOf(this.#parts.identities, principal.tenant);
    if (place !== 'active') return place === 'suspended' ? 'suspended' : 'no_tenant';
    const tenant = action === null || isOfTenants(action) ? principal.tenant : DEFAULT_TENANT;
    const conditions = this.#conditions();
    if (action === null) return standing(principal, tenant, conditions) ?? 'allowed';
    const kinds = kindsOf(action);
    const [kind = 'cluster'] = kinds;
    const isByName = kind !== 'cluster' && !isBuiltIn(principal.rules);
    if (isByName) return decideSomewhere(principal, action, { tenant, kinds }, conditions);
    return decide(principal, action, { tenant, kind, name: '' }, conditions);
  }

  /** Without a message and without Argon2; null: it takes one of them. */
  #judgeNow(credential: Credential): Judged | null {
    if (credential === undefined) return MISSING;
    if (credential instanceof ClientCertificate) return this.#judgeCertificate(credential);
    const text = bearerOf(credential);
    if (text !== null && Tokens.isToken(text)) return this.#judgeTokenNow(text);
    const key = text === null ? null : parseApiKey(text);
    if (text === null || key === null) return WRONG;
    if (key.id === ADMIN_ID) {
      const isAdmin = isSameSecret(key.secret, this.#parts.adminKey.secret);
      return isAdmin ? { principal: this.#admin, by: 'admin', keyId: '', rows: null } : WRONG;
    }
    const { identities } = this.#parts;
    if (!identities.isCurrent()) return null;
    const row = identities.row(keyRowName(key.id));
    if (row === null) return null;
    const known = this.#principalOf(key.id, row);
    if (known === null) return WRONG;
    const isGood = this.#sessions.isGood(this.#sessions.digest(text), known.phc);
    if (isGood === null) return null;
    return isGood ? knownBy('key', key.id, known.principal, rowsOf(row, known)) : WRONG;
  }

  async #judge(credential: Credential): Promise<Judged> {
    if (credential instanceof ClientCertificate) {
      const { identities } = this.#parts;
      await identities.current(LIMITS.requestDeadlineMsDefault);
      return this.#judgeCertificate(credential) ?? WRONG;
    }
    const text = bearerOf(credential ?? '');
    if (text !== null && Tokens.isToken(text)) return this.#judgeToken(text);
    const key = text === null ? null : parseApiKey(text);
    if (text === null || key === null) return WRONG;
    const { identities } = this.#parts;
    const name = keyRowName(key.id);
    await identities.current(LIMITS.requestDeadlineMsDefault);
    // It may have been made since.
    if (identities.row(name) === null) await identities.renewed(LIMITS.requestDeadlineMsDefault);
    const row = identities.row(name);
    const known = row === null ? null : this.#principalOf(key.id, row);
    if (known === null) return WRONG;
    const isGood = await this.#verified(text, known.phc, key.secret);
    if (!isGood) return WRONG;
    // That took a while: what counts is what holds now.
    await identities.current(LIMITS.requestDeadlineMsDefault);
    const now = identities.row(name);
    const still = now === null ? null : this.#principalOf(key.id, now);
    if (now === null || still === null) return WRONG;
    return knownBy('key', key.id, still.principal, rowsOf(now, still));
  }

  #judgeTokenNow(text: string): Judged | null {
    const { identities, tokens, issuer } = this.#parts;
    const issued = issuer?.known(text) ?? null;
    if (issued !== null && this.#knowsTenant(issued.tenant)) return this.#judgeIssued(issued);
    if (issuer?.isOurs(text) === true || !identities.isCurrent()) return null;
    const claims = tokens.known(text);
    return claims === null ? null : this.#judgeClaims(claims);
  }

  async #judgeToken(text: string): Promise<Judged> {
    const { issuer } = this.#parts;
    if (issuer?.isOurs(text) === true) {
      const issued = await issuer.verify(text);
      if (issued === null) return WRONG;
      if (issued.role === null)
        await this.#parts.identities.current(LIMITS.requestDeadlineMsDefault);
      // The state of a tenant is known to a current view only; it may have been made since.
      if (!this.#knowsTenant(issued.tenant)) {
        await this.#parts.identities.renewed(LIMITS.requestDeadlineMsDefault);
      }
      return this.#judgeIssued(issued) ?? WRONG;
    }
    const claims = await this.#parts.tokens.verify(text, LIMITS.requestDeadlineMsDefault);
    if (claims === null) return WRONG;
    // Its key may have been made since this node looked, as its secret may.
    const { identities } = this.#parts;
    const isNew = identities.row(keyRowName(claims.keyId)) === null;
    if (isNew) await identities.renewed(LIMITS.requestDeadlineMsDefault);
    return this.#judgeClaims(claims);
  }

  /** Whether it can be told at once how it is with a tenant. */
  #knowsTenant(tenant: string): boolean {
    const { identities } = this.#parts;
    if (tenant === DEFAULT_TENANT) return true;
    return identities.isCurrent() && identities.row(tenantRow(tenant)) !== null;
  }

  /** It holds until it ends: nobody here can revoke it. Null: what its roles are now takes a message. */
  #judgeIssued(claims: IssuerClaims): Judged | null {
    const { identities } = this.#parts;
    const { subject, role, roles, tenant, expiresAtMs } = claims;
    if (role === null && !identities.isCurrent()) return null;
    const revision = role === null ? identities.revision() : 0;
    let known = this.#issued.get(claims);
    if (known?.revision !== revision) {
      // A denial of one of them counts against what another allows.
      const named = roles.map((name) => roleNamed(identities, name));
      const rules = role === null ? named.flatMap((one) => one.rules) : ROLES[role];
      const person = { id: `issuer:${subject}`, tenant, rules };
      const principal = rules.length === 0 ? null : { ...person, isRevoked: false, expiresAtMs };
      known = { revision, principal };
      this.#issued.set(claims, known);
    }
    const { principal } = known;
    return principal === null ? WRONG : knownBy('issuer', '', principal, null);
  }

  /** It stands in for the key of the first of its names that somebody mapped to one. Null: the view says nothing. */
  #judgeCertificate(certificate: ClientCertificate): Judged | null {
    const { identities } = this.#parts;
    if (!identities.isCurrent()) return null;
    for (const { keyId } of mappingsOf(identities, certificate)) {
      if (keyId === null) continue;
      const claims = { keyId, expiresAtMs: certificate.endsAtMs };
      return this.#judgeClaims(claims, 'certificate');
    }
    return UNMAPPED;
  }

  /** A token, or a certificate, is good for what its key is, and no longer than either. */
  #judgeClaims(
    { keyId, expiresAtMs }: Pick<TokenClaims, 'keyId' | 'expiresAtMs'>,
    by: Grant['by'] = 'token',
  ): Judged {
    const row = this.#parts.identities.row(keyRowName(keyId));
    const known = row === null ? null : this.#principalOf(keyId, row);
    if (known === null) return WRONG;
    const { principal } = known;
    const endMs = Math.min(expiresAtMs, principal.expiresAtMs ?? expiresAtMs);
    return knownBy(by, keyId, { ...principal, expiresAtMs: endMs }, null);
  }

  /** One run of Argon2 for all that present the same key meanwhile. */
  #verified(text: string, phc: string, secret: string): Promise<boolean> {
    const digest = this.#sessions.digest(text);
    const known = this.#sessions.isGood(digest, phc);
    if (known !== null) return Promise.resolve(known);
    const running = this.#verifying.get(digest);
    if (running !== undefined) return running;
    const verifying = this.#parts.hash.check(phc, secret).then((isGood) => {
      this.#sessions.note(digest, phc, isGood);
      return isGood;
    });
    this.#verifying.set(digest, verifying);
    const done = (): void => void this.#verifying.delete(digest);
    verifying.then(done, done);
    return verifying;
  }

  /** Null: the key was deleted. Read once per row of the key and of its role: a change of one is another row. */
  #principalOf(id: string, row: IdentityRow): KeyReading | null {
    const known = this.#read.get(row);
    if (known === 'deleted') return null;
    const { identities } = this.#parts;
    if (known !== undefined) {
      const isSame =
        known.role.row === null || known.role === roleNamed(identities, known.roleName);
      if (isSame) return known;
    }
    const record = parseKeyRecord(row.text);
    if (record === null) {
      this.#read.set(row, 'deleted');
      return null;
    }
    const { tenant, role: roleName, expiresAtMs, revokedAtMs, hash: phc } = record;
    const role = roleNamed(identities, roleName);
    const isRevoked = revokedAtMs !== null;
    const principal = { id: `key:${id}`, tenant, rules: role.rules, isRevoked, expiresAtMs };
    const read = { phc, role, roleName, principal };
    this.#read.set(row, read);
    return read;
  }

  #grantParts(credential: Credential): GrantParts {
    const { identities, clock } = this.#parts;
    return {
      clock,
      isUnchanged: (rows) =>
        identities.isCurrent() && rows.every((row) => identities.row(row.name) === row),
      judgeNow: () => this.#judgeNow(credential),
      judge: () => this.#judge(credential),
      follow: (hasEnded, end) => this.#follow(hasEnded, end),
    };
  }

  #follow(hasEnded: () => boolean, end: () => void): () => void {
    const look = (): void => {
      if (!hasEnded()) return;
      forget();
      end();
    };
    const forget = (): void => {
      this.#followed.delete(look);
      if (this.#followed.size > 0) return;
      this.#stopListening?.();
      this.#stopListening = null;
    };
    this.#followed.add(look);
    this.#stopListening ??= this.#parts.identities.onConfirmed(() => {
      for (const one of this.#followed) one();
    });
    return forget;
  }
}

function knownBy(
  by: Grant['by'],
  keyId: string,
  principal: Principal,
  rows: readonly IdentityRow[] | null,
): Known {
  return { by, keyId, principal, rows };
}

/** A role that is not there has no row that could stay the same. */
function rowsOf(key: IdentityRow, { role }: KeyReading): readonly IdentityRow[] | null {
  if (role.row === 'absent') return null;
  return role.row === null ? [key] : [key, role.row];
}

const LASTING = { isRevoked: false, expiresAtMs: null } as const;
const MISSING: Judged = {
  refusal: new AppError(
    'unauthenticated',
    'credentials are needed here: Authorization: Bearer mkv_...',
  ),
};
const UNMAPPED: Judged = {
  refusal: new AppError('unauthenticated', 'this client certificate stands for nobody here'),
};
const WRONG: Judged = { refusal: new AppError('unauthenticated', 'the credentials are not valid') };

function bearerOf(authorization: string): string | null {
  return /^bearer /i.test(authorization) ? authorization.slice('bearer '.length).trim() : null;
}

/** What one does with what one's tenant has; all else is the cluster's, and so its own tenant's. */
function isOfTenants(action: Action): boolean {
  return !action.startsWith('admin:') && action !== 'status:read';
}

/** What it can be done to. */
function kindsOf(action: Action): readonly Resource['kind'][] {
  if (action.startsWith('data:') || action.startsWith('lease:')) return ['key', 'bucket'];
  return action.startsWith('bucket:') ? ['bucket'] : ['cluster'];
}
