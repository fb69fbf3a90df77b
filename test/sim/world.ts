import type { NodeConfig } from '../../protocol/config.ts';
import { seededRandom } from '../../protocol/random.ts';
import { type GroupId, type NodeId, parseNodeId, type ReplicaId } from '../../protocol/types.ts';
import { type KeyRef, vshardOf } from '../../protocol/vshard.ts';
import { Aim } from './aim.ts';
import type { ClusterPort, Connection } from './cluster-port.ts';
import { CommittedLogs } from './committed-log.ts';
import { describeReplicas } from './convergence.ts';
import { DamageBook } from './damage-book.ts';
import { History } from './history.ts';
import { STEP_INVARIANTS } from './invariants/all.ts';
import type { Invariant } from './invariants/invariant.ts';
import { LIFECYCLE_DAY_MS } from './lifecycle-truth.ts';
import type { Machine } from './machine.ts';
import { StoreModel } from './model.ts';
import { SimNetwork } from './network.ts';
import { Probe, type ReplicaChange } from './probe.ts';
import { type Life, Scheduler } from './scheduler.ts';
import { WallClock } from './sim-clock.ts';
import { type PortsFilter, SimNode, type StartNode } from './sim-node.ts';
import type { SwarmConfig } from './swarm.ts';
import { SimTargets } from './targets.ts';
import { Trace } from './trace.ts';
import { SimViolation } from './violation.ts';

/** Longer than any run: what is damaged is met by readers. */
const SCRUB_PERIOD_MS = 3_600_000;

export interface WorldParts {
  readonly startNode: StartNode;
  /** Builds the machine of one node: its simulated disk. */
  readonly machine: (world: World, index: number) => Machine;
  /** Identity, unless a seeded bug is to be put in. */
  readonly filterPorts: PortsFilter;
  readonly verbose: boolean;
  readonly sink: ((line: string) => void) | null;
}

/**
 * A whole cluster in virtual time: nodes, machines, network, and everything that watches them. The
 * second composition root beside cli/compose.ts.
 */
export class World implements ClusterPort {
  readonly config: SwarmConfig;
  readonly scheduler = new Scheduler();
  readonly trace: Trace;
  readonly network: SimNetwork;
  readonly nodes: SimNode[] = [];
  readonly probe = new Probe();
  readonly committed = new CommittedLogs();
  readonly model = new StoreModel();
  readonly history: History;
  readonly damage: DamageBook;
  readonly aim = new Aim();
  readonly targets: SimTargets;
  readonly #invariants: Invariant[];
  readonly #onChange: ((change: ReplicaChange) => void)[] = [];
  /** The first thing that went wrong; ends the run. */
  failure: unknown = null;

  constructor(config: SwarmConfig, parts: WorldParts) {
    this.config = config;
    const { scheduler } = this;
    this.trace = new Trace(() => scheduler.nowMs(), parts.verbose, parts.sink);
    this.network = new SimNetwork(scheduler, seededRandom(config.seed, 'network'), this.trace);
    this.network.weather = { ...config.weather };
    this.history = new History(this.trace);
    this.damage = new DamageBook(this);
    this.targets = new SimTargets(scheduler, this.trace, seededRandom(config.seed, 'targets'));
    this.model.objects.notifications.hasGot = this.targets.hasGot.bind(this.targets);
    this.#invariants = STEP_INVARIANTS.map((make) =>
      make({
        nowMs: () => scheduler.nowMs(),
        probe: this.probe,
        committed: this.committed,
      }),
    );
    for (const { onChange } of this.#invariants) if (onChange) this.#onChange.push(onChange);
    this.#wire();
    const count = config.nodeCount + config.joinerCount;
    for (const index of Array(count).keys()) this.#addNode(index, parts);
  }

  get nodeCount(): number {
    return this.nodes.length;
  }

  nowMs(): number {
    return this.scheduler.nowMs();
  }

  sleep(ms: number): Promise<void> {
    return this.scheduler.sleep(ms);
  }

  async connect(node: number): Promise<Connection> {
    return (this.nodes[node] as SimNode).connect();
  }

  /** Starts all nodes. */
  start(): void {
    for (const node of this.nodes) node.start();
  }

  /** Runs until a virtual instant, or until something went wrong. */
  async runUntil(untilMs: number): Promise<void> {
    if (this.failure === null) await this.scheduler.run(untilMs);
    if (this.failure !== null) throw this.failure;
  }

  /** Runs until `work` has settled and gives its result; not done after `limitMs` is a violation. */
  async drive<T>(work: Promise<T>, limitMs: number, what: string): Promise<T> {
    const end = this.nowMs() + limitMs;
    let outcome: { value: T } | null = null;
    work.then(
      (value) => {
        outcome = { value };
      },
      (error: unknown) => this.fail(error),
    );
    while (outcome === null && this.nowMs() < end) await this.runUntil(this.nowMs() + 50);
    if (outcome === null)
      throw new SimViolation(what, `not within ${limitMs} ms\n    ${describeReplicas(this)}`);
    return (outcome as { value: T }).value;
  }

