import { AppError } from '../../protocol/errors.ts';
import type { SearchHits } from '../../protocol/index-access.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { KvService, RequestContext } from '../../protocol/service.ts';
import type { App } from '../http/app.ts';
import { contextOf } from '../http/context.ts';
import * as shapes from '../http/index-schemas.ts';
import { answer } from '../http/respond.ts';
import * as schemas from '../http/schemas.ts';
import { decodeQueryCursor, encodeQueryCursor } from './index-cursor.ts';
import { loweredLimit, pageLimit } from './paging.ts';
import { itemToJson, keyToJson, type Shape } from './shapes.ts';

/** Text in values: `/v1/search`, and the seed's `/search`. Both need a text index: nothing is scanned. */
export function registerSearchRoutes(app: App): void {
  app.get('/v1/search', {
    schema: {
      ...{ tags: ['indexes'], summary: 'Keys whose values hold a text, in key order' },
      querystring: shapes.SearchQuery,
      response: schemas.answers({ 200: shapes.SearchPage }),
    },
    handler: async (request, reply) => {
      const { q, prefix = '', cursor, values = false, explain = false } = request.query;
      const identity = JSON.stringify(['search', q, prefix]);
      const at = cursor === undefined ? null : decodeQueryCursor(cursor, identity);
      const { revision: given } = request.query;
      if (at !== null && given !== undefined && given !== at.revision) {
        throw new AppError('invalid_argument', 'the cursor belongs to another revision');
      }
      const page = await request.edge.service.indexes.search(contextOf(request), {
        ...{ text: q, prefix, values, after: at?.after.key ?? '' },
        limit: pageLimit(request.query.limit),
        revision: at?.revision ?? given ?? null,
      });
      return answer(request, reply, 200, page.revision, (binary) => ({
        ...pageToJson(page, identity, { values, explain, binary }),
        ...loweredLimit(request.query.limit),
      }));
    },
  });
  app.get('/search', {
    schema: {
      ...{ tags: ['seed'], summary: 'Keys whose values hold a text; needs a text index' },
      querystring: shapes.SeedSearchQuery,
      response: schemas.answers({ 200: shapes.SeedSearchAnswer }),
    },
    handler: async (request, reply) => {
      const { value } = request.query;
      const { keys, revision } = await searchAll(request.edge, contextOf(request), value);
      return answer(request, reply, 200, revision, () => ({
        query: Buffer.from(value, 'latin1').toString('utf8'),
        matching_keys: keys.map((key) => Object.values(keyToJson(key))[0]),
        total_matches: keys.length,
      }));
    },
  });
}

function pageToJson(
  page: SearchHits,
  identity: string,
  options: { values: boolean; explain: boolean; binary: boolean },
): Shape {
  const { items, revision, next, plan } = page;
  const shape: Shape = { items: items.map((item) => itemToJson(item, options)), revision };
  if (next !== null) {
    const after = { encoded: '', key: next };
    shape['cursor'] = encodeQueryCursor({ revision, after }, identity);
  }
  if (options.explain) {
    const rows = plan.groups.reduce((sum, group) => sum + group.rows, 0);
    shape['explain'] = { index: plan.index, rows, groups: plan.groups };
  }
  return shape;
}

/** The seed's path has no pages: more matches than this are refused, not cut. */
const MATCHES_MAX = 10 * LIMITS.pageItemsMax;

async function searchAll(
  edge: { readonly service: Pick<KvService, 'indexes'> },
  ctx: RequestContext,
  text: string,
): Promise<{ keys: string[]; revision: number }> {
  const keys: string[] = [];
  let revision: number | null = null;
  let after = '';
  for (;;) {
    const page = await edge.service.indexes.search(ctx, {
      ...{ text, prefix: '', after, revision, values: false, limit: LIMITS.pageItemsMax },
    });
    revision = page.revision;
    for (const item of page.items) keys.push(item.ref.key);
    if (page.next === null) return { keys, revision };
    if (keys.length > MATCHES_MAX) {
      throw new AppError('too_large', `more than ${MATCHES_MAX} matches: page with /v1/search`);
    }
    after = page.next;
  }
}
