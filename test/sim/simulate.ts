import { seededRandom } from '../../protocol/random.ts';
import { DEFAULT_TENANT, KV_SPACE } from '../../protocol/vshard.ts';
import { Truth } from '../check/truth.ts';
import { ApartClient } from './apart-client.ts';
import { ChunkClient } from './chunk-client.ts';
import { chunksReadable } from './chunks-readable.ts';
import { Client, gotOf, type ProcessNumbers } from './client.ts';
import { awaitConvergence, awaitLeaders } from './convergence.ts';
import { IdentityClient } from './identity-client.ts';
import { FINAL_CHECKS } from './invariants/all.ts';
import { reservationsTrue } from './invariants/reservations-true.ts';
import { StateHashes } from './invariants/state-hashes.ts';
import { usageExact } from './invariants/usage-exact.ts';
import { KeyPool } from './keys.ts';
import { LeaseClient } from './lease-client.ts';
import { rulesCarriedOut } from './lifecycle-truth.ts';
import type { TxnModel } from './model-txn.ts';
import { Nemesis } from './nemesis.ts';
import { FAIR_WEATHER } from './network.ts';
import { notificationsTold } from './notifications-told.ts';
import { NotifyWork } from './notify-work.ts';
import { ObjectClient } from './object-client.ts';
import { ObjectMix } from './object-mix.ts';
import { objectsListed } from './objects-listed.ts';
import { QuotaClient } from './quota-client.ts';
import { quotasUsable } from './quotas-usable.ts';
import { S3KeyClient } from './s3-key-client.ts';
import type { SwarmConfig } from './swarm.ts';
import { UniqueClient } from './unique-client.ts';
import { SimViolation } from './violation.ts';
import { Watcher } from './watcher.ts';
import { World, type WorldParts } from './world.ts';

/** What came out of one seed. */
export interface SimResult {
  readonly seed: number;
  /** Null when every property held. */
  readonly failure: string | null;
  readonly property: string | null;
  readonly traceHash: string;
  readonly events: number;
  readonly virtualMs: number;
  readonly realMs: number;
  readonly operations: { ok: number; refused: number; unknown: number };
  readonly transactions: TxnModel['counts'];
  /** Answered queries and searches. */
  readonly queries: number;
  readonly codes: ReadonlyMap<string, number>;
  readonly faults: ReadonlyMap<string, number>;
  /** Highest term of any group: how many elections there were. */
  readonly terms: number;
  readonly lines: readonly string[];
}

const FORM_MS = 30_000;
const CONVERGE_MS = 10_000;
/** Participants ask a quarter of a second after they have prepared, or have a new leader. */
const UNLOCK_MS = 3_000;
/** A target that refused is asked again after a minute, and may have missed a lot. */
const TELL_MS = 150_000;
const HASH_EVERY_MS = 10_000;
/** A run in which nothing succeeded has shown nothing. */
const OK_OPERATIONS_MIN = 20;

/** Runs one seed: form, work under faults, heal, converge, read everything, check. */
export async function simulate(config: SwarmConfig, parts: WorldParts): Promise<SimResult> {
  const startedAt = process.hrtime.bigint();
  const world = new World(config, parts);
  const trap = (error: unknown): void => world.fail(error);
  process.on('uncaughtException', trap);
  process.on('unhandledRejection', trap);
  const nemesis = new Nemesis(world, config, seededRandom(config.seed, 'nemesis'));
  try {
    await runPhases(world, config, nemesis);
  } catch (error) {
    world.fail(error);
  } finally {
    process.off('uncaughtException', trap);
    process.off('unhandledRejection', trap);
  }
  const { failure } = world;
  return {
    seed: config.seed,
    failure: failure === null ? null : describe(failure),
    property: failure instanceof SimViolation ? failure.property : null,
    traceHash: world.trace.hash(),
    events: world.scheduler.eventCount,
    virtualMs: world.nowMs(),
    realMs: Number(process.hrtime.bigint() - startedAt) / 1e6,
    operations: world.history.counts,
    transactions: world.model.txns.counts,
    queries: world.history.queries.length,
    codes: world.history.codes,
    faults: nemesis.counts,
    terms: Math.max(0, ...[...world.probe.tracks()].map(({ view }) => view.currentTerm)),
    lines: world.trace.lines(),
  };
}

