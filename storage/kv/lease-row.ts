import { DecodeError } from '../../protocol/codec.ts';
import type { LeaseEnd } from '../../protocol/commands.ts';
import type { Revision } from '../../protocol/types.ts';
import { DEFAULT_TENANT } from '../../protocol/vshard.ts';
import { decodeCounts, encodeCounts } from './rows.ts';

/** A lease in its home group. */
export interface LeaseRow {
  readonly tenant: string;
  readonly ttlMs: number;
  readonly grantRevision: Revision;
  /** 0 while it lives. */
  readonly endRevision: Revision;
  /** Says something only of a lease that has ended. */
  readonly why: LeaseEnd;
}

const LEASE_ENDS: readonly LeaseEnd[] = ['expired', 'revoked'];

const COUNTS = 4;
const COUNT_BYTES = COUNTS * 8;

/** ttlMs, grantRevision, endRevision, why: each u64. Then the tenant, UTF-8; nothing is `default`. */
export function encodeLease(row: LeaseRow): Uint8Array {
  const { tenant, ttlMs, grantRevision, endRevision, why } = row;
  const counts = encodeCounts([ttlMs, grantRevision, endRevision, LEASE_ENDS.indexOf(why)]);
  return tenant === DEFAULT_TENANT ? counts : Buffer.concat([counts, Buffer.from(tenant, 'utf8')]);
}

/** Throws DecodeError. */
export function decodeLease(bytes: Uint8Array): LeaseRow {
  const counts = bytes.subarray(0, COUNT_BYTES);
  const fields = decodeCounts(counts, COUNTS) as [number, number, number, number];
  const [ttlMs, grantRevision, endRevision, end] = fields;
  const why = LEASE_ENDS[end];
  if (why === undefined) throw new DecodeError('not a lease row');
  return { tenant: tenantIn(bytes), ttlMs, grantRevision, endRevision, why };
}

function tenantIn(bytes: Uint8Array): string {
  if (bytes.length === COUNT_BYTES) return DEFAULT_TENANT;
  const name = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).subarray(COUNT_BYTES);
  const tenant = name.toString('utf8');
  // One lease has one row: what would be written in another way is none.
  const isOne = tenant !== DEFAULT_TENANT && Buffer.from(tenant, 'utf8').equals(name);
  if (!isOne) throw new DecodeError('not the tenant of a lease');
  return tenant;
}
