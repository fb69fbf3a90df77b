import { LIMITS } from '../../protocol/limits.ts';
import { DEFAULT_TENANT } from '../../protocol/vshard.ts';
import { type Call, noSuchBucket } from './call.ts';
import type { S3Edge } from './edge.ts';
import { s3ErrorOf } from './errors.ts';
import type { Sender } from './identity.ts';
import type { Route } from './route.ts';

/**
 * Buckets of a tenant that a path names, as `/acme:photos/cat.jpg`: for those who do not show by a signature whose buckets they
 * mean, so for reading what is public, and for what browsers ask before they send something signed. Whoever signs names their own
 * tenant or none.
 *
 *   W1  To who has not signed, a bucket that gives them nothing is one that is not there: the same answer for a name that is
 *       free, one that is taken, and one of a tenant that there is not, or that is suspended.
 */

/** GET, HEAD and OPTIONS: what is written without a signature is written to buckets of the cluster's own only. */
const READING: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/** Who sent it, as far as that counts for the bucket that is named. Throws NoSuchBucket. */
export async function senderTo(
  edge: S3Edge,
  method: string,
  { tenant, bucket }: Route,
  sender: Sender,
): Promise<Sender> {
  if (tenant === undefined) return sender;
  if (sender.who !== null && sender.who.access.tenant === tenant) return sender;
  if (!sender.isAnonymous || !READING.has(method)) throw noSuchBucket(bucket);
  const context = {
    deadlineMs: LIMITS.requestDeadlineMsDefault,
    traceparent: null,
    idempotency: null,
  };
  if (!(await edge.http.tenants.isActive(context, tenant))) throw noSuchBucket(bucket);
  // Where nobody has to sign, it is the cluster's own account that is nobody here.
  return { ...sender, who: null };
}

const TELLING: ReadonlySet<string> = new Set(['AccessDenied', 'AccessForbidden']);

/** Whether a refusal would tell somebody who has not signed that there is such a bucket (W1). */
export function isHidden(call: Call, thrown: unknown): boolean {
  const { tenant } = call.route;
  const isOthers = tenant !== undefined && tenant !== DEFAULT_TENANT;
  return isOthers && call.who === null && TELLING.has(s3ErrorOf(thrown).code);
}
