import { covers, type Duplicate, type IndexDefinition } from '../../protocol/indexes.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Item } from '../../protocol/messages/request.ts';
import type { TxnBody, TxnOp, TxnOpOf } from '../../protocol/txn.ts';
import type { Revision } from '../../protocol/types.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import { tripleOf } from '../../storage/kv/keyspace.ts';
import { type GroupIndexes, indexById } from '../apply/index-codec.ts';
import { documentOf } from '../apply/index-entries.ts';
import { claimsOf, indexOfReservation, reservationRef } from '../apply/reservations.ts';

/** What a transaction needs for unique indexes beside its client's operations; the builder's bring claims of their own. Pure. */

/**
 * A reservation that its holder has no use for any more, as far as the coordinator saw: by the name of the
 * reservation. `revision`: of the holder then, 0 for absent; null: the transaction itself ends its entry.
 */
export type Takeovers = ReadonlyMap<
  string,
  { readonly holder: string; readonly revision: Revision | null }
>;

export const NO_TAKEOVERS: Takeovers = new Map();

/** A key of the transaction wants an entry that another key has. */
export interface Clash {
  readonly key: string;
  readonly duplicate: Duplicate;
}

/**
 * The body with a claim for every entry of a unique index that its puts have, behind each branch's own operations; or the
 * entry that two of its own keys want; or the limit that it would pass.
 *
 * Each takeover brings its own expectation of the holder, so two that saw the same key at different revisions exclude each other, and
 * the transaction is refused: what one of them saw is over. One because the transaction itself ends the holder's entry
 * counts in a branch that does end it, and in no other.
 */
export function withClaims(
  indexes: GroupIndexes,
  body: TxnBody,
  takeovers: Takeovers,
): TxnBody | Clash | TooMany {
  if (indexes.unique.length === 0) return body;
  const then = branchWithClaims(indexes, body.then, takeovers);
  if (!('ops' in then)) return then;
  if (body.otherwise === null) return { ...body, then: then.ops };
  const otherwise = branchWithClaims(indexes, body.otherwise, takeovers);
  if (!('ops' in otherwise)) return otherwise;
  return { ...body, then: then.ops, otherwise: otherwise.ops };
}

function branchWithClaims(
  indexes: GroupIndexes,
  ops: readonly TxnOp[],
  takeovers: Takeovers,
): { ops: TxnOp[] } | Clash | TooMany {
  const claimed = new Map<string, string>();
  const expected = new Map<string, TxnOp>();
  const claims: TxnOp[] = [];
  let bytes = 0;
  const overIn = (definition: IndexDefinition, name: string): string | null => {
    const over = takeovers.get(name);
    if (over === undefined) return null;
    const { revision } = over;
    const holder = holderRef(definition, over.holder);
    if (revision === null) return endsEntry(ops, holder) ? over.holder : null;
    const look = [tripleOf(holder), revision].join('\x00');
    expected.set(look, expectation(holder, revision));
    bytes += over.holder.length + CLAIM_BYTES;
    return over.holder;
  };
  for (const op of ops) {
    if (op.type !== 'put') continue;
    const { key } = op.ref;
    const wanted = claimsOfPut(indexes, op);
    if (wanted.length > LIMITS.uniqueClaimsPerKeyMax) return { limit: 'uniqueClaimsPerKeyMax' };
    for (const { definition, encoded } of wanted) {
      const ref = reservationRef(definition.id, encoded);
      const name = tripleOf(ref);
      const other = claimed.get(name);
      if (other !== undefined && other !== key) {
        return { key, duplicate: { index: definition.name, encoded, holder: other } };
      }
      claimed.set(name, key);
      claims.push({ type: 'claim', ref, holder: key, over: overIn(definition, name) });
      bytes += encoded.length + key.length + CLAIM_BYTES;
    }
  }
  const own = ops.map((op): TxnOp => {
    if (op.type !== 'claim') return op;
    const index = indexById(indexes, indexOfReservation(op.ref));
    if (index === null) return op;
    return { ...op, over: overIn(index.definition, tripleOf(op.ref)) };
  });
  const extra = [...claims, ...expected.values()];
  if (extra.length > LIMITS.txnClaimsMax) return { limit: 'txnClaimsMax' };
  if (bytes > LIMITS.uniqueClaimBytesMax) return { limit: 'uniqueClaimBytesMax' };
  return { ops: [...own, ...extra] };
}

const CLAIM_BYTES = 32;

export interface TooMany {
  readonly limit: 'txnClaimsMax' | 'uniqueClaimBytesMax' | 'uniqueClaimsPerKeyMax';
}

export function tooManyClaims(limit: TooMany['limit']): string {
  return `more entries of unique indexes at once than ${limit}, ${LIMITS[limit]}`;
}

function claimsOfPut(
  indexes: GroupIndexes,
  { ref, value }: TxnOpOf<'put'>,
): { definition: IndexDefinition; encoded: string }[] {
  const covering = indexes.unique.filter(({ definition }) => covers(definition, ref));
  if (covering.length === 0) return [];
  const document = documentOf(value);
  return covering.flatMap(({ definition }) =>
    claimsOf(definition, document).map((encoded) => ({ definition, encoded })),
  );
}

export function holderRef({ tenant, space }: IndexDefinition, key: string): KeyRef {
  return { tenant, space, key };
}

/** The key is still as it was seen: at this revision, or absent (0). */
export function expectation(
  ref: KeyRef,
  revision: Revision,
  owed: TxnOpOf<'expect'>['owed'] = null,
): TxnOpOf<'expect'> {
  const condition = revision === 0 ? ABSENT : ({ type: 'revision', revision } as const);
  return { type: 'expect', ref, condition, owed };
}

const ABSENT = { type: 'absent' } as const;

/** Whether the body has operations that only two-phase commit does. */
export function hasReservations({ then, otherwise }: TxnBody): boolean {
  return then.some(changesReservation) || (otherwise?.some(changesReservation) ?? false);
}

function changesReservation({ type }: TxnOp): boolean {
  return type === 'claim' || type === 'release';
}

/** Whether the branch itself ends the holder's entry: it is claimed for another key in the same branch, so a put has not got it. */
export function endsEntry(ops: readonly TxnOp[], holder: KeyRef): boolean {
  return ops.some((op) => {
    if (op.type === 'put' || op.type === 'delete') return tripleOf(op.ref) === tripleOf(holder);
    if (op.type !== 'deleteRange') return false;
    const { tenant, space, start, end } = op;
    if (tenant !== holder.tenant || space !== holder.space || holder.key < start) return false;
    return end === null || holder.key < end;
  });
}

/** Of a claim that was refused: the index, and whose entry it is. Null when the index was dropped. */
export function refusedClaim(
  indexes: GroupIndexes,
  { ref, holder: key }: TxnOpOf<'claim'>,
  holder: string,
): (Clash & { readonly definition: IndexDefinition }) | null {
  const index = indexById(indexes, indexOfReservation(ref));
  if (index === null) return null;
  const { definition } = index;
  return { key, definition, duplicate: { index: definition.name, encoded: ref.key, holder } };
}

/** Whether a key, as it was read, has the entry. */
export function hasEntry(definition: IndexDefinition, item: Item | null, encoded: string): boolean {
  return item !== null && claimsOf(definition, documentOf(item.value)).includes(encoded);
}
