import type { NodeConfig } from '../protocol/config.ts';
import { DAY_MS } from '../protocol/lifecycle.ts';
import { LIMITS } from '../protocol/limits.ts';
import type { Formation } from '../protocol/messages/node.ts';
import { META_GROUP, type NodeId, type ReplicaId } from '../protocol/types.ts';
import { usageOf } from './apply/usage.ts';
import { closeAll, keptGroup, lookAt } from './blob/kept-groups.ts';
import { NodeBlobs } from './blob/node-blobs.ts';
import type { RecoveredNode } from './boot.ts';
import type { ClockWatch } from './clock-watch.ts';
import { NodeDemands } from './demands.ts';
import { DiskCare } from './disk-care.ts';
import { IndexBuilder } from './indexer/builder.ts';
import { Checkpointer } from './kit/checkpointer.ts';
import type { Periodic } from './kit/periodic.ts';
import type { Ports } from './kit/ports.ts';
import { PostOffice } from './kit/post-office.ts';
import { TurnLoop } from './kit/turn-loop.ts';
import { LeaseSweeper } from './lease/sweeper.ts';
import { LifecycleKeeper } from './lifecycle/keeper.ts';
import { lifecycleGroup } from './lifecycle/led-group.ts';
import { reportGauges } from './node-metrics.ts';
import { NodeRouting } from './node-routing.ts';
import { NotifyKeeper } from './notify/keeper.ts';
import { notifyGroup } from './notify/led-group.ts';
import type { PeerWatch } from './peer-watch.ts';
import type { Presence } from './presence.ts';
import { QuotaKeeper } from './quota/keeper.ts';
import { quotaGroup } from './quota/led-group.ts';
import { RoutedQuotas } from './quota/quotas.ts';
import { ReplicaSet } from './replica-set.ts';
import { BucketKeeper } from './router/bucket-keeper.ts';
import { RoutedObjects } from './router/objects.ts';
import { dataGroups } from './router/scan.ts';
import { foundingReplicas, groupOf } from './router/shard-map.ts';
import { RoutedUsage } from './router/usage.ts';
import { ShardManager } from './shard/manager.ts';
import { UsageGauges } from './usage-gauges.ts';

const CHECKPOINT_CHECK_MS = 500;
const DISK_CHECK_MS = 240;
const LEADER_CHECK_MS = 100;
const MANAGER_EVERY_MS = 500;
const SWEEP_EVERY_MS = 60;
const BLOB_EVERY_MS = 100;
/** The pace of its steps. */
const LIFECYCLE_EVERY_MS = 100;
/** How soon it is seen that there is something to send. */
const NOTIFY_EVERY_MS = 40;
/** How soon a share of a quota is seen that wants to be counted. */
const QUOTA_EVERY_MS = 50;
const HANDOVER_MS = 300;
/** Bytes of chunks that are read again per second, at least and at most. */
const SCRUB_RATES = { bytesPerSecondMin: 1024 * 1024, bytesPerSecondMax: 64 * 1024 * 1024 };

export interface TreeParts {
  readonly config: NodeConfig;
  readonly ports: Ports;
  readonly formation: Formation;
  readonly recovered: RecoveredNode;
  readonly self: ReplicaId;
  /** This life of this node. */
  readonly life: number;
  readonly presence: Presence;
  readonly peers: PeerWatch;
  readonly clockWatch: ClockWatch;
  /** Writes down that this node has a log now; at once when it did so before. */
  born(): Promise<void>;
}

/** What runs on a node that is formed: its replicas, the way to all groups, and the actors beside them. */
export class ActorTree {
  readonly post: PostOffice;
  readonly replicas: ReplicaSet;
  readonly routing: NodeRouting;
  readonly objects: RoutedObjects;
  readonly usage: RoutedUsage;
  readonly quotas: RoutedQuotas;
  readonly blob: NodeBlobs;
  readonly demands: NodeDemands;
  readonly #parts: TreeParts;
  readonly #loop: TurnLoop;
  readonly #checkpointer: Checkpointer;
  readonly #manager: ShardManager;
  readonly #builder: IndexBuilder;
  readonly #sweeper: LeaseSweeper;
  readonly #buckets: BucketKeeper;
  readonly #lifecycle: LifecycleKeeper;
  readonly #notify: NotifyKeeper;
  readonly #usageGauges: UsageGauges;
  readonly #quotaKeeper: QuotaKeeper;
  #stopped = false;

