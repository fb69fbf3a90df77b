import { hostname } from 'node:os';
import { resolve } from 'node:path';
import type { Bus, Ports } from '../actors/kit/ports.ts';
import { startNode } from '../actors/node.ts';
import type { Node } from '../actors/node-port.ts';
import { KeyRefusal, NamedKeys } from '../gateways/encryption/named-keys.ts';
import type { RootKeys } from '../gateways/encryption/root-keys.ts';
import type { HttpConfig, ReplicaHash } from '../gateways/http/app.ts';
import { createHttpServer, type HttpServerOptions } from '../gateways/http/server.ts';
import { Access } from '../gateways/identity/access.ts';
import { ApiKeys } from '../gateways/identity/api-keys.ts';
import { AuthSetting } from '../gateways/identity/auth-setting.ts';
import { Certificates } from '../gateways/identity/certificates.ts';
import { Roles } from '../gateways/identity/roles.ts';
import { S3Directory } from '../gateways/identity/s3-directory.ts';
import { S3Users } from '../gateways/identity/s3-users.ts';
import { SecretHash } from '../gateways/identity/secret-hash.ts';
import { Tokens } from '../gateways/identity/tokens.ts';
import { type AdmissionParts, natsAdmission } from '../gateways/nats-api/admission.ts';
import { serveNatsApi } from '../gateways/nats-api/gateway.ts';
import { Targets } from '../gateways/notify/targets.ts';
import { publishChange } from '../gateways/peer/events.ts';
import { inProcessBus } from '../gateways/peer/in-process-bus.ts';
import { type NatsBus, openNatsBus } from '../gateways/peer/nats-bus.ts';
import { parseNatsUrls } from '../gateways/peer/nats-options.ts';
import { sealBus } from '../gateways/peer/sealed-bus.ts';
import { OWNER } from '../gateways/s3/account.ts';
import type { S3Options } from '../gateways/s3/edge.ts';
import { governed } from '../gateways/s3/governed-transactions.ts';
import { StoredPolicies } from '../gateways/s3/stored-policy.ts';
import type { NodeTelemetry } from '../observability/telemetry.ts';
import type { Clock } from '../protocol/clock.ts';
import { AppError } from '../protocol/errors.ts';
import { LIMITS } from '../protocol/limits.ts';
import type { ObjectService } from '../protocol/object-access.ts';
import { type Random, randomHex } from '../protocol/random.ts';
import type { KvService } from '../protocol/service.ts';
import { lockFolder } from '../storage/disk/folder-lock.ts';
import { type AdminKey, adminKey } from './admin-key.ts';
import { atRestKeys, type Sealing } from './at-rest.ts';
import { openAudit } from './audit.ts';
import { openAgreed } from './auth-agreement.ts';
import { type Config, isLoopback, nodeConfig } from './config.ts';
import { openIssuer } from './issuer.ts';
import { natsAccess } from './nats-access.ts';
import { edgeOf } from './node-edge.ts';
import { storageOf } from './node-storage.ts';
import { nodeTelemetry } from './node-telemetry.ts';
import { objectGate } from './object-gate.ts';
import { rateLimits } from './rate-limits.ts';
import { configuredRootKeys, rootKeys } from './root-keys.ts';
import { credentialsOf, type S3Keys, s3Keys } from './s3-keys.ts';
import { dataKeysOf } from './sealing-keys.ts';
import type { Composition } from './serve.ts';
import { serviceGate } from './service-gate.ts';
import { systemClock } from './system-clock.ts';
import { systemRandom } from './system-random.ts';
import { startTenantRemoval } from './tenants.ts';
import { TlsFiles } from './tls-files.ts';
import { ownVersion } from './version.ts';

const NATS_CONNECT_WAIT_MS = 2_000;

/** Puts one real node together: the only place besides the simulator that builds adapters. */
export async function compose(config: Config): Promise<Composition> {
  const clock = systemClock();
  const random = systemRandom();
  const version = ownVersion();
  const telemetry = nodeTelemetry(config, clock, version);
  const lock = config.ephemeral ? null : await lockFolder(resolve(config.data));
  const opened: (() => Promise<unknown>)[] = [];
  if (lock !== null) opened.push(() => lock.release());
  try {
    return await composeLocked(config, { clock, random, version, telemetry }, opened);
  } catch (error) {
    for (const close of opened.reverse()) await close();
    throw error;
  }
}

interface Basics {
  readonly clock: Clock;
  readonly random: Random;
  readonly version: string;
  readonly telemetry: NodeTelemetry;
}

/** The data keys first: a folder that does not open with what is configured is not touched. */
async function keysOf(config: Config, basics: Basics) {
  const given = await configuredRootKeys(config);
  const sealing = await atRestKeys(config, given, basics);
  return { sealing, roots: await rootKeys(config, given, basics.random) };
}

