import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import * as admin from '../http/admin-schemas.ts';
import type { App, Edge } from '../http/app.ts';
import { answer } from '../http/respond.ts';
import * as schemas from '../http/schemas.ts';

/** Where to go from `/`. */
const LINKS = {
  docs: '/docs',
  openapi: '/openapi.json',
  health: '/health',
  metrics: '/metrics',
  limits: '/v1/limits',
  keys: '/v1/kv',
};

/** What probes, scrapers and newcomers ask: `/`, `/health`, `/metrics`, `/v1/limits`. */
export function registerHealthRoutes(app: App, edge: Edge): void {
  const config = { isHealth: true };
  const schema = (summary: string) => ({
    ...{ tags: ['admin'], summary, querystring: schemas.NoQuery },
    response: schemas.answers({ 200: admin.Health }),
  });
  registerRoot(app, edge);
  app.get('/health', {
    config,
    schema: schema('How this node is'),
    handler: async (request, reply) => {
      const status = edge.service.status();
      const { ready: isReady, durability, bus, disk, nodeId, version } = status;
      const serving = disk === 'ok' ? 'ready' : 'degraded';
      const state = edge.isDraining() ? 'draining' : isReady ? serving : 'starting';
      return answer(request, reply, 200, status.clock, () => ({
        ...{ status: state, nodeId, version, durability, bus, disk },
        uptimeMs: status.uptimeMs,
      }));
    },
  });
  app.get('/health/live', {
    config,
    schema: schema('200 while the process answers'),
    handler: async (request, reply) =>
      answer(request, reply, 200, null, () => ({ status: 'live' })),
  });
  app.get('/health/ready', {
    config,
    schema: schema('200 when requests can be served, else 503'),
    handler: async (request, reply) => {
      if (edge.isDraining()) throw new AppError('unavailable', 'this node is going away');
      const { ready: isReady, clock } = edge.service.status();
      if (!isReady) throw new AppError('unavailable', 'this node is not ready yet');
      return answer(request, reply, 200, clock, () => ({ status: 'ready' }));
    },
  });
  app.get('/v1/limits', {
    schema: {
      ...{ tags: ['admin'], summary: 'Every bound, with its unit in its name' },
      querystring: schemas.NoQuery,
      response: schemas.answers({ 200: admin.Limits }),
    },
    handler: async (request, reply) => answer(request, reply, 200, null, () => LIMITS),
  });
  app.get('/metrics', {
    schema: {
      ...{ tags: ['admin'], summary: 'Metrics for Prometheus', querystring: schemas.NoQuery },
      response: schemas.answers({
        200: schemas.content('text/plain', 'The exposition format.'),
      }),
    },
    handler: async (_request, reply) => {
      if (edge.metricsText === null) {
        throw new AppError('not_implemented', 'this node keeps no metrics');
      }
      const text = await edge.metricsText();
      reply.header('content-type', 'text/plain; version=0.0.4; charset=utf-8');
      return text;
    },
  });
}

function registerRoot(app: App, edge: Edge): void {
  app.get('/', {
    schema: {
      ...{ tags: ['admin'], summary: 'What this is, and where to go' },
      querystring: schemas.NoQuery,
      response: schemas.answers({ 200: admin.Root }),
    },
    handler: async (request, reply) => {
      const { version, cluster, nodeId } = edge.service.status();
      return answer(request, reply, 200, null, () => ({
        ...{ name: 'minikv', version, cluster, nodeId, links: LINKS },
      }));
    },
  });
}
