import type { FastifyReply, FastifyRequest } from 'fastify';
import { AppError } from '../../protocol/errors.ts';
import type { Access } from '../identity/access.ts';
import { credentialOf } from '../identity/client-certificate.ts';
import { guarded } from '../identity/guarded-store.ts';
import { NO_STORE } from '../identity/tenant-store.ts';
import type { App, Edge, RequestState } from './app.ts';
import { audit } from './audit.ts';
import { corsHeaders, preflightHeaders } from './cors.ts';
import { countAnswer, countRequest, storeFor } from './rate-limit.ts';
import { restHeaders } from './raw-answer.ts';
import { type RouteRule, ruleOf } from './route-actions.ts';
import { isForeignOrigin } from './screen.ts';
import { traceparentOf } from './trace.ts';
import { queryOf } from './url.ts';

/** What happens to every request and answer: identity, trace, gates, query, headers, metrics. */
export function registerHooks(app: App, edge: Edge): void {
  app.decorateRequest('edge');
  app.addHook('onRequest', (request, reply, done) => {
    request.edge = stateOf(edge, request);
    reply.raw.once('close', () => onDone(edge, request, reply));
    const preflight = preflightHeaders(edge, request.raw);
    if (preflight !== null) {
      reply.code(204).headers(preflight).send();
      return;
    }
    reply.headers(corsHeaders(edge, request.raw));
    const go = (): void => {
      try {
        gate(edge, request);
        countRequest(edge, request);
        request.query = queryOf(request.originalUrl);
      } catch (error) {
        done(error as Error);
        return;
      }
      done();
    };
    if (edge.access === null) return go();
    admit(edge, edge.access, request, reply).then(go, done);
  });
  app.addHook('onSend', (request, reply, payload, done) => {
    reply.headers(restHeaders(edge, request.id, request.edge.revision));
    if (isDocument(request)) {
      if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store');
      if (!reply.hasHeader(POLICY)) reply.header(POLICY, NOTHING);
    }
    if (edge.isDraining()) reply.header('connection', 'close');
    const { meters } = request.edge;
    done(null, meters === null ? payload : countAnswer(meters, reply, payload));
  });
}

/** Values and what is done to them say so themselves, past the framework too; /docs is for people, and the same for all. */
function isDocument({ routeOptions: { url = '' } }: FastifyRequest): boolean {
  return url !== '/v1/kv/:key' && url !== '/v1/txn' && !url.startsWith('/docs');
}

const POLICY = 'content-security-policy';
/** An answer that a browser shows loads nothing and runs nothing. */
const NOTHING = "default-src 'none'; frame-ancestors 'none'";

function stateOf(edge: Edge, request: FastifyRequest): RequestState {
  const { telemetry, traffic, access } = edge;
  const store = access === null ? storeFor(edge, null) : NO_STORE;
  const parent = traceparentOf(request.headers['traceparent']);
  const span = telemetry.tracing ? telemetry.span(`HTTP ${routeOf(request)}`, parent) : null;
  return {
    startedMs: traffic.begin(),
    span,
    traceparent: span?.traceparent ?? parent,
    revision: null,
    grant: null,
    ...{ store, service: store },
    meters: null,
    release: null,
  };
}

function routeOf(request: FastifyRequest): string {
  return `${request.method} ${request.routeOptions.url ?? 'none'}`;
}

/** Rejects with the refusal where its sender may not do this. */
async function admit(
  parts: Edge,
  access: Access,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  const rule = ruleOf(request.method, request.routeOptions.url);
  if (rule === 'public') return;
  const action = rule === 'known' ? null : (rule ?? 'admin:write');
  try {
    const grant = await access.admit(
      credentialOf(request.headers.authorization, request.raw.socket),
      action,
    );
    request.edge.grant = grant;
    const { edge } = request;
    const isAdministration = action?.startsWith('admin:') === true;
    edge.store = isAdministration ? parts.storeOf(grant.tenant) : storeFor(parts, grant);
    edge.service = grant.guard === null ? edge.store : guarded(edge.store, grant.guard);
  } catch (error) {
    // RFC 9110, section 15.5.2, and RFC 6750, section 3.
    const isAsked = error instanceof AppError && error.code === 'unauthenticated';
    if (isAsked) reply.header('www-authenticate', 'Bearer realm="minikv"');
    throw error;
  }
}

const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/** Who may not come in: without credentials where they are needed, and other sites' pages. */
function gate(edge: Edge, request: FastifyRequest): void {
  const { allowUnsigned, allowedOrigins } = edge.config;
  if (edge.access === null && !allowUnsigned && request.routeOptions.config.isHealth !== true) {
    throw new AppError('unauthenticated', 'requests without credentials are not served here');
  }
  const isWrite = !SAFE_METHODS.has(request.method);
  if (isWrite && isForeignOrigin(request.raw, allowedOrigins ?? [])) {
    throw new AppError('forbidden', 'pages of other origins may not write here');
  }
}

/** What nobody has said of is the administrator's, as it is in admit(); null: there is no such route. */
function auditedRule({ method, routeOptions: { url } }: FastifyRequest): RouteRule | null {
  return url === undefined ? null : (ruleOf(method, url) ?? 'admin:write');
}

function onDone(edge: Edge, request: FastifyRequest, reply: FastifyReply): void {
  const { edge: state, method } = request;
  state.release?.();
  const route = request.routeOptions.url ?? 'none';
  const status = reply.raw.statusCode;
  edge.traffic.end(state.startedMs, method, edge.traffic.route(route), status);
  audit(edge, {
    ...{ req: request.raw, rule: auditedRule(request), who: state.grant?.who ?? null },
    // What Node has there before is no answer.
    ...{ status: reply.raw.headersSent ? status : 0, requestId: request.id },
  });
  if (state.span === null) return;
  state.span.set('http.response.status_code', status);
  state.span.end();
}
