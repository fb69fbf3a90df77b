import type { ReplicaId } from '../../protocol/types.ts';
import type { RaftState } from '../raft/state.ts';
import type { ReplicaContext } from './context.ts';

/** Notices when this replica takes or loses leadership, and what that means for its clock. */
export class Leadership {
  readonly #context: ReplicaContext;
  readonly #raft: RaftState;
  readonly #onLost: () => void;
  /** Term in which this replica leads; 0 when it does not. */
  #term = 0;
  #leaderId: ReplicaId | null = null;

  constructor(context: ReplicaContext, raft: RaftState, onLost: () => void) {
    this.#context = context;
    this.#raft = raft;
    this.#onLost = onLost;
  }

  /** After every decision of the core. */
  look(): void {
    const { role, currentTerm, leaderId, log } = this.#raft;
    const { group, ports } = this.#context;
    if (role !== 'leader') {
      if (this.#term !== 0) {
        this.#term = 0;
        ports.telemetry.log('info', 'leads no more', { group });
        this.#onLost();
      }
    } else if (this.#term !== currentTerm) {
      this.#term = currentTerm;
      // A new leader starts above every revision and every reserved bound in its log.
      this.#context.clock.raise(log.clockBound);
      ports.telemetry.count('raft_elections_won', 1, { group });
      ports.telemetry.log('info', 'leads', { group, term: currentTerm });
    }
    if (leaderId !== this.#leaderId) {
      this.#leaderId = leaderId;
      ports.telemetry.count('raft_leader_changes', 1, { group });
    }
  }
}
