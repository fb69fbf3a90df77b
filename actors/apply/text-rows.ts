import { assert } from '../../protocol/assert.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Revision } from '../../protocol/types.ts';
import { currentKey, tripleOf } from '../../storage/kv/keyspace.ts';
import { decodeCurrent } from '../../storage/kv/rows.ts';
import type { GroupState } from './group-state.ts';
import { type GroupIndex, indexById, type TextState } from './index-codec.ts';
import {
  decodeOpen,
  decodeSegment,
  encodeOpen,
  encodeSegment,
  openKey,
  pairListKey,
  postingKey,
  segmentKey,
  type TextDocument,
} from './text-codec.ts';
import { eachPair, encodePosting, encodePostings, pairText } from './trigrams.ts';

/**
 * A text index. Each version of a key is a document with a number. The latest documents lie open, values
 * and all; when there are enough of them they become a segment: its list of documents, and for each
 * trigram which of them hold it. A search looks for candidates and holds each against the version of
 * its key at the revision asked for, so all that must be true is:
 *
 *   T1  every version that is visible at a revision at or above max(floor, since), and is not larger than
 *       indexTextBytesMax, is a document that lies open or in a segment;
 *   T2  a retired segment's current documents were entered again when it was retired, so that reads at
 *       or above that revision need it no more; it is removed when the floor has come there.
 */

/** Documents, and bytes of their values, that make a segment. */
const SEGMENT_DOCUMENTS = 256;
const SEGMENT_BYTES = 256 * 1024;
/** Documents of no current version that are not worth the work of removing them. */
const DEAD_MIN = 1024;

/** A version of a key comes (`value`), or the one there was goes (null); `hadBefore`: it replaces one. */
export function changeDocument(
  state: GroupState,
  id: number,
  key: string,
  hadBefore: boolean,
  value: Uint8Array | null,
  revision: Revision,
): void {
  let text = textOf(state, id);
  if (hadBefore) text = { ...text, dead: Math.min(text.documents, text.dead + 1) };
  if (value !== null && value.length <= LIMITS.indexTextBytesMax) {
    text = enter(state, id, text, { key, revision }, value);
    text = {
      ...text,
      openCount: text.openCount + 1,
      openBytes: text.openBytes + value.length,
    };
  }
  if (text.openCount >= SEGMENT_DOCUMENTS || text.openBytes >= SEGMENT_BYTES) {
    text = seal(state, id, text);
    if (text.dead * 2 > text.documents + DEAD_MIN) text = retireOldest(state, id, text);
  }
  state.replaceIndex({ ...(indexById(state.indexes, id) as GroupIndex), text });
}

function textOf(state: GroupState, id: number): TextState {
  const index = indexById(state.indexes, id);
  assert(index !== null && index.text !== null, 'documents are entered in a text index');
  return index.text;
}

function enter(
  state: GroupState,
  id: number,
  text: TextState,
  { key, revision }: TextDocument,
  value: Uint8Array,
): TextState {
  const row = encodeOpen({ key, revision, value });
  state.stageRow(openKey(state.prefix, id, text.nextDocument), row);
  return { ...text, nextDocument: text.nextDocument + 1, documents: text.documents + 1 };
}

/** All open documents become a segment. */
function seal(state: GroupState, id: number, text: TextState): TextState {
  const segment = text.nextSegment;
  const documents: TextDocument[] = [];
  const values: Uint8Array[] = [];
  for (let number = text.openFrom; number < text.nextDocument; number++) {
    const rowKey = openKey(state.prefix, id, number);
    const row = state.row(rowKey);
    assert(row !== null, 'an open document has no row');
    const { key, revision, value } = decodeOpen(row);
    values.push(value);
    documents.push({ key, revision });
    state.stageRow(rowKey, null);
  }
  stagePostings(state, id, segment, values);
  const row = encodeSegment({ retiredAt: 0, documents });
  state.stageRow(segmentKey(state.prefix, id, segment), row);
  return {
    ...text,
    ...{ openFrom: text.nextDocument, openCount: 0, openBytes: 0, nextSegment: segment + 1 },
  };
}

/** One row for all trigrams that begin with the same two bytes: a tenth of the rows. */
function stagePostings(
  state: GroupState,
  id: number,
  segment: number,
  values: readonly Uint8Array[],
): void {
  let list = '';
  eachPair(values, (pair, postings) => {
    const rows = postings.map(([trigram, documents]) => {
      return [trigram, encodePosting(documents, values.length)] as const;
    });
    state.stage(postingKey(state.prefix, id, pair, segment), encodePostings(rows));
    list += pairText(pair);
  });
  state.stage(pairListKey(state.prefix, id, segment), Buffer.from(list, 'latin1'));
}

/** Enters what is still current in the oldest segment again, and gives the segment up. */
function retireOldest(state: GroupState, id: number, before: TextState): TextState {
  const segment = before.oldestSegment;
  const rowKey = segmentKey(state.prefix, id, segment);
  const row = state.row(rowKey);
  assert(row !== null, 'a segment in use has no row');
  const { documents } = decodeSegment(row);
  const { definition } = indexById(state.indexes, id) as GroupIndex;
  let text: TextState = { ...before, oldestSegment: segment + 1 };
  let kept = 0;
  for (let i = 0; i < documents.length; i++) {
    const document = documents[i] as TextDocument;
    const ref = { tenant: definition.tenant, space: definition.space, key: document.key };
    const bytes = state.row(currentKey(state.prefix, tripleOf(ref)));
    const current = bytes === null ? null : decodeCurrent(bytes);
    if (current === null || current.revision !== document.revision) continue;
    text = enter(state, id, text, document, current.value);
    kept++;
  }
  state.stageRow(rowKey, encodeSegment({ retiredAt: state.clock, documents }));
  const gone = documents.length - kept;
  return {
    ...text,
    documents: text.documents - documents.length,
    dead: Math.max(0, text.dead - gone),
  };
}
