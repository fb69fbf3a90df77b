import type { Condition } from '../../protocol/conditions.ts';
import { decodeEntry } from '../../protocol/index-encoding.ts';
import { covers, type IndexDefinition } from '../../protocol/indexes.ts';
import type { TxnResult } from '../../protocol/messages/txn.ts';
import type { TxnBody, TxnOp, TxnOpOf } from '../../protocol/txn.ts';
import type { Revision } from '../../protocol/types.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import {
  currentKey,
  INDEX_BODY_OFFSET,
  indexHead,
  owedKey,
  reservationKey,
  tripleOf,
} from '../../storage/kv/keyspace.ts';
import { decodeCurrent } from '../../storage/kv/rows.ts';
import type { GroupState } from './group-state.ts';
import { type GroupIndex, indexById } from './index-codec.ts';
import { type Document, documentOf, entriesOf } from './index-entries.ts';
import { hasExpired } from './item.ts';

/**
 * Unique indexes (ADR 0033). A reservation is a row that says which key has an entry; it lives in the group
 * that its own name hashes to, so that two keys that want the entry meet there.
 *
 *   U1  Once an index is live each entry of a live key is reserved for that key. A write that begins an
 *       entry is part of a transaction that claims it; apply refuses any other.
 *   U2  A reservation may outlive its entry. Whatever ends an entry leaves an owed row beside it, in the
 *       same batch, and who works that off ends the reservation; a claim that meets it first
 *       takes it over, on condition that the key which it names has not got the entry.
 *   U3  An entry with a null is not reserved. Either all entries of a value have one, or none has.
 *   U4  A transaction prepared before its group knew of the index is not bound by U1: the index is
 *       not built there before it has ended.
 */

/** Whether an entry is one that only one key may have (U3). */
export function isReserved(encoded: string): boolean {
  return !decodeEntry(encoded).includes(null);
}

/** The entries of a value that are reserved for its key. */
export function claimsOf(definition: IndexDefinition, document: Document): readonly string[] {
  const entries = entriesOf(definition, document);
  return entries.length > 0 && isReserved(entries[0] as string) ? entries : NONE;
}

const NONE: readonly string[] = Object.freeze([]);

/** Names a reservation among keys, for locks and for its place: no tenant has an empty name. */
export function reservationRef(id: number, encoded: string): KeyRef {
  return { tenant: '', space: String(id), key: encoded };
}

export function indexOfReservation({ space }: KeyRef): number {
  return Number(space);
}

/** Whether a put would begin an entry of a unique index: then it is done with a claim, or not at all (U1). */
export function beginsEntry(
  state: GroupState,
  { ref, value }: { readonly ref: KeyRef; readonly value: Uint8Array },
  revision: Revision,
): boolean {
  let was: Document;
  let is: Document;
  let isParsed = false;
  for (const { definition } of state.indexes.unique) {
    if (!covers(definition, ref)) continue;
    if (!isParsed) {
      isParsed = true;
      is = documentOf(value);
      was = presentDocument(state, ref, revision);
    }
    const begun = claimsOf(definition, is);
    if (begun.length === 0) continue;
    const had = claimsOf(definition, was);
    if (begun.some((encoded) => !had.includes(encoded))) return true;
  }
  return false;
}

function presentDocument(state: GroupState, ref: KeyRef, revision: Revision): Document {
  const bytes = state.row(currentKey(state.prefix, tripleOf(ref)));
  const row = bytes === null ? null : decodeCurrent(bytes);
  return row === null || hasExpired(row, revision) ? undefined : documentOf(row.value);
}

export function isCovered({ indexes }: GroupState, ref: KeyRef): boolean {
  return indexes.unique.some(({ definition }) => covers(definition, ref));
}

/** Whether a branch has a put that would begin an entry, and no claims. */
export function hasUnclaimed(
  state: GroupState,
  ops: readonly TxnOp[],
  revision: Revision,
): boolean {
  if (state.indexes.unique.length === 0) return false;
  return ops.some((op) => op.type === 'put' && beginsEntry(state, op, revision));
}

/**
 * Whether the claims of a part were made by an older catalog than this group's where that matters, or by a newer
 * one that this group does not know yet.
 */
