import { prefixEnd } from '../../protocol/bytes.ts';
import { DEFAULT_TENANT } from '../../protocol/vshard.ts';
import { type Action, decideSomewhere, type Resource } from '../identity/decision.ts';
import { type Ask, rangeOf, reasonOf } from '../identity/guard.ts';
import { isBuiltIn } from '../identity/role.ts';
import type { S3Identity } from '../identity/s3-user.ts';
import type { Call } from './call.ts';
import { engineKeyOf } from './object-key.ts';
import type { PolicyAction } from './policy-actions.ts';

/**
 * What a role says of requests of S3's. A built-in one is what somebody may do at most: whose a bucket is, its policy and its ACL
 * say what of that. One of one's own gives what it allows, as an identity policy does: it stands in the place of being the
 * owner, a denial of it or of the bucket's policy wins, and where it is silent policies and ACLs may still give something.
 */
export type RoleAnswer = 'allow' | 'deny' | 'silent';

/** Rules hold all the time: whether the key is good was asked when its signature was. */
const NOW_MS = 0;
const READING = /^s3:(?:Get|List)/;
const LISTINGS: ReadonlySet<string> = new Set([
  ...['s3:ListBucket', 's3:ListBucketVersions', 's3:ListBucketMultipartUploads'],
]);
/** Who may read an object, and until when nobody may remove it. */
const SET_UP: ReadonlySet<string> = new Set([
  ...['s3:PutObjectAcl', 's3:PutObjectRetention', 's3:PutObjectLegalHold'],
  's3:BypassGovernanceRetention',
]);

export function hasOwnRole(who: S3Identity | null): boolean {
  return who !== null && !isBuiltIn(who.access.rules);
}

/**
 * Of all that is asked: what is denied in part is denied, and allowed is what is allowed whole. Whose buckets a request can
 * be about says its signature (ADR 0046), so all of them are of the tenant of whoever asks.
 */
export function roleAnswer(who: S3Identity, asks: readonly Ask[]): RoleAnswer {
  const { tenant } = who.access;
  const reasons = asks.map(({ action, on }) =>
    reasonOf(who.access, { action, on: { ...on, tenant } }, NOW_MS),
  );
  if (isBuiltIn(who.access.rules)) {
    return reasons.every((reason) => reason === 'allowed') ? 'silent' : 'deny';
  }
  if (reasons.includes('denied_by_rule')) return 'deny';
  return reasons.every((reason) => reason === 'allowed') ? 'allow' : 'silent';
}

/** Whether it gives this of a bucket to anybody with a role of one's own; which buckets there are is another question. */
export function mayOfBucket(who: S3Identity, action: Action, bucket: string): boolean {
  return roleAnswer(who, [{ action, on: ofBucket(bucket) }]) === 'allow';
}

export function mayOfSomeBucket({ access }: S3Identity, action: Action): boolean {
  const where = { tenant: access.tenant, kinds: ['bucket'] } as const;
  return decideSomewhere(access, action, where, { wallMs: NOW_MS }) === 'allowed';
}

/** `further`: what else headers ask for, as policies call it. */
export function asksOf(
  { route: { operation, query } }: Call,
  { level, name }: PolicyAction,
  { bucket, key }: { readonly bucket: string; readonly key: string },
  further: readonly string[],
): Ask[] {
  const isReading = READING.test(name);
  if (level === 'object') {
    const on = { ...BUCKETS, name: `${bucket}/${engineKeyOf(key)}` };
    const asked: Ask = { action: isReading ? 'data:read' : 'data:write', on };
    const isSetUp = [name, ...further].some((one) => SET_UP.has(one));
    return isSetUp ? [asked, { action: 'bucket:write', on }] : [asked];
  }
  if (LISTINGS.has(name) && operation !== 'HeadBucket') {
    const prefix = engineKeyOf(query.get('prefix') ?? '');
    const of = { tenant: DEFAULT_TENANT, space: bucket };
    return [{ action: 'data:read', on: rangeOf(of, prefix, prefixEnd(prefix)) }];
  }
  return [{ action: isReading ? 'bucket:read' : 'bucket:write', on: ofBucket(bucket) }];
}

const BUCKETS = { tenant: DEFAULT_TENANT, kind: 'bucket' } as const;

/** The slash ends the name. */
function ofBucket(bucket: string): Resource {
  return { ...BUCKETS, name: `${bucket}/` };
}
