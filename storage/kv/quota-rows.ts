/**
 * Rows of quotas (ADR 0043), behind group, generation and kind as in keyspace.ts. Values are those of
 * actors/apply/quota-codec.ts.
 *
 *   Q share      scope, as UTF-8: this group's share of a quota
 */
export function quotaKey(prefix: string, scope: string): string {
  return `${prefix}Q${Buffer.from(scope, 'utf8').toString('latin1')}`;
}
