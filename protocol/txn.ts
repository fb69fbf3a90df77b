import { type Attachment, attachmentCodec } from './attachment.ts';
import { conditionCodec } from './conditions.ts';
import { keyRangeFields, keyRefCodec, putFields } from './keys.ts';
import { LIMITS } from './limits.ts';
import { versionIdTextCodec } from './object-ops.ts';
import { etagCodec, tagsCodec } from './objects.ts';
import * as s from './schema.ts';
import type { KeyRef } from './vshard.ts';

/**
 * Transactions as they travel and as they are logged: compares, and two branches of operations. Reads see
 * the state before the transaction's own writes; all its writes have one revision.
 */

/** How a compare relates what is there to what it names. */
export const RELATIONS = ['=', '!=', '<', '>'] as const;
export type Relation = (typeof RELATIONS)[number];

/** A test of one key, or of an object's current version. An absent or expired key has revision 0, version 0 and no value. */
export const compareCodec = s.record({
  ref: keyRefCodec,
  relation: s.oneOf(...RELATIONS),
  target: s.union({
    value: [1, s.record({ value: s.bin(LIMITS.valueBytesMax) })],
    revision: [2, s.record({ revision: s.count })],
    version: [3, s.record({ version: s.count })],
    exists: [4, s.record({ exists: s.bool })],
    /** 0: attached to none, or absent. */
    lease: [5, s.record({ lease: s.count })],
    /** Of an object: one that is absent has none. */
    etag: [6, s.record({ etag: etagCodec })],
    versionId: [7, s.record({ versionId: versionIdTextCodec })],
  }),
});
export type Compare = s.Of<typeof compareCodec>;

/** Operations of one branch in one group: a client's, and what unique indexes add to them. */
export const TXN_BRANCH_MAX = LIMITS.txnOpsMax + LIMITS.txnClaimsMax;

const txnOpShapes = s.union({
  put: [1, s.record({ ...putFields, attach: s.nullable(attachmentCodec) })],
  get: [2, s.record({ ref: keyRefCodec })],
  delete: [3, s.record({ ref: keyRefCodec })],
  range: [4, s.record({ ...keyRangeFields, reverse: s.bool, limit: s.count, values: s.bool })],
  deleteRange: [5, s.record(keyRangeFields)],
  /**
   * Reserves an entry of a unique index for a key. Refused while another key has it, other than `over`.
   * Its `ref` names the reservation (`reservationRef`), as that of `release`.
   */
  claim: [
    6,
    s.record({
      ref: keyRefCodec,
      holder: s.latin1Str(LIMITS.keyBytesMax),
      over: s.nullable(s.latin1Str(LIMITS.keyBytesMax)),
    }),
  ],
  /** Ends the reservation, where it is still this key's. */
  release: [7, s.record({ ref: keyRefCodec, holder: s.latin1Str(LIMITS.keyBytesMax) })],
  /** Refused unless the key meets the condition. `owed`: the key's entry that is to be forgotten as owed. */
  expect: [
    8,
    s.record({
      ref: keyRefCodec,
      condition: conditionCodec,
      owed: s.nullable(s.record({ id: s.count, encoded: s.latin1Str(LIMITS.indexEntryBytesMax) })),
    }),
  ],
  /**
   * As S3 deletes: the current version, by a marker where there are versions, or one version for good. `bucket`: its
   * id; 0 until the router has looked it up by its name, the space.
   */
  deleteObject: [
    9,
    s.record({ ref: keyRefCodec, bucket: s.count, versionId: s.nullable(versionIdTextCodec) }),
  ],
  /** Refused where there is no such version. */
  tagObject: [
    10,
    s.record({
      ref: keyRefCodec,
      bucket: s.count,
      versionId: s.nullable(versionIdTextCodec),
      tags: tagsCodec,
    }),
  ],
});
type TxnOpShape = s.Of<typeof txnOpShapes>;
type PutShape = Extract<TxnOpShape, { type: 'put' }>;

/**
 * One operation of a branch. `ttlMs` counts from the wall time of the transaction's revision. A transaction
 * whose chosen branch has a put beyond the promise about its lease does nothing.
 */
export type TxnOp =
  | (Omit<PutShape, 'attach'> & { readonly attach?: Attachment | null })
  | Exclude<TxnOpShape, { type: 'put' }>;
export const txnOpCodec = txnOpShapes as s.Codec<TxnOp>;
export type TxnOpOf<T extends TxnOp['type']> = Extract<TxnOp, { type: T }>;

/** Whether it names one key; otherwise it is about a range. */
export function isKeyed(op: TxnOp): op is Exclude<TxnOp, { start: string }> {
  return op.type !== 'range' && op.type !== 'deleteRange';
}

const NO_OPS: readonly TxnOp[] = [];

/** What changes an object, by the rule of its bucket. Objects are read as keys are, by a `get` in the bucket's space. */
export type ObjectTxnOp = TxnOpOf<'deleteObject'> | TxnOpOf<'tagObject'>;

export function isObjectOp(op: TxnOp): op is ObjectTxnOp {
  return op.type === 'deleteObject' || op.type === 'tagObject';
}

