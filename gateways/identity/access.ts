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
import { type Action, decide, type Principal, type Reason, ROLES } from './decision.ts';
import type { IssuerClaims, IssuerTokens } from './issuer-tokens.ts';
import type { SecretHash } from './secret-hash.ts';
import { Sessions } from './sessions.ts';
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

/** That somebody may do something for longer than a moment: as long as they may, it goes on. */
export interface Grant {
  /** What was presented: the administrator's key, an API key, a token in place of one, or another issuer's. */
  readonly by: 'admin' | 'key' | 'token' | 'issuer';
  /** Of the API key; '' where there is none. */
  readonly keyId: string;
  /** Of whoever it is, for logs: `admin`, `key:<id>`, `issuer:<subject>`. */
  readonly who: string;
  /** Unix ms; null: it lasts until it is revoked. */
  readonly expiresAtMs: number | null;
  /** Judged anew; `unknown`: this node cannot tell at present. */
  check(): Promise<'good' | 'ended' | 'unknown'>;
  /** The same without waiting; null: it has to. */
  checkNow(): 'good' | 'ended' | null;
  /** Runs `end` once it has ended, unless what is returned was called before. */
  follow(end: () => void): () => void;
}

interface Known {
  readonly principal: Principal;
  readonly by: Grant['by'];
  readonly keyId: string;
  /** What it was read from, where that alone decides: it is good for as long as this is the key's row. */
  readonly row: IdentityRow | null;
}
type Judged = Known | { readonly refusal: AppError };

/**
 * Who sends a request by its `Authorization`, and whether they may. What is answered is true of the moment of the call:
 * nothing counts but a current view of the identities (ADR 0038).
 */
export class Access {
  readonly #parts: AccessParts;
  readonly #sessions: Sessions;
  readonly #verifying = new Map<string, Promise<boolean>>();
  readonly #principals = new WeakMap<IdentityRow, { phc: string; principal: Principal } | object>();
  readonly #admin: Principal;
  readonly #followed = new Set<() => void>();
  #stopListening: (() => void) | null = null;

  constructor(parts: AccessParts) {
    this.#parts = parts;
    this.#sessions = new Sessions(parts.random);
    this.#admin = { ...LASTING, id: ADMIN_ID, tenant: DEFAULT_TENANT, rules: ROLES.admin };
  }

  /** Whether they may, where that can be told at once; false where it cannot, or where they may not. */
  admitsNow(authorization: string | undefined, action: Action): boolean {
    const judged = this.#judgeNow(authorization);
    return (
      judged !== null &&
      'principal' in judged &&
      this.#reason(judged.principal, action) === 'allowed'
    );
  }

  /** Of whoever has shown that they are, also where they may not; `nobody` where that is not known at once. */
  whoNow(authorization: string | undefined): string {
    const judged = this.#judgeNow(authorization);
    return judged !== null && 'principal' in judged ? judged.principal.id : 'nobody';
  }

  /** Rejects with `unauthenticated`, `forbidden`, or `unavailable` where this node cannot tell. `action` null: anything they like. */
  async admit(authorization: string | undefined, action: Action | null): Promise<Grant> {
    const judged = this.#judgeNow(authorization) ?? (await this.#judge(authorization));
    if ('refusal' in judged) throw judged.refusal;
    const reason = this.#reason(judged.principal, action ?? 'status:read');
    const refusal = refusalOf(reason, action);
    if (refusal !== null) throw refusal;
    return this.#grant(authorization, action ?? 'status:read', judged);
  }

  #reason(principal: Principal, action: Action): Reason {
    const resource = { tenant: DEFAULT_TENANT, kind: kindOf(action), name: '' };
    return decide(principal, action, resource, { wallMs: this.#parts.clock.wallMs() });
  }

  /** Without a message and without Argon2; null: it takes one of them. */
  #judgeNow(authorization: string | undefined): Judged | null {
    if (authorization === undefined) return MISSING;
    const text = bearerOf(authorization);
    if (text !== null && Tokens.isToken(text)) return this.#judgeTokenNow(text);
    const key = text === null ? null : parseApiKey(text);
    if (text === null || key === null) return WRONG;
    if (key.id === ADMIN_ID) {
      const isAdmin = isSameSecret(key.secret, this.#parts.adminKey.secret);
      return isAdmin ? { principal: this.#admin, by: 'admin', keyId: '', row: null } : WRONG;
    }
    const { identities } = this.#parts;
    if (!identities.isCurrent()) return null;
    const row = identities.row(keyRowName(key.id));
    if (row === null) return null;
    const known = this.#principalOf(key.id, row);
    if (known === null) return WRONG;
    const isGood = this.#sessions.isGood(this.#sessions.digest(text), known.phc);
    if (isGood === null) return null;
    return isGood ? knownBy('key', key.id, known.principal, row) : WRONG;
  }

  async #judge(authorization: string | undefined): Promise<Judged> {
    const text = bearerOf(authorization ?? '');
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
    return still === null ? WRONG : knownBy('key', key.id, still.principal, now);
  }

  #judgeTokenNow(text: string): Judged | null {
    const { identities, tokens, issuer } = this.#parts;
    const issued = issuer?.known(text) ?? null;
    if (issued !== null) return judgedIssued(issued);
    if (issuer?.isOurs(text) === true || !identities.isCurrent()) return null;
    const claims = tokens.known(text);
    return claims === null ? null : this.#judgeClaims(claims);
  }

