import type { NodeConfig } from '../protocol/config.ts';
import type { MessageOf, Routed } from '../protocol/envelope.ts';
import { LIMITS } from '../protocol/limits.ts';
import type { GroupConfig } from '../protocol/membership.ts';
import type { Formation } from '../protocol/messages/node.ts';
import type { ReplyBody } from '../protocol/messages/request.ts';
import { randomInt } from '../protocol/random.ts';
import { revisionAtWallMs } from '../protocol/revision.ts';
import type {
  NodeStatus,
  ReadAnswer,
  RequestContext,
  Watch,
  WatchOptions,
} from '../protocol/service.ts';
import { type GroupId, META_GROUP, type NodeId, nodeOf, type Revision } from '../protocol/types.ts';
import type { KeyRef } from '../protocol/vshard.ts';
import { FeedHub } from './feed/hub.ts';
import type { Ports } from './kit/ports.ts';
import type { PostOffice } from './kit/post-office.ts';
import type { TurnLoop } from './kit/turn-loop.ts';
import { statusOfNode } from './node-status.ts';
import type { PeerWatch } from './peer-watch.ts';
import type { Presence } from './presence.ts';
import { QuotaRounds } from './quota/rounds.ts';
import { messageBytes } from './replica/message-bytes.ts';
import type { ReplicaSet } from './replica-set.ts';
import { Calls, isWrite, type OutgoingRequest, type Reach } from './router/calls.ts';
import { RoutedKvService, type ServiceHost } from './router/kv-service.ts';
import { insteadOf, requestTooLarge } from './router/oversize.ts';
import { PendingRequests } from './router/pending.ts';
import { RecentRequests } from './router/recent-requests.ts';
import { dataGroups } from './router/scan.ts';
import {
  foundingNodes,
  initialShardMap,
  parseShardMap,
  type ShardMap,
} from './router/shard-map.ts';

/** A hint from a reply is believed before the own replica's view for this long. */
const HINT_FRESH_MS = 500;
const MAP_READ_MS = 5_000;
/** Looks at a new leader before requests to the old one are given up, which may still answer. */
const LEADER_SETTLED = 2;
/** A leader that was silent for so long when it was replaced answers nothing more. */
const SILENT_MS = LIMITS.heartbeatMs * 3;

export interface RoutingParts {
  readonly config: NodeConfig;
  readonly ports: Ports;
  readonly formation: Formation;
  readonly replicas: ReplicaSet;
  readonly post: PostOffice;
  readonly loop: TurnLoop;
  readonly presence: Presence;
  readonly peers: PeerWatch;
  /** This life of this node. */
  readonly life: number;
}

/** A node's way to every group: where leaders are, what is asked, and the store as edges see it. */
export class NodeRouting implements Reach, ServiceHost {
  readonly nodeId: NodeId;
  readonly service: RoutedKvService;
  readonly quotas: QuotaRounds;
  readonly clock;
  readonly random;
  readonly #parts: RoutingParts;
  readonly #pending: PendingRequests;
  readonly #calls: Calls;
  readonly #hub: FeedHub;
  readonly #hints = new Map<GroupId, { node: NodeId; atMs: number }>();
  readonly #recent = new RecentRequests();
  readonly #leaders = new Map<GroupId, { leader: NodeId; seen: number }>();
  readonly #lives = new Map<NodeId, number>();
  /** Highest revision that this node has seen in an answer. */
  #clock: Revision = 0;
  readonly #startMs: number;
  #map: ShardMap;
  /** Told when the catalog of indexes has changed through this node. */
  onIndexesChanged: () => void = () => {};
  /** Notifications of the groups that are led here. */
  backlogs: () => NodeStatus['notifications'] = () => [];

