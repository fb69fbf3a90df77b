import type { ReplicaInspection } from '../../../actors/node-port.ts';
import type { Role } from '../../../actors/raft/events.ts';
import { type Command, encodeCommand } from '../../../protocol/commands.ts';
import { type LogEntry, makeEntry } from '../../../protocol/entry.ts';
import type { GroupId, NodeId, ReplicaId } from '../../../protocol/types.ts';
import { CommittedLogs } from '../../sim/committed-log.ts';
import { STEP_INVARIANTS } from '../../sim/invariants/all.ts';
import { StoreModel } from '../../sim/model.ts';
import { Probe } from '../../sim/probe.ts';

/** A replica as tests move it by hand: a log and Figure 2's counters, no protocol. */
export class ToyReplica {
  readonly replica: ReplicaId;
  readonly node: NodeId;
  readonly log: LogEntry[] = [];
  role: Role = 'follower';
  currentTerm = 1;
  votedFor: ReplicaId | null = null;
  commitIndex = 0;
  appliedIndex = 0;
  syncedIndex = 0;
  closed = 0;
  readonly voters: readonly ReplicaId[];

  constructor(name: string, voters: readonly string[]) {
    this.node = name as NodeId;
    this.replica = `${name}:1` as ReplicaId;
    this.voters = voters.map((voter) => `${voter}:1` as ReplicaId);
  }

  append(term: number, command: Command | null = null, clockBound = 0): LogEntry {
    const kind = command === null ? 'noop' : 'command';
    const payload = command === null ? new Uint8Array(0) : encodeCommand(command);
    const entry = makeEntry({ index: this.log.length + 1, term, kind, clockBound }, payload);
    this.log.push(entry);
    return entry;
  }

  copyFrom(other: ToyReplica, upTo: number): void {
    this.log.length = 0;
    for (const entry of other.log.slice(0, upTo)) this.log.push(entry);
    this.syncedIndex = this.log.length;
  }

  inspect(): ReplicaInspection {
    const { log } = this;
    return {
      group: 1 as GroupId,
      replica: this.replica,
      role: this.role,
      currentTerm: this.currentTerm,
      votedFor: this.votedFor,
      leaderId: null,
      commitIndex: this.commitIndex,
      appliedIndex: this.appliedIndex,
      syncedIndex: this.syncedIndex,
      baseIndex: 0,
      lastIndex: log.length,
      lastTerm: log.at(-1)?.term ?? 0,
      clock: 0,
      closed: this.closed,
      floor: 0,
      config: { voters: [...this.voters], votersOld: null, learners: [] },
      termAt: (index) => log[index - 1]?.term ?? null,
      entry: (index) => log[index - 1] ?? null,
      stateHash: async () => '',
      outboxTotals: async () => new Map(),
      usageFlaw: async () => null,
      quotaFlaw: async () => null,
      quotaShares: () => [],
      reservations: async () => [],
    };
  }
}

/** Three hand-moved replicas under all step invariants. */
export function toyGroup() {
  const probe = new Probe();
  const committed = new CommittedLogs();
  const model = new StoreModel();
  const invariants = STEP_INVARIANTS.map((make) => make({ nowMs: () => 0, probe, committed }));
  committed.observe((group, entry, change) => {
    for (const invariant of invariants) invariant.onCommitted?.(group, entry, change);
    model.apply(group, entry);
  });
  probe.observe((change) => {
    committed.note(change);
    for (const invariant of invariants) invariant.onChange?.(change);
  });
  const names = ['n1', 'n2', 'n3'];
  const [a, b, c] = names.map((name) => new ToyReplica(name, names)) as [
    ToyReplica,
    ToyReplica,
    ToyReplica,
  ];
  const look = (toy: ToyReplica, life = 1): void => probe.look(toy.node, life, [toy.inspect()]);
  return { probe, committed, model, a, b, c, look };
}