async function runPhases(world: World, config: SwarmConfig, nemesis: Nemesis): Promise<void> {
  world.start();
  if (config.roughStart) world.spawn(disturbStart(world, config.seed));
  await world.drive(awaitLeaders(world), FORM_MS, 'the cluster forms');
  world.trace.note('world', 'formed');
  const hashes = new StateHashes(world);
  const work = startWork(world, config);
  world.spawn(nemesis.run());
  world.spawn(sampleHashes(world, hashes));
  await world.runUntil(world.nowMs() + config.workMs);

  world.trace.note('world', 'faults end');
  nemesis.stop();
  heal(world);
  for (const client of work.all) client.stop();
  await world.drive(awaitConvergence(world), CONVERGE_MS + 20_000, 'the cluster converges');
  world.trace.note('world', 'converged');
  await world.drive(hashes.sample(), 5000, 'state hashes can be taken');
  await world.drive(readEverything(world, work.pools), 60_000, 'everything can be read');
  await world.drive(work.clientsDone, 30_000, 'clients end');
  await world.drive(awaitUnlocked(world), UNLOCK_MS, 'every prepared transaction ends');
  await world.drive(leasesGone(world), 60_000, 'all leases end, and all keys with them');
  await world.drive(rulesCarriedOut(world), 60_000, 'rules take away all that is due');
  await world.drive(objectsListed(world), 60_000, 'versions are listed as they are');
  await world.drive(chunksReadable(world), 120_000, 'every object in chunks can be read');
  await world.drive(reservationsTrue(world), 60_000, 'reservations are those of live values');
  if (config.notifies) {
    await world.drive(notificationsTold(world), TELL_MS, 'every notification is told');
  }
  if (config.quotaClientCount > 0) {
    await world.drive(quotasUsable(world), 60_000, 'a quota can be used to its end');
  }
  await world.drive(hashes.sample(), 5000, 'state hashes can be taken');
  await world.drive(usageExact(world), 5000, 'all that is stored can be counted');
  // Checked in the moment in which all have seen everything: keys go on expiring afterwards.
  const seen = finishWatchers(world, work.watchers).then(() => check(world));
  await world.drive(seen, 30_000, 'watchers catch up');
}

/** Crashes while identities are drawn and the cluster is agreed on. */
async function disturbStart(world: World, seed: number): Promise<void> {
  const random = seededRandom(seed, 'rough-start');
  for (let i = 0; i < 6; i++) {
    await world.sleep(random.next() * 200);
    const node = world.nodes[Math.floor(random.next() * world.nodeCount)]!;
    node.kill(random.next() < 0.5 ? 'power' : 'process', 'nemesis, while forming');
    world.scheduler.after(5 + random.next() * 150, null, () => node.start());
  }
}

function startWork(world: World, config: SwarmConfig) {
  const random = (name: string) => seededRandom(config.seed, name);
  const pools = {
    keys: new KeyPool(random('keys'), 'k', config.keyCount),
    ttlKeys: new KeyPool(random('ttl-keys'), 't', 3),
  };
  const numbers: ProcessNumbers = { next: 1 };
  const clients: Client[] = [];
  for (let i = 0; i < config.clientCount; i++) {
    const stream = random(`client-${i}`);
    const { history } = world;
    clients.push(new Client(`c${i}`, world, history, stream, pools, config.client, numbers));
  }
  const leaseClients: LeaseClient[] = [];
  for (let i = 0; i < config.leaseClientCount; i++) {
    const parts = [world, world.history, random(`lease-client-${i}`)] as const;
    leaseClients.push(new LeaseClient(`l${i}`, ...parts, config.leaseHabits));
  }
  const { apartCount: count, apartThinkMsMean: thinkMsMean, groupCount } = config;
  const apart = Array.from({ length: count }, (_, i) => {
    const own = { groupCount, thinkMsMean, ...config.apartHabits };
    return new ApartClient(i, world, world.history, random(`apart-client-${i}`), own);
  });
  const uniqueClients: UniqueClient[] = [];
  for (let i = 0; i < config.uniqueClientCount; i++) {
    const stream = random(`unique-client-${i}`);
    uniqueClients.push(new UniqueClient(`u${i}`, world, world.history, stream));
  }
  const objectKeys = new KeyPool(random('object-keys'), 'r', 3);
  const objectClients: ObjectClient[] = [];
  for (let i = 0; i < config.objectClientCount; i++) {
    const stream = random(`object-client-${i}`);
    const mix = new ObjectMix(stream, i === 0, config.objectFavourite);
    const notify = config.notifies ? new NotifyWork(random(`notify-work-${i}`)) : null;
    const parts = [world, world.history, stream, objectKeys, { numbers, mix, notify }] as const;
    objectClients.push(new ObjectClient(`o${i}`, ...parts));
  }
  const identityClients: IdentityClient[] = [];
  for (let i = 0; i < config.identityClientCount; i++) {
    identityClients.push(new IdentityClient(`i${i}`, world, random(`identity-client-${i}`)));
  }
  const s3KeyClients = Array.from({ length: Math.ceil(config.identityClientCount / 2) }, (_, i) => {
    return new S3KeyClient(`s${i}`, world, random(`s3-key-client-${i}`));
  });
  const chunkClients = Array.from({ length: config.chunkClientCount }, (_, i) => {
    const own = [random(`chunk-client-${i}`), config.chunkThinkMsMean] as const;
    return new ChunkClient(`b${i}`, world, world.history, ...own);
  });
  const quotaClients = Array.from({ length: config.quotaClientCount }, (_, i) => {
    const parts = [world, world.history, random(`quota-client-${i}`)] as const;
    return new QuotaClient(i, ...parts, world.model.quotas);
  });
  const watchers: Watcher[] = [];
  for (let i = 0; i < config.watcherCount; i++) {
    const prefix = ['', 'k/', 't/'][i % 3] as string;
    watchers.push(new Watcher(`w${i}`, prefix, world, world.history, random(`watcher-${i}`)));
  }
  const all = [
    ...clients,
    ...leaseClients,
    ...apart,
    ...uniqueClients,
    ...objectClients,
    ...identityClients,
    ...s3KeyClients,
    ...chunkClients,
    ...quotaClients,
  ];
  const clientsDone = Promise.all(all.map((client) => client.run()));
  world.spawn(clientsDone);
  for (const watcher of watchers) world.spawn(watcher.run());
  return { pools, all, clientsDone, watchers };
}