async function composeLocked(
  config: Config,
  basics: Basics,
  opened: (() => Promise<unknown>)[],
): Promise<Composition> {
  const { clock, random, version, telemetry } = basics;
  opened.push(() => telemetry.stop());
  const { sealing, roots } = await keysOf(config, basics);
  const fatal = (reason: string, error: unknown): void => {
    telemetry.log('error', reason, { error });
    process.exit(1);
  };
  const { bus, nats } = await openBus(config, basics);
  opened.push(() => bus.drain());
  const ends: Ends = [];
  opened.push(() => end(ends));
  const targets = targetsOf(config, clock, nats);
  ends.push(() => targets.close());
  const gate = serviceGate(config, version);
  const objects = objectGate();
  const service = governed(gate.service, objects.objects.buckets, new StoredPolicies());
  const keys = await s3Keys(config, random);
  const encryptionKeys = new NamedKeys({ rows: objects.objects.keyRows, roots, random, clock });
  const admin = config.auth ? await adminKey(config, random) : null;
  const parts = await listenerParts(config, basics, ends);
  const { identities } = gate.service;
  const directory = new S3Directory({ identities, roots, clock });
  let node: Node | null = null;
  const rates = rateLimits(identities, basics, () => node, ends);
  const asked = identityParts(config, admin, gate.service, roots, basics, ends);
  let isStopping = false;
  const shown = (): Node => {
    gate.check();
    return started(node);
  };
  const http = await createHttpServer({
    ...{ service, telemetry, clock, random },
    config: httpConfig(config),
    metricsText: () => telemetry.metricsText(),
    stateHashes: () => stateHashesOf(shown()),
    ...{ chunks: () => shown().chunks, usage: () => shown().usage },
    ...{ quotas: () => shown().quotas, keys: encryptionKeys },
    dataKeys: dataKeysOf(config, sealing?.rotation ?? null, roots),
    authSetting: new AuthSetting(identities),
    roles: new Roles({ identities, clock }),
    ...parts,
    s3Users: new S3Users({ identities, roots, random, clock }),
    certificates: new Certificates(identities, clock),
    ...rates,
    ...asked,
    s3: s3Options(config, objects.objects, keys, targets, directory),
    version,
  });
  opened.push(() => http.close());
  const { url, s3Url } = await http.listen();
  const httpUrl = config.httpUrl ?? url;
  const ports = portsOf(config, basics, { bus, fatal, notifications: targets, sealing });
  const starting = startNode(nodeConfig(config, httpUrl, version), ports).then((real) => {
    node = real;
    const setting = new AuthSetting(real.service.identities);
    const agreeing = { setting, clock, log: telemetry.log, isStopping: () => isStopping };
    const edge = edgeOf(real, gate, objects, clock);
    return openAgreed(agreeing, config.auth, edge, () => {
      if (nats !== null) serveNats(config, basics, nats, { service, ...asked, ...rates, ...parts });
      ends.push(startTenantRemoval(real, clock, telemetry));
    });
  });
  starting.then(() => checkRootKeys(encryptionKeys, telemetry, fatal)).catch(() => {});
  starting.catch((error: unknown) => telemetry.log('error', 'the node did not start', { error }));
  return {
    ready: starting,
    service,
    httpUrl: url,
    s3: { url: s3Url, keys },
    adminKey: admin,
    async stop() {
      isStopping = true;
      // Others lead while the last requests are answered here.
      await Promise.all([node === null ? null : (node as Node).handOver(), http.close()]);
      await sealing?.rotation.stop();
      if (node !== null) await (node as Node).stop();
      else await bus.drain();
      await end(ends);
      await telemetry.stop();
      await opened[0]?.();
    },
  };
}

/** Ends what goes on beside requests. */
type Ends = (() => unknown)[];

async function end(all: Ends): Promise<void> {
  await Promise.all(all.map((one) => one()));
}

async function listenerParts(
  config: Config,
  basics: Basics,
  ends: Ends,
): Promise<Pick<HttpServerOptions, 'tls' | 'audit'>> {
  const audit = await openAudit(config, basics);
  ends.push(() => audit?.close());
  const tls = config.tls === null ? null : new TlsFiles(config.tls, basics);
  ends.push(() => tls?.stop());
  return { ...(audit === null ? {} : { audit }), ...(tls === null ? {} : { tls }) };
}

/** With another root key than the others, a node would answer some requests and fail others. */
async function checkRootKeys(
  keys: NamedKeys,
  telemetry: NodeTelemetry,
  fatal: (reason: string, error: unknown) => void,
): Promise<void> {
  const deadlineMs = LIMITS.requestDeadlineMsDefault;
  try {
    await keys.check({ deadlineMs, traceparent: null, idempotency: null });
  } catch (error) {
    if (error instanceof KeyRefusal) fatal('the root key is not the one of this cluster', error);
    else telemetry.log('warn', 'the encryption keys could not be checked', { error });
  }
}

