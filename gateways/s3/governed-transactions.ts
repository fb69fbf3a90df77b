import { AppError } from '../../protocol/errors.ts';
import type { Buckets } from '../../protocol/object-access.ts';
import type { KvService, RequestContext } from '../../protocol/service.ts';
import { isKeyed, type TxnBody, type TxnOp } from '../../protocol/txn.ts';
import { type KeyRef, KV_SPACE } from '../../protocol/vshard.ts';
import { OWNER } from './account.ts';
import { keyOfEngine } from './object-key.ts';
import { ACTIONS } from './policy-actions.ts';
import { mayBeDenied } from './policy-decision.ts';
import type { StoredPolicies } from './stored-policy.ts';

/** One thing that a transaction does with an object. */
interface Wanted {
  readonly ref: KeyRef;
  /** As policies call it. */
  readonly action: string;
}

/**
 * The service with transactions that the policies of buckets bind too: what S3 would be denied is not done past it. A
 * denial counts whatever its conditions, since they speak of requests of S3's. Throws `forbidden`; nothing was done.
 */
export function governed(
  service: KvService,
  buckets: Pick<Buckets, 'get'>,
  policies: StoredPolicies,
): KvService {
  return {
    ...service,
    transact(ctx, body) {
      const wanted = wantedOf(body);
      if (wanted.length === 0) return service.transact(ctx, body);
      return checkAll(ctx, wanted, buckets, policies).then(() => service.transact(ctx, body));
    },
  };
}

const NONE: readonly Wanted[] = [];

/** Of both branches, and of the compares: those tell what an object is. */
function wantedOf({ compares, then, otherwise }: TxnBody): readonly Wanted[] {
  const refs = compares.map(({ ref }) => ref);
  const isOfKeys = (op: TxnOp) => !isKeyed(op) || op.ref.space === KV_SPACE;
  const ops = otherwise === null ? then : [...then, ...otherwise];
  if (ops.every(isOfKeys) && refs.every(({ space }) => space === KV_SPACE)) return NONE;
  const read = refs.filter(({ space }) => space !== KV_SPACE);
  return [
    ...read.map((ref) => ({ ref, action: ACTIONS.GetObject.name })),
    ...ops.flatMap((op) => (isKeyed(op) && !isOfKeys(op) ? [wantedBy(op)] : [])),
  ];
}

function wantedBy(op: Extract<TxnOp, { ref: KeyRef }>): Wanted {
  const { ref } = op;
  if (op.type !== 'deleteObject' && op.type !== 'tagObject') {
    return { ref, action: ACTIONS.GetObject.name };
  }
  const action = op.type === 'deleteObject' ? ACTIONS.DeleteObject : ACTIONS.PutObjectTagging;
  return { ref, action: op.versionId === null ? action.name : action.ofVersion };
}

async function checkAll(
  ctx: RequestContext,
  wanted: readonly Wanted[],
  buckets: Pick<Buckets, 'get'>,
  policies: StoredPolicies,
): Promise<void> {
  const names = new Map(wanted.map(({ ref }) => [`${ref.tenant} ${ref.space}`, ref]));
  for (const { tenant, space } of names.values()) {
    // One that is not there is told of by the transaction itself.
    const bucket = await buckets.get(ctx, tenant, space);
    const policy = bucket === null ? null : policies.of(bucket);
    if (policy === null) continue;
    const principals = [OWNER.id, `arn:aws:iam::${OWNER.id}:root`];
    const denied = wanted.find(({ ref, action }) => {
      if (ref.tenant !== tenant || ref.space !== space) return false;
      const resource = `${space}/${keyOfEngine(ref.key) ?? ref.key}`;
      return mayBeDenied(policy, { action: action.toLowerCase(), resource, principals });
    });
    if (denied === undefined) continue;
    const { action } = denied;
    const details = { bucket: space, action };
    throw new AppError('forbidden', `the policy of bucket ${space} denies ${action}`, { details });
  }
}
