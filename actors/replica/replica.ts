import type { Command } from '../../protocol/commands.ts';
import type { NodeConfig } from '../../protocol/config.ts';
import type { MessageOf } from '../../protocol/envelope.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { GroupConfig } from '../../protocol/membership.ts';
import type { RaftMessage } from '../../protocol/messages/raft.ts';
import {
  type GroupId,
  type NodeId,
  nodeOf,
  type ReplicaId,
  type Revision,
} from '../../protocol/types.ts';
import type { WalRecord } from '../../storage/ports.ts';
import type { GroupState } from '../apply/group-state.ts';
import type { Checkpointed } from '../kit/checkpointer.ts';
import { Inbox } from '../kit/inbox.ts';
import type { Ports } from '../kit/ports.ts';
import { LeaseKeeper } from '../lease/keeper.ts';
import { decide, isTickDue } from '../raft/decide.ts';
import type { DurableRaftEvent, Proposal, RaftCommand, Role } from '../raft/events.ts';
import { checkpointEvents } from '../raft/recover.ts';
import type { RaftState } from '../raft/state.ts';
import { encodeEvent } from '../raft/wal-codec.ts';
import { Transactions } from '../txn/transactions.ts';
import { Applier } from './applier.ts';
import { BucketSweep } from './bucket-sweep.ts';
import { Chores } from './chores.ts';
import { GroupClock } from './clock.ts';
import { ClosedPromises } from './closed-promises.ts';
import { Closer } from './closer.ts';
import { type ProposalOutcome, type ReplicaContext, type Reply, rejected } from './context.ts';
import { Courier } from './courier.ts';
import { olderEvents, ReplicaFeed } from './feed.ts';
import type { ReplicaHost } from './host.ts';
import { Leadership } from './leadership.ts';
import { type ReplicaActor, startReplicaMachine } from './machine.ts';
import { messageBytes } from './message-bytes.ts';
import { HostOutbox, listenFor } from './outbox.ts';
import { Proposals } from './proposals.ts';
import { ReadRounds } from './reads.ts';
import { handleRequest, type Request, type RequestParts } from './requests.ts';
import { SnapshotWork } from './snapshots.ts';
import { WriteSpans } from './write-spans.ts';

type Work =
  | { readonly type: 'raft'; readonly command: RaftCommand }
  | { readonly type: 'request'; readonly request: Request; readonly reply: Reply }
  | { readonly type: 'closed'; readonly revision: Revision; readonly index: number };

/**
 * One group's member on this node: hosts the Raft core and the state machine, and takes part in
 * the node's turn. Work arrives through the inbox only, and is decided in one batch per turn.
 */
export class Replica implements Checkpointed, ReplicaContext {
  readonly group: GroupId;
  readonly stream: number;
  readonly self: ReplicaId;
  readonly config: NodeConfig;
  readonly ports: Ports;
  readonly clock: GroupClock;
  readonly raft: RaftState;
  readonly leases: LeaseKeeper;
  state: GroupState;
  readonly #host: ReplicaHost;
  readonly #inbox = new Inbox<Work>();
  readonly #outbox: HostOutbox;
  readonly #proposals = new Proposals();
  readonly #rounds: ReadRounds;
  readonly #closer: Closer;
  readonly #feed: ReplicaFeed;
  readonly #snapshots: SnapshotWork;
  readonly #applier: Applier;
  readonly #chores: Chores;
  readonly #spans: WriteSpans;
  readonly #leadership: Leadership;
  readonly #courier: Courier;
  readonly #txns: Transactions;
  readonly #promises = new ClosedPromises();
  readonly #parts: RequestParts;
  readonly #actor: ReplicaActor;
  #proposing: Proposal[] = [];
  #commands: RaftCommand[] = [];
  #acks: RaftCommand[] = [];
  /** Records of this turn were handed to the WAL, ending with this log position. */
  #handedOver: { index: number; term: number } | null = null;
  /** Records that were born after the sync, so their messages wait for the next turn's. */
  #carried = false;
  #flushedIndex = 0;
  #running = false;

