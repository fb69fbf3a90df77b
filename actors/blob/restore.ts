import type { RestoreCounts } from '../../protocol/chunk-care.ts';
import type { Clock } from '../../protocol/clock.ts';
import type { NodeId, Revision } from '../../protocol/types.ts';
import type { GroupState } from '../apply/group-state.ts';
import type { Mender } from './mender.ts';
import { bytesOfChunk, chunksOf, type NamedData, namedPage, namedSince } from './named.ts';

/** A group with a replica here. */
export interface KeptGroup {
  readonly state: GroupState;
  /** Of what has been applied here. */
  readonly closed: Revision;
  /** This node is to have all that the group names. */
  readonly isMember: boolean;
  /** All nodes that are. */
  readonly members: readonly NodeId[];
}

export interface RestoreHost {
  readonly clock: Pick<Clock, 'after'>;
  readonly mender: Mender;
  groups(): readonly KeptGroup[];
  isStopped(): boolean;
}

const PAGE_ROWS = 256;
/** Beside clients: one page of rows, one rest. */
const REST_MS = 10;
const PENDING_MAX = 16;

/**
 * Looks for every chunk that the groups of this node name, and brings what is not here. `sinceMs`: only data that was
 * drawn at or after it (Unix ms). `mends` false: only counts.
 */
export async function restore(
  host: RestoreHost,
  sinceMs: number | null,
  mends: boolean,
  counts: RestoreCounts,
): Promise<void> {
  for (const { state, isMember, members } of host.groups()) {
    if (!isMember) continue;
    let from = sinceMs === null ? null : namedSince(state, sinceMs);
    do {
      const page = await namedPage(state, from, PAGE_ROWS);
      for (const row of page.rows) {
        if (host.isStopped()) return;
        // What has ended is read by reads of the past only: another copy serves them.
        if (row.endedAt === 0) await restoreData(host, row, members, mends, counts);
      }
      from = page.next;
      await new Promise<void>((resolved) => host.clock.after(REST_MS, resolved));
    } while (from !== null && !host.isStopped());
  }
}

async function restoreData(
  { mender, isStopped }: RestoreHost,
  row: NamedData,
  members: readonly NodeId[],
  mends: boolean,
  counts: RestoreCounts,
): Promise<void> {
  const sources = [...new Set([...row.holders, ...members])];
  const pending = new Set<Promise<void>>();
  for (let number = 0; number < chunksOf(row) && !isStopped(); number++) {
    counts.chunks++;
    const chunk = { data: row.id, number };
    if (await mender.has(chunk)) continue;
    counts.missing++;
    if (!mends) continue;
    const mending = mender.mend(chunk, bytesOfChunk(row, number), sources).then((mended) => {
      if (mended === 'mended') counts.mended++;
      else if (mended === 'lost') counts.lost++;
      pending.delete(mending);
    });
    pending.add(mending);
    if (pending.size >= PENDING_MAX) await Promise.race(pending);
  }
  await Promise.all(pending);
}
