import { LIMITS } from './limits.ts';
import { isKeyed, type TxnBody, type TxnOp } from './txn.ts';

/** What keeps a transaction from being one; null when nothing does. */
export function flawOfTxn({ compares, then, otherwise }: TxnBody): string | null {
  const branches = [then, otherwise ?? []];
  const count = compares.length + then.length + (otherwise?.length ?? 0);
  if (count === 0) return 'the transaction is empty';
  if (count > LIMITS.txnOpsMax) {
    return `a transaction has at most ${LIMITS.txnOpsMax} compares and operations`;
  }
  for (const [i, ops] of branches.entries()) {
    const flaw = flawOfBranch(ops, i === 0 ? 'then' : 'else');
    if (flaw !== null) return flaw;
  }
  return null;
}

/** Each key once: which of two operations comes first would be the reader's guess. */
function flawOfBranch(ops: readonly TxnOp[], branch: string): string | null {
  if (ops.length < 2) return null;
  const names = new Set<string>();
  const removed: TxnOp[] = [];
  for (let i = 0; i < ops.length; i++) {
    const op = ops[i] as TxnOp;
    if (!isKeyed(op)) {
      if (op.type === 'deleteRange') removed.push(op);
      continue;
    }
    const name = `${op.ref.tenant}\0${op.ref.space}\0${op.ref.key}`;
    if (names.has(name)) return `${branch}[${i}]: a second operation on one key`;
    names.add(name);
  }
  for (const [i, range] of removed.entries()) {
    if (range.type !== 'deleteRange') continue;
    for (const op of ops) {
      if (isKeyed(op) && covers(range, op.ref)) {
        return `${branch}: an operation on a key under a prefix that is deleted`;
      }
    }
    for (const other of removed.slice(i + 1)) {
      if (other.type === 'deleteRange' && overlaps(range, other)) {
        return `${branch}: two deletes of prefixes with keys in common`;
      }
    }
  }
  return null;
}

type Range = Extract<TxnOp, { type: 'deleteRange' }>;

function covers(range: Range, ref: { tenant: string; space: string; key: string }): boolean {
  if (ref.tenant !== range.tenant || ref.space !== range.space) return false;
  return ref.key >= range.start && (range.end === null || ref.key < range.end);
}

function overlaps(a: Range, b: Range): boolean {
  if (a.tenant !== b.tenant || a.space !== b.space) return false;
  return (a.end === null || b.start < a.end) && (b.end === null || a.start < b.end);
}
