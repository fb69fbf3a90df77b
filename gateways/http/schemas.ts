import type { FastifySchemaCompiler } from 'fastify';
import { type TObject, type TSchema, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { Value } from 'typebox/value';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';

/**
 * The schemas of the public API: what /openapi.json says. Query strings are checked against theirs here;
 * bodies and headers are documented here and read by the parsers of gateways/kv/shapes.ts, which
 * also serve NATS. The one door to typebox.
 */
const CLOSED = { additionalProperties: false };
const revision = Type.Integer({ minimum: 0, description: 'A revision; 0 means absent.' });
const keyBytes = (description: string) =>
  Type.Optional(Type.String({ description: `${description} Percent-encoded bytes.` }));
const flag = (description: string) => Type.Optional(Type.Boolean({ description }));

const leaseId = Type.Integer({ minimum: 1, description: 'The id of a lease.' });

const keyFields = {
  key: Type.Optional(Type.String({ description: 'The key, where its bytes are UTF-8.' })),
  keyBase64: Type.Optional(Type.String({ description: 'The key, where its bytes are not UTF-8.' })),
};
const valueFields = {
  value: Type.Optional(Type.String({ description: 'The value as text; binary in MessagePack.' })),
  base64: Type.Optional(Type.String({ description: 'The value where it is not UTF-8.' })),
};

export const Item = Type.Object({
  ...keyFields,
  ...valueFields,
  revision,
  createRevision: revision,
  version: Type.Integer({ minimum: 1 }),
  contentType: Type.Optional(Type.String()),
  expiresAt: Type.Optional(Type.String({ format: 'date-time' })),
  lease: Type.Optional(leaseId),
});

export const loweredLimit = Type.Optional(
  Type.Integer({ description: 'Only where a larger limit was asked for: what was taken instead.' }),
);

export const Page = Type.Object({
  items: Type.Array(Item),
  cursor: Type.Optional(Type.String({ description: 'Where the next page begins; opaque.' })),
  revision,
  limit: loweredLimit,
});

export const PutAnswer = Type.Object({
  ...keyFields,
  revision,
  createRevision: revision,
  version: Type.Integer({ minimum: 1 }),
});

export const DeleteAnswer = Type.Object({ deleted: Type.Boolean(), revision });

export const Problem = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    code: Type.String({ description: 'Stable for ever; see docs/errors.md.' }),
    definite: Type.Boolean({ description: 'True: it certainly did not happen.' }),
    retryAfterMs: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()]),
    requestId: Type.String(),
  },
  { description: 'RFC 9457 problem details.' },
);

export const Operation = Type.Object(
  {
    op: Type.Union([
      Type.Literal('put'),
      Type.Literal('get'),
      Type.Literal('delete'),
      Type.Literal('range'),
    ]),
    ...keyFields,
    ...valueFields,
    ttl: Type.Optional(Type.Integer({ minimum: 1, description: 'Seconds.' })),
    contentType: Type.Optional(Type.String()),
    ifRevision: Type.Optional(Type.Integer({ minimum: 0, description: '0: must be absent.' })),
    lease: Type.Optional(leaseId),
    prefix: Type.Optional(Type.String()),
    start: Type.Optional(Type.String()),
    end: Type.Optional(Type.String()),
    limit: Type.Optional(Type.Integer({ minimum: 1 })),
    reverse: Type.Optional(Type.Boolean()),
    values: Type.Optional(Type.Boolean()),
  },
  CLOSED,
);

export const BatchBody = Type.Object(
  { ops: Type.Array(Operation, { maxItems: LIMITS.batchOpsMax }) },
  CLOSED,
);

export const BatchAnswer = Type.Object({
  results: Type.Array(
    Type.Unsafe<Record<string, unknown>>({
      type: 'object',
      description: 'The answer of each operation; one that failed has code, definite and message.',
    }),
  ),
  revision,
});

export const SeedBatchBody = Type.Object(
  {
    ops: Type.Array(
      Type.Object({
        op: Type.Union([Type.Literal('put'), Type.Literal('get'), Type.Literal('delete')]),
        key: Type.String(),
        value: Type.Optional(Type.String()),
      }),
      { maxItems: LIMITS.batchOpsMax },
    ),
  },
  CLOSED,
);

export const SeedBatchAnswer = Type.Object({
  results: Type.Array(
    Type.Object({
      ok: Type.Boolean(),
      key: Type.Union([Type.String(), Type.Null()]),
      value: Type.Union([Type.String(), Type.Null()]),
      error: Type.Union([Type.String(), Type.Null()]),
    }),
  ),
});

