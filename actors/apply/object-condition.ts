import type { ObjectCondition, ObjectResult } from '../../protocol/object-ops.ts';
import type { StoredVersion } from './object-versions.ts';

/** Why an operation is not to be done, by what is current (O3); null: it may be. */
export function conditionRefusal(
  { match, noneMatch }: ObjectCondition,
  current: StoredVersion | null,
): ObjectResult | null {
  if (match === null && noneMatch === null) return null;
  const etag = current === null ? null : current.record.etag;
  const isMet =
    (match === null || names(match, etag)) && (noneMatch === null || !names(noneMatch, etag));
  return isMet ? null : { type: 'precondition_failed', etag };
}

function names(etags: readonly string[], etag: string | null): boolean {
  return etag !== null && (etags.includes('*') || etags.includes(etag));
}
