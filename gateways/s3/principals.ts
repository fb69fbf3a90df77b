import { DEFAULT_TENANT } from '../../protocol/vshard.ts';
import { decide, ROLES } from '../identity/decision.ts';
import type { S3Identity } from '../identity/s3-user.ts';
import { OWNER } from './account.ts';
import type { Owner } from './acl.ts';
import type { S3Edge } from './edge.ts';
import type { Operation } from './operations.ts';

/** The account itself: with its keys one may do everything, and what was made without users is its own. */
export const ACCOUNT: S3Identity = {
  ...{ id: OWNER.id, displayName: OWNER.displayName, userName: null },
  access: {
    ...{ id: 's3:root', tenant: DEFAULT_TENANT, rules: ROLES.admin },
    ...{ isRevoked: false, expiresAtMs: null },
  },
};

/** Where the account of an ARN of a user stands: in ours, in AWS's form without one, or by its id. */
const ACCOUNTS = ['minikv', '', OWNER.id];

/** All that a policy may call them. Each user is an account of its own as well, named by the canonical id. */
export function policyNamesOf({ id, userName }: S3Identity): readonly string[] {
  const asAccount = [id, `arn:aws:iam::${id}:root`];
  if (userName === null) return asAccount;
  const asUser = ACCOUNTS.flatMap((account) =>
    [userName, id].map((name) => `arn:aws:iam::${account}:user/${name}`),
  );
  return [...asAccount, ...asUser];
}

/** What condition keys show of them. */
export function arnOf({ id, userName }: S3Identity): string {
  return userName === null ? `arn:aws:iam::${id}:root` : `arn:aws:iam::minikv:user/${userName}`;
}

/** Whether they stand for the account, so that everything is theirs. */
export function isAdministrator({ access }: S3Identity): boolean {
  return access.rules === ROLES.admin;
}

const READING = /^(?:Get|Head|List)/;

/** Whether their role, a built-in one, lets them do that at all; to whom what belongs is another question. */
export function isWithinRole(
  { access }: S3Identity,
  { operation }: { operation: Operation },
): boolean {
  const action = READING.test(operation) ? 'data:read' : 'data:write';
  const anything = { tenant: access.tenant, kind: 'bucket', name: '' } as const;
  // Whether the key is good was asked when its signature was: what is left are the rules.
  return decide(access, action, anything, { wallMs: 0 }) === 'allowed';
}

/** A canonical id with the name that the node knows for it. */
export function ownerNamed(
  { edge: { users }, tenant }: { readonly edge: Pick<S3Edge, 'users'>; readonly tenant: string },
  id: string,
): Owner {
  if (id === OWNER.id) return OWNER;
  return { id, displayName: users?.byId(id, tenant)?.displayName ?? null };
}
