import { DEFAULT_TENANT } from '../../protocol/vshard.ts';
import type { Meters } from '../limits/rate-limits.ts';
import type { Call } from './call.ts';

/**
 * Whose limits a request comes under: of the user whose key signed it, with all its keys; of the account; of the address
 * where nobody signed, also where nobody has to. And those of its bucket. Null: of none.
 */
export function metersOfCall(call: Call): Meters | null {
  const { limits } = call.edge.http;
  if (limits === null) return null;
  const { who, isAnonymous, address } = call.sender;
  // Of who did not sign: that of the bucket.
  const { tenant } = call;
  const name = who?.userName ?? null;
  const signer = name === null ? 's3-account' : `s3-user:${name}`;
  return limits.of({
    ...{ who: isAnonymous ? null : signer, tenant, address: address ?? '' },
    bucket: bucketScope(tenant, call.route.bucket),
  });
}

/** As `bucket:` limits name it. */
function bucketScope(tenant: string, bucket: string): string {
  return tenant === DEFAULT_TENANT || bucket === '' ? bucket : `${tenant}/${bucket}`;
}
