import type { GroupId, Revision } from '../../protocol/types.ts';
import type { CallOptions, Calls } from '../router/calls.ts';
import type { EndedLease } from './tenure.ts';

/** Entries of one group in one pass: one for each lease and for each thousand of its keys. */
const STEPS_MAX = 1_024;

/**
 * Removes from one group what is attached to ended leases, until nothing is left or nothing can be removed just
 * now: others are working on it. How many keys went, and whether that was all.
 */
export async function sweepGroup(
  calls: Calls,
  group: GroupId,
  ended: readonly Pick<EndedLease, 'lease' | 'why'>[],
  close: Revision,
  options: CallOptions,
): Promise<{ readonly removed: number; readonly isAll: boolean }> {
  const leases = ended.map(({ lease, why }) => ({ lease, why }));
  let removed = 0;
  for (let step = 0; step < STEPS_MAX; step++) {
    const body = { type: 'LeaseSweep' as const, leases, close };
    const swept = await calls.call(group, body, 'Swept', options);
    removed += swept.removed;
    if (swept.isAll) return { removed, isAll: true };
    if (swept.removed === 0) break;
  }
  return { removed, isAll: false };
}
