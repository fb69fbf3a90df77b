import { errors, jwtVerify, SignJWT } from 'jose';
import type { Clock } from '../../protocol/clock.ts';
import { AppError } from '../../protocol/errors.ts';
import type { Identities, IdentityRow } from '../../protocol/identities.ts';
import { type Random, randomHex } from '../../protocol/random.ts';
import type { RequestContext } from '../../protocol/service.ts';
import { KEY_BYTES, unwrapKey, wrapKey } from '../encryption/key-wrap.ts';
import type { RootKeys } from '../encryption/root-keys.ts';

/** How long a token lasts. */
export const TOKEN_SECS = 900;
/** A secret signs for so long; then it only verifies what it has signed. */
const SECRET_MS = 24 * 3600 * 1000;
/** Clocks of nodes may be apart: a token from the near future is taken. */
const TOLERANCE_SECS = 5;
/**
 * One under another root key signs no longer than a token lasts: whoever had that root key may know it. Nodes whose
 * root keys stand in another order would else replace each other's at every token.
 */
const OTHER_ROOT_MS = (TOKEN_SECS + TOLERANCE_SECS) * 1000;
/** So the second newest has verified all that it signed before it is dropped. */
const SECRETS_KEPT = 2;
const ATTEMPTS_MAX = 16;
/** Those of others say more than our own. */
const TOKEN_CHARS_MAX = 8_192;
const REMEMBERED_MAX = 10_000;
const ROW = 'token-secrets';
const PURPOSE = 'token secrets';
const AUDIENCE = 'minikv';
const FORM = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

/** What a token says that was signed here. */
export interface TokenClaims {
  readonly keyId: string;
  /** The secret that signed it. */
  readonly kid: string;
  /** Unix ms. */
  readonly expiresAtMs: number;
}

interface Secret {
  readonly kid: string;
  readonly rootId: string;
  /** Base64; see encryption/key-wrap.ts. */
  readonly wrapped: string;
  readonly createdAtMs: number;
}

export interface TokenParts {
  readonly identities: Identities;
  /** Null: this node has none, so it can neither sign nor verify. */
  readonly roots: RootKeys | null;
  readonly random: Random;
  readonly clock: Pick<Clock, 'wallMs'>;
  readonly cluster: string;
}

/**
 * Short JWTs in place of API keys: HS256 alone, with secrets of the cluster that are wrapped under the root key and
 * follow each other every day. A token is good only while its key and its secret are there.
 */
export class Tokens {
  readonly #parts: TokenParts;
  /** By the token itself: it says nothing that its bearer does not. */
  readonly #verified = new Map<string, TokenClaims>();
  readonly #secrets = new WeakMap<IdentityRow, readonly Secret[]>();

  constructor(parts: TokenParts) {
    this.#parts = parts;
  }

  static isToken(text: string): boolean {
    return text.length <= TOKEN_CHARS_MAX && FORM.test(text);
  }

  /** Of one that was verified before; null: nobody has looked. Counts only in a current view. */
  known(text: string): TokenClaims | null {
    const claims = this.#verified.get(text) ?? null;
    return claims !== null && this.#known().some(({ kid }) => kid === claims.kid) ? claims : null;
  }

  /** Null: it was not signed here, for this cluster, with a secret that still counts, or its time is over. */
  async verify(text: string, deadlineMs: number): Promise<TokenClaims | null> {
    const { identities, clock, cluster } = this.#parts;
    try {
      const { payload, protectedHeader } = await jwtVerify(
        text,
        async ({ kid }) => this.#secretOf(kid ?? '', deadlineMs),
        {
          ...{ algorithms: ['HS256'], audience: AUDIENCE, issuer: issuerOf(cluster) },
          ...{ requiredClaims: ['exp', 'iat', 'sub'], clockTolerance: TOLERANCE_SECS },
          currentDate: new Date(clock.wallMs()),
        },
      );
      await identities.current(deadlineMs);
      const { sub = '', exp = 0 } = payload;
      const claims = { keyId: sub, kid: protectedHeader.kid ?? '', expiresAtMs: exp * 1000 };
      const oldest = this.#verified.keys().next().value;
      if (this.#verified.size >= REMEMBERED_MAX && oldest !== undefined) {
        this.#verified.delete(oldest);
      }
      this.#verified.set(text, claims);
      return this.known(text);
    } catch (error) {
      if (error instanceof errors.JOSEError) return null;
      throw error;
    }
  }