export const ImportBody = Type.Object(
  { entries: Type.Array(Type.Object({ ...keyFields, ...valueFields })) },
  CLOSED,
);

export const ImportAnswer = Type.Object({
  imported: Type.Integer(),
  failed: Type.Integer(),
  errors: Type.Array(Type.Unsafe<Record<string, unknown>>({ type: 'object' })),
  revision,
});

const Consistency = Type.Optional(
  Type.Union([Type.Literal('linearizable'), Type.Literal('stale')], { default: 'linearizable' }),
);
const pastRevision = Type.Optional(
  Type.Integer({ minimum: 1, description: 'Read as of this past revision.' }),
);

export const NoQuery = Type.Object({}, CLOSED);
export const GetQuery = Type.Object({ revision: pastRevision, consistency: Consistency }, CLOSED);

export const ListQuery = Type.Object(
  {
    prefix: keyBytes('Keys that begin with this.'),
    start: keyBytes('Keys from here on, inclusive.'),
    end: keyBytes('Keys up to here, exclusive.'),
    limit: Type.Optional(
      Type.Integer({ minimum: 1, description: `Above ${LIMITS.pageItemsMax} counts as that.` }),
    ),
    cursor: Type.Optional(Type.String({ maxLength: 8192 })),
    reverse: flag('Last key first.'),
    values: flag('Whether items carry their values; true by default.'),
    revision: pastRevision,
    consistency: Consistency,
  },
  CLOSED,
);

export const SeedRangeQuery = Type.Object(
  {
    start: keyBytes('First key.'),
    end: keyBytes('Last key, inclusive.'),
    include_values: flag('Whether items carry their values; false by default.'),
    limit: Type.Optional(Type.Integer({ minimum: 1 })),
    cursor: Type.Optional(Type.String({ maxLength: 8192 })),
  },
  CLOSED,
);

export const WatchQuery = Type.Object(
  {
    prefix: keyBytes('Keys that begin with this.'),
    from: Type.Optional(
      Type.String({ description: 'A revision or a resume token: everything after it.' }),
    ),
    initial: flag('First every current item, then synced, then changes.'),
    prev: flag('Whether events carry the version they replaced.'),
  },
  CLOSED,
);

const header = (description: string) => Type.Optional(Type.String({ description }));
const conditions = {
  'if-match': header('`"<revision>"` or `*`: the key must be at it, or exist.'),
  'idempotency-key': header('The same request with the same key is applied once.'),
  'x-minikv-timeout-ms': header(`Milliseconds, at most ${LIMITS.requestDeadlineMsMax}.`),
};
export const PutHeaders = Type.Object({
  ...conditions,
  'if-none-match': header('`*`: the key must be absent.'),
  'x-minikv-ttl': header('Seconds until the key expires.'),
  'x-minikv-lease': header('The lease to attach the key to: with it, it goes.'),
});
export const DeleteHeaders = Type.Object(conditions);
export const GetHeaders = Type.Object({
  'if-none-match': header('`"<revision>"`: 304 where the key is still at it.'),
  'if-match': header('`"<revision>"`: 412 where the key is not at it.'),
});
export const WatchHeaders = Type.Object({
  'last-event-id': header('Where to resume; goes before `from`.'),
});
export const KeyParams = Type.Object({
  key: Type.String({ description: 'Percent-encoded bytes; slashes belong to the key.' }),
});
export const Bytes = Type.Unsafe<Buffer>({ type: 'string', format: 'binary' });

/** The answers of a route; every route can also answer a problem. Untyped: handlers answer bytes. */
export function answers(byStatus: Readonly<Record<number, unknown>>): unknown {
  return { ...byStatus, default: Problem };
}

/** A response that is no JSON document. */
export function content(type: string, description: string) {
  return { description, content: { [type]: { schema: { type: 'string' } } } };
}

const BOOLEANS: Readonly<Record<string, boolean>> = {
  true: true,
  '1': true,
  '': true,
  false: false,
  '0': false,
};
const WHOLE = /^(?:0|[1-9][0-9]{0,15})$/;

/** Text to what the schema wants, where it is exactly that; anything else stays text and is refused. */
function converted(schema: TSchema, text: unknown): unknown {
  const type: unknown = Reflect.get(schema, 'type');
  if (typeof text !== 'string') return text;
  if (type === 'integer' && WHOLE.test(text)) return Number(text);
  if (type === 'boolean' && Object.hasOwn(BOOLEANS, text)) return BOOLEANS[text];
  return text;
}

