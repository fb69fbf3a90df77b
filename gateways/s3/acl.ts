import { invalidArgument, S3Error, s3Error } from './errors.ts';
import { malformedXml, type XmlElement } from './xml-reader.ts';
import { choice, text } from './xml-scalars.ts';
import {
  type Document,
  document,
  listOf,
  many,
  maybe,
  one,
  type Shape,
  struct,
} from './xml-shape.ts';
import { attribute, joined, leaf, leafOr, type Markup, node } from './xml-writer.ts';

export interface Owner {
  readonly id: string;
  readonly displayName: string | null;
}

export const PERMISSIONS = ['FULL_CONTROL', 'WRITE', 'WRITE_ACP', 'READ', 'READ_ACP'] as const;
export type Permission = (typeof PERMISSIONS)[number];

export type Grantee =
  | { readonly type: 'CanonicalUser'; readonly id: string; readonly displayName: string | null }
  /** As a client may say it; kept is the user whose address it is. */
  | { readonly type: 'AmazonCustomerByEmail'; readonly emailAddress: string }
  | { readonly type: 'Group'; readonly uri: string };

export interface Grant {
  readonly grantee: Grantee;
  readonly permission: Permission;
}

/** `owner` is null where a client left it out. */
export interface AccessControlPolicy {
  readonly owner: Owner | null;
  readonly grants: readonly Grant[];
}

export const GROUPS = {
  allUsers: 'http://acs.amazonaws.com/groups/global/AllUsers',
  authenticatedUsers: 'http://acs.amazonaws.com/groups/global/AuthenticatedUsers',
  logDelivery: 'http://acs.amazonaws.com/groups/s3/LogDelivery',
} as const;

const GROUP_URIS: ReadonlySet<string> = new Set(Object.values(GROUPS));
const GRANTS_MAX = 100;
const XSI = 'http://www.w3.org/2001/XMLSchema-instance';

export const ownerShape: Shape<Owner> = struct({
  id: one('ID', text(0, 1024)),
  displayName: maybe('DisplayName', text(0, 1024)),
});

interface GranteeElements {
  readonly id: string | null;
  readonly displayName: string | null;
  readonly emailAddress: string | null;
  readonly uri: string | null;
}

const granteeElements: Shape<GranteeElements> = struct({
  id: maybe('ID', text(1, 1024)),
  displayName: maybe('DisplayName', text(0, 1024)),
  emailAddress: maybe('EmailAddress', text(1, 1024)),
  uri: maybe('URI', text(1, 1024)),
});

/** The type is an attribute; where it is missing, the elements tell it. */
export const granteeShape: Shape<Grantee> = {
  read(element: XmlElement): Grantee {
    const found = granteeElements.read(element);
    const type = element.attributes?.get('type') ?? typeOf(found);
    if (type === 'CanonicalUser' && found.id !== null) {
      return { type, id: found.id, displayName: found.displayName };
    }
    if (type === 'Group' && found.uri !== null) return groupOf(found.uri);
    if (type === 'AmazonCustomerByEmail' && found.emailAddress !== null) {
      return { type, emailAddress: found.emailAddress };
    }
    throw malformedXml('a Grantee is not complete');
  },
  write(name: string, grantee: Grantee): Markup {
    const attributes = joined([attribute('xmlns:xsi', XSI), attribute('xsi:type', grantee.type)]);
    if (grantee.type === 'Group') return node(name, [leaf('URI', grantee.uri)], attributes);
    if (grantee.type === 'AmazonCustomerByEmail') {
      return node(name, [leaf('EmailAddress', grantee.emailAddress)], attributes);
    }
    const fields = [leaf('ID', grantee.id), leafOr('DisplayName', grantee.displayName)];
    return node(name, fields, attributes);
  },
};

function typeOf(found: GranteeElements): string {
  if (found.id !== null) return 'CanonicalUser';
  return found.uri !== null ? 'Group' : 'AmazonCustomerByEmail';
}

/** Throws InvalidArgument where there is no such group. */
export function groupOf(uri: string): Grantee {
  if (!GROUP_URIS.has(uri)) throw invalidArgument('Invalid group uri', 'uri', uri.slice(0, 256));
  return { type: 'Group', uri };
}

const grantShape: Shape<Grant> = struct({
  grantee: one('Grantee', granteeShape),
  permission: one('Permission', choice(PERMISSIONS)),
});

const policy = document<AccessControlPolicy>(
  'AccessControlPolicy',
  struct({
    owner: maybe('Owner', ownerShape),
    grants: one('AccessControlList', listOf(many('Grant', grantShape, 0, GRANTS_MAX))),
  }),
);

/** An ACL that cannot be read is MalformedACLError. */
export const accessControlPolicy: Document<AccessControlPolicy> = {
  read(body) {
    try {
      return policy.read(body);
    } catch (error) {
      if (!(error instanceof S3Error) || error.code !== 'MalformedXML') throw error;
      throw s3Error('MalformedACLError', error.message);
    }
  },
  write: policy.write,
};