  constructor(parts: TreeParts) {
    const { config, ports, formation, recovered, self, life, presence, peers, clockWatch } = parts;
    const { wal, state } = recovered;
    const { clock, telemetry } = ports;
    const fatal = (reason: string, error: unknown) => ports.fatal(reason, error);
    this.#parts = parts;
    this.post = new PostOffice(ports, self, formation.clusterId, life, (to, routed) =>
      this.routing.onTooLarge(to, routed),
    );
    this.#loop = new TurnLoop(clock, wal, this.post, telemetry, fatal);
    this.replicas = new ReplicaSet({
      ...{ config, ports, formation, self, store: state, post: this.post, loop: this.#loop },
      born: () => parts.born(),
      clockTrusted: () => clockWatch.isTrusted(clock.wallMs(), clock.monotonicMs()),
      reach: () => this.routing,
      onLeader: (group, leader) => this.routing.onLeader(group, leader),
      onDoubt: (leader) => this.#probe(leader),
    });
    for (const replica of recovered.replicas) this.replicas.add(replica);
    const all = () => this.replicas.all();
    this.#checkpointer = new Checkpointer(this.#loop, wal, state, all, fatal);
    this.#loop.add(this.#checkpointer);
    this.routing = new NodeRouting({
      config,
      ports,
      formation,
      replicas: this.replicas,
      post: this.post,
      loop: this.#loop,
      presence,
      peers,
      life,
    });
    this.blob = this.#nodeBlobs();
    const { nodeId } = config;
    this.demands = new NodeDemands({ ports, post: this.post, presence, peers, nodeId });
    const { calls, service } = this.routing;
    this.objects = new RoutedObjects(calls, this.routing, service.snapshots, this.blob.data);
    this.usage = new RoutedUsage(calls, this.routing, (group) => {
      const state = this.replicas.get(group)?.state;
      return state === undefined ? null : usageOf(state.usage.whole);
    });
    this.quotas = new RoutedQuotas(calls, this.routing.quotas, clock);
    const { buckets } = this.objects;
    this.#buckets = new BucketKeeper({ buckets, telemetry, leadsMeta: () => this.#leadsMeta() });
    this.#manager = this.#shardManager();
    this.#builder = this.#indexBuilder();
    this.#sweeper = this.#leaseSweeper();
    this.#lifecycle = this.#lifecycleKeeper();
    this.#notify = this.#notifyKeeper();
    this.#usageGauges = new UsageGauges(telemetry);
    this.#quotaKeeper = new QuotaKeeper({
      ...{ quotas: this.quotas, telemetry, leadsMeta: () => this.#leadsMeta() },
      groups: () => this.#dataReplicas().map(quotaGroup),
    });
  }

