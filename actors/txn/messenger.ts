import { ABORTED, type TxnFate, type TxnId, txnName } from '../../protocol/txn.ts';
import type { GroupId } from '../../protocol/types.ts';
import type { ReplicaContext } from '../replica/context.ts';
import type { GroupReach } from './coordinator.ts';
import type { Participant } from './participant.ts';

const COMMIT_CALL_MS = 5_000;
const COMMIT_AGAIN_MS = 100;
/** Whoever does not hear of an abort in this time asks by itself. */
const ABORT_CALL_MS = 500;
/** Commits that one entry forgets. */
const FORGET_MAX = 512;

/** A commit, and the participants that have not confirmed it. Its keys and values are theirs to know. */
interface Commit {
  readonly id: TxnId;
  readonly fate: TxnFate;
  readonly left: Set<GroupId>;
}

/**
 * Tells participants how transactions ended (P3). A commit is told until each of them has confirmed it, and
 * forgotten then. An abort is told once and not kept: presumed abort needs nobody's confirmation.
 */
export class Messenger {
  readonly #context: ReplicaContext;
  readonly #participant: Participant;
  readonly #reach: () => GroupReach | null;
  readonly #commits = new Map<string, Commit>();
  /** Committed, known by all participants, not yet written down as such. */
  #known: TxnId[] = [];
  #isLeading = false;

  constructor(context: ReplicaContext, participant: Participant, reach: () => GroupReach | null) {
    this.#context = context;
    this.#participant = participant;
    this.#reach = reach;
  }

  /** Commits that somebody has yet to confirm. */
  get size(): number {
    return this.#commits.size;
  }

  get hasKnown(): boolean {
    return this.#known.length > 0;
  }

  lead(): void {
    this.#isLeading = true;
  }

  /** The next leader goes on, from the log. */
  lost(): void {
    this.#isLeading = false;
    this.#commits.clear();
    this.#known = [];
  }

  /** Also a decision of an earlier leader. One that is being told goes on being told. */
  commit(id: TxnId, fate: TxnFate, pending: readonly GroupId[]): void {
    const name = txnName(id);
    if (!this.#isLeading || pending.length === 0 || this.#commits.has(name)) return;
    const commit = { id, fate, left: new Set(pending) };
    this.#commits.set(name, commit);
    for (const group of pending) this.#tell(name, commit, group);
  }

  #tell(name: string, commit: Commit, group: GroupId): void {
    if (this.#commits.get(name) !== commit) return;
    const { id, fate, left } = commit;
    const again = (): void => {
      this.#context.ports.clock.after(COMMIT_AGAIN_MS, () => this.#tell(name, commit, group));
    };
    const done = (): void => {
      left.delete(group);
      if (left.size > 0 || this.#commits.get(name) !== commit) return;
      this.#commits.delete(name);
      this.#known.push(id);
    };
    const reach = this.#reach();
    if (reach === null) return again();
    const options = { deadlineMs: COMMIT_CALL_MS, traceparent: null, target: 'leader' } as const;
    const body = { type: 'TxnResolve', id, fate } as const;
    reach.calls.call(group, body, 'Done', { ...options, repeatable: true }).then(done, again);
  }

  /** Once; a participant that does not hear of it asks. */
  abort(id: TxnId, group: GroupId): void {
    if (!this.#isLeading) return;
    const body = { type: 'TxnResolve', id, fate: ABORTED } as const;
    const ignore = (): void => {};
    if (group === this.#context.group) return this.#participant.resolve(body, ignore);
    const options = { deadlineMs: ABORT_CALL_MS, traceparent: null, target: 'leader' } as const;
    const calls = this.#reach()?.calls;
    calls?.call(group, body, 'Done', { ...options, repeatable: true }).then(ignore, ignore);
  }

  /** Writes down what every participant knows by now. */
  forgetKnown(): void {
    if (this.#known.length === 0) return;
    const ids = this.#known.splice(0, FORGET_MAX);
    this.#context.propose({ type: 'txnForget', ids }, (outcome) => {
      if (outcome.type !== 'applied' && this.#isLeading) this.#known.push(...ids);
    });
  }
}
