import type { WriteOp } from '../../protocol/commands.ts';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Item } from '../../protocol/messages/request.ts';
import type { TxnOutcome, TxnResult } from '../../protocol/messages/txn.ts';
import { type Compare, type TxnBody, type TxnOp, txnBytes } from '../../protocol/txn.ts';
import { flawOfTxn } from '../../protocol/txn-flaw.ts';
import type { KeyRef } from '../../protocol/vshard.ts';

/** What a transaction needs of a store in one Map. */
export interface ModelStore {
  itemAt(ref: KeyRef): Item | null;
  /** All items, in key order. */
  items(): readonly Item[];
  lives(lease: number, tenant: string): boolean;
  write(op: WriteOp): unknown;
}

/** A transaction as API.md says it, in its plainest form. */
export function modelTxn(body: TxnBody, revision: number, store: ModelStore): TxnOutcome {
  const flaw = flawOfTxn(body);
  if (flaw !== null) throw new AppError('invalid_argument', flaw);
  if (txnBytes(body) > LIMITS.txnBytesMax) throw new AppError('too_large', 'too many bytes');
  const failed = body.compares.findIndex((compare) => !isTrue(compare, store.itemAt(compare.ref)));
  const succeeded = failed < 0;
  const ops = succeeded ? body.then : (body.otherwise ?? []);
  for (const op of ops) {
    if (op.type === 'put' && op.attach && !store.lives(op.attach.lease, op.ref.tenant)) {
      throw new AppError('lease_not_found', 'there is no such lease, or it has ended');
    }
  }
  const results = ops.map((op) => foreseen(op, revision, store));
  for (const op of ops) {
    if (op.type === 'put') store.write({ ...op, condition: null });
    else if (op.type === 'delete') store.write({ ...op, condition: null });
    else if (op.type === 'deleteRange') {
      for (const { ref } of inRange(op, store)) {
        store.write({ type: 'delete', ref, condition: null });
      }
    }
  }
  return { succeeded, failedCompare: succeeded ? null : failed, revision, results };
}

function isTrue({ relation, target }: Compare, item: Item | null): boolean {
  if (target.type === 'value' && item === null) return relation === '!=';
  const order =
    target.type === 'exists'
      ? Number(item !== null) - Number(target.exists)
      : target.type === 'value'
        ? Buffer.compare((item as Item).value, target.value)
        : target.type === 'revision'
          ? (item?.revision ?? 0) - target.revision
          : target.type === 'lease'
            ? (item?.lease ?? 0) - target.lease
            : target.type === 'version'
              ? (item?.version ?? 0) - target.version
              : notModelled();
  if (relation === '<') return order < 0;
  if (relation === '>') return order > 0;
  return (order === 0) === (relation === '=');
}

function foreseen(op: TxnOp, revision: number, store: ModelStore): TxnResult {
  switch (op.type) {
    case 'put': {
      const before = store.itemAt(op.ref);
      const createRevision = before?.createRevision ?? revision;
      return { type: 'put', createRevision, version: (before?.version ?? 0) + 1 };
    }
    case 'get':
      return { type: 'got', item: store.itemAt(op.ref) };
    case 'delete':
      return { type: 'deleted', count: store.itemAt(op.ref) === null ? 0 : 1 };
    case 'deleteRange':
      return { type: 'deleted', count: inRange(op, store).length };
    case 'range': {
      const items = inRange(op, store).map((item) =>
        op.values ? item : { ...item, value: new Uint8Array() },
      );
      if (op.reverse) items.reverse();
      return { type: 'page', items: items.slice(0, op.limit), more: items.length > op.limit };
    }
    case 'claim':
    case 'release':
    case 'expect':
    case 'deleteObject':
    case 'tagObject':
      return notModelled();
  }
}

function inRange(
  range: { tenant: string; space: string; start: string; end: string | null },
  store: ModelStore,
): Item[] {
  return store.items().filter(({ ref }) => {
    if (ref.tenant !== range.tenant || ref.space !== range.space) return false;
    return ref.key >= range.start && (range.end === null || ref.key < range.end);
  });
}

/** Objects, and what no client asks for. */
function notModelled(): never {
  throw new Error('the model has keys only');
}
