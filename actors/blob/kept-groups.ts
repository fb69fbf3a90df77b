import { onlyRefusals } from '../../protocol/errors.ts';
import { type GroupId, nodeOf, type ReplicaId } from '../../protocol/types.ts';
import type { Replica } from '../replica/replica.ts';
import type { CallOptions, Calls } from '../router/calls.ts';
import type { KeptGroup } from './restore.ts';

const CLOSE_MS = 2_000;

/** A replica as the care for chunks sees it. */
export function keptGroup({ state, clock, raft, self }: Replica): KeptGroup {
  const { voters, votersOld, learners } = raft.log.config;
  const members: ReplicaId[] = [...voters, ...(votersOld ?? []), ...learners];
  return {
    ...{ state, closed: clock.closed, isMember: members.includes(self) },
    members: [...new Set(members.map(nodeOf))],
  };
}

/** Has the leaders close the revisions up to now. A group that cannot keeps what it has closed. */
export async function closeAll(calls: Calls, groups: readonly GroupId[]): Promise<void> {
  const revision = calls.wallRevision();
  const options: CallOptions = {
    ...{ deadlineMs: CLOSE_MS, traceparent: null, repeatable: true },
    target: 'leader',
  };
  const closing = groups.map((group) =>
    calls.call(group, { type: 'Close', revision, gate: null }, 'Closed', options),
  );
  await Promise.all(closing.map((one) => one.then(() => {}, onlyRefusals)));
}
