import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { KvService } from '../../protocol/service.ts';
import { DEFAULT_TENANT } from '../../protocol/vshard.ts';
import type { Grant } from '../identity/grant.ts';
import { standingHeaders } from '../limits/headers.ts';
import type { Asker, Meters } from '../limits/rate-limits.ts';
import type { Edge } from './app.ts';
import { bodyLength } from './exchange.ts';
import { ruleOf } from './route-actions.ts';

/** The store of whoever is admitted, counted for the limits of prefixes; what administrators do is not. */
export function storeFor(
  { storeOf, limits }: Pick<Edge, 'storeOf' | 'limits'>,
  grant: Pick<Grant, 'tenant' | 'by'> | null,
): KvService {
  const tenant = grant?.tenant ?? DEFAULT_TENANT;
  const store = storeOf(tenant);
  return limits === null || grant?.by === 'admin' ? store : limits.storeOf(tenant, store);
}

/** Of REST: what administrators do is never limited, or nobody could take a limit away. */
export function metersOf(
  { limits }: Pick<Edge, 'limits'>,
  grant: Pick<Grant, 'who' | 'tenant' | 'by'> | null,
  address: string | undefined,
): Meters | null {
  if (limits === null || grant?.by === 'admin') return null;
  const asker: Asker = {
    ...{ who: grant?.who ?? null, tenant: grant?.tenant ?? DEFAULT_TENANT },
    ...{ address: address ?? '', bucket: '' },
  };
  return limits.of(asker);
}

/** Counts a request that the framework answers. Throws `rate_limited`. What shows the node's state, and its administration, is not counted. */
export function countRequest(edge: Edge, request: FastifyRequest): void {
  if (edge.limits === null) return;
  const rule = ruleOf(request.method, request.routeOptions.url);
  if (rule === null || rule === 'public' || rule === 'status:read' || rule.startsWith('admin:')) {
    return;
  }
  const { raw } = request;
  const meters = metersOf(edge, request.edge.grant, raw.socket.remoteAddress);
  if (meters === null) return;
  request.edge.meters = meters;
  const refusal = meters.admit(bodyLength(raw));
  if (refusal !== null) {
    edge.refusedLinks.refused(raw.socket, meters.standing());
    request.edge.meters = null;
    throw refusal;
  }
  edge.refusedLinks.served(raw.socket);
}

/** Counts what leaves, and says how far its reader is from the limit; a stream goes at the pace that it allows. */
export function countAnswer(meters: Meters, reply: FastifyReply, payload: unknown): unknown {
  const standing = meters.standing();
  if (standing !== null) {
    for (const [name, value] of standingHeaders(standing)) reply.header(name, value);
  }
  if (payload instanceof Readable) {
    return Readable.from(paced(payload, meters), { objectMode: true, highWaterMark: 1 });
  }
  const isText = typeof payload === 'string';
  if (isText || payload instanceof Uint8Array) meters.move('bytesOut', lengthOf(payload));
  return payload;
}

async function* paced(pieces: AsyncIterable<string | Uint8Array>, meters: Meters) {
  for await (const piece of pieces) {
    yield piece;
    const wait = meters.pace('bytesOut', lengthOf(piece));
    if (wait !== null) await wait;
  }
}

export function lengthOf(body: string | Uint8Array): number {
  return typeof body === 'string' ? Buffer.byteLength(body) : body.length;
}