/** The fields of a query string as its schema types them. Throws Error with what is wrong. */
export function checkedQuery(
  schema: TObject,
  value: Readonly<Record<string, unknown>>,
  check: (query: unknown) => boolean = (query) => Value.Check(schema, query),
): Record<string, unknown> {
  const query: Record<string, unknown> = {};
  for (const [name, text] of Object.entries(value)) {
    const property = Object.hasOwn(schema.properties, name) ? schema.properties[name] : undefined;
    if (property === undefined) {
      throw invalid(`there is no query parameter ${JSON.stringify(name.slice(0, NAME_CHARS_MAX))}`);
    }
    const given = converted(property, text);
    if (typeof given === 'number' && !Number.isSafeInteger(given)) {
      throw invalid(`${name} ${mustBe(property)}`);
    }
    query[name] = given;
  }
  if (check(query)) return query;
  const missing = schema.required?.find((name) => !Object.hasOwn(query, name));
  if (missing !== undefined) throw invalid(`the query parameter ${missing} is missing`);
  const [first] = Value.Errors(schema, query);
  const name = first?.instancePath.slice(1) ?? '';
  throw invalid(`${name || 'the query'} ${mustBe(schema.properties[name])}`);
}

const NAME_CHARS_MAX = 64;

/** What a value of this schema has to be, as far as it can be said in a few words. */
function mustBe(schema: TSchema | undefined): string {
  const { type, minimum, maximum, maxLength } = (schema ?? {}) as Readonly<Record<string, unknown>>;
  if (type === 'boolean') return 'must be true or false';
  if (type === 'integer') {
    if (maximum === undefined) return `must be a whole number of at least ${minimum ?? 0}`;
    return `must be a whole number from ${minimum ?? 0} to ${maximum}`;
  }
  if (type === 'string' && maxLength !== undefined)
    return `must have at most ${maxLength} characters`;
  return 'is not valid';
}

function invalid(message: string): AppError {
  return new AppError('invalid_argument', message);
}

/** Checks query strings; see the head of this file for bodies and headers. */
export const validatorCompiler: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  if (httpPart !== 'querystring') return (value: unknown) => ({ value });
  const object = schema as TObject;
  const checked = Compile(object);
  return (value: Record<string, unknown>) => {
    try {
      return { value: checkedQuery(object, value, (query) => checked.Check(query)) };
    } catch (error) {
      return { error: error as Error };
    }
  };
};

export const Root = Type.Object({
  name: Type.String(),
  version: Type.String(),
  cluster: Type.String(),
  nodeId: Type.String(),
  links: Type.Record(Type.String(), Type.String()),
});

export const Health = Type.Object({
  status: Type.Union(
    ['live', 'ready', 'degraded', 'starting', 'draining'].map((name) => Type.Literal(name)),
  ),
  nodeId: Type.Optional(Type.String()),
  version: Type.Optional(Type.String()),
  durability: Type.Optional(Type.String()),
  bus: Type.Optional(Type.String()),
  disk: Type.Optional(Type.String()),
  uptimeMs: Type.Optional(Type.Integer()),
});

export const Limits = Type.Record(Type.String(), Type.Integer());

export const StateHashes = Type.Object({
  nodeId: Type.String(),
  replicas: Type.Array(
    Type.Object({
      group: Type.Integer(),
      replica: Type.String(),
      appliedIndex: Type.Integer(),
      hash: Type.String({ description: '16 hex digits.' }),
    }),
  ),
});

export const Status = Type.Object(
  {
    role: Type.Union([Type.Literal('leader'), Type.Literal('follower'), Type.Literal('gateway')]),
    is_leader: Type.Boolean(),
    nb_peers: Type.Integer(),
    nb_volumes: Type.Integer({ description: 'Virtual shards this node holds a copy of.' }),
    volume_ids: Type.Array(Type.Integer()),
    nb_s3_objects: Type.Integer(),
    node_id: Type.String(),
    cluster: Type.String(),
    cluster_id: Type.String(),
    version: Type.String(),
    ready: Type.Boolean(),
    durability: Type.String(),
    bus: Type.String(),
    disk: Type.String(),
    map_epoch: Type.Integer(),
    uptime_ms: Type.Integer(),
    clock: Type.Integer(),
    leads: Type.Array(Type.Integer()),
  },
  { additionalProperties: true },
);
