import { type Static, Type } from 'typebox';
import { AppError } from '../../protocol/errors.ts';
import {
  objectBytesOf,
  type SpaceUsage,
  USAGE_PAGE_MAX,
  type Usage,
  type UsageReads,
} from '../../protocol/usage.ts';
import type { App, Edge } from '../http/app.ts';
import { contextOf } from '../http/context.ts';
import { answer } from '../http/respond.ts';
import * as schemas from '../http/schemas.ts';
import { packOpaque, unpackOpaque } from '../kv/opaque.ts';

const count = (description: string) => Type.Integer({ description });

const counts = {
  keys: count('Keys, those included whose time is over and that were not removed yet.'),
  keyBytes: count('Bytes of their names and values.'),
  objects: count('Current versions of objects.'),
  objectBytes: count('Their bytes, as clients see them.'),
  versions: count('Versions that are not current, without delete markers.'),
  versionBytes: count('Their bytes.'),
  deleteMarkers: count('Delete markers.'),
  uploads: count('Multipart uploads that are under way.'),
  parts: count('Their parts.'),
  partBytes: count('Bytes of their parts.'),
  bytes: count('Bytes of objects: of all versions, and of parts.'),
};

const Usages = Type.Object({
  total: Type.Object(counts, { description: 'Of the whole store.' }),
  items: Type.Array(
    Type.Object({
      tenant: Type.String(),
      space: Type.String({ description: 'kv for keys, else the name of a bucket.' }),
      ...counts,
    }),
  ),
  cursor: Type.Optional(Type.String({ description: 'There are further ones.' })),
});

const Query = Type.Object(
  {
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: USAGE_PAGE_MAX })),
    cursor: Type.Optional(Type.String()),
  },
  { additionalProperties: false },
);

/** `GET /admin/usage`: what is stored, in all and under each name (ADR 0042). */
export function registerUsageRoute(app: App, edge: Edge): void {
  app.get('/admin/usage', {
    schema: {
      ...{ tags: ['admin'], summary: 'What is stored: in all, per bucket, and of keys' },
      querystring: Query,
      response: schemas.answers({ 200: Usages }),
    },
    handler: async (request, reply) => {
      const { limit = USAGE_PAGE_MAX, cursor } = request.query as Static<typeof Query>;
      const after = cursor === undefined ? null : namesOf(cursor);
      const usage = usageOf(edge);
      const context = contextOf(request);
      const [total, { items, more }] = await Promise.all([
        usage.whole(context),
        usage.page(context, after, limit),
      ]);
      return answer(request, reply, 200, null, () => ({
        total: shape(total),
        items: items.map((item) => ({
          ...{ tenant: item.tenant, space: item.space },
          ...shape(item.usage),
        })),
        ...(more ? { cursor: cursorOf(items, after) } : {}),
      }));
    },
  });
}

/** How long the status waits for leaders, ms, before it tells what this node has applied. */
const STATUS_WAIT_MS = 300;

/** Of the whole store: as its leaders say, else as this node has applied it; null where it cannot tell. */
export async function usageForStatus(edge: Edge): Promise<Usage | null> {
  if (edge.usage === null) return null;
  let usage: UsageReads;
  try {
    usage = edge.usage();
  } catch (error) {
    if (error instanceof AppError) return null;
    throw error;
  }
  // A group that is known to have no leader is not waited for.
  if (!edge.service.status().ready) return usage.here();
  try {
    const deadlineMs = STATUS_WAIT_MS;
    return await usage.whole({ deadlineMs, traceparent: null, idempotency: null });
  } catch (error) {
    if (error instanceof AppError) return usage.here();
    throw error;
  }
}

function usageOf({ usage }: Edge): UsageReads {
  if (usage !== null) return usage();
  throw new AppError('not_implemented', 'this node tells no usage');
}

function shape(usage: Usage) {
  const { markers, ...rest } = usage;
  return { ...rest, deleteMarkers: markers, bytes: objectBytesOf(usage) };
}

type Names = Pick<SpaceUsage, 'tenant' | 'space'>;

function cursorOf(items: readonly SpaceUsage[], after: Names | null): string {
  const last = items[items.length - 1] ?? after;
  return packOpaque([last?.tenant ?? '', last?.space ?? '']);
}

function namesOf(cursor: string): Names {
  const [tenant, space] = unpackOpaque(cursor, 2, 256) ?? [];
  if (typeof tenant === 'string' && typeof space === 'string') return { tenant, space };
  throw new AppError('invalid_argument', 'this cursor is not one of this listing');
}
