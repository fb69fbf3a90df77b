import { LIMITS } from './limits.ts';
import * as s from './schema.ts';

/**
 * Definitions of secondary indexes as they are replicated: decided in the meta group, then entered in every
 * group's log. An id is never used twice, so rows of a dropped index are never taken for another's.
 */

/** Names of indexes: like those of tenants and spaces, but none that a URL's path takes for a step. */
export const INDEX_NAME = /^(?!\.\.?$)[A-Za-z0-9._-]{1,64}$/;
const NAME_MAX = 64;

/** How many steps a path has, and how long one is. */
export const PATH_STEPS_MAX = 16;
export const PATH_STEP_MAX = 256;

export const indexFieldCodec = s.record({
  /** As it was given: a JSON Pointer or a JSONPath. */
  path: s.str(1024),
  /** From the root of the value inwards; null is every element of an array. */
  steps: s.list(s.nullable(s.str(PATH_STEP_MAX)), PATH_STEPS_MAX),
  type: s.oneOf('string', 'number', 'time'),
});
export type IndexField = s.Of<typeof indexFieldCodec>;
export type IndexFieldType = IndexField['type'];

const definitionShape = s.record({
  id: s.count,
  name: s.str(NAME_MAX),
  tenant: s.str(NAME_MAX),
  space: s.str(NAME_MAX),
  /** Keys that begin with this are indexed, latin1; '' is all of the space. */
  prefix: s.latin1Str(LIMITS.keyBytesMax),
  /** `fields`: an ordered index over fields of JSON. `text`: trigrams of the whole value. */
  kind: s.oneOf('fields', 'text'),
  /** In order of significance; none for `text`. */
  fields: s.list(indexFieldCodec, LIMITS.indexFieldsMax),
  /** Values that lack a field have no entry; otherwise they are there with null. */
  sparse: s.bool,
  /** No two keys have the same entry, null apart. Nothing: no. */
  unique: s.nullable(s.bool),
});
type DefinitionShape = s.Of<typeof definitionShape>;
export type IndexDefinition = Omit<DefinitionShape, 'unique'> & {
  readonly unique?: boolean | null;
};
export const indexDefinitionCodec = definitionShape as s.Codec<IndexDefinition>;

/** An entry of a unique index that another key has. */
export const duplicateCodec = s.record({
  index: s.str(NAME_MAX),
  /** Latin1, as the key is. */
  encoded: s.latin1Str(LIMITS.indexEntryBytesMax),
  /** The key that has it. */
  holder: s.latin1Str(LIMITS.keyBytesMax),
});
export type Duplicate = s.Of<typeof duplicateCodec>;

export const indexDefinitionsCodec = s.list(indexDefinitionCodec, LIMITS.indexesMax);

/** Where an entry stands in its index: encoded fields, then the key. Both latin1. */
export const entryPositionCodec = s.record({
  encoded: s.latin1Str(LIMITS.indexEntryBytesMax),
  key: s.latin1Str(LIMITS.keyBytesMax),
});
export type EntryPosition = s.Of<typeof entryPositionCodec>;

/** How one group stands with one index. */
export const groupIndexStatusCodec = s.record({
  id: s.count,
  /** Every key of the group that was there before it was defined has its entries. */
  isBuilt: s.bool,
  /** Keys that the backfill has looked at. */
  keys: s.count,
  /** Reads of the index at or above this revision are exact; 0 while it is being built. */
  since: s.count,
});
export type GroupIndexStatus = s.Of<typeof groupIndexStatusCodec>;

/** Whether a key is one of the index's. */
export function covers(
  definition: IndexDefinition,
  ref: { readonly tenant: string; readonly space: string; readonly key: string },
): boolean {
  return (
    ref.key.startsWith(definition.prefix) &&
    ref.space === definition.space &&
    ref.tenant === definition.tenant
  );
}
