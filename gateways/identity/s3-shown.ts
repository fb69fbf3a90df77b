import { AppError } from '../../protocol/errors.ts';
import type { IdentityRow } from '../../protocol/identities.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { S3KeyRecord, S3UserRecord } from './s3-user.ts';

/** What may be shown of users of S3 and their access keys, and how many of them there are. */

export type ShownS3User = Omit<S3UserRecord, 'disabledAtMs' | 'emailRevision'> & {
  readonly name: string;
  /** Unix ms; null: they are not. */
  readonly disabledAtMs: number | null;
};

/** What may be shown of an access key. */
export interface ShownS3Key {
  readonly accessKeyId: string;
  readonly user: string;
  /** Unix ms; null: never. */
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null;
  readonly revokedAtMs: number | null;
  readonly disabledAtMs: number | null;
}

/** Within the tenant. */
export function ownName(fullName: string): string {
  return fullName.slice(fullName.indexOf('/') + 1);
}

export function shownUser(name: string, record: S3UserRecord): ShownS3User {
  const { id, displayName, email, role, createdAtMs, disabledAtMs = null } = record;
  return { name, id, displayName, email, role, createdAtMs, disabledAtMs };
}

export function shownKey(accessKeyId: string, record: S3KeyRecord): ShownS3Key {
  const { userName, createdAtMs, expiresAtMs, revokedAtMs, disabledAtMs = null } = record;
  return {
    accessKeyId,
    user: ownName(userName),
    createdAtMs,
    expiresAtMs,
    revokedAtMs,
    disabledAtMs,
  };
}

export function countOf(
  rows: readonly IdentityRow[],
  parse: (text: string) => object | null,
): number {
  return rows.filter(({ text }) => parse(text) !== null).length;
}

export function checkRoom(count: number, limit: 's3UsersMax' | 's3AccessKeysMax'): void {
  const max = LIMITS[limit];
  if (count < max) return;
  throw new AppError('too_large', `there are ${limit} of them, ${max}`, {
    details: { limit, max },
  });
}
