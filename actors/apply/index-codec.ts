import { encodeWith, unpackBytes } from '../../protocol/codec.ts';
import { type IndexDefinition, indexDefinitionCodec } from '../../protocol/indexes.ts';
import { LIMITS } from '../../protocol/limits.ts';
import * as s from '../../protocol/schema.ts';
import type { Revision } from '../../protocol/types.ts';

/**
 * The secondary indexes of one group. They change through its log only: which there are (`indexes`), and
 * how far each backfill has come (`indexFill`).
 *
 *   I1  From the entry that defines an index on, every change of a key it covers keeps its entries, in
 *       the same batch as the key's row.
 *   I2  A key that has not changed since then is still a current row, so the backfill, which goes
 *       through current rows in key order, meets it.
 *   I3  Once the backfill has ended, at the clock `since`, the entries are exactly those of the current
 *       rows; what ended after it is kept as past entries until the floor has passed it.
 */
export interface GroupIndex {
  readonly definition: IndexDefinition;
  /** Group clock when it was defined: only rows above it were kept by writes. */
  readonly definedAt: Revision;
  /** Keys below this have been entered; null when all have. */
  readonly cursor: string | null;
  /** Keys that the backfill has looked at. */
  readonly keys: number;
  /** Reads at or above this are exact; 0 while it is being built. */
  readonly since: Revision;
  /** Of a text index; null of others. */
  readonly text: TextState | null;
  /** Of the catalog under which it was entered here. */
  readonly epoch?: number | null;
}

/** How the documents of a text index lie: numbered, in segments, the latest in none yet (text-rows.ts). */
export interface TextState {
  /** Number of the next document. */
  readonly nextDocument: number;
  /** Documents from here on are in no segment. */
  readonly openFrom: number;
  /** Of the documents in no segment, those written, not carried over; and bytes of their values. */
  readonly openCount: number;
  readonly openBytes: number;
  readonly nextSegment: number;
  /** Segments below this are retired. */
  readonly oldestSegment: number;
  /** Documents in all segments in use and in none, and about how many of them are no current version. */
  readonly documents: number;
  readonly dead: number;
}

export const NO_TEXT: TextState = {
  ...{ nextDocument: 1, openFrom: 1, openCount: 0, openBytes: 0 },
  ...{ nextSegment: 1, oldestSegment: 1, documents: 0, dead: 0 },
};

export interface GroupIndexes {
  /** Of the catalog, as last told. */
  readonly epoch: number;
  readonly list: readonly GroupIndex[];
  /** Those of the list that are unique. */
  readonly unique: readonly GroupIndex[];
}

export function groupIndexes(epoch: number, list: readonly GroupIndex[]): GroupIndexes {
  return { epoch, list, unique: list.filter(({ definition }) => definition.unique === true) };
}

export const NO_INDEXES: GroupIndexes = Object.freeze(groupIndexes(0, []));

const codec = s.record({
  epoch: s.count,
  list: s.list(
    s.record({
      definition: indexDefinitionCodec,
      definedAt: s.count,
      cursor: s.nullable(s.latin1Str(LIMITS.keyBytesMax + 1)),
      keys: s.count,
      since: s.count,
      text: s.nullable(
        s.record({
          nextDocument: s.count,
          openFrom: s.count,
          openCount: s.count,
          openBytes: s.count,
          nextSegment: s.count,
          oldestSegment: s.count,
          documents: s.count,
          dead: s.count,
        }),
      ),
      epoch: s.nullable(s.count),
    }),
    LIMITS.indexesMax,
  ),
});

const BOUNDS = { bytesMax: LIMITS.entryBytesMax, itemsMax: 65_536, depthMax: 12 };

export function encodeIndexes(indexes: GroupIndexes): Uint8Array {
  return encodeWith(codec, { epoch: indexes.epoch, list: indexes.list.map(stored) });
}

function stored(index: GroupIndex) {
  const { definition, definedAt, cursor, keys, since, text, epoch = null } = index;
  return { definition, definedAt, cursor, keys, since, text, epoch };
}

/** Throws DecodeError. */
export function decodeIndexes(bytes: Uint8Array): GroupIndexes {
  const { epoch, list } = codec.unpack(unpackBytes(bytes, BOUNDS));
  return groupIndexes(epoch, list);
}

export function indexById(indexes: GroupIndexes, id: number): GroupIndex | null {
  for (const index of indexes.list) if (index.definition.id === id) return index;
  return null;
}
