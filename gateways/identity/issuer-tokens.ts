import {
  type CryptoKey,
  decodeJwt,
  decodeProtectedHeader,
  errors,
  type JWTPayload,
  type JWTVerifyGetKey,
  jwtVerify,
} from 'jose';
import type { Clock } from '../../protocol/clock.ts';
import { DEFAULT_TENANT } from '../../protocol/vshard.ts';
import { type BuiltInRole, isBuiltInRole, ROLES } from './decision.ts';
import type { IssuerKeySet, IssuerKeys } from './issuer-keys.ts';
import { isOwnRoleName } from './role.ts';
import { isTenantName } from './tenant.ts';

/** Signatures that may be asked for: with keys of which the public half is enough (RFC 8725, section 3.1). */
export const ISSUER_ALGORITHMS = ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA'] as const;
export type IssuerAlgorithm = (typeof ISSUER_ALGORITHMS)[number];

export interface IssuerConfig {
  /** `iss` and `aud` of its tokens. */
  readonly issuer: string;
  readonly audience: string;
  readonly algorithms: readonly IssuerAlgorithm[];
  /** Of the claim that names a role, or several; with dots for claims inside of claims. */
  readonly roleClaim: string;
  /** Of the claim that names the tenant, likewise; null: all are of the cluster's own. */
  readonly tenantClaim: string | null;
}

/** What its token says. */
export interface IssuerClaims {
  readonly subject: string;
  /** Of the built-in ones that it names, the one that may most; null: it names none. */
  readonly role: BuiltInRole | null;
  /** All else that it names and that could be roles of one's own: what they are, the cluster says. */
  readonly roles: readonly string[];
  readonly tenant: string;
  /** Unix ms. */
  readonly expiresAtMs: number;
}

const TOLERANCE_SECS = 5;
const REMEMBERED_MAX = 10_000;
const SUBJECT_CHARS_MAX = 256;

/** Tokens that somebody else signs, as an identity provider does. They hold until they end, or their key is withdrawn. */
export class IssuerTokens {
  readonly #config: IssuerConfig;
  readonly #keys: IssuerKeys;
  readonly #clock: Pick<Clock, 'wallMs'>;
  /** By the token: of the keys it was verified with, by their text. */
  readonly #verified = new Map<string, { readonly keys: string; readonly claims: IssuerClaims }>();

  constructor(config: IssuerConfig, keys: IssuerKeys, clock: Pick<Clock, 'wallMs'>) {
    this.#config = config;
    this.#keys = keys;
    this.#clock = clock;
  }

  /** Whether it says that it is of this issuer; whether that is true is another question. */
  isOurs(token: string): boolean {
    try {
      return decodeJwt(token).iss === this.#config.issuer;
    } catch {
      return false;
    }
  }

  /** Of one that was verified before, with the keys of now. */
  known(token: string): IssuerClaims | null {
    const known = this.#verified.get(token);
    return known !== undefined && known.keys === this.#keys.current()?.text ? known.claims : null;
  }

  /** Null: it is not good, or says nothing of a role. */
  async verify(token: string): Promise<IssuerClaims | null> {
    const keys = this.#keys.current();
    const first = keys === null ? 'no key' : await this.#verifiedWith(token, keys);
    if (first !== 'no key') return first;
    await this.#keys.renewed();
    const renewed = this.#keys.current();
    if (renewed === null || renewed === keys) return null;
    const second = await this.#verifiedWith(token, renewed);
    return second === 'no key' ? null : second;
  }

  async #verifiedWith(token: string, keys: IssuerKeySet): Promise<IssuerClaims | null | 'no key'> {
    const { roleClaim, tenantClaim } = this.#config;
    const payload = await this.#payload(token, keys);
    if (payload === null || payload === 'no key') return payload;
    const { sub = '', exp = 0 } = payload;
    const tenant = tenantIn(payload, tenantClaim);
    if (tenant === null) return null;
    const named = rolesIn(payload, roleClaim);
    const { role } = named;
    // Roles of one's own are the cluster's.
    const roles = tenant === DEFAULT_TENANT ? named.roles : [];
    if (role === null && roles.length === 0) return null;
    if (sub === '' || sub.length > SUBJECT_CHARS_MAX) return null;
    const claims = { subject: sub, role, roles, tenant, expiresAtMs: exp * 1000 };
    const oldest = this.#verified.keys().next().value;
    if (this.#verified.size >= REMEMBERED_MAX && oldest !== undefined) {
      this.#verified.delete(oldest);
    }
    this.#verified.set(token, { keys: keys.text, claims });
    return claims;
  }

  async #payload(token: string, { find }: IssuerKeySet): Promise<JWTPayload | null | 'no key'> {
    try {
      return await this.#signed(token, find);
    } catch (error) {
      if (error instanceof errors.JWKSMultipleMatchingKeys) return this.#signedByOne(token, error);
      return this.#refused(token, error);
    }
  }

  /** A token need not say which key it is of (RFC 7515, section 4.1.4). */
  async #signedByOne(
    token: string,
    keys: AsyncIterable<CryptoKey>,
  ): Promise<JWTPayload | null | 'no key'> {
    for await (const key of keys) {
      try {
        return await this.#signed(token, async () => key);
      } catch (error) {
        const isOthers = error instanceof errors.JWSSignatureVerificationFailed;
        if (!isOthers) return this.#refused(token, error);
      }
    }
    return 'no key';
  }

  async #signed(token: string, find: JWTVerifyGetKey): Promise<JWTPayload> {
    const { issuer, audience, algorithms } = this.#config;
    const { payload } = await jwtVerify(token, find, {
      ...{ issuer, audience, algorithms: [...algorithms] },
      ...{ requiredClaims: ['exp', 'sub'], clockTolerance: TOLERANCE_SECS },
      currentDate: new Date(this.#clock.wallMs()),
    });
    return payload;
  }

  #refused(token: string, error: unknown): null | 'no key' {
    if (error instanceof errors.JWKSNoMatchingKey) return 'no key';
    if (error instanceof errors.JWSSignatureVerificationFailed) {
      return decodeProtectedHeader(token).kid === undefined ? 'no key' : null;
    }
    // What the issuer publishes is no key, or too weak a one: its tokens are no good, the others are.
    if (!(error instanceof errors.JOSEError)) this.#keys.isUnusable(error);
    return null;
  }
}

/** What the claim names, of roles. */
function rolesIn(payload: JWTPayload, path: string): Pick<IssuerClaims, 'role' | 'roles'> {
  const value = claimIn(payload, path);
  const named: readonly unknown[] = Array.isArray(value) ? value : [value];
  const texts = new Set(named.filter((one) => typeof one === 'string'));
  const role = Object.keys(ROLES)
    .filter(isBuiltInRole)
    .find((one) => texts.has(one));
  return { role: role ?? null, roles: [...texts].filter(isOwnRoleName) };
}

/** Null: it names none, where one has to be named. Who is of no tenant is not of the cluster's by mistake. */
function tenantIn(payload: JWTPayload, path: string | null): string | null {
  if (path === null) return DEFAULT_TENANT;
  const value = claimIn(payload, path);
  const isName = typeof value === 'string' && (value === DEFAULT_TENANT || isTenantName(value));
  return isName ? value : null;
}

/** Undefined: it is not there. */
function claimIn(payload: JWTPayload, path: string): unknown {
  let value: unknown = payload;
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name))
      return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}
