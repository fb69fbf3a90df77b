import { Type } from 'typebox';
import { LIMITS } from '../../protocol/limits.ts';
import { RELATIONS } from '../../protocol/txn.ts';
import { CLOSED, operationFields, revision } from './schemas.ts';

/** The schemas of transactions in the public API; bodies are read by gateways/kv/txn-shapes.ts. */
const Compare = Type.Object(
  {
    key: Type.Optional(Type.String()),
    keyBase64: Type.Optional(Type.String()),
    op: Type.Optional(Type.Union(RELATIONS.map((name) => Type.Literal(name)))),
    value: Type.Optional(Type.String()),
    base64: Type.Optional(Type.String()),
    revision: Type.Optional(revision),
    version: Type.Optional(Type.Integer({ minimum: 0 })),
    exists: Type.Optional(Type.Boolean()),
    lease: Type.Optional(Type.Integer({ minimum: 0, description: '0: attached to none.' })),
    object: Type.Optional(Type.Object({ bucket: Type.String(), key: Type.String() }, CLOSED)),
    etag: Type.Optional(Type.String({ description: 'Of the object; only with = and !=.' })),
    versionId: Type.Optional(Type.String({ description: 'Of the object; only with = and !=.' })),
  },
  {
    ...CLOSED,
    description:
      'A key, and exactly one of value, revision, version, exists and lease; or an object, and exactly one of ' +
      'etag, versionId, revision and exists.',
  },
);

const TxnOperation = Type.Object(
  {
    op: Type.Union(
      [...['put', 'get', 'delete', 'range', 'headObject', 'deleteObject', 'putObjectTags']].map(
        (name) => Type.Literal(name),
      ),
    ),
    ...operationFields,
    bucket: Type.Optional(Type.String({ description: 'With key: of operations on objects.' })),
    versionId: Type.Optional(
      Type.String({
        description: 'Of deleteObject and putObjectTags; the current version without.',
      }),
    ),
    tags: Type.Optional(Type.Record(Type.String(), Type.String())),
  },
  CLOSED,
);

const branch = (description: string) =>
  Type.Optional(Type.Array(TxnOperation, { maxItems: LIMITS.txnOpsMax, description }));

export const TxnBody = Type.Object(
  {
    compare: Type.Optional(Type.Array(Compare, { maxItems: LIMITS.txnOpsMax })),
    then: branch('Done when every compare holds. Each key once; a delete may name a prefix.'),
    else: branch('Done when one does not; without it the answer is then 409 compare_failed.'),
  },
  CLOSED,
);

export const TxnAnswer = Type.Object({
  succeeded: Type.Boolean({ description: 'False: the else branch was done.' }),
  revision,
  results: Type.Array(
    Type.Unsafe<Record<string, unknown>>({
      type: 'object',
      description: 'Of each operation, in order: what it wrote, removed or read.',
    }),
  ),
});

export const PrefixQuery = Type.Object(
  { prefix: Type.String({ description: 'Keys that begin with this. Percent-encoded bytes.' }) },
  CLOSED,
);

export const RangeDeleted = Type.Object({
  deleted: Type.Integer({ minimum: 0, description: 'How many keys.' }),
  revision,
});

export const SeedTxnBody = Type.Object(
  {
    operations: Type.Array(
      Type.Object({
        op: Type.Union([Type.Literal('put'), Type.Literal('delete')]),
        key: Type.String(),
        value: Type.Optional(Type.String()),
      }),
      { maxItems: LIMITS.txnOpsMax },
    ),
  },
  CLOSED,
);

export const SeedTxnAnswer = Type.Object({
  results: Type.Array(
    Type.Object({
      ok: Type.Boolean(),
      key: Type.Union([Type.String(), Type.Null()]),
      value: Type.Null(),
      error: Type.Null(),
    }),
  ),
  total_operations: Type.Integer(),
  successful_operations: Type.Integer(),
});
