import type { Server } from 'node:http';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import fastify, { type FastifyReply, type FastifyRequest } from 'fastify';
import type { Telemetry } from '../../observability/port.ts';
import { ByteBudget } from '../../protocol/answer-budget.ts';
import type { AuditTrail } from '../../protocol/audit.ts';
import type { ChunkCare } from '../../protocol/chunk-care.ts';
import type { Clock } from '../../protocol/clock.ts';
import { AppError } from '../../protocol/errors.ts';
import type { Quotas } from '../../protocol/quotas.ts';
import { type Random, randomHex } from '../../protocol/random.ts';
import type { DataKeys } from '../../protocol/sealing-keys.ts';
import type { KvService } from '../../protocol/service.ts';
import type { UsageReads } from '../../protocol/usage.ts';
import { registerApiKeyRoutes } from '../admin/api-keys.ts';
import { registerAuditRoute } from '../admin/audit.ts';
import { registerAuthSettingRoutes } from '../admin/auth-setting.ts';
import { registerTokenRoute } from '../admin/auth-token.ts';
import { registerCertificateRoutes } from '../admin/certificates.ts';
import { registerChunkRoutes } from '../admin/chunks.ts';
import { registerEncryptionKeyRoutes } from '../admin/encryption-keys.ts';
import { registerHealthRoutes } from '../admin/health.ts';
import { registerQuotaRoutes } from '../admin/quotas.ts';
import { registerRateLimitRoutes } from '../admin/rate-limits.ts';
import { registerRoleRoutes } from '../admin/roles.ts';
import { registerAdminRoutes } from '../admin/routes.ts';
import { registerS3UserRoutes } from '../admin/s3-users.ts';
import { registerDataKeyRoutes } from '../admin/sealing-keys.ts';
import { registerTenantRoutes } from '../admin/tenants.ts';
import { registerTransferRoutes } from '../admin/transfer.ts';
import { registerUsageRoute } from '../admin/usage.ts';
import type { NamedKeys } from '../encryption/named-keys.ts';
import type { Access } from '../identity/access.ts';
import type { ApiKeys } from '../identity/api-keys.ts';
import type { AuthSetting } from '../identity/auth-setting.ts';
import type { Certificates } from '../identity/certificates.ts';
import type { Roles } from '../identity/roles.ts';
import type { S3Users } from '../identity/s3-users.ts';
import { storesOf } from '../identity/tenant-store.ts';
import { Tenants } from '../identity/tenants.ts';
import type { Tokens } from '../identity/tokens.ts';
import { registerCollectionRoutes } from '../kv/collection-routes.ts';
import { DirectRoutes } from '../kv/direct-routes.ts';
import { registerIndexRoutes } from '../kv/index-routes.ts';
import { registerKeyRoutes } from '../kv/key-routes.ts';
import { registerLeaseRoutes } from '../kv/lease-routes.ts';
import { registerLockRoutes } from '../kv/lock-routes.ts';
import { registerSearchRoutes } from '../kv/search-routes.ts';
import { registerSeedRoutes } from '../kv/seed-routes.ts';
import { registerTxnRoutes } from '../kv/txn-routes.ts';
import type { RateLimitRows } from '../limits/rate-limit-rows.ts';
import type { RateLimits } from '../limits/rate-limits.ts';
import type { S3Options } from '../s3/edge.ts';
import { S3Endpoint } from '../s3/endpoint.ts';
import { registerSse } from '../watch/sse.ts';
import { WatchSockets } from '../watch/websocket.ts';
import type { App, Edge, HttpConfig, ReplicaHash } from './app.ts';
import { HTTP_BOUNDS } from './bounds.ts';
import { registerBodies } from './content.ts';
import { registerHooks } from './hooks.ts';
import { HttpDates } from './http-date.ts';
import { Listener } from './listener.ts';
import { registerNotImplemented } from './not-implemented.ts';
import { registerDocs } from './openapi.ts';
import { validatorCompiler } from './query-check.ts';
import { endWithProblem, jsonProblem, requestIdOf } from './raw-answer.ts';
import { RefusedLinks } from './refused-links.ts';
import { sendProblem } from './respond.ts';
import { RouteTable } from './route-table.ts';
import type { TlsSource } from './tls.ts';
import { Traffic } from './traffic.ts';
import { routedUrl } from './url.ts';

