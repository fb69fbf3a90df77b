import * as s from './schema.ts';
import type { Revision } from './types.ts';

/**
 * Attaches a put to a lease. `until`: up to which revision the lease's home group has promised to look
 * for what is attached (ADR 0030); 0 for a lease that is not there, and where nobody has asked yet.
 */
export const attachmentCodec = s.record({ lease: s.count, until: s.count });
export type Attachment = s.Of<typeof attachmentCodec>;

/** An operation, as far as leases are concerned. */
export interface MayAttach {
  readonly type: string;
  readonly attach?: Attachment | null;
}

/** Whether an operation attaches to a lease that may have ended and been swept by `revision`. */
export function isPromiseOver({ attach }: MayAttach, revision: Revision): boolean {
  if (attach === null || attach === undefined) return false;
  return attach.until !== 0 && revision > attach.until;
}

/**
 * What keeps operations that are all or nothing from being done at `revision`: 0 when one attaches to a lease
 * that is not there, `revision` when a promise does not reach so far, null when nothing does.
 */
export function staleAttachment(ops: readonly MayAttach[], revision: Revision): Revision | null {
  let stale: Revision | null = null;
  for (let i = 0; i < ops.length; i++) {
    const op = ops[i] as MayAttach;
    if (op.attach === null || op.attach === undefined) continue;
    if (op.attach.until === 0) return 0;
    if (isPromiseOver(op, revision)) stale = revision;
  }
  return stale;
}
