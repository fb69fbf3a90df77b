import type { Applied } from '../../actors/apply/apply.ts';
import { applyBatch } from '../../actors/apply/apply.ts';
import { GroupState } from '../../actors/apply/group-state.ts';
import type { RaftCommand } from '../../actors/raft/events.ts';
import { EMPTY_CONFIG } from '../../actors/raft/log.ts';
import { GroupClock } from '../../actors/replica/clock.ts';
import type { ProposalOutcome, ReplicaContext } from '../../actors/replica/context.ts';
import { type Command, encodeCommand, lastRevision } from '../../protocol/commands.ts';
import type { NodeConfig } from '../../protocol/config.ts';
import { type LogEntry, makeEntry } from '../../protocol/entry.ts';
import type { GroupConfig } from '../../protocol/membership.ts';
import type { GroupId, NodeId, ReplicaId } from '../../protocol/types.ts';
import { FakePorts, nodeConfig } from './fake-ports.ts';
import { ALL_VSHARDS } from './kv-history.ts';
import { MemoryState } from './memory-state.ts';

interface Asked {
  readonly command: Command;
  readonly onOutcome: (outcome: ProposalOutcome) => void;
}

/**
 * What the parts of a replica share, without a core: proposals gather until the test commits or
 * refuses them; the state machine and the group clock are the real ones.
 */
export class FakeReplica implements ReplicaContext {
  readonly group: GroupId;
  readonly self = 'n1:00000001' as ReplicaId;
  readonly config: NodeConfig;
  readonly ports: FakePorts;
  readonly clock = new GroupClock(0, 0, Number.POSITIVE_INFINITY);
  readonly store: MemoryState;
  state: GroupState;
  leads = true;
  trusted = true;
  behind = false;
  leader: NodeId | null = 'n1' as NodeId;
  term = 1;
  /** Entries of the log that are not proposals of this test. */
  extraEntries = 0;
  readonly proposed: Asked[] = [];
  readonly commands: RaftCommand[] = [];

  constructor(group = 1 as GroupId, ports = new FakePorts(), store = new MemoryState()) {
    this.group = group;
    this.ports = ports;
    this.store = store;
    this.config = nodeConfig();
    this.state = GroupState.open(store, group);
  }

  /** A data group that owns everything. */
  static owning(ports = new FakePorts(), store = new MemoryState()): FakeReplica {
    const replica = new FakeReplica(1 as GroupId, ports, store);
    replica.apply({ type: 'own', epoch: 1, vshards: ALL_VSHARDS });
    return replica;
  }

  isLeader(): boolean {
    return this.leads;
  }

  leaderNode(): NodeId | null {
    return this.leader;
  }

  lastLogIndex(): number {
    return this.state.appliedIndex + this.proposed.length + this.extraEntries;
  }

  baseConfig(): GroupConfig {
    return EMPTY_CONFIG;
  }

  groupCount(): number {
    return 2;
  }

  clockTrusted(): boolean {
    return this.trusted;
  }

  isBehind(): boolean {
    return this.behind;
  }

  propose(command: Command, onOutcome: (outcome: ProposalOutcome) => void): void {
    this.proposed.push({ command, onOutcome });
  }

  command(command: RaftCommand): void {
    this.commands.push(command);
  }

  wake(): void {}

  /** The command as the next committed entry; the clock learns of it. */
  apply(command: Command): Applied {
    const entry = this.entryOf(command);
    const applied = applyBatch(this.state, [{ entry, command }])[0] as Applied;
    this.clock.applied(lastRevision(command), entry.clockBound, this.state.txns.lowest);
    return applied;
  }

  /** The next entry of the log, with this command. */
  entryOf(command: Command): LogEntry {
    const bound = command.type === 'reserve' ? command.bound : 0;
    const clockBound = Math.max(lastRevision(command), bound);
    const index = this.state.appliedIndex + 1;
    return makeEntry(
      { index, term: this.term, kind: 'command', clockBound },
      encodeCommand(command),
    );
  }

  /** The oldest proposal is committed, applied, and told so. */
  commit(): Applied {
    const asked = this.proposed.shift();
    if (asked === undefined) throw new Error('nothing was proposed');
    const applied = this.apply(asked.command);
    asked.onOutcome({ type: 'applied', applied });
    return applied;
  }

  /** The oldest proposal ends in another way. */
  end(outcome: ProposalOutcome): void {
    this.proposed.shift()?.onOutcome(outcome);
  }
}