  /** A token in place of a key. Rejects with `not_implemented` without a root key. */
  async issue(
    ctx: RequestContext,
    keyId: string,
    keyExpiresAtMs: number | null,
  ): Promise<{ readonly token: string; readonly expiresInSecs: number }> {
    const { clock, cluster } = this.#parts;
    const secret = await this.#current(ctx);
    const nowSecs = Math.floor(clock.wallMs() / 1000);
    const keySecs = keyExpiresAtMs === null ? TOKEN_SECS : keyExpiresAtMs / 1000 - nowSecs;
    const expiresInSecs = Math.max(1, Math.floor(Math.min(TOKEN_SECS, keySecs)));
    const token = await new SignJWT({})
      .setProtectedHeader({ alg: 'HS256', kid: secret.kid })
      .setIssuer(issuerOf(cluster))
      .setAudience(AUDIENCE)
      .setSubject(keyId)
      .setIssuedAt(nowSecs)
      .setExpirationTime(nowSecs + expiresInSecs)
      .sign(this.#opened(secret));
    return { token, expiresInSecs };
  }

  /**
   * Wraps the secrets under the newest root key, with a new one in front that signs from now on: who had the old root key
   * may know the others. Says how many were under another. Rejects with `not_implemented` where this node has not got
   * that, and with `conflict`.
   */
  async rewrap(
    ctx: RequestContext,
  ): Promise<{ readonly secrets: number; readonly rewrapped: number }> {
    const { identities } = this.#parts;
    const { currentId } = this.#rootsOf();
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      await identities.renewed(ctx.deadlineMs);
      const known = this.#known();
      const others = known.filter(({ rootId }) => rootId !== currentId);
      const done = { secrets: known.length, rewrapped: others.length };
      if (others.length === 0) {
        // Whoever changed them may not have waited yet.
        await identities.settled();
        return done;
      }
      const moved = this.#verifying(known).map((secret) => this.#rewrapped(secret));
      const isSigning = known[0]?.rootId !== currentId;
      const next = isSigning ? [this.#drawn(), ...moved] : moved;
      if (await this.#replace(ctx, next)) return done;
    }
    throw new AppError('conflict', 'others are changing the secrets of tokens');
  }

  /**
   * The secret that signs; where it is too old, or there is none, a new one that all nodes know. Rejects with `conflict`
   * where others replace it again and again.
   */
  async #current(ctx: RequestContext): Promise<Secret> {
    const { identities, clock } = this.#parts;
    const { currentId } = this.#rootsOf();
    await identities.current(ctx.deadlineMs);
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      const [newest] = this.#known();
      const ageMs = clock.wallMs() - (newest?.createdAtMs ?? 0);
      const ageMsMax = newest?.rootId === currentId ? SECRET_MS : OTHER_ROOT_MS;
      if (newest !== undefined && ageMs < ageMsMax) return newest;
      // Somebody else may have made one meanwhile: then that one signs.
      await this.#replace(ctx, [this.#drawn(), ...this.#known()].slice(0, SECRETS_KEPT));
      await identities.renewed(ctx.deadlineMs);
    }
    throw new AppError('conflict', 'others are changing the secrets of tokens');
  }

  /** Those of which tokens are left that have not ended. */
  #verifying(known: readonly Secret[]): readonly Secret[] {
    const endedMs = this.#parts.clock.wallMs() - OTHER_ROOT_MS;
    return known.filter((_, at) => (known[at - 1]?.createdAtMs ?? Infinity) > endedMs);
  }

  /** False: somebody else has changed them since this node looked. */
  #replace(ctx: RequestContext, secrets: readonly Secret[]): Promise<boolean> {
    const { identities } = this.#parts;
    const revision = identities.row(ROW)?.revision ?? 0;
    return identities.put(ctx, { name: ROW, text: JSON.stringify({ v: 1, secrets }), revision });
  }

  #drawn(): Secret {
    const { random, clock } = this.#parts;
    const kid = randomHex(random, 8);
    return this.#wrapped(kid, random.bytes(KEY_BYTES), clock.wallMs());
  }

  #rewrapped(secret: Secret): Secret {
    return this.#wrapped(secret.kid, this.#opened(secret), secret.createdAtMs);
  }

  #wrapped(kid: string, secret: Uint8Array, createdAtMs: number): Secret {
    const roots = this.#rootsOf();
    const { currentId: rootId } = roots;
    const under = roots.purpose(rootId, PURPOSE) as Uint8Array;
    const wrapped = wrapKey(under, secret, placeOf(kid), this.#parts.random).toString('base64');
    return { kid, rootId, wrapped, createdAtMs };
  }

  async #secretOf(kid: string, deadlineMs: number): Promise<Uint8Array> {
    const { identities } = this.#parts;
    const find = (): Secret | undefined => this.#known().find((secret) => secret.kid === kid);
    await identities.current(deadlineMs);
    if (find() === undefined) await identities.renewed(deadlineMs);
    const secret = find();
    if (secret === undefined) throw new errors.JWKSNoMatchingKey();
    return this.#opened(secret);
  }

  /** Newest first. */
  #known(): readonly Secret[] {
    const row = this.#parts.identities.row(ROW);
    if (row === null) return [];
    const known = this.#secrets.get(row);
    if (known !== undefined) return known;
    const { v, secrets } = JSON.parse(row.text) as { v: number; secrets: readonly Secret[] };
    if (v !== 1) throw new Error(`secrets of tokens of version ${v}`);
    this.#secrets.set(row, secrets);
    return secrets;
  }

  #opened({ kid, rootId, wrapped }: Secret): Uint8Array {
    const under = this.#rootsOf().purpose(rootId, PURPOSE);
    const bytes = Buffer.from(wrapped, 'base64');
    const secret = under === null ? null : unwrapKey(under, bytes, placeOf(kid));
    if (secret !== null) return secret;
    throw new AppError(
      'not_implemented',
      'tokens are signed under a root key that this node has not got',
    );
  }

  #rootsOf(): RootKeys {
    const { roots } = this.#parts;
    if (roots !== null) return roots;
    throw new AppError(
      'not_implemented',
      'this node has no root key (encryption-root-key), so it knows no tokens',
    );
  }
}

function issuerOf(cluster: string): string {
  return `minikv:${cluster}`;
}

/** A wrapped secret is good for this name only. */
function placeOf(kid: string): Uint8Array {
  return Buffer.from(`minikv 1 token secret ${kid}`);
}
