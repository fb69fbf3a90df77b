import { DecodeError } from '../../protocol/codec.ts';
import type { LeaseEnd } from '../../protocol/commands.ts';
import type { Revision } from '../../protocol/types.ts';
import { decodeCounts, encodeCounts } from './rows.ts';

/** A lease in its home group. */
export interface LeaseRow {
  readonly ttlMs: number;
  readonly grantRevision: Revision;
  /** 0 while it lives. */
  readonly endRevision: Revision;
  /** Says something only of a lease that has ended. */
  readonly why: LeaseEnd;
}

const LEASE_ENDS: readonly LeaseEnd[] = ['expired', 'revoked'];

/** ttlMs, grantRevision, endRevision, why: each u64. */
export function encodeLease(row: LeaseRow): Uint8Array {
  const { ttlMs, grantRevision, endRevision, why } = row;
  return encodeCounts([ttlMs, grantRevision, endRevision, LEASE_ENDS.indexOf(why)]);
}

/** Throws DecodeError. */
export function decodeLease(bytes: Uint8Array): LeaseRow {
  const fields = decodeCounts(bytes, 4) as [number, number, number, number];
  const [ttlMs, grantRevision, endRevision, end] = fields;
  const why = LEASE_ENDS[end];
  if (why === undefined) throw new DecodeError('not a lease row');
  return { ttlMs, grantRevision, endRevision, why };
}
