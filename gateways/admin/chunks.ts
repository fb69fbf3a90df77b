import type { ChunkCare } from '../../protocol/chunk-care.ts';
import { AppError } from '../../protocol/errors.ts';
import * as admin from '../http/admin-schemas.ts';
import type { App, Edge } from '../http/app.ts';
import { answer } from '../http/respond.ts';
import * as schemas from '../http/schemas.ts';

/** `POST /admin/verify`, `/admin/repair` and `/admin/compact`: chunks of objects on this node's disk. */
export function registerChunkRoutes(app: App, edge: Edge): void {
  route(app, edge, '/admin/verify', admin.ChunkCounts, 'Reads every chunk of this node', (care) =>
    care.verify(),
  );
  route(
    ...([app, edge, '/admin/repair', admin.ChunkCounts] as const),
    'Reads every chunk of this node, and brings what is damaged or missing from other nodes',
    (care) => care.repair(),
  );
  route(
    ...([app, edge, '/admin/compact', admin.SweepCounts] as const),
    'Removes the chunks of this node that no object needs and none can',
    (care) => care.sweep(),
  );
}

/** Those who ask while it runs share its answer. */
function route<C extends object>(
  app: App,
  edge: Edge,
  url: string,
  schema: typeof admin.ChunkCounts | typeof admin.SweepCounts,
  summary: string,
  work: (care: ChunkCare) => Promise<C>,
): void {
  let running: Promise<C> | null = null;
  app.post(url, {
    schema: {
      ...{ tags: ['admin'], summary, querystring: schemas.NoQuery },
      response: schemas.answers({ 200: schema }),
    },
    handler: async (request, reply) => {
      if (edge.chunks === null) throw new AppError('not_implemented', 'this node keeps no chunks');
      running ??= work(edge.chunks()).finally(() => {
        running = null;
      });
      const counts = await running;
      const { nodeId, clock } = edge.service.status();
      return answer(request, reply, 200, clock, () => ({ nodeId, ...counts }));
    },
  });
}
