import type { Clock } from '../../protocol/clock.ts';
import { AppError } from '../../protocol/errors.ts';
import type { IdentityRow } from '../../protocol/identities.ts';
import type { Principal, Reason } from './decision.ts';
import { type Ask, Guard, reasonOf } from './guard.ts';
import { isBuiltIn } from './role.ts';

/** That somebody may do something for longer than a moment: as long as they may, it goes on. */
export interface Grant {
  /** What was presented: the administrator's key, an API key, a token or a certificate in place of one, or another issuer's token. */
  readonly by: 'admin' | 'key' | 'token' | 'certificate' | 'issuer';
  /** Of the API key; '' where there is none. */
  readonly keyId: string;
  /** Of whoever it is, for logs: `admin`, `key:<id>`, `issuer:<subject>`. */
  readonly who: string;
  /** Whose data they see, and no other. */
  readonly tenant: string;
  /** Unix ms; null: it lasts until it is revoked. */
  readonly expiresAtMs: number | null;
  /** To be asked of each name that the request is about; null: what it does is allowed for all of them. */
  readonly guard: Guard | null;
  /** Judged anew; `unknown`: this node cannot tell at present. */
  check(): Promise<'good' | 'ended' | 'unknown'>;
  /** The same without waiting; null: it has to. */
  checkNow(): 'good' | 'ended' | null;
  /** Runs `end` once it has ended, unless what is returned was called before. */
  follow(end: () => void): () => void;
  /** That they may do this: it ends as soon as one of these is allowed no more. */
  about(asks: readonly Ask[]): Grant;
}

export interface Known {
  readonly principal: Principal;
  readonly by: Grant['by'];
  readonly keyId: string;
  /** What it was read from, where that alone decides: it is good for as long as these are the rows. */
  readonly rows: readonly IdentityRow[] | null;
}
export type Judged = Known | { readonly refusal: AppError };

export interface GrantParts {
  readonly clock: Pick<Clock, 'wallMs'>;
  /** Whether these are the rows still, in a current view. */
  isUnchanged(rows: readonly IdentityRow[]): boolean;
  /** Who it is now; null: it takes a message. */
  judgeNow(): Judged | null;
  judge(): Promise<Judged>;
  /** Runs `end` once `hasEnded`; what is returned forgets it. */
  follow(hasEnded: () => boolean, end: () => void): () => void;
}

export function grantOf(
  parts: GrantParts,
  known: Known,
  reason: (principal: Principal) => Reason,
): Grant {
  let last = known;
  // Asked for each watch and event: nothing is read or hashed again while the rows are the same.
  const now = (): Judged | null => {
    if (last.rows !== null && parts.isUnchanged(last.rows)) return last;
    const judged = parts.judgeNow();
    if (judged !== null && 'principal' in judged) last = judged;
    return judged;
  };
  const principalNow = (): Principal => {
    const judged = now();
    if (judged === null)
      throw new AppError('unavailable', 'who may do what cannot be told at present');
    return 'refusal' in judged ? { ...last.principal, isRevoked: true } : judged.principal;
  };
  const stateOf = (judged: Judged): 'good' | 'ended' => {
    if ('refusal' in judged) return 'ended';
    return reason(judged.principal) === 'allowed' ? 'good' : 'ended';
  };
  const checkNow = (): 'good' | 'ended' | null => {
    const judged = now();
    return judged === null ? null : stateOf(judged);
  };
  const { by, keyId, principal } = known;
  const isForAll = isBuiltIn(principal.rules);
  return {
    ...{ by, keyId, who: principal.id, tenant: principal.tenant },
    expiresAtMs: principal.expiresAtMs,
    guard: isForAll ? null : new Guard(principalNow, parts.clock),
    checkNow,
    check: async () => {
      try {
        return checkNow() ?? stateOf(await parts.judge());
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        return 'unknown';
      }
    },
    follow: (end) => parts.follow(() => checkNow() === 'ended', end),
    about: (asks) =>
      grantOf(parts, last, (who) => {
        const wallMs = parts.clock.wallMs();
        const reasons = asks.map((ask) => reasonOf(who, ask, wallMs));
        return reasons.find((one) => one !== 'allowed') ?? 'allowed';
      }),
  };
}
