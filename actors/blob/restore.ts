import type { RestoreCounts } from '../../protocol/chunk-care.ts';
import type { Clock } from '../../protocol/clock.ts';
import type { GroupId, NodeId, Revision } from '../../protocol/types.ts';
import type { GroupState } from '../apply/group-state.ts';
import type { Mender } from './mender.ts';
import { bytesOfChunk, chunksOf, type NamedData, namedPage, namedSince } from './named.ts';

/** A group with a replica here. */
export interface KeptGroup {
  readonly group: GroupId;
  readonly state: GroupState;
  /** Of what has been applied here. */
  readonly closed: Revision;
  /** This node is to have all that the group names. */
  readonly isMember: boolean;
  readonly isVoter: boolean;
  /** All nodes that are. */
  readonly members: readonly NodeId[];
  /** The configuration: its index in the log, how many vote, and whether it is joint. */
  readonly configIndex: number;
  readonly voters: number;
  readonly isJoint: boolean;
}

export interface RestoreHost {
  readonly clock: Pick<Clock, 'after'>;
  readonly mender: Pick<Mender, 'has' | 'mend'>;
  isStopped(): boolean;
  /** No node gives this chunk of this data. */
  onLost(data: NamedData, number: number): void;
}

export interface RestoreOptions {
  /** Only data that was drawn at or after it (Unix ms). */
  readonly sinceMs: number | null;
  /** False: only counts. */
  readonly mends: boolean;
}

const PAGE_ROWS = 256;
/** Beside clients: one page of rows, one rest. */
const REST_MS = 10;
/** Chunks of one group that are asked for at once: the mender brings a few of them at a time. */
const PENDING_MAX = 16;

/**
 * Looks for every chunk that a group of this node names, and brings what is not here; several at a time, of one object or
 * of many. A row that is there when it begins is looked at, unless its data loses its last name before: rows are ordered
 * by ids, which never change.
 */
export async function restore<C extends RestoreCounts>(
  host: RestoreHost,
  { state, isMember, members }: KeptGroup,
  { sinceMs, mends }: RestoreOptions,
  counts: C,
): Promise<void> {
  if (!isMember) return;
  const round: Round = { host, members, mends, counts, pending: new Set() };
  let from = sinceMs === null ? null : namedSince(state, sinceMs);
  do {
    const page = await namedPage(state, from, PAGE_ROWS);
    for (const row of page.rows) {
      // What has ended is read by reads of the past only: another copy serves them.
      if (row.endedAt === 0) await restoreData(round, row);
    }
    from = page.next;
    await new Promise<void>((resolved) => host.clock.after(REST_MS, resolved));
  } while (from !== null && !host.isStopped());
  await Promise.all(round.pending);
}

interface Round {
  readonly host: RestoreHost;
  readonly members: readonly NodeId[];
  readonly mends: boolean;
  readonly counts: RestoreCounts;
  readonly pending: Set<Promise<void>>;
}

async function restoreData(
  { host, members, mends, counts, pending }: Round,
  row: NamedData,
): Promise<void> {
  const { mender } = host;
  const sources = [...new Set([...row.holders, ...members])];
  for (let number = 0; number < chunksOf(row) && !host.isStopped(); number++) {
    counts.chunks++;
    const chunk = { data: row.id, number };
    if (await mender.has(chunk)) continue;
    counts.missing++;
    if (!mends) continue;
    const mending = mender.mend(chunk, bytesOfChunk(row, number), sources).then((mended) => {
      pending.delete(mending);
      if (mended === 'mended') counts.mended++;
      else if (mended === 'lost') {
        counts.lost++;
        host.onLost(row, number);
      }
    });
    pending.add(mending);
    if (pending.size >= PENDING_MAX) await Promise.race(pending);
  }
}
