import type { DataId } from '../../protocol/blob.ts';
import { onlyRefusals } from '../../protocol/errors.ts';
import { type GroupId, nodeOf, type ReplicaId } from '../../protocol/types.ts';
import type { Replica } from '../replica/replica.ts';
import type { CallOptions, Calls } from '../router/calls.ts';
import type { KeptGroup } from './restore.ts';
import type { GroupSight } from './sweep.ts';

const ASKING = { deadlineMs: 2_000, traceparent: null, repeatable: true } as const;

/** A replica as the care for chunks sees it. */
export function keptGroup({ group, state, clock, raft, self }: Replica): KeptGroup {
  const { config, configIndex } = raft.log;
  const { voters, votersOld, learners } = config;
  const members: ReplicaId[] = [...voters, ...(votersOld ?? []), ...learners];
  return {
    ...{ group, state, closed: clock.closed, isMember: members.includes(self) },
    members: [...new Set(members.map(nodeOf))],
    ...{ isVoter: voters.includes(self), voters: voters.length },
    ...{ configIndex, isJoint: votersOld !== null },
  };
}

/** Asks a replica of the group, wherever it is. Null: none answers. */
export async function lookAt(
  calls: Calls,
  group: GroupId,
  ids: readonly DataId[],
): Promise<GroupSight | null> {
  const body = { type: 'DataLook' as const, ids: [...ids] };
  try {
    const seen = await calls.call(group, body, 'DataSeen', { ...ASKING, target: 'any' });
    const named = new Set(seen.named);
    const { closed: closedRevision, epoch: mapEpoch } = seen;
    return { group, closedRevision, mapEpoch, isNamed: (id) => named.has(id) };
  } catch (error) {
    onlyRefusals(error);
    return null;
  }
}

/** Has the leaders close the revisions up to now. A group that cannot keeps what it has closed. */
export async function closeAll(calls: Calls, groups: readonly GroupId[]): Promise<void> {
  const revision = calls.wallRevision();
  const options: CallOptions = { ...ASKING, target: 'leader' };
  const closing = groups.map((group) =>
    calls.call(group, { type: 'Close', revision, gate: null }, 'Closed', options),
  );
  await Promise.all(closing.map((one) => one.then(() => {}, onlyRefusals)));
}
