import { DecodeError } from '../protocol/codec.ts';
import type { NodeConfig } from '../protocol/config.ts';
import { decodeEnvelope, type Envelope, type MessageOf } from '../protocol/envelope.ts';
import { LIMITS } from '../protocol/limits.ts';
import type { Formation } from '../protocol/messages/node.ts';
import { randomInt } from '../protocol/random.ts';
import type { Lane } from '../protocol/subjects.ts';
import {
  type GroupId,
  META_GROUP,
  type NodeId,
  nodeOf,
  type ReplicaId,
} from '../protocol/types.ts';
import { loadOrDrawIdentity, type RecoveredNode, recoverNode } from './boot.ts';
import { ClockWatch } from './clock-watch.ts';
import { DiskCare } from './disk-care.ts';
import { Forming, helloPayload, nodeMessage, selfOf } from './formation.ts';
import { IndexBuilder } from './indexer/builder.ts';
import { Checkpointer } from './kit/checkpointer.ts';
import { Periodic } from './kit/periodic.ts';
import type { Identity, Ports } from './kit/ports.ts';
import { PostOffice } from './kit/post-office.ts';
import { TurnLoop } from './kit/turn-loop.ts';
import { LeaseSweeper } from './lease/sweeper.ts';
import { Namesakes } from './namesakes.ts';
import { reportGauges } from './node-metrics.ts';
import type { Node, ReplicaInspection } from './node-port.ts';
import { NodeRouting } from './node-routing.ts';
import { PeerWatch } from './peer-watch.ts';
import { Presence } from './presence.ts';
import { rejected } from './replica/context.ts';
import { ReplicaSet } from './replica-set.ts';
import { dataGroups } from './router/scan.ts';
import { ShardManager } from './shard/manager.ts';

const HELLO_EVERY_MS = 1_000;
const CHECKPOINT_CHECK_MS = 500;
const DISK_CHECK_MS = 240;
const LEADER_CHECK_MS = 100;
const MANAGER_EVERY_MS = 500;
const SWEEP_EVERY_MS = 60;
const HANDOVER_MS = 300;
/** A stop that takes longer than this goes on without what it waits for. */
const STOP_MS = 5_000;

/** Starts a node: resolves when it is formed and recovered. Rejects with DamagedData (boot.ts). */
export async function startNode(config: NodeConfig, ports: Ports): Promise<Node> {
  const identity = await loadOrDrawIdentity(config, ports);
  const node = new RunningNode(config, ports, identity);
  await node.listen();
  const formation = identity.formation ?? (await node.form());
  const recovered = await recoverNode(config, ports, node.identity, formation);
  node.run(recovered, formation);
  return node;
}

/** The actor tree of one process, and the ticker that drives it. */
class RunningNode implements Node {
  readonly #config: NodeConfig;
  readonly #ports: Ports;
  readonly #clockWatch = new ClockWatch();
  readonly #presence = new Presence();
  readonly #peers = new PeerWatch();
  readonly #namesakes: Namesakes;
  /** Drawn at each start: requests to an earlier life of this node are refused. */
  readonly #life: number;
  #identity: Identity;
  #post: PostOffice;
  #forming: Forming | null = null;
  #routing: NodeRouting | null = null;
  #replicas: ReplicaSet | null = null;
  #recovered: RecoveredNode | null = null;
  #loop: TurnLoop | null = null;
  #checkpointer: Checkpointer | null = null;
  #manager: ShardManager | null = null;
  #builder: IndexBuilder | null = null;
  #sweeper: LeaseSweeper | null = null;
  readonly #periodic: Periodic;
  #stopped = false;