export function hasOtherIndexes(
  { indexes }: GroupState,
  { then, otherwise }: TxnBody,
  epoch: number,
): boolean {
  const isBehind = indexes.epoch < epoch;
  if (indexes.unique.length === 0 && !isBehind) return false;
  const isOther = (op: TxnOp): boolean => {
    if (op.type === 'claim') return isBehind;
    if (op.type !== 'put') return false;
    // It would begin an entry that this group does not keep yet, and owe nothing when that ends.
    if (isBehind) return true;
    return indexes.unique.some(
      (index) => (index.epoch ?? 0) > epoch && covers(index.definition, op.ref),
    );
  };
  return then.some(isOther) || (otherwise ?? []).some(isOther);
}

/** The key that an entry is reserved for; null when it is free. */
function holderOf(state: GroupState, ref: KeyRef): string | null {
  const row = state.row(reservationKey(state.prefix, indexOfReservation(ref), ref.key));
  return row === null ? null : Buffer.from(row).toString('latin1');
}

const HELD: TxnResult = { type: 'held' };

/** What unique indexes add to a transaction beside its client's operations. */
export type ReservationOp = TxnOpOf<'claim'> | TxnOpOf<'release'> | TxnOpOf<'expect'>;

export function isReservation(op: TxnOp): op is ReservationOp {
  return op.type === 'claim' || op.type === 'release' || op.type === 'expect';
}

/** Whether either branch has any of those. */
export function addsReservations({ then, otherwise }: TxnBody): boolean {
  return then.some(isReservation) || (otherwise?.some(isReservation) ?? false);
}

/** `present`: the revision of the key that is expected to be so, 0 where it is absent. */
export function foreseeReservation(
  state: GroupState,
  op: ReservationOp,
  present: Revision,
): TxnResult {
  if (op.type === 'claim') return foreseeClaim(state, op);
  return op.type === 'release' ? HELD : foreseeExpect(op, present);
}

function foreseeClaim(state: GroupState, op: TxnOpOf<'claim'>): TxnResult {
  // The index was dropped, and a vote may be asked for again: it was enforced at the revision of the prepare.
  if (knownIndex(state, op.ref) === null) return { type: 'refused', revision: 0, holder: null };
  const holder = holderOf(state, op.ref);
  if (holder === null || holder === op.holder || holder === op.over) return HELD;
  return { type: 'refused', revision: 0, holder };
}

function foreseeExpect({ condition }: TxnOpOf<'expect'>, present: Revision): TxnResult {
  if (isMet(condition, present)) return HELD;
  return { type: 'refused', revision: present, holder: null };
}

function isMet(condition: Condition, present: Revision): boolean {
  if (condition.type === 'revision') return condition.revision === present;
  return (condition.type === 'exists') === (present !== 0);
}

function knownIndex(state: GroupState, ref: KeyRef): GroupIndex | null {
  return indexById(state.indexes, indexOfReservation(ref));
}

/** Does what a transaction adds for unique indexes; nothing of an index that was dropped meanwhile. */
export function performReservation(state: GroupState, op: ReservationOp): void {
  if (op.type === 'expect') {
    const { owed, ref } = op;
    if (owed !== null) state.stage(owedKey(state.prefix, owed.id, owed.encoded, ref.key), null);
    return;
  }
  if (knownIndex(state, op.ref) === null) return;
  const row = reservationKey(state.prefix, indexOfReservation(op.ref), op.ref.key);
  const holder = holderOf(state, op.ref);
  if (op.type === 'claim') {
    if (holder !== op.holder) state.stageRow(row, Buffer.from(op.holder, 'latin1'));
  } else if (holder === op.holder) state.stageRow(row, null);
}

/** All reservations of the indexes that the group keeps. */
export async function readReservations(
  state: GroupState,
): Promise<{ id: number; encoded: string; holder: string }[]> {
  const view = state.view();
  const found: { id: number; encoded: string; holder: string }[] = [];
  try {
    for (const { definition } of view.indexes.unique) {
      const { id } = definition;
      const start = indexHead(view.prefix, 'r', id);
      const cursor = view.cursor({
        start,
        end: indexHead(view.prefix, 'r', id + 1),
        reverse: false,
      });
      try {
        for (let rows = await cursor.next(256); rows.length > 0; rows = await cursor.next(256)) {
          for (const [key, row] of rows) {
            const holder = Buffer.from(row).toString('latin1');
            found.push({ id, encoded: key.slice(INDEX_BODY_OFFSET), holder });
          }
        }
      } finally {
        await cursor.close();
      }
    }
  } finally {
    await view.close();
  }
  return found;
}