export interface HttpServerOptions {
  readonly service: KvService;
  readonly telemetry: Telemetry;
  readonly clock: Clock;
  readonly random: Random;
  readonly config: HttpConfig;
  /** The exposition of /metrics; without it that path answers 501. */
  readonly metricsText?: () => Promise<string>;
  /** Of the node's own replicas; without it /admin/state-hashes answers 501. */
  readonly stateHashes?: () => Promise<readonly ReplicaHash[]>;
  readonly chunks?: () => ChunkCare;
  /** Without it the ports speak plain HTTP. */
  readonly tls?: TlsSource;
  /** Without it /admin/usage answers 501, and the status tells no counts. */
  readonly usage?: () => UsageReads;
  /** Without it /admin/quotas answers 501. */
  readonly quotas?: () => Quotas;
  /** Without it objects cannot be encrypted with keys of the store's. */
  readonly keys?: NamedKeys;
  /** Without it, or null, the node's data folder is in clear. */
  readonly dataKeys?: DataKeys | null;
  /** Without it nobody is asked for credentials. */
  readonly access?: Access;
  /** Without it nothing is written down of who did what. */
  readonly audit?: AuditTrail;
  /** Without it nobody's rates are limited. */
  readonly limits?: RateLimits;
  readonly rateLimitRows?: RateLimitRows;
  readonly apiKeys?: ApiKeys;
  readonly roles?: Roles;
  readonly authSetting?: AuthSetting;
  readonly s3Users?: S3Users;
  readonly certificates?: Certificates;
  readonly tokens?: Tokens;
  /** Without it /s3 answers 501, and there is no port of its own. */
  readonly s3?: S3Options;
  readonly version: string;
}

export interface HttpServer {
  /** Binds. The URLs have the real ports; `s3Url` is that of S3's own, null without one. */
  listen(): Promise<{ url: string; s3Url: string | null }>;
  /** Refuses new work, ends watches with a hint where to resume, finishes requests, then closes. */
  close(): Promise<void>;
  /** Every route, as `METHOD /path`. */
  routes(): string[];
}

/** The one HTTP port, and S3's own: REST, watches, the seed's paths, health, docs. Built, not yet bound. */
export async function createHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  let isDraining = false;
  const edge = edgeOf(options, () => isDraining);
  const sockets = new WatchSockets(edge);
  const listeners: Listener[] = [];
  const s3 = options.s3 === undefined ? null : new S3Endpoint(edge, options.s3);
  const app = buildApp(edge, sockets, listeners, s3);
  const table = new RouteTable();
  app.addHook('onRoute', (route) => table.add(route));
  registerHooks(app, edge);
  registerBodies(app, edge);
  await registerDocs(app, edge);
  registerKeyRoutes(app, edge);
  registerCollectionRoutes(app, edge);
  registerIndexRoutes(app);
  registerSearchRoutes(app);
  registerLeaseRoutes(app);
  registerLockRoutes(app, edge);
  registerSse(app, edge);
  registerHealthRoutes(app, edge);
  registerAdminRoutes(app, edge);
  registerChunkRoutes(app, edge);
  registerUsageRoute(app, edge);
  registerQuotaRoutes(app, edge);
  registerEncryptionKeyRoutes(app, edge);
  registerDataKeyRoutes(app, edge);
  registerAuditRoute(app, edge);
  registerTenantRoutes(app, edge);
  registerApiKeyRoutes(app, edge);
  registerRoleRoutes(app, edge);
  registerAuthSettingRoutes(app, edge);
  registerRateLimitRoutes(app, edge);
  registerS3UserRoutes(app, edge);
  registerCertificateRoutes(app, edge);
  registerTokenRoute(app, edge);
  registerTransferRoutes(app, edge);
  registerNotImplemented(app, { hasS3: s3 !== null });
  registerTxnRoutes(app);
  registerSeedRoutes(app, edge, table);
  app.setNotFoundHandler((request: FastifyRequest, reply: FastifyReply) => {
    sendProblem(edge, table.missing(request.method, request.originalUrl), request, reply);
  });
  await app.ready();
  const { host, port } = edge.config;
  return {
    listen: async () => {
      const bound = await app.listen({ host, port });
      const url = edge.tls === null ? bound : bound.replace(/^http:/, 'https:');
      return { url, s3Url: (await s3?.listen(host)) ?? null };
    },
    close: async () => {
      isDraining = true;
      for (const end of edge.streams) end();
      for (const listener of listeners) listener.drain();
      const cancel = edge.clock.after(edge.bounds.drainMs, () => {
        for (const listener of listeners) listener.destroyAll();
        s3?.destroyAll();
      });
      await Promise.all([app.close(), s3?.close()]);
      cancel();
      await s3?.closeLog();
    },
    routes: () => table.list(),
  };
}

