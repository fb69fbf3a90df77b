import { assertNever } from '../../protocol/assert.ts';
import type { Command } from '../../protocol/commands.ts';
import type { NodeConfig } from '../../protocol/config.ts';
import type { ErrorCode } from '../../protocol/errors.ts';
import { ERRORS } from '../../protocol/errors.ts';
import type { GroupConfig } from '../../protocol/membership.ts';
import type { ReplyBody } from '../../protocol/messages/request.ts';
import type { GroupId, NodeId, ReplicaId } from '../../protocol/types.ts';
import type { Applied } from '../apply/apply.ts';
import type { GroupState } from '../apply/group-state.ts';
import type { Ports } from '../kit/ports.ts';
import type { RaftCommand } from '../raft/events.ts';
import type { GroupClock } from './clock.ts';

export type Reply = (body: ReplyBody) => void;

/** How a proposal ended: applied, certainly not applied, or nobody can tell. */
export type ProposalOutcome =
  | { readonly type: 'applied'; readonly applied: Applied }
  | { readonly type: 'refused'; readonly reason: 'not_leader' | 'overloaded' | 'too_large' }
  | { readonly type: 'unknown' };

/** What the parts of one replica share. Its only implementation is replica.ts. */
export interface ReplicaContext {
  readonly group: GroupId;
  readonly self: ReplicaId;
  readonly config: NodeConfig;
  readonly ports: Ports;
  readonly clock: GroupClock;
  /** Replaced as a whole when a snapshot is installed. */
  readonly state: GroupState;
  isLeader(): boolean;
  /** The node this replica believes leads the group. */
  leaderNode(): NodeId | null;
  /** The configuration at the start of the log. */
  baseConfig(): GroupConfig;
  /** Data groups of the cluster, as of its formation. */
  groupCount(): number;
  /** Whether this node's wall clock may assign revisions. */
  clockTrusted(): boolean;
  /** Whether the engine is so far behind that the log may take no more. */
  isBehind(): boolean;
  /** Queues a proposal for this turn; the outcome is told once. */
  propose(command: Command, onOutcome: (outcome: ProposalOutcome) => void): void;
  /** Queues local work for the Raft core. */
  command(command: RaftCommand): void;
  /** Asks for a turn. */
  wake(): void;
}

/** Unix ms as far as revisions may follow it: 0 while the wall clock is not trusted, and the group's clock counts on. */
export function trustedWallMs(context: ReplicaContext): number {
  return context.clockTrusted() ? context.ports.clock.wallMs() : 0;
}

/** A refusal as it travels. `definite` comes from the table of errors. */
export function rejected(
  code: ErrorCode,
  message: string,
  more: { leader?: NodeId | null; hint?: number } = {},
): ReplyBody {
  return {
    type: 'Rejected',
    code,
    definite: ERRORS[code].definite,
    message,
    leader: more.leader ?? null,
    hint: more.hint ?? 0,
  };
}

/** Nothing was done by the end of the time that was given; whoever has more of it asks again. */
export function waited(code: ErrorCode, message: string): ReplyBody {
  return { type: 'Waited', code, message };
}

/** The refusal of everything that only a leader can do. */
export function notLeader(context: ReplicaContext): ReplyBody {
  return rejected('not_leader', `group ${context.group} is led elsewhere`, {
    leader: context.leaderNode(),
  });
}

/** What a proposal that was not applied is answered with, as far as one can tell. */
export function notApplied(
  context: ReplicaContext,
  outcome: Exclude<ProposalOutcome, { type: 'applied' }>,
): ReplyBody {
  if (outcome.type === 'unknown') {
    return rejected('outcome_unknown', 'the replica lost track of the write');
  }
  switch (outcome.reason) {
    case 'not_leader':
      return notLeader(context);
    case 'overloaded':
      return rejected('overloaded', `group ${context.group} has too much waiting`);
    case 'too_large':
      return rejected('too_large', 'this takes more than one entry of the log may hold');
    default:
      return assertNever(outcome.reason);
  }
}
