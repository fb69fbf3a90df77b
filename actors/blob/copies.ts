import type { CopiesState, GroupCopies } from '../../protocol/chunk-care.ts';
import type { ChunksHeld } from '../../protocol/messages/node.ts';
import type { ReplicaId } from '../../protocol/types.ts';

/** What one replica said of one group. */
export interface Said {
  readonly replica: ReplicaId;
  readonly held: ChunksHeld;
}

/**
 * Whether every copy of a group's data is there (ADR 0039): each voter of the latest configuration anybody knows of says
 * that it has every chunk that was named up to that configuration. What was named after it has a quorum of these voters. So
 * whichever disk is lost now, another voter has the data.
 */
export function copiesOf(said: readonly Said[]): GroupCopies {
  const configIndex = Math.max(0, ...said.map(({ held }) => held.configIndex));
  const voters = said.filter(({ held }) => held.configIndex === configIndex && held.isVoter);
  const waitingFor = said
    .filter(({ held }) => held.isVoter && !(held.heldTo !== null && held.heldTo >= configIndex))
    .map(({ replica }) => replica);
  const lost = sum(said, 'lost');
  const counts = { missing: sum(said, 'missing'), lost, waitingFor };
  const chunks = Math.max(0, ...said.map(({ held }) => held.chunks));
  return { state: stateOf(voters, waitingFor, lost), chunks, ...counts };
}

function stateOf(
  voters: readonly Said[],
  waitingFor: readonly ReplicaId[],
  lost: number,
): CopiesState {
  const held = voters[0]?.held;
  if (lost > 0) return 'lost';
  if (held === undefined) return 'unknown';
  if (waitingFor.length > 0 || voters.some((one) => one.held.isJoint)) return 'restoring';
  return voters.length === held.voters ? 'whole' : 'unknown';
}

function sum(said: readonly Said[], name: 'missing' | 'lost'): number {
  return said.reduce((all, { held }) => all + held[name], 0);
}

const BY_HARM: readonly CopiesState[] = ['lost', 'restoring', 'unknown', 'whole'];

/** Of several groups. */
export function worstOf(states: readonly CopiesState[]): CopiesState {
  return BY_HARM.find((state) => states.includes(state)) ?? 'whole';
}
