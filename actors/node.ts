import { DecodeError } from '../protocol/codec.ts';
import type { NodeConfig } from '../protocol/config.ts';
import { decodeEnvelope, type Envelope, type MessageOf } from '../protocol/envelope.ts';
import { LIMITS } from '../protocol/limits.ts';
import type { Formation } from '../protocol/messages/node.ts';
import { randomInt } from '../protocol/random.ts';
import type { Lane } from '../protocol/subjects.ts';
import { type GroupId, type NodeId, nodeOf, type ReplicaId } from '../protocol/types.ts';
import type { Identity } from '../storage/ports.ts';
import { ActorTree } from './actor-tree.ts';
import { isBlob } from './blob/node-blobs.ts';
import { loadOrDrawIdentity, type RecoveredNode, recoverNode } from './boot.ts';
import { ClockWatch } from './clock-watch.ts';
import { Forming, helloPayload, nodeMessage, selfOf } from './formation.ts';
import { Periodic } from './kit/periodic.ts';
import type { Ports } from './kit/ports.ts';
import { PostOffice } from './kit/post-office.ts';
import { Namesakes } from './namesakes.ts';
import type { Node, ReplicaInspection } from './node-port.ts';
import { PeerWatch } from './peer-watch.ts';
import { Presence } from './presence.ts';
import { rejected } from './replica/context.ts';

const HELLO_EVERY_MS = 1_000;
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

/** One process: it listens, forms or joins a cluster, runs the actors, and tells others that it lives. */
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
  /** Null until it is formed and recovered. */
  #tree: ActorTree | null = null;
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
    if (this.#tree === null) throw new Error('the node has not started');
    return this.#tree.routing.service;
  }

  get data() {
    if (this.#tree === null) throw new Error('the node has not started');
    return this.#tree.blob.data;
  }

  get chunks() {
    if (this.#tree === null) throw new Error('the node has not started');
    return this.#tree.blob.keeper;
  }

  get objects() {
    if (this.#tree === null) throw new Error('the node has not started');
    return this.#tree.objects;
  }

  get demands() {
    if (this.#tree === null) throw new Error('the node has not started');
    return this.#tree.demands;
  }

  get quotas() {
    if (this.#tree === null) throw new Error('the node has not started');
    return this.#tree.quotas;
  }

  get usage() {
    if (this.#tree === null) throw new Error('the node has not started');
    return this.#tree.usage;
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
    this.#identity = recovered.identity;
    const tree = new ActorTree({
      ...{ config: this.#config, ports: this.#ports, formation, recovered, self: this.replicaId },
      ...{ life: this.#life, presence: this.#presence, peers: this.#peers },
      clockWatch: this.#clockWatch,
      born: () => this.#born(),
    });
    this.#tree = tree;
    this.#post = tree.post;
    tree.start(this.#periodic);
    this.#periodic.every(HELLO_EVERY_MS, () => {
      this.#sayHello();
      tree.reportGauges();
    });
    this.#periodic.start();
    this.#sayHello();
    tree.routing.start();
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    await this.handOver();
    this.#stopped = true;
    this.#periodic.stop();
    this.#forming?.stop();
    this.#tree?.stop();
    const { clock, bus } = this.#ports;
    const late = new Promise<void>((resolve) => clock.after(STOP_MS, resolve));
    await Promise.race([bus.drain(), late]);
    await this.#tree?.close();
  }

  /** A joiner gets its first replica: from now on an empty log means that it was lost. */
  async #born(): Promise<void> {
    if (this.#identity.born) return;
    this.#identity = { ...this.#identity, born: true };
    await this.#ports.storage.saveIdentity(this.#identity);
  }

  inspect(): readonly ReplicaInspection[] {
    return this.#tree?.replicas.inspections() ?? [];
  }

  transfers() {
    return this.#tree?.blob.transfers() ?? { receiving: 0, serving: 0, own: 0 };
  }

  async handOver(): Promise<void> {
    await this.#tree?.handOver();
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
    this.#tree?.routing.noteLife(nodeOf(from), envelope.life);
    for (const routed of envelope.messages) {
      const { message } = routed;
      if (message.type === 'Form') this.#forming?.onForm(message.formation);
      else if (message.type === 'Reply') {
        this.#tree?.routing.onReply(message.requestId, message.body);
      } else if (message.type === 'Request') this.#onRequest(envelope, routed.group, message);
      else if (isBlob(message)) this.#tree?.blob.onMessage(from, message);
      else if (message.type === 'Demands') {
        this.#tree?.demands.onMessage(nodeOf(from), envelope.life, message);
      } else if (message.type !== 'Hello') this.#tree?.replicas.onMessage(from, routed);
    }
  }

  #onAbsent(node: NodeId): void {
    if (this.#stopped || node === this.#config.nodeId || !this.#peers.missed(node)) return;
    this.#ports.telemetry.log('info', 'a node has left', { peer: node });
    this.#tree?.nodeGone(node);
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
      const isVoter = this.#tree?.replicas.isVoter() ?? false;
      return this.#namesakes.heard(envelope, hello, { ...own, isVoter });
    }
    const { formation } = this.#identity;
    if (formation === null) return this.#forming?.onHello(envelope.from, hello);
    if (hello.clusterId === formation.clusterId) {
      const nowMs = this.#ports.clock.monotonicMs();
      const other = this.#presence.note(envelope.from, hello, nowMs);
      if (other !== null) this.#namesakes.between(envelope.from, other);
      this.#peers.heard(nodeOf(envelope.from), nowMs);
      this.#tree?.routing.noteLife(nodeOf(envelope.from), envelope.life);
    } else if (hello.clusterId === '') {
      if (this.#presence.isTaken(envelope.from, this.#ports.clock.monotonicMs())) return;
      const form = nodeMessage({ type: 'Form', formation });
      this.#post.post(nodeOf(envelope.from), 'request', form, 2048);
      this.#post.flush();
    }
  }

  #onRequest(envelope: Envelope, group: GroupId, request: MessageOf<'Request'>): void {
    this.#tree?.routing.onRequest(nodeOf(envelope.from), envelope.life, group, request);
  }

  #sayHello(): void {
    const clusterId = this.#identity.formation?.clusterId ?? '';
    const { clock, bus } = this.#ports;
    const disk = this.#ports.storage.health.trouble() ?? 'ok';
    const chunks = this.#tree?.blob.held() ?? null;
    const payload = helloPayload(this.#config, this.#identity, clusterId, this.#post, {
      disk,
      chunks,
    });
    bus.broadcast(payload);
    const hello = decodeEnvelope(payload).messages[0]?.message;
    if (hello?.type === 'Hello') this.#presence.note(this.replicaId, hello, clock.monotonicMs());
  }
}
