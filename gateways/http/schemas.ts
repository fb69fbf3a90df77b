import { Type } from 'typebox';
import { LIMITS } from '../../protocol/limits.ts';

/**
 * The schemas of the public API: what /openapi.json says. Query strings are checked against theirs
 * (query-check.ts); bodies and headers are only documented by them, and read by the parsers of
 * gateways/kv/shapes.ts, which also serve NATS.
 */
export const CLOSED = { additionalProperties: false };
export const revision = Type.Integer({ minimum: 0, description: 'A revision; 0 means absent.' });
const keyBytes = (description: string) =>
  Type.Optional(Type.String({ description: `${description} Percent-encoded bytes.` }));
export const flag = (description: string) => Type.Optional(Type.Boolean({ description }));

export const leaseId = Type.Integer({ minimum: 1, description: 'The id of a lease.' });

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

/** Of a batch, and of a branch of a transaction. */
export const operationFields = {
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
};

export const Operation = Type.Object(
  {
    op: Type.Union([
      Type.Literal('put'),
      Type.Literal('get'),
      Type.Literal('delete'),
      Type.Literal('range'),
    ]),
    ...operationFields,
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
    bucket: Type.Optional(
      Type.String({ description: 'Changes of the objects of this bucket, not of keys.' }),
    ),
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