  constructor(config: NodeConfig, ports: Ports, identity: Identity) {
    this.#config = config;
    this.#ports = ports;
    this.#identity = identity;
    this.#namesakes = new Namesakes(ports);
    this.#periodic = new Periodic(ports.clock, LIMITS.tickMs);
    this.#life = randomInt(ports.random, 1, 0x7fff_ffff);
    this.#post = new PostOffice(
      ports,
      selfOf(identity),
      identity.formation?.clusterId ?? '',
      this.#life,
    );
  }

  get identity(): Identity {
    return this.#identity;
  }

  get replicaId(): ReplicaId {
    return selfOf(this.#identity);
  }

  get service() {
    if (this.#routing === null) throw new Error('the node has not started');
    return this.#routing.service;
  }

  async listen(): Promise<void> {
    await this.#ports.bus.listen(
      this.#config.nodeId,
      (lane, payload) => this.#onPayload(lane, payload),
      (node) => this.#onAbsent(node),
    );
    this.#namesakes.listening();
  }

  /** Forms or joins a cluster, and writes down with whom before anything else happens. */
  async form(): Promise<Formation> {
    const formation = await new Promise<Formation>((resolve) => {
      const { ports, config } = { ports: this.#ports, config: this.#config };
      this.#forming = new Forming(config, ports, this.#identity, this.#post, resolve);
      this.#forming.start();
    });
    this.#identity = { ...this.#identity, formation };
    await this.#ports.storage.saveIdentity(this.#identity);
    this.#forming = null;
    return formation;
  }

  run(recovered: RecoveredNode, formation: Formation): void {
    const { wal, state } = recovered;
    const ports = this.#ports;
    const fatal = (reason: string, error: unknown) => ports.fatal(reason, error);
    this.#recovered = recovered;
    this.#identity = recovered.identity;
    const { clusterId } = formation;
    this.#post = new PostOffice(ports, this.replicaId, clusterId, this.#life, (to, routed) =>
      this.#routing?.onTooLarge(to, routed),
    );
    this.#loop = new TurnLoop(ports.clock, wal, this.#post, ports.telemetry, fatal);
    this.#replicas = new ReplicaSet({
      ...{ config: this.#config, ports, formation, self: this.replicaId, store: state },
      post: this.#post,
      loop: this.#loop,
      born: () => this.#born(),
      clockTrusted: () =>
        this.#clockWatch.isTrusted(ports.clock.wallMs(), ports.clock.monotonicMs()),
      reach: () => this.#routing,
      onLeader: (group, leader) => this.#routing?.onLeader(group, leader),
      onDoubt: (leader) => this.#probe(leader),
    });
    for (const replica of recovered.replicas) this.#replicas.add(replica);
    const replicas = this.#replicas;
    this.#checkpointer = new Checkpointer(this.#loop, wal, state, () => replicas.all(), fatal);
    this.#loop.add(this.#checkpointer);
    this.#routing = new NodeRouting({
      config: this.#config,
      ports,
      formation,
      replicas,
      post: this.#post,
      loop: this.#loop,
      presence: this.#presence,
      peers: this.#peers,
      life: this.#life,
    });
    const routing = this.#routing;
    this.#manager = new ShardManager({
      calls: routing.calls,
      telemetry: ports.telemetry,
      groupCount: formation.groupCount,
      nowMs: () => ports.clock.monotonicMs(),
      leadsMeta: () => replicas.get(META_GROUP)?.isLeader() ?? false,
      nodes: () => {
        const nowMs = ports.clock.monotonicMs();
        const nodes = this.#presence.list(nowMs);
        return nodes.map((seen) => ({ seen, msAgo: nowMs - seen.seenAtMs }));
      },
      living: () => this.#presence.living(ports.clock.monotonicMs()),
    });
    this.#builder = this.#indexBuilder(routing, replicas);
    const every = this.#periodic.every.bind(this.#periodic);
    every(LIMITS.tickMs, () => this.#tick(replicas));
    every(MANAGER_EVERY_MS, () => this.#manager?.tick());
    every(MANAGER_EVERY_MS, () => this.#builder?.tick());
    this.#sweeper = this.#leaseSweeper(routing, replicas);
    every(SWEEP_EVERY_MS, () => this.#sweeper?.tick());
    every(LEADER_CHECK_MS, () => this.#routing?.watchLeaders());
    const care = new DiskCare(ports, this.#presence, () => replicas.all());
    every(DISK_CHECK_MS, () => care.tick());
    every(CHECKPOINT_CHECK_MS, () => this.#checkpointIfLong());
    every(HELLO_EVERY_MS, () => {
      this.#sayHello();
      reportGauges(ports, replicas.all(), wal, state, this.#clockWatch, this.#presence);
    });
    this.#periodic.start();
    this.#sayHello();
    this.#routing.start();
  }

  #leaseSweeper(routing: NodeRouting, replicas: ReplicaSet): LeaseSweeper {
    return new LeaseSweeper({
      ...{ calls: routing.calls, telemetry: this.#ports.telemetry },
      dataGroups: () => dataGroups(routing.map()),
      ended: () => replicas.all().map(({ group, leases }) => ({ group, leases: leases.ended() })),
    });
  }

  #indexBuilder(routing: NodeRouting, replicas: ReplicaSet): IndexBuilder {
    const { telemetry, clock } = this.#ports;
    const builder = new IndexBuilder({
      ...{ calls: routing.calls, telemetry, clock },
      groups: () => dataGroups(routing.map()),
      leadsMeta: () => replicas.get(META_GROUP)?.isLeader() ?? false,
    });
    routing.onIndexesChanged = () => builder.changed();
    return builder;
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    await this.handOver();
    this.#stopped = true;
    this.#periodic.stop();
    this.#forming?.stop();
    this.#manager?.stop();
    this.#builder?.stop();
    this.#sweeper?.stop();
    this.#routing?.stop();
    this.#replicas?.stop();
    this.#loop?.stop();
    const { clock, bus } = this.#ports;
    const late = new Promise<void>((resolve) => clock.after(STOP_MS, resolve));
    await Promise.race([bus.drain(), late]);
    if (this.#recovered !== null) {
      const { wal, state } = this.#recovered;
      // Without room there is nothing to flush to; the log has it all.
      if (!this.#ports.storage.health.refusesWrites()) await state.flush();
      await state.close();
      await wal.close();
    }
  }

  /** A joiner gets its first replica: from now on an empty log means that it was lost. */
  async #born(): Promise<void> {
    if (this.#identity.born) return;
    this.#identity = { ...this.#identity, born: true };
    await this.#ports.storage.saveIdentity(this.#identity);
  }

  inspect(): readonly ReplicaInspection[] {
    return this.#replicas?.inspections() ?? [];
  }

  /** Leaders with other voters pass on, so that a planned stop costs no election timeout. */
  async handOver(): Promise<void> {
    const leading = (this.#replicas?.all() ?? []).filter(
      (replica) => replica.isLeader() && replica.raft.log.config.voters.length > 1,
    );
    if (leading.length === 0) return;
    for (const replica of leading) replica.command({ type: 'TransferLeader', to: null });
    const { clock } = this.#ports;
    await new Promise<void>((resolve) => {
      const endMs = clock.monotonicMs() + HANDOVER_MS;
      const check = () => {
        const done = leading.every((replica) => !replica.isLeader());
        if (done || clock.monotonicMs() >= endMs) resolve();
        else clock.after(LIMITS.tickMs, check);
      };
      check();
    });
  }

  #onPayload(lane: Lane | 'hello', payload: Uint8Array): void {
    let envelope: Envelope;
    try {
      envelope = decodeEnvelope(payload);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.#ports.telemetry.count('envelopes_refused', 1, { reason: 'undecodable' });
      return;
    }
    const { from, to } = envelope;
    if (lane === 'hello') return this.#onHello(envelope);
    if (from === this.replicaId) return;
    if (this.#stopped) return this.#refuse(envelope);
    const clusterId = this.#identity.formation?.clusterId ?? '';
    if (to !== this.#config.nodeId || (clusterId !== '' && envelope.clusterId !== clusterId)) {
      this.#ports.telemetry.count('envelopes_refused', 1, { reason: 'misaddressed' });
      return;
    }
    const nowMs = this.#ports.clock.monotonicMs();
    this.#clockWatch.note(nodeOf(from), envelope.wallMs, nowMs);
    this.#peers.heard(nodeOf(from), nowMs);
    this.#routing?.noteLife(nodeOf(from), envelope.life);
    for (const routed of envelope.messages) {
      const { message } = routed;
      if (message.type === 'Form') this.#forming?.onForm(message.formation);
      else if (message.type === 'Reply') {
        this.#routing?.onReply(message.requestId, message.body);
      } else if (message.type === 'Request') this.#onRequest(envelope, routed.group, message);
      else if (message.type !== 'Hello') this.#replicas?.onMessage(from, routed);
    }
  }

  #tick(replicas: ReplicaSet): void {
    if (this.#stopped) return;
    replicas.tick();
    const nowMs = this.#ports.clock.monotonicMs();
    for (const node of replicas.leaderNodes()) {
      if (this.#peers.isSilent(node, nowMs)) this.#probe(node);
    }
  }

  /** Sends a node something only so that the bus can say whether it has gone. */
  #probe(node: NodeId | null): void {
    if (node === null || node === this.#config.nodeId || this.#peers.isAbsent(node)) return;
    this.#ports.bus.send(node, 'raft', this.#post.encode(node, []));
  }

  #onAbsent(node: NodeId): void {
    if (this.#stopped || node === this.#config.nodeId || !this.#peers.missed(node)) return;
    this.#ports.telemetry.log('info', 'a node has left', { peer: node });
    this.#replicas?.nodeGone(node);
    this.#routing?.nodeGone(node);
  }

  /** What still arrives while the bus is being drained: another node leads now. */
  #refuse({ from, messages }: Envelope): void {
    for (const { group, message } of messages) {
      if (message.type !== 'Request') continue;
      const body = rejected('not_leader', 'this node is stopping');
      const reply = { type: 'Reply' as const, requestId: message.requestId, body };
      this.#post.post(nodeOf(from), 'request', { group, to: '', message: reply }, 128);
    }
    this.#post.flush();
  }

  #onHello(envelope: Envelope): void {
    const hello = envelope.messages[0]?.message;
    if (hello?.type !== 'Hello' || this.#stopped) return;
    if (nodeOf(envelope.from) === this.#config.nodeId) {
      const own = { self: this.replicaId, life: this.#life, httpUrl: this.#config.httpUrl };
      const isVoter = this.#replicas?.isVoter() ?? false;
      return this.#namesakes.heard(envelope, hello, { ...own, isVoter });
    }
    const { formation } = this.#identity;
    if (formation === null) return this.#forming?.onHello(envelope.from, hello);
    if (hello.clusterId === formation.clusterId) {
      const nowMs = this.#ports.clock.monotonicMs();
      const other = this.#presence.note(envelope.from, hello, nowMs);
      if (other !== null) this.#namesakes.between(envelope.from, other);
      this.#peers.heard(nodeOf(envelope.from), nowMs);
      this.#routing?.noteLife(nodeOf(envelope.from), envelope.life);
    } else if (hello.clusterId === '') {
      if (this.#presence.isTaken(envelope.from, this.#ports.clock.monotonicMs())) return;
      const form = nodeMessage({ type: 'Form', formation });
      this.#post.post(nodeOf(envelope.from), 'request', form, 2048);
      this.#post.flush();
    }
  }

  #onRequest(envelope: Envelope, group: GroupId, request: MessageOf<'Request'>): void {
    this.#routing?.onRequest(nodeOf(envelope.from), envelope.life, group, request);
  }

  #sayHello(): void {
    const clusterId = this.#identity.formation?.clusterId ?? '';
    const { clock, bus } = this.#ports;
    const disk = this.#ports.storage.health.trouble() ?? 'ok';
    const payload = helloPayload(this.#config, this.#identity, clusterId, this.#post, disk);
    bus.broadcast(payload);
    const hello = decodeEnvelope(payload).messages[0]?.message;
    if (hello?.type === 'Hello') this.#presence.note(this.replicaId, hello, clock.monotonicMs());
  }

  #checkpointIfLong(): void {
    if (this.#checkpointer?.isDue()) void this.#checkpointer.run();
  }
}
