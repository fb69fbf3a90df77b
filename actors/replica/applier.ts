import { assert } from '../../protocol/assert.ts';
import { type Command, decodeCommand, lastRevision } from '../../protocol/commands.ts';
import { entryPayload, type LogEntry } from '../../protocol/entry.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { type Applied, applyBatch, type Committed } from '../apply/apply.ts';
import type { AppliedChange } from '../apply/change.ts';
import type { RaftState } from '../raft/state.ts';
import type { ReplicaContext } from './context.ts';
import type { ReplicaFeed } from './feed.ts';
import type { Proposals } from './proposals.ts';
import { PublicEvents } from './public-events.ts';
import type { WriteSpans } from './write-spans.ts';

/** Entries and bytes of one apply batch: one write to the state store each. */
const BATCH_ENTRIES_MAX = 1_024;
const BATCH_BYTES_MAX = 4 * 1024 * 1024;

/**
 * Committed entries to the state machine, in order, in batches; then clock, proposals, feed and
 * public events learn of them. Pauses while a snapshot is loaded or the state store is behind.
 */
export class Applier {
  readonly #context: ReplicaContext;
  readonly #raft: RaftState;
  readonly #proposals: Proposals;
  readonly #feed: ReplicaFeed;
  readonly #spans: WriteSpans;
  readonly #public: PublicEvents;
  #paused = false;

  constructor(
    context: ReplicaContext,
    raft: RaftState,
    proposals: Proposals,
    feed: ReplicaFeed,
    spans: WriteSpans,
  ) {
    this.#context = context;
    this.#raft = raft;
    this.#proposals = proposals;
    this.#feed = feed;
    this.#spans = spans;
    this.#public = new PublicEvents(context);
  }

  pause(paused: boolean): void {
    this.#paused = paused;
  }

  /** Whether committed entries wait that may be applied now. */
  hasWork(): boolean {
    return (
      !this.#paused &&
      this.#context.state.appliedIndex < this.#applicable() &&
      this.#context.state.store.pendingBytes() < LIMITS.memtableBytesMax
    );
  }

  /** Whether the log grows while the store waits for its engine: it takes no more until that has caught up. */
  isBehind(): boolean {
    const { appliedIndex, store } = this.#context.state;
    return (
      this.#raft.log.bytesAfter(appliedIndex) > LIMITS.unappliedBytesMax &&
      store.pendingBytes() >= LIMITS.memtableBytesMax
    );
  }

  /** Applies one batch; true when anything was applied. */
  step(): boolean {
    if (!this.hasWork()) return false;
    const batch = this.#gather();
    const { clock, ports } = this.#context;
    const startMs = ports.clock.monotonicMs();
    const traced = batch.map(({ command }) => this.#spans.apply(command));
    const done = applyBatch(this.#context.state, batch);
    for (const span of traced) span?.end();
    ports.telemetry.timeMs('apply_batch_seconds', ports.clock.monotonicMs() - startMs);
    const { txns } = this.#context.state;
    const ordered = this.#public.isEmpty && txns.size === 0 && done.every(isPlain);
    let last = 0;
    let bound = 0;
    for (let i = 0; i < done.length; i++) {
      const applied = done[i] as Applied;
      const { entry, command } = batch[i] as Committed;
      last = Math.max(last, lastRevision(command));
      bound = Math.max(bound, entry.clockBound);
      if (applied.events.length > 0) {
        this.#feed.add(applied.events);
        this.#publish(entry, command, applied.events, ordered);
        if (command?.type === 'expire' && this.#context.isLeader()) {
          const { group } = this.#context;
          ports.telemetry.count('expired_keys', applied.events.length, { group });
        }
      }
    }
    clock.applied(last, bound, txns.lowest);
    this.#public.advance(clock.closed, this.#raft.currentTerm);
    // Only now: an outcome may close a revision, and no page may pass an event not yet in the feed.
    for (const applied of done) this.#proposals.applied(applied);
    ports.telemetry.count('applied_entries', done.length);
    return true;
  }

  /** Committed, and synced here: the engine never holds what this node's log might not. */
  #applicable(): number {
    return Math.min(this.#raft.commitIndex, this.#raft.syncedIndex);
  }

  #gather(): Committed[] {
    const { state } = this.#context;
    const batch: Committed[] = [];
    let bytes = 0;
    const last = this.#applicable();
    for (let index = state.appliedIndex + 1; index <= last; index++) {
      const entry = this.#raft.log.entryAt(index);
      assert(entry !== undefined, 'a committed entry has left the log before it was applied');
      bytes += entry.bytes.length;
      if (batch.length > 0 && (batch.length >= BATCH_ENTRIES_MAX || bytes > BATCH_BYTES_MAX)) break;
      batch.push({ entry, command: this.#commandOf(entry) });
    }
    return batch;
  }

  #commandOf(entry: LogEntry): Command | null {
    if (entry.kind !== 'command') return null;
    const known = this.#proposals.commandAt(entry.index, entry.term);
    return known ?? decodeCommand(entryPayload(entry));
  }

  /**
   * Public events leave at most once: only the leader of the entry's own term publishes it, and it
   * applies it once in that life. The sequence shows what was lost.
   */
  #publish(
    entry: LogEntry,
    command: Command | null,
    events: readonly AppliedChange[],
    ordered: boolean,
  ): void {
    if (!this.#context.isLeader() || entry.term !== this.#raft.currentTerm) return;
    const traced = command?.type === 'write' || command?.type === 'txn';
    const traceparent = traced ? command.traceparent : null;
    if (ordered) this.#public.publish(events, traceparent);
    else this.#public.hold(events, traceparent, entry.term);
  }
}

/** Whether its events come in the order of revisions, with those of the entries beside it. */
function isPlain({ txn }: Applied): boolean {
  return txn === null || txn.type === 'done' || txn.type === 'committed';
}