  async #judgeToken(text: string): Promise<Judged> {
    const { issuer } = this.#parts;
    if (issuer?.isOurs(text) === true) {
      const issued = await issuer.verify(text);
      return issued === null ? WRONG : judgedIssued(issued);
    }
    const claims = await this.#parts.tokens.verify(text, LIMITS.requestDeadlineMsDefault);
    if (claims === null) return WRONG;
    // Its key may have been made since this node looked, as its secret may.
    const { identities } = this.#parts;
    const isNew = identities.row(keyRowName(claims.keyId)) === null;
    if (isNew) await identities.renewed(LIMITS.requestDeadlineMsDefault);
    return this.#judgeClaims(claims);
  }

  /** A token is good for what its key is, and no longer than either. */
  #judgeClaims({ keyId, expiresAtMs }: TokenClaims): Judged {
    const row = this.#parts.identities.row(keyRowName(keyId));
    const known = row === null ? null : this.#principalOf(keyId, row);
    if (known === null) return WRONG;
    const { principal } = known;
    const endMs = Math.min(expiresAtMs, principal.expiresAtMs ?? expiresAtMs);
    return knownBy('token', keyId, { ...principal, expiresAtMs: endMs }, null);
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

  /** Null: the key was deleted. Read once per row: a change of it is another row. */
  #principalOf(id: string, row: IdentityRow): { phc: string; principal: Principal } | null {
    const known = this.#principals.get(row);
    if (known !== undefined) return 'phc' in known ? known : null;
    const record = parseKeyRecord(row.text);
    if (record === null) {
      this.#principals.set(row, {});
      return null;
    }
    const { tenant, role, expiresAtMs, revokedAtMs, hash: phc } = record;
    const rules = ROLES[role];
    const principal = {
      id: `key:${id}`,
      tenant,
      rules,
      isRevoked: revokedAtMs !== null,
      expiresAtMs,
    };
    const read = { phc, principal };
    this.#principals.set(row, read);
    return read;
  }

  #grant(authorization: string | undefined, action: Action, known: Known): Grant {
    const { identities } = this.#parts;
    const rowName = keyRowName(known.keyId);
    let last = known;
    // Asked for each watch and event: nothing is read or hashed again while the row is the same.
    const checkNow = (): 'good' | 'ended' | null => {
      const isSame =
        last.row !== null && identities.isCurrent() && identities.row(rowName) === last.row;
      const judged = isSame ? last : this.#judgeNow(authorization);
      if (judged === null) return null;
      if ('refusal' in judged) return 'ended';
      last = judged;
      return this.#reason(judged.principal, action) === 'allowed' ? 'good' : 'ended';
    };
    const { by, keyId, principal } = known;
    return {
      ...{ by, keyId, who: principal.id, expiresAtMs: principal.expiresAtMs },
      checkNow,
      check: async () => {
        try {
          const judged = checkNow();
          if (judged !== null) return judged;
          await this.admit(authorization, action);
          return 'good';
        } catch (error) {
          if (!(error instanceof AppError)) throw error;
          return error.code === 'unauthenticated' || error.code === 'forbidden'
            ? 'ended'
            : 'unknown';
        }
      },
      follow: (end) => this.#follow(() => checkNow() === 'ended', end),
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

/** It holds until it ends: nobody here can revoke it. */
function judgedIssued({ subject, role, expiresAtMs }: IssuerClaims): Judged {
  const principal = {
    ...{ id: `issuer:${subject}`, tenant: DEFAULT_TENANT, rules: ROLES[role] },
    ...{ isRevoked: false, expiresAtMs },
  };
  return knownBy('issuer', '', principal, null);
}

function knownBy(
  by: Grant['by'],
  keyId: string,
  principal: Principal,
  row: IdentityRow | null,
): Known {
  return { by, keyId, principal, row };
}

const LASTING = { isRevoked: false, expiresAtMs: null } as const;
const MISSING: Judged = {
  refusal: new AppError(
    'unauthenticated',
    'credentials are needed here: Authorization: Bearer mkv_...',
  ),
};
const WRONG: Judged = { refusal: new AppError('unauthenticated', 'the credentials are not valid') };

function bearerOf(authorization: string): string | null {
  return /^bearer /i.test(authorization) ? authorization.slice('bearer '.length).trim() : null;
}

function kindOf(action: Action): 'key' | 'cluster' {
  return action.startsWith('data:') || action.startsWith('lease:') ? 'key' : 'cluster';
}

function refusalOf(reason: Reason, action: Action | null): AppError | null {
  switch (reason) {
    case 'allowed':
      return null;
    case 'revoked':
      return new AppError('unauthenticated', 'the key has been revoked');
    case 'expired':
      return new AppError('unauthenticated', 'the credentials have expired');
    default:
      return new AppError('forbidden', `the role of this key does not allow ${action ?? 'this'}`);
  }
}