function edgeOf(options: HttpServerOptions, isDraining: () => boolean): Edge {
  const { service, telemetry, clock, random, config, version } = options;
  const bounds = { ...HTTP_BOUNDS, ...config.bounds };
  const prefix = randomHex(random, 6);
  let count = 0;
  return {
    storeOf: storesOf(service),
    tenants: new Tenants({ identities: service.identities, clock }),
    ...{ service, telemetry, clock, random, config, bounds, version, isDraining },
    metricsText: options.metricsText ?? null,
    stateHashes: options.stateHashes ?? null,
    chunks: options.chunks ?? null,
    tls: options.tls ?? null,
    usage: options.usage ?? null,
    quotas: options.quotas ?? null,
    keys: options.keys ?? null,
    dataKeys: options.dataKeys ?? null,
    access: options.access ?? null,
    audit: options.audit ?? null,
    limits: options.limits ?? null,
    rateLimitRows: options.rateLimitRows ?? null,
    refusedLinks: new RefusedLinks(clock),
    apiKeys: options.apiKeys ?? null,
    roles: options.roles ?? null,
    authSetting: options.authSetting ?? null,
    s3Users: options.s3Users ?? null,
    certificates: options.certificates ?? null,
    tokens: options.tokens ?? null,
    durability: service.status().durability,
    bodies: new ByteBudget(bounds.bodyBytesHeldMax),
    answers: new ByteBudget(bounds.answerBytesHeldMax),
    traffic: new Traffic(telemetry, clock),
    dates: new HttpDates(),
    streams: new Set(),
    problem: jsonProblem,
    nextRequestId: () => `${prefix}-${++count}`,
  };
}

function buildApp(
  edge: Edge,
  sockets: WatchSockets,
  listeners: Listener[],
  s3: S3Endpoint | null,
): App {
  const app: App = fastify({
    serverFactory: (handle) => {
      const listener = new Listener(edge, {
        handle: (req, res) => {
          if (s3?.takes(req.url ?? '')) s3.handle(req, res);
          else handle(req, res);
        },
        asksForBodies: (req) => s3?.takes(req.url ?? '') ?? false,
        direct: new DirectRoutes(edge),
        isWebSocketPath: (url) => sockets.isPath(url),
        upgrade: (req, socket, head) => void sockets.open(req, socket, head),
      });
      listeners.push(listener);
      return listener.server as unknown as Server;
    },
    // Listener answers these; the framework would answer a second time.
    clientErrorHandler: () => {},
    // A URL the router cannot read: no hook has run yet.
    frameworkErrors: (_error, _request, reply) => {
      reply.hijack();
      endWithProblem(edge, reply.raw, new AppError('malformed', 'the URL is not valid'));
    },
    genReqId: (req) => requestIdOf(edge, req as Parameters<typeof requestIdOf>[1]),
    rewriteUrl: (req) => routedUrl(req.url ?? '/'),
    routerOptions: { maxParamLength: 65_536, querystringParser: () => ({}) },
    return503OnClosing: false,
    forceCloseConnections: 'idle',
  }).withTypeProvider<TypeBoxTypeProvider>();
  app.setValidatorCompiler(validatorCompiler);
  // Response schemas document; tests hold the answers to them.
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));
  app.setErrorHandler((error, request, reply) => sendProblem(edge, error, request, reply));
  return app;
}