function identityParts(
  { cluster, issuer: settings }: Config,
  admin: AdminKey | null,
  { identities }: KvService,
  roots: RootKeys | null,
  { random, clock, telemetry }: Basics,
  ends: Ends,
): Pick<HttpServerOptions, 'access' | 'apiKeys' | 'tokens'> {
  if (admin === null) return {};
  const parts = { identities, random, clock, hash: new SecretHash(random) };
  const tokens = new Tokens({ ...parts, roots, cluster });
  const opened = settings === null ? null : openIssuer(settings, { clock, telemetry });
  ends.push(() => opened?.stop());
  const issuer = opened?.tokens ?? null;
  const access = new Access({ ...parts, adminKey: admin.key, tokens, issuer });
  return { access, apiKeys: new ApiKeys(parts), tokens };
}

function httpConfig(config: Config): HttpConfig {
  const { host, port, allowedOrigins } = config;
  return { host, port, allowedOrigins, allowUnsigned: true, ownNames: ownNames(config) };
}

/** What nobody else's site is called: what was configured, and the machine. */
function ownNames({ hostNames, s3Domains, httpUrl }: Config): readonly string[] {
  const told = httpUrl === null ? [] : [new URL(httpUrl).hostname];
  // What is under a name of one label may be anybody's: a machine can be called `dev`.
  const found = [...told, hostname().toLowerCase()].filter((name) => name.includes('.'));
  return [...hostNames, ...s3Domains, ...found];
}

function targetsOf(config: Config, clock: Clock, nats: NatsBus | null): Targets {
  const facts = { region: config.s3Region, ownerId: OWNER.id };
  return new Targets(config.notify, { facts, clock, nats });
}

/** Who configured keys wants them asked for, also on loopback. */
function s3Options(
  config: Config,
  objects: ObjectService,
  keys: S3Keys,
  notifications: Targets,
  users: S3Directory,
): S3Options {
  const isPrivate = isLoopback(config.host) && config.s3Keys === null && !config.auth;
  return {
    objects,
    notifications,
    users,
    credentialsOf: credentialsOf(keys),
    config: {
      ...{
        port: config.s3Port,
        portMoves: config.s3PortMoves,
        region: config.s3Region,
        baseDomains: config.s3Domains,
        lifecycleDayMs: config.lifecycleDayMs,
      },
      allowUnsigned: isPrivate || (config.insecure && !config.auth),
      customerKeysOverHttp: config.insecure,
    },
  };
}

/**
 * One replica after another, so that the node has turns in between. An index and its hash are of one
 * moment: both are taken before anything else can run.
 */
async function stateHashesOf(node: Node): Promise<ReplicaHash[]> {
  const hashes: ReplicaHash[] = [];
  for (const { replica, group } of node.inspect()) {
    const now = node.inspect().find((other) => other.replica === replica && other.group === group);
    if (now === undefined) continue;
    const { appliedIndex } = now;
    hashes.push({ group, replica, appliedIndex, hash: await now.stateHash() });
  }
  return hashes;
}

function started(node: Node | null): Node {
  if (node === null) throw new AppError('unavailable', 'the node is still starting');
  return node;
}

function portsOf(
  config: Config,
  basics: Basics,
  {
    sealing,
    ...more
  }: Pick<Ports, 'bus' | 'fatal' | 'notifications'> & { readonly sealing: Sealing | null },
): Ports {
  const { clock, random, telemetry } = basics;
  return {
    ...{ clock, random, telemetry, ...more },
    storage: storageOf(config, { clock, random, sealing, fatal: more.fatal }),
    publishChange: (event, group, traceparent) =>
      publishChange(more.bus, event, group, traceparent),
  };
}

async function openBus(
  config: Config,
  basics: Basics,
): Promise<{ bus: Bus; nats: NatsBus | null }> {
  const { clock, telemetry } = basics;
  if (config.nats.length === 0) {
    return { bus: inProcessBus({ clock, telemetry }), nats: null };
  }
  const parsed = parseNatsUrls(config.nats.join(','));
  if (parsed === null) throw new AppError('invalid_argument', 'the NATS URLs are not valid');
  const nats = await openNatsBus(
    {
      cluster: config.cluster,
      name: `minikv-${config.cluster}-${config.nodeId}`,
      connectWaitMs: NATS_CONNECT_WAIT_MS,
      servers: parsed.servers,
      ...natsAccess(parsed, config.natsFiles),
    },
    { clock, telemetry },
  );
  return { bus: sealBus(nats, config.clusterSecrets, telemetry), nats };
}

/** Clients of NATS may what they may over HTTP. */
function serveNats(
  config: Config,
  basics: Basics,
  nats: NatsBus,
  parts: Omit<AdmissionParts, 'allowUnsigned'>,
): void {
  const allowUnsigned = isLoopback(config.host) || config.insecure;
  serveNatsApi({
    server: nats,
    admission: natsAdmission({ ...parts, allowUnsigned }),
    clock: basics.clock,
    telemetry: basics.telemetry,
    durability: config.ephemeral ? 'memory' : 'quorum-fsync',
    requestId: () => randomHex(basics.random, 8),
  });
}
