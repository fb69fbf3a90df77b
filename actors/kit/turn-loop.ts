import type { Telemetry } from '../../observability/port.ts';
import type { Clock } from '../../protocol/clock.ts';
import type { Wal, WalRecord } from '../../storage/ports.ts';
import type { PostOffice } from './post-office.ts';

/** An actor's part in the node's turn. Steps are the ones of ARCHITECTURE section 5. */
export interface TurnMember {
  /** Steps 1 and 2: drain the inbox, decide, collect durable records. */
  step(nowMs: number): void;
  /** Step 3: hands over the records of this turn (in order). */
  takeRecords(into: WalRecord[]): void;
  /** Step 4: AppendEntries may leave before the sync. */
  releaseBeforeSync(): void;
  /** Step 6: all records handed over are durable. Send the rest. */
  afterSync(nowMs: number): void;
  /** Steps 6 and 7: hear acknowledgements, apply what is committed, reply, report. */
  hear(nowMs: number): void;
  /** Whether another turn is needed at once. */
  hasWork(): boolean;
  /** Whether something has come in since its last step. */
  hasInput(): boolean;
  /** Whether entries wait to be written for what it applies: it is heard before the next sync begins. */
  isAwaited(): boolean;
  /** Whether there is more to hear or to apply at once. */
  hasMore(): boolean;
}

/** Rounds of steps in one turn: requests go from one member to another and further, and not for ever. */
const STEPS_MAX = 4;

/**
 * The one order of effects, node-wide: one WAL append and one fsync for everything that gathered on
 * this node. While the fsync is in flight inboxes fill, so load makes batches larger by itself, and what
 * is synced and committed already is applied: that needs no disk.
 * A failed fsync is fatal: memory would be ahead of the disk for ever.
 */
export class TurnLoop {
  readonly #clock: Clock;
  readonly #wal: Wal;
  readonly #post: PostOffice;
  readonly #telemetry: Telemetry;
  readonly #fatal: (reason: string, error: unknown) => void;
  readonly #members = new Set<TurnMember>();
  #woken = new Set<TurnMember>();
  #hearing = new Set<TurnMember>();
  #scheduled = false;
  #hearScheduled = false;
  #syncing = false;
  #mailing = false;
  /** Members are at work: what they post leaves when they are done. */
  #working = false;
  #stopped = false;
  #failed = false;

  constructor(
    clock: Clock,
    wal: Wal,
    post: PostOffice,
    telemetry: Telemetry,
    fatal: (reason: string, error: unknown) => void,
  ) {
    this.#clock = clock;
    this.#wal = wal;
    this.#post = post;
    this.#telemetry = telemetry;
    this.#fatal = fatal;
  }

  add(member: TurnMember): void {
    this.#members.add(member);
    this.wake(member);
  }

  remove(member: TurnMember): void {
    this.#members.delete(member);
    this.#woken.delete(member);
    this.#hearing.delete(member);
  }

  /** The member has work: it takes part in the next turn. */
  wake(member: TurnMember): void {
    this.#woken.add(member);
    this.#schedule();
  }

  /** The member was acknowledged something: that is heard soon, whatever the disk does. */
  hear(member: TurnMember): void {
    this.#hearing.add(member);
    this.#scheduleHearing();
  }

  /** Mail was posted outside a turn: it leaves soon. Held-back messages are not in the post office yet. */
  mail(): void {
    if (this.#mailing || this.#working || this.#stopped) return;
    this.#mailing = true;
    this.#clock.soon(() => {
      this.#mailing = false;
      if (!this.#failed) this.#post.flush();
    });
  }

  stop(): void {
    this.#stopped = true;
  }

  #schedule(): void {
    if (this.#scheduled || this.#syncing || this.#stopped) return;
    this.#scheduled = true;
    this.#clock.soon(() => this.#turn());
  }

  #scheduleHearing(): void {
    if (this.#hearScheduled || this.#stopped || this.#hearing.size === 0) return;
    this.#hearScheduled = true;
    this.#clock.soon(() => this.#hear());
  }

  #hear(): void {
    this.#hearScheduled = false;
    if (this.#stopped) return;
    const hearing = this.#hearing;
    this.#hearing = new Set();
    const nowMs = this.#clock.monotonicMs();
    this.#working = true;
    for (const member of hearing) {
      if (!this.#members.has(member)) continue;
      member.hear(nowMs);
      if (member.hasWork()) this.#woken.add(member);
      if (member.hasMore()) this.#hearing.add(member);
    }
    this.#postAll();
    if (this.#woken.size > 0) this.#schedule();
    this.#scheduleHearing();
  }

  #postAll(): void {
    this.#working = false;
    this.#post.flush();
  }

  #turn(): void {
    this.#scheduled = false;
    // A step may have woken a member before the sync began: its turn follows that sync.
    if (this.#stopped || this.#syncing || this.#woken.size === 0) return;
    const nowMs = this.#clock.monotonicMs();
    this.#working = true;
    const woken = this.#step(nowMs);
    const records: WalRecord[] = [];
    for (const member of woken) member.takeRecords(records);
    for (const member of woken) member.releaseBeforeSync();
    if (records.length === 0) {
      this.#finish(woken);
      return;
    }
    this.#wal.append(records);
    // What is posted has not left this process yet: it leaves while the disk works.
    const isAlone = this.#post.isEmpty;
    this.#postAll();
    this.#syncing = true;
    const syncStartMs = this.#clock.monotonicMs();
    this.#wal.sync((error) => {
      this.#syncing = false;
      this.#telemetry.timeMs('wal_sync_seconds', this.#clock.monotonicMs() - syncStartMs);
      this.#telemetry.count('wal_syncs');
      this.#telemetry.count('wal_records', records.length);
      if (this.#stopped) return;
      if (error !== null) {
        this.stop();
        this.#failed = true;
        this.#fatal('the write-ahead log could not be synced', error);
        return;
      }
      this.#finish(woken);
    }, isAlone);
  }

  /** All that were woken, and those whom they ask: what these write goes with the same sync. */
  #step(nowMs: number): ReadonlySet<TurnMember> {
    const stepped = this.#woken;
    this.#woken = new Set();
    for (const member of stepped) member.step(nowMs);
    for (let round = 1; round < STEPS_MAX && this.#woken.size > 0; round++) {
      const woken = this.#woken;
      this.#woken = new Set();
      for (const member of woken) {
        if (!member.hasInput()) this.#woken.add(member);
        else {
          stepped.add(member);
          member.step(nowMs);
        }
      }
    }
    return stepped;
  }

  #finish(woken: ReadonlySet<TurnMember>): void {
    const nowMs = this.#clock.monotonicMs();
    this.#working = true;
    for (const member of woken) {
      if (!this.#members.has(member)) continue;
      member.afterSync(nowMs);
      if (member.isAwaited()) member.hear(nowMs);
      if (member.hasWork()) this.#woken.add(member);
      if (member.hasMore()) this.#hearing.add(member);
    }
    this.#postAll();
    // The next sync begins first, so that the disk works while entries are applied.
    if (this.#woken.size === 0 && !this.#hearScheduled) return this.#hear();
    if (this.#woken.size > 0) this.#schedule();
    this.#scheduleHearing();
  }
}
