import { assert } from './assert.ts';
import type { Revision } from './types.ts';

/** Wall time 0 of the revision clock: 2025-01-01T00:00:00Z, in Unix ms. */
export const REVISION_EPOCH_MS = Date.UTC(2025, 0, 1);
/** Revisions per millisecond; 2^53 / 4096 ms reach to the year 2094. */
export const REVISIONS_PER_MS = 4096;

/** The first revision of a wall-clock millisecond (Unix ms). Clamped at 0 before 2025. */
export function revisionAtWallMs(wallMs: number): Revision {
  return Math.max(0, Math.floor(wallMs) - REVISION_EPOCH_MS) * REVISIONS_PER_MS;
}

/** The wall-clock millisecond (Unix ms) a revision belongs to. */
export function wallMsOfRevision(revision: Revision): number {
  return Math.floor(revision / REVISIONS_PER_MS) + REVISION_EPOCH_MS;
}

/** The next revision of a group clock: max(clock + 1, now). The one rule of ARCHITECTURE section 2. */
export function nextRevision(clock: Revision, wallMs: number): Revision {
  const next = Math.max(clock + 1, revisionAtWallMs(wallMs));
  assert(Number.isSafeInteger(next), 'revision clock overflow');
  return next;
}
