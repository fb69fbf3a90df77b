import { Type } from 'typebox';
import { LIMITS } from '../../protocol/limits.ts';
import { CLOSED, flag, Item, loweredLimit } from './schemas.ts';

/** The schemas of secondary indexes and search: what /openapi.json says of them. */
const text = (description: string) => Type.Optional(Type.String({ description }));
const FieldType = Type.Union([
  Type.Literal('string'),
  Type.Literal('number'),
  Type.Literal('time'),
]);
const path = Type.String({ description: 'A JSON Pointer (`/a/0`) or a JSONPath (`$.a[*].b`).' });

export const IndexBody = Type.Object(
  {
    name: Type.String({ description: '1 to 64 of letters, digits, dot, underscore, dash.' }),
    prefix: text('Keys that begin with this; all keys without it.'),
    prefixBase64: text('The prefix, where its bytes are not UTF-8.'),
    kind: Type.Optional(Type.Union([Type.Literal('fields'), Type.Literal('text')])),
    fields: Type.Optional(
      Type.Array(
        Type.Union([path, Type.Object({ path, type: Type.Optional(FieldType) }, CLOSED)]),
        { maxItems: LIMITS.indexFieldsMax, description: 'In order of significance.' },
      ),
    ),
    sparse: flag('Whether values that lack a field are left out; else they are there with null.'),
    unique: flag(
      'Whether no two keys may have the same values of the fields, null apart. Then a put of such a value is refused with `duplicate`.',
    ),
  },
  CLOSED,
);

export const Index = Type.Object({
  name: Type.String(),
  prefix: Type.Optional(Type.String()),
  prefixBase64: Type.Optional(Type.String()),
  kind: Type.String(),
  fields: Type.Array(Type.Object({ path: Type.String(), type: FieldType })),
  sparse: Type.Boolean(),
  unique: Type.Boolean(),
  state: Type.Union([
    Type.Literal('building'),
    Type.Literal('paused'),
    Type.Literal('live'),
    Type.Literal('failed'),
  ]),
  failure: Type.Optional(
    Type.Object(
      {
        value: Type.Unknown(),
        keys: Type.Array(Type.Object({ key: Type.Optional(Type.String()) })),
      },
      { description: 'Of a unique index that has failed: keys that have the same value.' },
    ),
  ),
  progress: Type.Optional(
    Type.Object({
      groups: Type.Integer(),
      groupsBuilt: Type.Integer(),
      keys: Type.Integer({ description: 'Keys that the backfill has looked at.' }),
      keysThere: Type.Integer(),
      since: Type.Integer({ description: 'It can be read at or above this revision.' }),
    }),
  ),
});

export const Indexes = Type.Object({ indexes: Type.Array(Index) });
export const IndexDropped = Type.Object({ dropped: Type.Boolean() });

export const IndexParams = Type.Object({ name: Type.String({ description: 'Of the index.' }) });

export const IndexQuery = Type.Object(
  {
    eq: text('The first field is this; a JSON array is for the first fields. null: it is missing.'),
    gt: text('The next field is above this.'),
    gte: text('The next field is this or above.'),
    lt: text('The next field is below this.'),
    lte: text('The next field is this or below.'),
    prefix: text('The next field, a string, begins with this.'),
    order: Type.Optional(Type.Union([Type.Literal('asc'), Type.Literal('desc')])),
    limit: Type.Optional(
      Type.Integer({ minimum: 1, description: `Above ${LIMITS.pageItemsMax} counts as that.` }),
    ),
    cursor: Type.Optional(Type.String({ maxLength: 16_384 })),
    revision: Type.Optional(
      Type.Integer({ minimum: 1, description: 'Read as of this past revision.' }),
    ),
    values: flag('Whether items carry their values; true by default.'),
    explain: flag('Whether the answer says how it was found.'),
  },
  CLOSED,
);

const Hit = Type.Intersect([
  Item,
  Type.Object({
    entry: Type.Array(Type.Unknown(), {
      description: "The fields' values; times as Unix ms, strings by which they are told apart.",
    }),
  }),
]);

export const IndexPage = Type.Object({
  items: Type.Array(Hit, {
    description: 'In index order, then by key. A key is there once for each of its values.',
  }),
  cursor: Type.Optional(Type.String({ description: 'Where the next page begins; opaque.' })),
  revision: Type.Integer({ minimum: 0 }),
  limit: loweredLimit,
  explain: Type.Optional(Type.Unsafe<Record<string, unknown>>({ type: 'object' })),
});

export const SearchQuery = Type.Object(
  {
    q: Type.String({
      description: `Bytes that a value holds, ${LIMITS.searchBytesMin} to ${LIMITS.searchBytesMax} of them; case counts.`,
    }),
    prefix: text('Keys that begin with this. Percent-encoded bytes.'),
    limit: Type.Optional(
      Type.Integer({ minimum: 1, description: `Above ${LIMITS.pageItemsMax} counts as that.` }),
    ),
    cursor: Type.Optional(Type.String({ maxLength: 16_384 })),
    revision: Type.Optional(
      Type.Integer({ minimum: 1, description: 'Read as of this past revision.' }),
    ),
    values: flag('Whether items carry their values; false by default.'),
    explain: flag('Whether the answer says how it was found.'),
  },
  CLOSED,
);

export const SearchPage = Type.Object({
  items: Type.Array(Item, { description: 'In key order.' }),
  cursor: Type.Optional(Type.String({ description: 'Where the next page begins; opaque.' })),
  revision: Type.Integer({ minimum: 0 }),
  limit: loweredLimit,
  explain: Type.Optional(Type.Unsafe<Record<string, unknown>>({ type: 'object' })),
});

export const SeedSearchQuery = Type.Object({ value: Type.String() }, CLOSED);
export const SeedSearchAnswer = Type.Object({
  query: Type.String(),
  matching_keys: Type.Array(Type.String()),
  total_matches: Type.Integer(),
});