  /** Runs the world's own asynchronous work; a rejection fails the seed. */
  spawn(work: Promise<unknown>): void {
    work.catch((error: unknown) => this.fail(error));
  }

  fail(error: unknown): void {
    if (this.failure !== null) return;
    this.failure = error;
    this.trace.note('world', `FAILED: ${String(error)}`);
    this.scheduler.stop();
  }

  node(id: NodeId): SimNode | undefined {
    return this.nodes.find((node) => node.id === id);
  }

  /** Replicas that vote in the group of a key, as some node knows them. */
  votersOf(ref: KeyRef): readonly ReplicaId[] {
    const group = (1 + (vshardOf(ref) % this.config.groupCount)) as GroupId;
    for (const { node } of this.nodes) {
      const replica = node?.inspect().find((one) => one.group === group);
      if (replica !== undefined) return replica.config.voters;
    }
    return [];
  }

  /** Nodes that lead a group now, as they themselves see it. */
  leaders(): SimNode[] {
    const found = new Set<SimNode>();
    for (const { node: id, life, view } of this.probe.tracks()) {
      const node = this.node(id);
      if (view.role === 'leader' && node?.isUp === true && node.lifeNumber === life) {
        found.add(node);
      }
    }
    return [...found];
  }

  /** All groups of the cluster: the meta group and the data groups. */
  groups(): GroupId[] {
    return Array.from({ length: this.config.groupCount + 1 }, (_, group) => group as GroupId);
  }

  #addNode(index: number, parts: WorldParts): void {
    const { config, scheduler, network, trace } = this;
    const id = (n: number): NodeId => parseNodeId(`n${n + 1}`) as NodeId;
    const members = Array.from({ length: config.nodeCount }, (_, n) => id(n));
    const join = index >= config.nodeCount;
    const random = seededRandom(config.seed, `wall-${index}`);
    const offsetMs = Math.round((random.next() * 2 - 1) * config.clockOffsetMsMax);
    const nodeConfig: NodeConfig = {
      nodeId: id(index),
      cluster: 'sim',
      initialMembers: join ? [] : members,
      join,
      roles: ['replica', 'gateway'],
      groupCount: config.groupCount,
      retentionMs: config.retentionMs,
      durability: 'quorum-fsync',
      lifecycleDayMs: LIFECYCLE_DAY_MS,
      ...(config.chunkClientCount > 0 ? { scrubPeriodMs: SCRUB_PERIOD_MS } : {}),
      httpUrl: `http://${id(index)}.sim`,
      version: '0.0.0-sim',
    };
    network.addNode(id(index));
    this.nodes.push(
      new SimNode({
        index,
        seed: config.seed,
        config: nodeConfig,
        scheduler,
        network,
        trace,
        machine: parts.machine(this, index),
        wall: new WallClock(scheduler, offsetMs),
        startNode: parts.startNode,
        filterPorts: parts.filterPorts,
        targets: this.targets,
        onChangePublished: (node, group, event) => {
          this.history.published.push({ node, group, event });
        },
      }),
    );
  }

  #wire(): void {
    this.scheduler.onThrow = (error) => this.fail(error);
    this.scheduler.afterEvent = (owner) => {
      if (owner === null || this.failure !== null) return;
      try {
        this.#look(owner);
      } catch (error) {
        this.fail(error);
      }
    };
    const senders = this.#invariants.flatMap(({ onSend }) => onSend ?? []);
    this.network.onSend = (from, to, lane, payload) => {
      try {
        for (const onSend of senders) onSend(from, to, lane, payload);
      } catch (error) {
        this.fail(error);
      }
    };
    this.probe.observe((change) => this.#check(change));
    const committers = this.#invariants.flatMap(({ onCommitted }) => onCommitted ?? []);
    this.committed.observe((group, committed, change) => {
      for (const onCommitted of committers) onCommitted(group, committed, change);
      const known = this.model.changes.length;
      this.model.apply(group, committed, this.nowMs());
      if (this.trace.verbose) this.#traceChanges(group, known);
    });
  }

  #look(owner: Life): void {
    const simNode = this.nodes[owner.ordinal];
    if (simNode?.life !== owner || simNode.node === null) return;
    this.probe.look(simNode.id, simNode.lifeNumber, simNode.node.inspect());
  }

  #check(change: ReplicaChange): void {
    this.committed.note(change);
    for (const onChange of this.#onChange) onChange(change);
    this.aim.onChange(change);
    if (this.trace.verbose) this.#traceChange(change);
  }

  #traceChanges(group: GroupId, from: number): void {
    for (const change of this.model.changes.slice(from)) {
      const { kind, ref, revision } = change;
      this.trace.detail('committed', () => `group ${group}: ${kind} ${ref.key} @${revision}`);
    }
  }

  #traceChange({ node, group, before, after }: ReplicaChange): void {
    if (before?.role === after.role && before.currentTerm === after.currentTerm) return;
    this.trace.detail(node, () => {
      const { role, currentTerm, commitIndex, lastIndex } = after;
      return `group ${group}: ${role} term ${currentTerm}, committed ${commitIndex}, last ${lastIndex}`;
    });
  }
}
