import { prefixEnd } from '../../protocol/bytes.ts';
import type { Clock } from '../../protocol/clock.ts';
import { AppError } from '../../protocol/errors.ts';
import { type KeyRef, KV_SPACE } from '../../protocol/vshard.ts';
import {
  type Action,
  decide,
  decideRange,
  type Principal,
  type Reason,
  type Resource,
  type ResourceRange,
} from './decision.ts';

/** Something that a request does with a name, or with all names of a range. */
export interface Ask {
  readonly action: Action;
  readonly on: Resource | ResourceRange;
}

/** A key of a client, or an object: what it is called in rules. */
export function resourceOf({ tenant, space, key }: KeyRef): Resource {
  if (space === KV_SPACE) return { tenant, kind: 'key', name: key };
  return { tenant, kind: 'bucket', name: `${space}/${key}` };
}

/** The keys of [start, end), or the objects of a bucket. */
export function rangeOf(
  { tenant, space }: Omit<KeyRef, 'key'>,
  start: string,
  end: string | null,
): ResourceRange {
  if (space === KV_SPACE) return { tenant, kind: 'key', start, end };
  const bucket = `${space}/`;
  const last = end === null ? prefixEnd(bucket) : bucket + end;
  return { tenant, kind: 'bucket', start: bucket + start, end: last };
}

/** The keys that begin so, or a bucket's objects. */
export function prefixRangeOf(of: Omit<KeyRef, 'key'>, prefix: string): ResourceRange {
  return rangeOf(of, prefix, prefixEnd(prefix));
}

/** One request of somebody whose rules are not the same for all names: asked of each name that it is about. */
export class Guard {
  readonly #now: () => Principal;
  readonly #clock: Pick<Clock, 'wallMs'>;

  /** `now`: whoever it is, as this node knows them in this moment. */
  constructor(now: () => Principal, clock: Pick<Clock, 'wallMs'>) {
    this.#now = now;
    this.#clock = clock;
  }

  get tenant(): string {
    return this.#now().tenant;
  }

  reason(ask: Ask): Reason {
    return reasonOf(this.#now(), ask, this.#clock.wallMs());
  }

  allows(ask: Ask): boolean {
    return this.reason(ask) === 'allowed';
  }

  /** Throws `forbidden`, or `unauthenticated` where it has ended meanwhile. */
  check(...asks: readonly Ask[]): void {
    for (const ask of asks) {
      const refusal = refusalOf(this.reason(ask), ask.action);
      if (refusal !== null) throw refusal;
    }
  }
}

/** Whatever a request names is of its sender's tenant: the store that it is asked for in knows no other (tenant-store.ts). */
export function reasonOf(principal: Principal, { action, on }: Ask, wallMs: number): Reason {
  const { tenant } = principal;
  if ('name' in on) return decide(principal, action, { ...on, tenant }, { wallMs });
  return decideRange(principal, action, { ...on, tenant }, { wallMs });
}

/** What a request is told; null: it may. `action` null: what everybody may who is known. */
export function refusalOf(reason: Reason, action: Action | null): AppError | null {
  switch (reason) {
    case 'allowed':
      return null;
    case 'revoked':
      return new AppError('unauthenticated', 'the key has been revoked');
    case 'expired':
      return new AppError('unauthenticated', 'the credentials have expired');
    case 'no_tenant':
      return new AppError('unauthenticated', 'the credentials are not valid');
    case 'suspended':
      return new AppError('forbidden', 'the tenant is suspended');
    case 'other_tenant':
      return new AppError('forbidden', 'that is for the administrators of the cluster');
    default:
      return new AppError('forbidden', `the role of this key does not allow ${action ?? 'this'}`);
  }
}