  /** `records` are durable events that must be the first in the WAL (of a new or repaired log). */
  constructor(
    host: ReplicaHost,
    group: GroupId,
    self: ReplicaId,
    raft: RaftState,
    state: GroupState,
    records: readonly DurableRaftEvent[],
  ) {
    this.#host = host;
    this.config = host.config;
    this.ports = host.ports;
    this.group = this.stream = group;
    this.self = self;
    this.raft = raft;
    this.state = state;
    this.clock = new GroupClock(state.clock, state.clockBound, state.txns.lowest);
    this.#rounds = new ReadRounds(this);
    this.#snapshots = new SnapshotWork(this, {
      sendChunk: (chunk, data) => this.#courier.sendChunk(chunk, data),
      pauseApply: (paused) => this.#applier.pause(paused),
      replaceState: (replaced) => this.#replaceState(replaced),
    });
    const listener = listenFor(this, this.#proposals, this.#rounds, this.#snapshots);
    this.#outbox = new HostOutbox(raft, listener);
    for (const event of records) this.#outbox.records.push(encodeEvent(event));
    this.#courier = new Courier(this.#outbox, host.post.bind(host, group));
    this.#spans = new WriteSpans(this);
    this.#closer = new Closer(this, (revision) => this.#announceClosed(revision));
    this.#feed = new ReplicaFeed(this.ports.clock, state.clock, olderEvents(this));
    this.#applier = new Applier(this, raft, this.#proposals, this.#feed, this.#spans);
    this.leases = new LeaseKeeper(this, this.#rounds, this.#closer, () => raft.currentTerm);
    this.#txns = new Transactions(this, raft, this.#rounds, this.#closer, host.reach.bind(host));
    this.#chores = new Chores(this, [this.leases, this.#txns, new BucketSweep(this)]);
    this.#leadership = new Leadership(this, raft, [this.#closer, this.#txns], host);
    this.#parts = {
      ...{ context: this, raft, rounds: this.#rounds, closer: this.#closer, feed: this.#feed },
      ...{ spans: this.#spans, leases: this.leases, waits: this.#txns.waits, txns: this.#txns },
      pace: host.pace,
    };
    this.#actor = startReplicaMachine(this);
  }

  /** The log has been replayed: takes part from now on. */
  start(): void {
    this.#actor.send({ type: 'recovered' });
    this.#running = true;
    this.wake();
  }

  stop(type: 'stop' | 'broken' = 'stop'): void {
    this.#running = false;
    this.#chores.stop();
    this.#feed.stop();
    this.#actor.send({ type });
  }

  // What the node hands in.

  /** Most ticks change nothing and take no turn. The applier may wait for room in the store. */
  tick(): void {
    const nowMs = this.ports.clock.monotonicMs();
    if (isTickDue(this.raft, nowMs) || this.#chores.isDue(nowMs) || this.#applier.hasWork()) {
      this.#push({ type: 'raft', command: { type: 'Tick' } }, 0);
    }
  }

  onMessage(from: ReplicaId, message: RaftMessage): void {
    const command: RaftCommand = { type: 'Message', from, message };
    if (message.type === 'AppendEntriesReply' && this.#acks.length < LIMITS.inboxCommandsMax) {
      this.#acks.push(command);
      if (this.#running) this.#host.hear(this);
    } else if (!this.#push({ type: 'raft', command }, messageBytes(message))) {
      this.ports.telemetry.count('actor_inbox_refused', 1, { actor: 'replica' });
    }
  }

  onClosedRevision(message: MessageOf<'ClosedRevision'>): void {
    this.#push({ type: 'closed', revision: message.revision, index: message.index }, 0);
  }

  onRequest(request: Request, bytes: number, reply: Reply): void {
    if (!this.#running) return reply(rejected('unavailable', 'this replica has stopped'));
    if (!this.#push({ type: 'request', request, reply }, bytes)) {
      reply(rejected('overloaded', `group ${this.group} has too much waiting on this node`));
    }
  }

  /** The engine holds durably what was applied when its flush began. */
  onFlushed(appliedIndex: number): void {
    this.#flushedIndex = Math.max(this.#flushedIndex, appliedIndex);
    this.command(this.#applied());
    this.command({ type: 'Compact' });
  }

  #push(work: Work, bytes: number): boolean {
    if (!this.#running) return false;
    const pushed = this.#inbox.push(work, bytes);
    this.wake();
    return pushed;
  }

  appliedIndex(): number {
    return this.state.appliedIndex;
  }

  // ReplicaContext.

  isLeader(): boolean {
    return this.raft.role === 'leader';
  }

  leaderNode(): NodeId | null {
    return this.raft.leaderId === null ? null : nodeOf(this.raft.leaderId);
  }

  baseConfig(): GroupConfig {
    return this.raft.log.pointAt(this.raft.log.baseIndex).config;
  }

  groupCount(): number {
    return this.#host.formation.groupCount;
  }

  clockTrusted(): boolean {
    return this.#host.clockTrusted();
  }

  isBehind(): boolean {
    return this.#applier.isBehind();
  }

  propose(command: Command, onOutcome: (outcome: ProposalOutcome) => void): void {
    if (!this.#running) return onOutcome({ type: 'refused', reason: 'not_leader' });
    const proposal = this.#proposals.ask(command, onOutcome);
    if (proposal !== null) this.#proposing.push(proposal);
    this.wake();
  }

  command(command: RaftCommand): void {
    this.#commands.push(command);
    this.wake();
  }

  wake(): void {
    if (this.#running) this.#host.wake(this);
  }

  // TurnMember: the turn's steps, through the machine that hosts them.

  step(nowMs: number): void {
    if (this.#running) this.#actor.send({ type: 'batch', nowMs });
  }

  takeRecords(into: WalRecord[]): void {
    const { records } = this.#outbox;
    if (records.length === 0) return;
    this.#spans.syncBegins();
    for (const payload of records) into.push({ stream: this.group, payload });
    this.#outbox.records = [];
    this.#carried = false;
    this.#handedOver = { index: this.raft.log.lastIndex, term: this.raft.log.lastTerm };
  }

  releaseBeforeSync(): void {
    this.#courier.releaseBeforeSync();
  }

  afterSync(nowMs: number): void {
    if (!this.#running) return;
    this.#spans.synced();
    if (!this.#carried) this.#courier.releaseAfterSync(this.#snapshots);
    this.#actor.send({ type: 'synced', nowMs });
  }

  hear(nowMs: number): void {
    if (this.#running) this.#actor.send({ type: 'heard', nowMs });
  }

  hasWork(): boolean {
    return this.#running && (this.hasInput() || this.#outbox.isWaiting());
  }

  hasMore(): boolean {
    return this.#running && this.#applier.hasWork();
  }

  hasInput(): boolean {
    return this.#inbox.length + this.#commands.length + this.#proposing.length > 0;
  }

  isAwaited(): boolean {
    return this.#txns.isVoting;
  }

  // Hosted: called by the machine.

  role(): Role {
    return this.raft.role;
  }

  /** Steps 1 and 2 of the turn. Client work gathers into one proposal batch and one read round. */
  decideBatch(nowMs: number): void {
    this.#guarded(() => {
      for (const work of this.#inbox.drain()) {
        if (work.type === 'raft') {
          if (work.command.type === 'Tick') this.#chores.tick(nowMs);
          this.#decide(work.command, nowMs);
        } else if (work.type === 'request') {
          handleRequest(this.#parts, work.request, work.reply);
        } else {
          this.#promises.hold(work.revision, work.index);
        }
      }
      this.#settleClosed();
      this.#decideGathered(nowMs);
    });
  }

  /** Step 6: the own sync counts as an acknowledgement; serve reads. */
  decideSynced(nowMs: number): void {
    this.#guarded(() => {
      const handed = this.#handedOver;
      this.#handedOver = null;
      if (handed !== null) this.#decide({ type: 'LogSynced', ...handed }, nowMs);
      this.#rounds.applied(this.state.appliedIndex);
      // Messages that depend on records born just now wait for the next turn's sync.
      this.#carried = this.#outbox.records.length > 0;
      this.releaseBeforeSync();
      if (!this.#carried) this.#courier.releaseAfterSync(this.#snapshots);
    });
  }

  /** Steps 6 and 7, perhaps while a sync is in flight: whatever of it needs one waits for the next. */
  decideHeard(nowMs: number): void {
    this.#guarded(() => {
      const acks = this.#acks;
      this.#acks = [];
      for (const ack of acks) this.#decide(ack, nowMs);
      if (this.#applier.step()) {
        this.#decide(this.#applied(), nowMs);
        this.#closer.advanced();
        this.#settleClosed();
        this.#feed.advanced(this.clock.closed, this.state.floor);
        this.#txns.advanced();
      }
      this.#rounds.applied(this.state.appliedIndex);
      if (this.#outbox.records.length > 0) this.#carried = true;
      // With entries to come, what is said here goes with them.
      if (!this.hasInput()) this.releaseBeforeSync();
    });
  }

  /** The whole durable state as fresh records, so that older segments of the WAL can go. */
  checkpoint(): Uint8Array[] {
    return checkpointEvents(this.raft).map(encodeEvent);
  }

  #decideGathered(nowMs: number): void {
    this.#rounds.flush();
    const commands = this.#commands;
    this.#commands = [];
    for (const command of commands) this.#decide(command, nowMs);
    const proposals = this.#proposing;
    this.#proposing = [];
    if (proposals.length > 0) this.#decide({ type: 'Propose', proposals }, nowMs);
    this.#closer.batchDecided(this.raft.log.lastIndex);
  }

  #decide(command: RaftCommand, nowMs: number): void {
    decide(this.raft, command, nowMs, this.#outbox);
    if (command.type === 'SnapshotInstalled') this.#proposals.passedOver(this.state.appliedIndex);
    this.#leadership.look();
  }

  #applied(): RaftCommand {
    const { appliedIndex } = this.state;
    return { type: 'Applied', appliedIndex, flushedIndex: this.#flushedIndex };
  }

  #announceClosed(revision: Revision): void {
    this.#feed.advanced(this.clock.closed, this.state.floor);
    const { appliedIndex } = this.state;
    this.#courier.announceClosed(revision, appliedIndex, this.self, this.raft.log.config);
  }

  #settleClosed(): void {
    if (this.#promises.settle(this.clock, this.state.appliedIndex)) {
      this.#feed.advanced(this.clock.closed, this.state.floor);
    }
  }

  #replaceState(state: GroupState): void {
    this.state = state;
    this.#flushedIndex = state.appliedIndex;
    this.clock.applied(state.clock, state.clockBound, state.txns.lowest);
    this.#feed.reset(state.clock);
    this.#feed.advanced(this.clock.closed, state.floor);
  }

  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.stop('broken');
      this.#host.onBroken(this, error);
    }
  }
}
