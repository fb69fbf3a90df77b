import { assert } from '../../protocol/assert.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { RaftOutbox } from './events.ts';
import type { RaftView } from './state.ts';

/** Log kept beyond logRetainBytes while a snapshot travels. Every checkpoint writes it again. */
const HOLD_BYTES_MAX = LIMITS.walCheckpointBytes / 8;

/** Log compaction (§7): the engine is the snapshot, so the log may forget what it holds durably. */

export function decideApplied(
  s: RaftView,
  { appliedIndex, flushedIndex }: { readonly appliedIndex: number; readonly flushedIndex: number },
  out: RaftOutbox,
): void {
  assert(appliedIndex <= s.commitIndex, 'only committed entries are applied');
  assert(flushedIndex <= appliedIndex, 'only applied entries are flushed');
  if (appliedIndex <= s.appliedIndex && flushedIndex <= s.flushedIndex) return;
  out.emit({
    type: 'AppliedAdvanced',
    appliedIndex: Math.max(appliedIndex, s.appliedIndex),
    flushedIndex: Math.max(flushedIndex, s.flushedIndex),
  });
}

/** Compacts as far as allowed. Emits LogCompacted at most once. */
export function decideCompact(s: RaftView, out: RaftOutbox): void {
  const index = compactableIndex(s);
  if (index <= s.log.baseIndex) return;
  const point = s.log.pointAt(index);
  out.emit({
    type: 'LogCompacted',
    baseIndex: point.index,
    baseTerm: point.term,
    baseConfig: point.config,
    clockBound: point.clockBound,
  });
}

/**
 * Up to flushedIndex, but the newest logRetainBytes stay for followers that are a little behind,
 * and what follows a snapshot under way stays (while the log is not huge), so that its receiver
 * does not need another at once.
 */
function compactableIndex(s: RaftView): number {
  let high = Math.min(s.flushedIndex, snapshotHold(s));
  let low = s.log.baseIndex;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (s.log.bytesAfter(middle) >= LIMITS.logRetainBytes) low = middle;
    else high = middle - 1;
  }
  return low;
}

function snapshotHold(s: RaftView): number {
  const { leader } = s;
  if (leader === null || s.log.bytes > HOLD_BYTES_MAX) return s.flushedIndex;
  if (leader.snapshotRequested) return s.log.baseIndex;
  let hold = s.flushedIndex;
  for (const { sending } of leader.peers.values()) {
    if (sending !== null) hold = Math.min(hold, sending.meta.lastIncludedIndex);
  }
  return Math.max(hold, s.log.baseIndex);
}
