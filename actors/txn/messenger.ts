import { LIMITS } from '../../protocol/limits.ts';
import type { RequestOf } from '../../protocol/messages/request.ts';
import { ABORTED, type TxnEnd, type TxnFate, type TxnId, txnName } from '../../protocol/txn.ts';
import type { GroupId } from '../../protocol/types.ts';
import type { ReplicaContext } from '../replica/context.ts';
import type { GroupReach } from './coordinator.ts';
import type { Participant } from './participant.ts';

const CALL = { traceparent: null, target: 'leader', repeatable: true } as const;
const COMMIT_CALL = { ...CALL, deadlineMs: 5_000 };
const COMMIT_AGAIN_MS = 100;
/** Whoever does not hear of an abort in this time asks by itself. */
const ABORT_CALL = { ...CALL, deadlineMs: 500 };
/** Commits that one entry forgets. */
const FORGET_MAX = 512;

/** A commit, and the participants that have not confirmed it. Its keys and values are theirs to know. */
interface Commit {
  readonly name: string;
  readonly end: TxnEnd;
  readonly left: GroupId[];
}

/**
 * Tells participants how transactions ended (P3). A commit is told until each of them has confirmed it, and
 * forgotten then; those of one moment are told together. An abort is told once and not kept: presumed abort
 * needs nobody's confirmation.
 */
export class Messenger {
  readonly #context: ReplicaContext;
  readonly #participant: Participant;
  readonly #reach: () => GroupReach | null;
  readonly #commits = new Map<string, Commit>();
  /** To be told in a moment, by participant. */
  #outbox = new Map<GroupId, Commit[]>();
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
    this.#outbox.clear();
    this.#known = [];
  }

  /** Also a decision of an earlier leader. One that is being told goes on being told. */
  commit(id: TxnId, fate: TxnFate, pending: readonly GroupId[]): void {
    const name = txnName(id);
    if (!this.#isLeading || pending.length === 0 || this.#commits.has(name)) return;
    const commit = { name, end: { id, fate }, left: [...pending] };
    this.#commits.set(name, commit);
    if (this.#outbox.size === 0) this.#context.ports.clock.soon(() => this.#sendAll());
    for (const group of pending) {
      const waiting = this.#outbox.get(group);
      if (waiting === undefined) this.#outbox.set(group, [commit]);
      else waiting.push(commit);
    }
  }

  #sendAll(): void {
    const outbox = this.#outbox;
    this.#outbox = new Map();
    for (const [group, commits] of outbox) {
      for (let at = 0; at < commits.length; at += LIMITS.txnEndsMax) {
        this.#tell(group, commits.slice(at, at + LIMITS.txnEndsMax));
      }
    }
  }

  #tell(group: GroupId, commits: readonly Commit[]): void {
    const left = commits.filter((commit) => this.#commits.get(commit.name) === commit);
    if (left.length === 0) return;
    const again = (): void => {
      this.#context.ports.clock.after(COMMIT_AGAIN_MS, () => this.#tell(group, left));
    };
    const done = (): void => {
      for (const commit of left) this.#confirmed(group, commit);
    };
    const reach = this.#reach();
    if (reach === null) return again();
    const body: RequestOf<'TxnResolve'> = { type: 'TxnResolve', ends: left.map(({ end }) => end) };
    reach.calls.call(group, body, 'Done', COMMIT_CALL).then(done, again);
  }

  #confirmed(group: GroupId, { name, end, left }: Commit): void {
    const at = left.indexOf(group);
    if (at >= 0) left.splice(at, 1);
    if (left.length > 0 || this.#commits.get(name)?.end !== end) return;
    this.#commits.delete(name);
    this.#known.push(end.id);
  }

  /** Once; a participant that does not hear of it asks. */
  abort(id: TxnId, group: GroupId): void {
    if (!this.#isLeading) return;
    const body: RequestOf<'TxnResolve'> = { type: 'TxnResolve', ends: [{ id, fate: ABORTED }] };
    const ignore = (): void => {};
    if (group === this.#context.group) return this.#participant.resolve(body, ignore);
    this.#reach()?.calls.call(group, body, 'Done', ABORT_CALL).then(ignore, ignore);
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
