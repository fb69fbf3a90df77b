import type { Item } from '../../protocol/messages/request.ts';
import { wallMsOfRevision } from '../../protocol/revision.ts';
import type { Revision } from '../../protocol/types.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import type { VersionHead, VersionRow } from '../../storage/kv/rows.ts';

/** A stored version as the edges see it. `value` is a view on the row: never written to. */
export function itemOf(ref: KeyRef, row: VersionRow): Item {
  return {
    ref,
    value: row.value,
    revision: row.revision,
    createRevision: row.createRevision,
    version: row.version,
    contentType: row.contentType,
    expiresAtMs: row.expiresAtMs,
    lease: row.lease ?? 0,
  };
}

/** At or before the wall time of `revision`, the same on every replica. */
export function hasExpired(row: VersionHead, revision: Revision): boolean {
  return row.expiresAtMs !== null && row.expiresAtMs <= wallMsOfRevision(revision);
}
