import { assert } from '../../protocol/assert.ts';
import { NO_USAGE, USAGE_FIELDS, type Usage } from '../../protocol/usage.ts';
import { BODY_OFFSET } from './keyspace.ts';
import { decodeCounts, encodeCounts } from './rows.ts';

/**
 * Rows of usage (ADR 0042), behind group, generation and kind as in keyspace.ts. Values are counts, in the order of
 * USAGE_FIELDS.
 *
 *   U usage      scope: tenant, 00, space; the empty one is all of the group, and has, behind the counts, how rows
 *                were counted (a format) and the applied index that they were counted at
 */

/** Of all of the group. */
export const WHOLE_GROUP = '';

export function usageKey(prefix: string, scope: string): string {
  return `${prefix}U${scope}`;
}

/** Rows of scopes behind `after`; behind the empty one are all but that of the whole group. Half-open. */
export function usageRange(prefix: string, after: string): [start: string, end: string] {
  return [`${usageKey(prefix, after)}\x00`, `${prefix}V`];
}

export function scopeOfUsageKey(key: string): string {
  return key.slice(BODY_OFFSET);
}

export function scopeOf(tenant: string, space: string): string {
  return `${tenant}\x00${space}`;
}

export function namesOfScope(scope: string): { tenant: string; space: string } {
  const end = scope.indexOf('\x00');
  assert(end > 0, 'a scope has a tenant');
  return { tenant: scope.slice(0, end), space: scope.slice(end + 1) };
}

/** Throws DecodeError. */
export function decodeUsage(bytes: Uint8Array): Usage {
  return usageOfCounts(decodeCounts(bytes, USAGE_FIELDS.length));
}

export interface WholeUsage {
  /** In the order of USAGE_FIELDS. */
  readonly counts: readonly number[];
  readonly format: number;
  readonly appliedIndex: number;
}

/** The row of the whole group. Throws DecodeError. */
export function decodeWholeUsage(bytes: Uint8Array): WholeUsage {
  const { length } = USAGE_FIELDS;
  const fields = decodeCounts(bytes, length + 2);
  const [format, appliedIndex] = fields.slice(length) as [number, number];
  return { counts: fields.slice(0, length), format, appliedIndex };
}

export function encodeWholeUsage({ counts, format, appliedIndex }: WholeUsage): Uint8Array {
  return encodeCounts([...counts, format, appliedIndex]);
}

export function usageOfCounts(counts: ArrayLike<number>): Usage {
  const usage: { -readonly [K in keyof Usage]: number } = { ...NO_USAGE };
  for (let i = 0; i < USAGE_FIELDS.length; i++) {
    usage[USAGE_FIELDS[i] as keyof Usage] = counts[i] as number;
  }
  return usage;
}
