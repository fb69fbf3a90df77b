import { LeaseKeeper, type LeaseRequest } from '../../actors/lease/keeper.ts';
import { handleSweep } from '../../actors/lease/sweep.ts';
import { Closer } from '../../actors/replica/closer.ts';
import { ReadRounds } from '../../actors/replica/reads.ts';
import type { ReplyBody, RequestOf } from '../../protocol/messages/request.ts';
import { FakeReplica } from './fake-replica.ts';
import { settle } from './hand-clock.ts';

/** One replica's leases, with its log in the test's hands. */
export class LeaseWorld {
  readonly replica = FakeReplica.owning();
  readonly rounds = new ReadRounds(this.replica);
  readonly closer = new Closer(this.replica, () => {});
  term = 1;
  keeper = this.#keeper();
  readonly answers: ReplyBody[] = [];
  /** Read rounds so far. */
  confirmations = 0;
  readonly reply = (body: ReplyBody) => void this.answers.push(body);

  #keeper(): LeaseKeeper {
    return new LeaseKeeper(this.replica, this.rounds, this.closer, () => this.term);
  }

  get clock() {
    return this.replica.ports.clock;
  }

  ask(body: LeaseRequest): void {
    this.keeper.handle(body, this.reply);
  }

  sweep(body: RequestOf<'LeaseSweep'>): void {
    handleSweep(
      { context: this.replica, closer: this.closer, rounds: this.rounds },
      body,
      this.reply,
    );
  }

  check(purpose: RequestOf<'LeaseCheck'>['purpose'], lease = 7): void {
    this.ask({ type: 'LeaseCheck', epoch: 1, lease, purpose });
  }

  /** Confirms leadership and lets asynchronous reads of the state come back. */
  async confirm(): Promise<void> {
    for (let i = 0; i < 3; i++) {
      this.rounds.flush();
      for (const command of this.replica.commands.splice(0)) {
        if (command.type !== 'ReadIndex') continue;
        this.confirmations++;
        this.rounds.confirmed(command.readId, this.replica.state.appliedIndex);
      }
      this.rounds.applied(this.replica.state.appliedIndex);
      await settle();
    }
  }

  commitAll(): void {
    while (this.replica.proposed.length > 0) this.replica.commit();
    this.closer.advanced();
  }

  async grant(lease = 7, ttlMs = 1_000): Promise<void> {
    this.ask({ type: 'LeaseGrant', epoch: 1, lease, ttlMs });
    await this.confirm();
    this.commitAll();
  }

  /** Time goes by, in ticks. */
  async pass(ms: number): Promise<void> {
    for (const endMs = this.clock.nowMs + ms; this.clock.nowMs < endMs; ) {
      this.clock.nowMs += 50;
      if (this.keeper.isDue(this.clock.nowMs)) this.keeper.tick(this.clock.nowMs);
    }
    await settle();
  }

  /** Another replica led for a while; it starts above every bound in the log. */
  takeOver(): void {
    this.term++;
  }

  /** The last answer, and none left. */
  answer(): ReplyBody {
    const [last] = this.answers.splice(0).slice(-1);
    if (last === undefined) throw new Error('nothing was answered');
    return last;
  }

  ends(): number[] {
    return this.replica.proposed.flatMap(({ command }) =>
      command.type === 'leaseEnd' ? command.leases.map(({ lease }) => lease) : [],
    );
  }
}