async function sampleHashes(world: World, hashes: StateHashes): Promise<void> {
  for (;;) {
    await world.sleep(HASH_EVERY_MS);
    await hashes.sample();
    await usageExact(world);
  }
}

/** Nobody keeps any lease alive: each ends, what was attached goes, and then its row. */
async function leasesGone(world: World): Promise<void> {
  const { model } = world;
  while (model.leases.left().length + model.attachedKeys().length > 0) await world.sleep(200);
}

/** Everything that was wrong is right again, and every process runs. */
function heal(world: World): void {
  world.network.heal(FAIR_WEATHER);
  world.targets.heal();
  for (const node of world.nodes) {
    node.machine.trouble.slowMs = 0;
    node.machine.trouble.hung = false;
    node.machine.trouble.full = false;
    node.machine.trouble.writeError = null;
    node.machine.trouble.failNextSync = false;
    node.wall.correct(0);
    node.throttle(null);
    node.resume();
    node.start();
  }
}

/** Writes once through every node, then reads every key that was ever used, through all nodes. */
async function readEverything(
  world: World,
  pools: { keys: KeyPool; ttlKeys: KeyPool },
): Promise<void> {
  const context = { deadlineMs: 5000, traceparent: null, idempotency: null };
  const { history } = world;
  for (const node of world.nodes) {
    const ref = { tenant: DEFAULT_TENANT, space: KV_SPACE, key: `final/${node.id}` };
    const rest = { ref, contentType: null, ttlMs: null, condition: null };
    let attempt = 0;
    await retry(world, () => {
      const value = Buffer.from(`final-${node.id}-${attempt++}`);
      return node.connect().call(6000, (s) => s.put(context, { type: 'put', value, ...rest }));
    });
  }
  for (const [i, key] of [...pools.keys.all(), ...pools.ttlKeys.all()].entries()) {
    const node = world.nodes[i % world.nodes.length]!;
    const ref = { tenant: DEFAULT_TENANT, space: KV_SPACE, key };
    const call = world.nowMs();
    const options = { consistency: 'linearizable', revision: null } as const;
    const { item } = await retry(world, () =>
      node.connect().call(6000, (s) => s.get(context, ref, options)),
    );
    history.note(0, key, { type: 'get' }, gotOf(item), call, world.nowMs());
  }
}

/** After the heal a request may still meet an election; it must succeed soon. */
async function retry<T>(world: World, ask: () => Promise<T>): Promise<T> {
  const end = world.nowMs() + 10_000;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (world.nowMs() > end) throw error;
      await world.sleep(100);
    }
  }
}

async function awaitUnlocked(world: World): Promise<void> {
  while (world.model.txns.open().length > 0) await world.sleep(20);
}

/** Waits until every watcher has been told of everything, then stops them. */
async function finishWatchers(world: World, watchers: readonly Watcher[]): Promise<void> {
  const hasSeenAll = (watcher: Watcher): boolean =>
    world.model.changes.every((change) => change.revision <= watcher.reached);
  while (!watchers.every(hasSeenAll)) await world.sleep(100);
  for (const watcher of watchers) {
    watcher.finish(true);
    watcher.stop();
  }
}

function check(world: World): void {
  const { history, model } = world;
  const { arrivals } = world.targets;
  const facts = { history, model, truth: new Truth(model.changes), arrivals };
  const flaw = facts.truth.flaw();
  if (flaw !== null) throw new SimViolation('the committed history is sound', flaw);
  for (const final of FINAL_CHECKS) final.run(facts);
  if (history.counts.ok < OK_OPERATIONS_MIN) {
    throw new SimViolation('the run shows something', `only ${history.counts.ok} operations`);
  }
}

function describe(failure: unknown): string {
  if (failure instanceof SimViolation) return failure.message;
  return failure instanceof Error ? (failure.stack ?? failure.message) : String(failure);
}
