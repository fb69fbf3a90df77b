import { QuotaRoom } from '../../actors/quota/room.ts';
import { Closer } from '../../actors/replica/closer.ts';
import { LockWaits } from '../../actors/replica/lock-waits.ts';
import { ReadRounds } from '../../actors/replica/reads.ts';
import { initialShardMap } from '../../actors/router/shard-map.ts';
import { Coordinator } from '../../actors/txn/coordinator.ts';
import { Messenger } from '../../actors/txn/messenger.ts';
import { Participant } from '../../actors/txn/participant.ts';
import type { ReplyBody, RequestOf } from '../../protocol/messages/request.ts';
import type { TxnVote } from '../../protocol/messages/txn.ts';
import type { TxnBody, TxnEnd, TxnOp } from '../../protocol/txn.ts';
import type { GroupId, NodeId } from '../../protocol/types.ts';
import { type KeyRef, vshardOf } from '../../protocol/vshard.ts';
import { type Answer, type AskedRequest, FakeReach, quotaRounds } from './fake-reach.ts';
import { FakeReplica } from './fake-replica.ts';
import { settle } from './hand-clock.ts';

export const OTHER = 2 as GroupId;

export function keyIn(group: number): KeyRef {
  for (let i = 0; ; i++) {
    const ref = { tenant: 'default', space: 'kv', key: `k${i}` };
    if (1 + (vshardOf(ref) % 2) === group) return ref;
  }
}

export const THEN = [1, 2].map((group): TxnOp => {
  const rest = { value: new Uint8Array(1), contentType: null, ttlMs: null };
  return { type: 'put', ref: keyIn(group), ...rest };
});

/** Under such a key the home group prepares like the others. */
export const ONCE = { key: 'once', requestHash: new Uint8Array(32) };

/** The coordinator of group 1, whose own part is real; the test plays group 2. */
export class World {
  readonly replica = FakeReplica.owning();
  readonly reach = new FakeReach(this.replica.ports.clock);
  readonly rounds = new ReadRounds(this.replica);
  readonly messenger: Messenger;
  readonly coordinator: Coordinator;
  readonly closer: Closer;
  readonly raft = { currentTerm: 1 } as ConstructorParameters<typeof Coordinator>[1];
  readonly answers: ReplyBody[] = [];
  /** What was committed here. */
  readonly types: string[] = [];
  answer: (asked: AskedRequest) => Answer = () => 'silence';

  constructor() {
    const { replica, reach } = this;
    this.closer = new Closer(replica, () => {});
    const map = initialShardMap(2);
    const groups = () => ({
      calls: reach.calls,
      map: () => map,
      quotas: quotaRounds(replica, reach),
    });
    const room = new QuotaRoom(replica, groups);
    const waits = new LockWaits(replica);
    const participant = new Participant(replica, this.rounds, this.closer, waits, room);
    this.messenger = new Messenger(replica, participant, groups);
    const parts = [participant, this.messenger, groups, room] as const;
    this.coordinator = new Coordinator(replica, this.raft, ...parts);
    this.messenger.lead();
    this.coordinator.lead();
    // Its leader is known and stays so, whatever it answers.
    reach.leaders.set(OTHER, 'n2' as NodeId);
    reach.noteLeader = () => {};
    reach.answer = (asked) => this.answer(asked);
  }

  begin(
    deadlineMs: number,
    idempotency: RequestOf<'Txn'>['idempotency'] = null,
    more: Partial<TxnBody> = {},
  ): void {
    const body = { compares: [], then: THEN, otherwise: null, ...more };
    const request = { type: 'Txn', epoch: 1, body, idempotency } as const;
    const endMs = this.replica.ports.clock.monotonicMs() + deadlineMs;
    this.coordinator.begin(request, null, endMs, (reply) => this.answers.push(reply));
  }

  /** Lets time go by; what is proposed is committed at once. */
  async pass(ms: number): Promise<void> {
    for (let at = 0; at < ms; at += 5) {
      await this.replica.ports.clock.pass(5);
      while (this.replica.proposed.length > 0) {
        this.types.push(this.replica.proposed[0]?.command.type ?? '');
        this.replica.commit();
      }
      this.rounds.flush();
      await settle();
    }
  }

  asked<T extends 'TxnPrepare' | 'TxnResolve'>(type: T): RequestOf<T>[] {
    const bodies = this.reach.asked.map(({ body }) => body);
    return bodies.filter((body): body is RequestOf<T> => body.type === type);
  }

  /** What was said of ends, one by one. */
  get told(): TxnEnd[] {
    return this.asked('TxnResolve').flatMap(({ ends }) => ends);
  }

  /** Whether the home group has locked its part. */
  get isLocked(): boolean {
    return this.replica.state.txns.size > 0;
  }
}

export function voted(vote: TxnVote, clock = 1): ReplyBody {
  return { type: 'TxnVoted', vote, clock };
}

export function yes(revision: number, ops: readonly TxnOp[] = THEN.slice(0, 1)): TxnVote {
  const then = ops.map((op) =>
    op.type === 'put'
      ? ({ type: 'put', createRevision: 0, version: 1 } as const)
      : ({ type: 'deleted', count: 0 } as const),
  );
  const rest = { failedCompare: null, validUntilMs: null, otherwise: [] };
  return { type: 'yes', revision, then, ...rest };
}
