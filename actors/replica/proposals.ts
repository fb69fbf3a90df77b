import { type Command, encodeCommand, lastRevision } from '../../protocol/commands.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Applied } from '../apply/apply.ts';
import type { Proposal } from '../raft/events.ts';
import type { ProposalOutcome } from './context.ts';

type OnOutcome = (outcome: ProposalOutcome) => void;

interface Pending {
  readonly term: number;
  readonly command: Command;
  readonly onOutcome: OnOutcome;
}

/**
 * Proposals on their way. A proposal is settled only by what is applied at its index: the same term
 * there means that it was applied, another that it never will be. Losing leadership settles nothing
 * (the entry may still be committed by the next leader), so nobody is told a definite lie (B10).
 */
export class Proposals {
  #nextId = 1;
  readonly #asked = new Map<number, { command: Command; onOutcome: OnOutcome }>();
  readonly #byIndex = new Map<number, Pending>();

  get size(): number {
    return this.#asked.size + this.#byIndex.size;
  }

  /**
   * Registers a command that goes to the core in this turn. Null: no entry can hold it, and it is refused. How
   * large a command is depends on what clients ask for, so that is no broken invariant.
   */
  ask(command: Command, onOutcome: OnOutcome): Proposal | null {
    const payload = encodeCommand(command);
    if (payload.length > LIMITS.entryBytesMax) {
      onOutcome({ type: 'refused', reason: 'too_large' });
      return null;
    }
    const proposalId = this.#nextId++;
    this.#asked.set(proposalId, { command, onOutcome });
    const bound = command.type === 'reserve' ? command.bound : 0;
    const clockBound = Math.max(lastRevision(command), bound);
    return { proposalId, kind: 'command', clockBound, payload };
  }

  appended(proposalId: number, index: number, term: number): void {
    const asked = this.#asked.get(proposalId);
    if (asked === undefined) return;
    this.#asked.delete(proposalId);
    // An entry of an earlier term at this index was replaced here, perhaps not everywhere.
    this.#byIndex.get(index)?.onOutcome({ type: 'unknown' });
    this.#byIndex.set(index, { term, command: asked.command, onOutcome: asked.onOutcome });
  }

  refused(proposalId: number, reason: 'not_leader' | 'transferring' | 'overloaded'): void {
    const asked = this.#asked.get(proposalId);
    if (asked === undefined) return;
    this.#asked.delete(proposalId);
    const told = reason === 'overloaded' ? reason : 'not_leader';
    asked.onOutcome({ type: 'refused', reason: told });
  }

  /** The decoded command of an entry that was proposed here, so that apply need not decode it. */
  commandAt(index: number, term: number): Command | null {
    const pending = this.#byIndex.get(index);
    return pending !== undefined && pending.term === term ? pending.command : null;
  }

  applied(applied: Applied): void {
    const pending = this.#byIndex.get(applied.index);
    if (pending === undefined) return;
    this.#byIndex.delete(applied.index);
    if (pending.term === applied.term) pending.onOutcome({ type: 'applied', applied });
    else pending.onOutcome({ type: 'refused', reason: 'not_leader' });
  }

  /** A snapshot passed over these indexes: what became of them cannot be seen here. */
  passedOver(index: number): void {
    for (const [at, pending] of this.#byIndex) {
      if (at > index) continue;
      this.#byIndex.delete(at);
      pending.onOutcome({ type: 'unknown' });
    }
  }
}
