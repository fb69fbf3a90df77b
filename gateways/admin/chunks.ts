import { Readable } from 'node:stream';
import type { CareProgress, ChunkCare, OnCare } from '../../protocol/chunk-care.ts';
import { AppError } from '../../protocol/errors.ts';
import * as admin from '../http/admin-schemas.ts';
import type { App, Edge } from '../http/app.ts';
import { problemOf } from '../http/problem.ts';
import { answer, weightOf } from '../http/respond.ts';
import * as schemas from '../http/schemas.ts';
import { NDJSON } from '../kv/listing.ts';

/** A line this often, where they are asked for. */
const LINE_EVERY_MS = 500;

/** `POST /admin/verify`, `/admin/repair` and `/admin/compact`: chunks of objects on this node's disk. */
export function registerChunkRoutes(app: App, edge: Edge): void {
  const reads = 'Reads every chunk of this node';
  route(app, edge, '/admin/verify', admin.ChunkCounts, reads, (care, onCare) =>
    care.verify(onCare),
  );
  route(
    ...([app, edge, '/admin/repair', admin.ChunkCounts] as const),
    `${reads}, and brings what is damaged or missing from other nodes`,
    (care, onCare) => care.repair(onCare),
  );
  route(
    ...([app, edge, '/admin/compact', admin.SweepCounts] as const),
    'Removes the chunks of this node that no object needs and none can',
    (care, onCare) => care.sweep(onCare),
  );
}

interface Running<C> {
  readonly ended: Promise<C>;
  readonly progress: CareProgress<C>;
}

/** Those who ask while it runs share it. With `Accept: application/x-ndjson`: lines while it runs, the last one `done`. */
function route<C extends object>(
  app: App,
  edge: Edge,
  url: string,
  schema: typeof admin.ChunkCounts | typeof admin.SweepCounts,
  summary: string,
  work: (care: ChunkCare, onCare: OnCare<C>) => Promise<C>,
): void {
  let running: Running<C> | null = null;
  const begin = (care: ChunkCare): Running<C> => {
    let progress: CareProgress<C> | null = null;
    const ended = work(care, (begun) => {
      progress = begun;
    }).finally(() => {
      running = null;
    });
    ended.catch(() => {}); // each who asked hears of it
    if (progress === null) throw new AppError('internal', 'it began without a progress');
    return { ended, progress };
  };
  app.post(url, {
    schema: {
      tags: ['admin'],
      summary: `${summary}; with Accept: application/x-ndjson, how far it is as lines`,
      querystring: schemas.NoQuery,
      response: schemas.answers({ 200: schema }),
    },
    handler: async (request, reply) => {
      if (edge.chunks === null) throw new AppError('not_implemented', 'this node keeps no chunks');
      running ??= begin(edge.chunks());
      const shared = running;
      const { nodeId, clock } = edge.service.status();
      if (weightOf(request.headers.accept, (type) => type === NDJSON) > 0) {
        reply.code(200).header('content-type', NDJSON);
        const lines = linesOf(edge, nodeId, shared, request.id);
        return Readable.from(lines, { objectMode: true, highWaterMark: 1 });
      }
      const counts = await shared.ended;
      return answer(request, reply, 200, clock, () => ({ nodeId, ...counts }));
    },
  });
}

/** `{nodeId, done, phase, looked, total, ...counts}`; a failure is a line with its `error`. */
async function* linesOf<C extends object>(
  edge: Edge,
  nodeId: string,
  { ended, progress }: Running<C>,
  requestId: string,
): AsyncGenerator<string> {
  const line = (done: boolean): string => {
    const { phase, looked, total, counts } = progress;
    return `${JSON.stringify({ nodeId, done, phase, looked, total, ...counts })}\n`;
  };
  try {
    do yield line(false);
    while (!(await endsWithin(edge, ended, LINE_EVERY_MS)));
    yield line(true);
  } catch (error) {
    yield `${JSON.stringify({ nodeId, error: problemOf(error, requestId).body })}\n`;
  }
}

/** Rejects as `work` does. */
async function endsWithin(edge: Edge, work: Promise<unknown>, ms: number): Promise<boolean> {
  let cancel = (): void => {};
  const late = new Promise<boolean>((resolve) => {
    cancel = edge.clock.after(ms, () => resolve(false));
  });
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    cancel();
  }
}
