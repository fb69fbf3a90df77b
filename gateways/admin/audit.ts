import { Readable } from 'node:stream';
import { Type } from 'typebox';
import type { AuditFilter, AuditTrail } from '../../protocol/audit.ts';
import { AppError } from '../../protocol/errors.ts';
import type { App, Edge } from '../http/app.ts';
import * as schemas from '../http/schemas.ts';
import { NDJSON } from '../kv/listing.ts';

const LIMIT_MAX = 1_000_000;

const Query = Type.Object(
  {
    since: Type.Optional(Type.String({ description: 'ISO 8601; records from then on.' })),
    until: Type.Optional(Type.String({ description: 'ISO 8601; records before.' })),
    who: Type.Optional(
      Type.String({ description: 'admin, key:<id>, issuer:<subject>, s3:<user>, nobody.' }),
    ),
    action: Type.Optional(
      Type.String({ description: 'Actions that begin so, as admin: or s3:PutBucket.' }),
    ),
    denied: Type.Optional(Type.Boolean({ description: 'Only what was answered with 401 or 403.' })),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: LIMIT_MAX })),
  },
  { additionalProperties: false },
);

interface Asked {
  readonly since?: string;
  readonly until?: string;
  readonly who?: string;
  readonly action?: string;
  readonly denied?: boolean;
  readonly limit?: number;
}

/** `GET /admin/audit`: what this node has written down of who did what. */
export function registerAuditRoute(app: App, edge: Edge): void {
  app.get('/admin/audit', {
    schema: {
      ...{ tags: ['admin'], summary: 'Who did what on this node, as lines, oldest first' },
      querystring: Query,
      response: schemas.answers({ 200: schemas.content(NDJSON, 'Records, one a line.') }),
    },
    handler: async (request, reply) => {
      const { audit } = edge;
      if (audit === null)
        throw new AppError('not_implemented', 'nothing is written down here (audit)');
      const asked = request.query as Asked;
      const lines = linesOf(audit, filterOf(asked), asked.limit ?? LIMIT_MAX);
      return reply.type(NDJSON).header('cache-control', 'no-store').send(Readable.from(lines));
    },
  });
}

async function* linesOf(trail: AuditTrail, filter: AuditFilter, limit: number) {
  let left = limit;
  for await (const record of trail.read(filter)) {
    yield `${JSON.stringify(record)}\n`;
    if (--left === 0) return;
  }
}

function filterOf({ since, until, who, action, denied }: Asked): AuditFilter {
  return {
    ...{ sinceMs: timeOf('since', since), untilMs: timeOf('until', until) },
    ...{ who: who ?? null, action: action ?? null, denied: denied === true },
  };
}

function timeOf(name: string, text: string | undefined): number | null {
  if (text === undefined) return null;
  const atMs = Date.parse(text);
  if (Number.isNaN(atMs))
    throw new AppError('invalid_argument', `${name} must be a time, as 2026-01-31T12:00:00Z`);
  return atMs;
}