  constructor(parts: RoutingParts) {
    const { ports, config, formation } = parts;
    this.#parts = parts;
    this.nodeId = config.nodeId;
    this.clock = ports.clock;
    this.random = ports.random;
    this.#startMs = ports.clock.monotonicMs();
    this.#map = initialShardMap(formation.groupCount);
    const firstId = randomInt(ports.random, 1, 0x7fff_ffff) * 0x10_0000;
    this.#pending = new PendingRequests(ports.clock, firstId);
    this.#calls = new Calls(ports.clock, this, this.#pending, ports.telemetry);
    this.#hub = new FeedHub(ports.clock, this.#calls, ports.telemetry, () => this.#map);
    const groups = () => dataGroups(this.#map);
    const { clock, random } = ports;
    this.quotas = new QuotaRounds({ calls: this.#calls, clock, random, groups });
    this.service = new RoutedKvService(this.#calls, this, `${config.nodeId}.${parts.life}`);
  }

  get calls(): Calls {
    return this.#calls;
  }

  start(): void {
    // The map in the meta group may be newer than the founders' one; until it is read that serves.
    this.refreshMap(0, MAP_READ_MS).catch(() =>
      this.#parts.ports.telemetry.count('request_retries'),
    );
  }

  stop(): void {
    this.#hub.stop();
    this.service.identities.stop();
  }

  /** Called now and then: requests to a leader that has been replaced for a while are given up. */
  watchLeaders(): void {
    for (const replica of this.#parts.replicas.all()) {
      const leader = replica.leaderNode();
      if (leader === null) continue;
      const known = this.#leaders.get(replica.group);
      if (known?.leader !== leader) this.#leaders.set(replica.group, { leader, seen: 0 });
      else if (known.seen < LEADER_SETTLED && ++known.seen === LEADER_SETTLED) {
        this.#pending.leaderChanged(replica.group, leader, () => true);
      }
    }
  }

  /** A replica here knows another leader. */
  onLeader(group: GroupId, leader: NodeId): void {
    const { peers } = this.#parts;
    const nowMs = this.clock.monotonicMs();
    this.#hints.delete(group);
    this.#pending.leaderChanged(group, leader, (node) => {
      return node !== this.nodeId && peers.silentMs(node, nowMs) > SILENT_MS;
    });
    this.#calls.leaderKnown(group);
  }

  /** The bus says that nobody listens for the node: whoever waits for it learns that at once. */
  nodeGone(node: NodeId): void {
    this.#pending.nodeGone(node);
  }

  /** Which life of a node speaks now: requests go to that one only. */
  noteLife(node: NodeId, life: number): void {
    const before = this.#lives.get(node);
    if (before === life) return;
    this.#lives.set(node, life);
    if (before !== undefined) this.#pending.nodeGone(node);
  }

  onReply(requestId: number, body: ReplyBody): void {
    this.#noteClock(clockOf(body));
    if (!this.#pending.reply(requestId, body)) this.#parts.ports.telemetry.count('replies_late');
  }

  /**
   * A message of this node that cannot be sent. Whoever asked learns at once that a request did not leave,
   * or that there is an answer which no message can hold.
   */
  onTooLarge(to: NodeId, { group, message }: Routed): void {
    if (message.type === 'Request') {
      this.onReply(message.requestId, requestTooLarge());
    } else if (message.type === 'Reply') {
      this.#reply(to, group, message.requestId, insteadOf(message.body));
    }
  }

  #reply(to: NodeId, group: GroupId, requestId: number, body: ReplyBody): void {
    const { post, loop } = this.#parts;
    const reply = { type: 'Reply' as const, requestId, body };
    post.post(to, 'request', { group, to: '', message: reply }, messageBytes(reply));
    loop.mail();
  }

  /**
   * A request from another node, for a replica here. One that was meant for an earlier life of this
   * node was perhaps executed by it: it is not executed again, and nothing is said about it.
   */
  onRequest(from: NodeId, life: number, group: GroupId, request: MessageOf<'Request'>): void {
    const { ports } = this.#parts;
    if (request.life !== this.#parts.life) {
      ports.telemetry.count('envelopes_refused', 1, { reason: 'another life' });
      return;
    }
    if (isWrite(request.body) && this.#recent.isRepeat(from, life, request.requestId)) {
      ports.telemetry.count('requests_repeated');
      return;
    }
    this.#parts.replicas.onRequest(group, request, messageBytes(request), (body) =>
      this.#reply(from, group, request.requestId, body),
    );
  }

  /** What this node has seen comes before what it asks for from now on, in any group. */
  #noteClock(clock: Revision): void {
    const ahead = revisionAtWallMs(this.clock.wallMs() + LIMITS.clockOffsetMsMax);
    if (clock > this.#clock && clock <= ahead) this.#clock = clock;
  }

  // Reach.

  leaderOf(group: GroupId): NodeId | null {
    const { peers, replicas } = this.#parts;
    const hint = this.#hints.get(group);
    const hinted = hint === undefined || peers.isAbsent(hint.node) ? null : hint.node;
    if (hint !== undefined && this.clock.monotonicMs() - hint.atMs < HINT_FRESH_MS) {
      if (hinted !== null) return hinted;
    }
    const known = replicas.get(group)?.leaderNode() ?? null;
    return known === null || peers.isAbsent(known) ? hinted : known;
  }

  noteLeader(group: GroupId, leader: NodeId | null): void {
    if (leader === null) this.#hints.delete(group);
    else this.#hints.set(group, { node: leader, atMs: this.clock.monotonicMs() });
  }

  isLocal(group: GroupId): boolean {
    return this.#parts.replicas.get(group) !== null;
  }

  candidates(group: GroupId): readonly NodeId[] {
    const config = this.members(group);
    const nodes =
      config === null || config.voters.length === 0
        ? foundingNodes(this.#parts.formation)
        : config.voters.map(nodeOf);
    return nodes.filter((node) => node !== this.nodeId);
  }

  send(node: NodeId, group: GroupId, outgoing: OutgoingRequest): boolean {
    const { requestId, deadlineMs, traceparent, body } = outgoing;
    const life = node === this.nodeId ? this.#parts.life : this.#lives.get(node);
    // A node that was never heard cannot be asked: the request could reach a later life of it.
    if (life === undefined) return false;
    const request = {
      type: 'Request' as const,
      requestId,
      life,
      clock: this.#clock,
      deadlineMs,
      traceparent,
      body,
    };
    const bytes = messageBytes(request);
    const { replicas, post, loop, ports, peers } = this.#parts;
    if (node === this.nodeId) {
      replicas.onRequest(group, request, bytes, (reply) => this.onReply(requestId, reply));
      return true;
    }
    if (ports.bus.state() !== 'connected' || peers.isAbsent(node)) return false;
    post.post(node, 'request', { group, to: '', message: request }, bytes);
    loop.mail();
    return true;
  }

  // ServiceHost.

  map(): ShardMap {
    return this.#map;
  }

  indexesChanged(): void {
    this.onIndexesChanged();
  }

  async refreshMap(epoch: number, deadlineMs: number): Promise<void> {
    const reply = await this.#calls.call(
      META_GROUP,
      { type: 'MetaRead', prefix: 'shard-map', stale: false },
      'MetaRows',
      { deadlineMs, traceparent: null, target: 'leader', repeatable: true },
    );
    const row = reply.rows.find((candidate) => candidate.name === 'shard-map');
    const map = row === undefined ? null : parseShardMap(row.json);
    if (map !== null && map.epoch > this.#map.epoch) this.#map = map;
    if (this.#map.epoch < epoch) {
      // A group knows of a newer map than the meta group has told us: give it a moment.
      await new Promise<void>((resolve) => this.clock.after(50, resolve));
    }
  }

  readNow(
    group: GroupId,
    ref: KeyRef,
    traceparent: string | null,
    mayBlock: boolean,
  ): ReadAnswer | null {
    const { replicas, ports } = this.#parts;
    if (traceparent !== null && ports.telemetry.tracing) return null;
    const answer = replicas.readNow(group, ref, mayBlock);
    if (answer !== null) this.#noteClock(answer.clock);
    return answer;
  }

  warm(group: GroupId, ref: KeyRef, deadlineMs: number): Promise<boolean> | null {
    let settle: (isWarm: boolean) => void = () => {};
    if (!this.#parts.replicas.warm(group, ref, () => settle(true))) return null;
    return new Promise((resolve) => {
      const cancel = this.clock.after(deadlineMs, () => resolve(false));
      settle = (isWarm) => {
        cancel();
        resolve(isWarm);
      };
    });
  }

  watch(ctx: RequestContext, options: WatchOptions): Promise<Watch> {
    return this.#hub.watch(ctx, options);
  }

  members(group: GroupId): GroupConfig | null {
    return this.#parts.replicas.get(group)?.raft.log.config ?? null;
  }

  status(): NodeStatus {
    const leaderOf = this.leaderOf.bind(this);
    return statusOfNode(this.#parts, this.#map, leaderOf, this.backlogs(), this.#startMs);
  }
}

/** The revision an answer shows. */
function clockOf(body: ReplyBody): Revision {
  if ('clock' in body) return body.clock;
  if ('closed' in body) return body.closed;
  // Promises about leases that did not reach so far: the next ones do, by a clock that knows of it.
  if (body.type === 'Rejected') return body.code === 'conflict' ? body.hint : 0;
  return body.type === 'Done' ? body.revision : 0;
}