  /** Begins to work; `periodic` drives it from then on. */
  start(periodic: Periodic): void {
    const { ports, presence } = this.#parts;
    const care = new DiskCare(ports, presence, () => this.replicas.all());
    periodic.every(LIMITS.tickMs, () => this.#tick());
    periodic.every(MANAGER_EVERY_MS, () => this.#manager.tick());
    periodic.every(MANAGER_EVERY_MS, () => this.#builder.tick());
    periodic.every(MANAGER_EVERY_MS, () => this.#buckets.tick());
    periodic.every(SWEEP_EVERY_MS, () => this.#sweeper.tick());
    periodic.every(BLOB_EVERY_MS, () => this.blob.tick());
    periodic.every(LIFECYCLE_EVERY_MS, () => this.#lifecycle.tick());
    periodic.every(QUOTA_EVERY_MS, () => this.#quotaKeeper.tick());
    periodic.every(NOTIFY_EVERY_MS, () => this.#notify.tick());
    periodic.every(LEADER_CHECK_MS, () => this.routing.watchLeaders());
    periodic.every(DISK_CHECK_MS, () => care.tick());
    periodic.every(CHECKPOINT_CHECK_MS, () => {
      if (this.#checkpointer.isDue()) void this.#checkpointer.run();
    });
  }

  reportGauges(): void {
    const { ports, recovered, clockWatch, presence } = this.#parts;
    const { wal, state } = recovered;
    reportGauges(ports, this.replicas.all(), wal, state, clockWatch, presence);
    this.#notify.reportGauges();
    this.#usageGauges.tick(this.replicas.all(), ports.clock.monotonicMs(), (error) =>
      ports.fatal('the applied state could not be read', error),
    );
  }

  /** The bus says that nobody listens for the node. */
  nodeGone(node: NodeId): void {
    this.replicas.nodeGone(node);
    this.routing.nodeGone(node);
    this.blob.nodeGone(node);
  }

  /** Leaders with other voters pass on, so that a planned stop costs no election timeout. */
  async handOver(): Promise<void> {
    const leading = this.replicas
      .all()
      .filter((replica) => replica.isLeader() && replica.raft.log.config.voters.length > 1);
    if (leading.length === 0) return;
    for (const replica of leading) replica.command({ type: 'TransferLeader', to: null });
    const { clock } = this.#parts.ports;
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

  stop(): void {
    this.#stopped = true;
    this.#manager.stop();
    this.#builder.stop();
    this.#sweeper.stop();
    this.#lifecycle.stop();
    this.#notify.stop();
    this.#quotaKeeper.stop();
    this.blob.stop();
    this.#buckets.stop();
    this.routing.stop();
    this.replicas.stop();
    this.#loop.stop();
  }

  /** Closes storage, after `stop`. */
  async close(): Promise<void> {
    const { wal, state } = this.#parts.recovered;
    // Without room there is nothing to flush to; the log has it all.
    if (!this.#parts.ports.storage.health.refusesWrites()) await state.flush();
    await state.close();
    await wal.close();
  }

  #tick(): void {
    if (this.#stopped) return;
    this.replicas.tick();
    const { peers, ports } = this.#parts;
    const nowMs = ports.clock.monotonicMs();
    for (const node of this.replicas.leaderNodes()) {
      if (peers.isSilent(node, nowMs)) this.#probe(node);
    }
  }

  /** Sends a node something only so that the bus can say whether it has gone. */
  #probe(node: NodeId | null): void {
    const { config, peers, ports } = this.#parts;
    if (node === null || node === config.nodeId || peers.isAbsent(node)) return;
    ports.bus.send(node, 'raft', this.post.encode(node, []));
  }

  #dataReplicas() {
    return this.replicas.all().filter(({ group }) => group !== META_GROUP);
  }

  #leadsMeta(): boolean {
    return this.replicas.get(META_GROUP)?.isLeader() ?? false;
  }

  #shardManager(): ShardManager {
    const { ports, formation, presence } = this.#parts;
    const { clock, telemetry } = ports;
    return new ShardManager({
      ...{ calls: this.routing.calls, telemetry, groupCount: formation.groupCount },
      nowMs: () => clock.monotonicMs(),
      leadsMeta: () => this.#leadsMeta(),
      nodes: () => {
        const nowMs = clock.monotonicMs();
        return presence.list(nowMs).map((seen) => ({ seen, msAgo: nowMs - seen.seenAtMs }));
      },
      living: () => presence.living(clock.monotonicMs()),
    });
  }

  #nodeBlobs(): NodeBlobs {
    const { ports, self, formation, presence, peers, config } = this.#parts;
    const { routing, post } = this;
    const groups = () => dataGroups(routing.map());
    return new NodeBlobs({
      ...{ ports, post, self },
      members: (ref) => {
        const group = groupOf(routing.map(), ref);
        const founders = () => foundingReplicas(formation, group);
        return routing.members(group) ?? { voters: founders(), votersOld: null, learners: [] };
      },
      peers: () => presence.list(ports.clock.monotonicMs()).map(({ nodeId }) => nodeId),
      isAbsent: (node) => peers.isAbsent(node),
      silentMs: (node) => peers.silentMs(node, ports.clock.monotonicMs()),
      pace:
        config.scrubPeriodMs === undefined
          ? null
          : { ...SCRUB_RATES, periodMs: config.scrubPeriodMs },
      groups: () => this.#dataReplicas().map(keptGroup),
      replicas: () => this.replicas.all().map(keptGroup),
      dataGroups: groups,
      look: (group, ids) => lookAt(routing.calls, group, ids),
      close: () => closeAll(routing.calls, groups()),
    });
  }

  #indexBuilder(): IndexBuilder {
    const { telemetry, clock } = this.#parts.ports;
    const { routing } = this;
    const builder = new IndexBuilder({
      ...{ calls: routing.calls, telemetry, clock },
      groups: () => dataGroups(routing.map()),
      epoch: () => routing.map().epoch,
      leadsMeta: () => this.#leadsMeta(),
    });
    routing.onIndexesChanged = () => builder.changed();
    return builder;
  }

  #lifecycleKeeper(): LifecycleKeeper {
    const { config, ports } = this.#parts;
    return new LifecycleKeeper({
      ...{ clock: ports.clock, telemetry: ports.telemetry, objects: this.objects },
      dayMs: config.lifecycleDayMs ?? DAY_MS,
      groups: () => this.#dataReplicas().map(lifecycleGroup),
    });
  }

  #notifyKeeper(): NotifyKeeper {
    const { config, ports } = this.#parts;
    const { clock, random, telemetry, notifications } = ports;
    const keeper = new NotifyKeeper({
      ...{ clock, random, telemetry, notifications, cluster: config.cluster },
      groups: () => this.#dataReplicas().map(notifyGroup),
    });
    this.routing.backlogs = () => keeper.backlogs();
    return keeper;
  }

  #leaseSweeper(): LeaseSweeper {
    const { calls } = this.routing;
    return new LeaseSweeper({
      ...{ calls, telemetry: this.#parts.ports.telemetry },
      dataGroups: () => dataGroups(this.routing.map()),
      ended: () =>
        this.replicas.all().map(({ group, leases }) => ({ group, leases: leases.ended() })),
    });
  }
}