/** Whether either branch changes objects. */
export function changesObjects({ then, otherwise }: TxnBody): boolean {
  for (let i = 0; i < then.length; i++) if (isObjectOp(then[i] as TxnOp)) return true;
  if (otherwise === null) return false;
  for (let i = 0; i < otherwise.length; i++) if (isObjectOp(otherwise[i] as TxnOp)) return true;
  return false;
}

/** `otherwise` null: there is no else branch, and a failed compare fails the transaction. */
export const txnBodyCodec = s.record({
  compares: s.list(compareCodec, LIMITS.txnOpsMax),
  then: s.list(txnOpCodec, TXN_BRANCH_MAX),
  otherwise: s.nullable(s.list(txnOpCodec, TXN_BRANCH_MAX)),
});
export type TxnBody = s.Of<typeof txnBodyCodec>;

/** What one group has to do with it; each item with its place in the whole. */
export const txnPartCodec = s.record({
  body: txnBodyCodec,
  comparesAt: s.list(s.count, LIMITS.txnOpsMax),
  thenAt: s.list(s.count, TXN_BRANCH_MAX),
  otherwiseAt: s.list(s.count, TXN_BRANCH_MAX),
});
export type TxnPart = s.Of<typeof txnPartCodec>;

/**
 * Names one attempt of a transaction over several groups for ever: its home group, the term of the home
 * leader that began it, and the revision that leader's clock gave it.
 */
export const txnIdCodec = s.record({ home: s.count, term: s.count, start: s.count });
export type TxnId = s.Of<typeof txnIdCodec>;

/** As a key of a Map and for people. */
export function txnName(id: TxnId): string {
  return `${id.home}.${id.term}.${id.start}`;
}

/** How a transaction ended: committed at `commitRevision`, or aborted (0). */
export const txnFateCodec = s.record({
  commitRevision: s.count,
  /** Which branch was done; without meaning when it was aborted. */
  succeeded: s.bool,
});
export type TxnFate = s.Of<typeof txnFateCodec>;

export const ABORTED: TxnFate = Object.freeze({ commitRevision: 0, succeeded: false });

/** How one transaction ended, as its participants are told. */
export const txnEndCodec = s.record({ id: txnIdCodec, fate: txnFateCodec });
export type TxnEnd = s.Of<typeof txnEndCodec>;

/** A prepared transaction as its participant keeps it until the decision. */
export const preparedCodec = s.record({ id: txnIdCodec, revision: s.count, part: txnPartCodec });

/** A transaction's end as its groups remember it; `pending`: participants that do not know it yet. */
export const decisionCodec = s.record({
  id: txnIdCodec,
  fate: txnFateCodec,
  pending: s.list(s.count, LIMITS.groupsMax),
});
export type Decision = s.Of<typeof decisionCodec>;

/** The key that decides about the home group: the first one, or where the first range begins. */
export function anchorOf(body: TxnBody): KeyRef {
  const [compare] = body.compares;
  if (compare !== undefined) return compare.ref;
  const op = body.then[0] ?? body.otherwise?.[0];
  if (op === undefined) return { tenant: '', space: '', key: '' };
  if (isKeyed(op)) return op.ref;
  return { tenant: op.tenant, space: op.space, key: op.start };
}

/** All keys that are named, those of ranges apart. */
export function refsOf(body: TxnBody): KeyRef[] {
  const refs: KeyRef[] = [];
  for (const { ref } of body.compares) refs.push(ref);
  for (const op of body.then) if (isKeyed(op)) refs.push(op.ref);
  for (const op of body.otherwise ?? NO_OPS) if (isKeyed(op)) refs.push(op.ref);
  return refs;
}

export function hasRange(body: TxnBody): boolean {
  for (const op of body.then) if (!isKeyed(op)) return true;
  for (const op of body.otherwise ?? NO_OPS) if (!isKeyed(op)) return true;
  return false;
}

/** What the body takes in a log, about. */
export function txnBytes(body: TxnBody): number {
  let bytes = 64;
  for (const { ref, target } of body.compares) {
    bytes += 96 + ref.key.length + (target.type === 'value' ? target.value.length : 0);
  }
  for (const op of body.then) bytes += opBytes(op);
  for (const op of body.otherwise ?? NO_OPS) bytes += opBytes(op);
  return bytes;
}

const ATTACHMENT_BYTES = 24;

function opBytes(op: TxnOp): number {
  if (!isKeyed(op)) return 128 + op.start.length + (op.end?.length ?? 0);
  if (op.type === 'tagObject') return 96 + op.ref.key.length + tagBytes(op.tags);
  if (op.type !== 'put') return 96 + op.ref.key.length;
  const type = op.contentType === null ? 0 : op.contentType.length;
  return 96 + op.ref.key.length + op.value.length + type + (op.attach ? ATTACHMENT_BYTES : 0);
}

function tagBytes(tags: TxnOpOf<'tagObject'>['tags']): number {
  let bytes = 0;
  for (const { name, value } of tags) bytes += 8 + 2 * (name.length + value.length);
  return bytes;
}
