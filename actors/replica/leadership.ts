import { nodeOf, type ReplicaId } from '../../protocol/types.ts';
import type { Role } from '../raft/events.ts';
import type { RaftState } from '../raft/state.ts';
import type { ReplicaContext } from './context.ts';
import type { ReplicaHost } from './host.ts';

/** Notices when this replica takes or loses leadership, and what that means for its clock. */
export class Leadership {
  readonly #context: ReplicaContext;
  readonly #raft: RaftState;
  readonly #losers: readonly { lost(): void }[];
  readonly #host: Pick<ReplicaHost, 'onLeader'>;
  /** Term in which this replica leads; 0 when it does not. */
  #term = 0;
  #leaderId: ReplicaId | null = null;
  #role: Role = 'learner';
  /** Its no-op is not committed yet. */
  #isNew = false;

  /** `losers`: who has to know that this replica leads no more. `host`: another leader is known, perhaps this one. */
  constructor(
    context: ReplicaContext,
    raft: RaftState,
    losers: readonly { lost(): void }[],
    host: Pick<ReplicaHost, 'onLeader'>,
  ) {
    this.#context = context;
    this.#raft = raft;
    this.#losers = losers;
    this.#host = host;
  }

  /** After every decision of the core. */
  look(): void {
    const { role, currentTerm, leaderId, log } = this.#raft;
    const { group, ports } = this.#context;
    if (role !== this.#role) {
      this.#role = role;
      if (role === 'preCandidate') {
        ports.telemetry.log('info', 'asks for votes', { group, term: currentTerm });
      }
    }
    if (role !== 'leader') {
      if (this.#term !== 0) {
        this.#term = 0;
        ports.telemetry.log('info', 'leads no more', { group });
        for (const loser of this.#losers) loser.lost();
      }
    } else if (this.#term !== currentTerm) {
      this.#term = currentTerm;
      this.#isNew = true;
      // A new leader starts above every revision and every reserved bound in its log.
      this.#context.clock.raise(log.clockBound);
      ports.telemetry.count('raft_elections_won', 1, { group });
      ports.telemetry.log('info', 'leads', { group, term: currentTerm });
    } else if (this.#isNew && this.#raft.commitIndex >= (this.#raft.leader?.noopIndex ?? 0)) {
      this.#isNew = false;
      ports.telemetry.log('info', 'serves', { group, term: currentTerm });
    }
    if (leaderId !== this.#leaderId) {
      this.#leaderId = leaderId;
      ports.telemetry.count('raft_leader_changes', 1, { group });
      if (leaderId !== null) this.#host.onLeader(group, nodeOf(leaderId));
    }
  }
}
