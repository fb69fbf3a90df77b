import { type Grant, type Grantee, groupOf, type Permission } from './acl.ts';
import { invalidArgument, s3Error } from './errors.ts';
import { type Headers, headerOf } from './headers.ts';

const BOTH = ['private', 'public-read', 'public-read-write', 'authenticated-read'] as const;
const BUCKET_ACLS = [...BOTH, 'log-delivery-write'] as const;
const OBJECT_ACLS = [
  ...BOTH,
  'aws-exec-read',
  'bucket-owner-read',
  'bucket-owner-full-control',
] as const;

/** A canned ACL, by its name. Those that are only for objects are passed over at a bucket by S3. */
export type CannedAcl = (typeof BUCKET_ACLS)[number] | (typeof OBJECT_ACLS)[number];

export type AclRequest =
  | { readonly type: 'canned'; readonly acl: CannedAcl }
  | { readonly type: 'grants'; readonly grants: readonly Grant[] };

const GRANT_HEADERS: readonly (readonly [string, Permission])[] = [
  ['x-amz-grant-full-control', 'FULL_CONTROL'],
  ['x-amz-grant-read', 'READ'],
  ['x-amz-grant-read-acp', 'READ_ACP'],
  ['x-amz-grant-write', 'WRITE'],
  ['x-amz-grant-write-acp', 'WRITE_ACP'],
];
const CANNED: ReadonlySet<string> = new Set([...BUCKET_ACLS, ...OBJECT_ACLS]);

/** x-amz-acl or x-amz-grant-*; null where there is neither. Throws InvalidArgument, InvalidRequest. */
export function aclOf(headers: Headers): AclRequest | null {
  const canned = headerOf(headers, 'x-amz-acl');
  const grants = GRANT_HEADERS.flatMap(([name, permission]) =>
    grantsOf(name, headerOf(headers, name), permission),
  );
  if (canned === null) return grants.length === 0 ? null : { type: 'grants', grants };
  if (grants.length > 0) {
    throw s3Error('InvalidRequest', 'Specifying both Canned ACLs and Header Grants is not allowed');
  }
  if (!CANNED.has(canned))
    throw invalidArgument('The canned ACL is not known', 'x-amz-acl', canned.slice(0, 64));
  return { type: 'canned', acl: canned as CannedAcl };
}

const GRANTEE = /[ \t]*(id|uri|emailAddress)[ \t]*=[ \t]*(?:"([^"]*)"|([^",\s]+))[ \t]*(?:,|$)/iy;

function grantsOf(name: string, header: string | null, permission: Permission): Grant[] {
  const grants: Grant[] = [];
  if (header === null) return grants;
  GRANTEE.lastIndex = 0;
  while (GRANTEE.lastIndex < header.length) {
    const match = GRANTEE.exec(header);
    if (match === null) {
      throw invalidArgument('Argument format not recognized', name, header.slice(0, 256));
    }
    const grantee = granteeOf((match[1] as string).toLowerCase(), match[2] ?? match[3] ?? '');
    grants.push({ grantee, permission });
  }
  return grants;
}

function granteeOf(kind: string, value: string): Grantee {
  if (kind === 'uri') return groupOf(value);
  if (kind === 'emailaddress') return { type: 'AmazonCustomerByEmail', emailAddress: value };
  if (value === '') throw invalidArgument('Invalid id', 'CanonicalUser/ID', value);
  return { type: 'CanonicalUser', id: value, displayName: null };
}
