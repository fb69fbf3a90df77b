import {
  type Compare,
  isKeyed,
  type TxnBody,
  type TxnOp,
  type TxnPart,
} from '../../protocol/txn.ts';
import type { GroupId } from '../../protocol/types.ts';
import { vshardOf } from '../../protocol/vshard.ts';
import { dataGroups } from '../router/scan.ts';
import type { ShardMap } from '../router/shard-map.ts';

/**
 * A transaction as its participants see it: each group gets what is about its keys, with the places in
 * the whole; a range goes to every group. In the order of the groups. Pure.
 */
export function splitTxn(body: TxnBody, map: ShardMap): Map<GroupId, TxnPart> {
  const parts = new Map<GroupId, TxnPart>();
  const { compares, then, otherwise } = body;
  const partOf = (group: GroupId): TxnPart => {
    let part = parts.get(group);
    if (part === undefined) {
      part = emptyPart(otherwise !== null);
      parts.set(group, part);
    }
    return part;
  };
  for (let at = 0; at < compares.length; at++) {
    const compare = compares[at] as Compare;
    const part = partOf(map.groups[vshardOf(compare.ref)] as GroupId);
    part.body.compares = added(part.body.compares, compare);
    part.comparesAt = added(part.comparesAt, at);
  }
  splitBranch(then, map, (group, op, at) => {
    const part = partOf(group);
    part.body.then = added(part.body.then, op);
    part.thenAt = added(part.thenAt, at);
  });
  splitBranch(otherwise ?? [], map, (group, op, at) => {
    const part = partOf(group);
    part.body.otherwise = added(part.body.otherwise ?? [], op);
    part.otherwiseAt = added(part.otherwiseAt, at);
  });
  return inOrder(parts);
}

function emptyPart(hasElse: boolean): TxnPart {
  const body: TxnBody = { compares: [], then: [], otherwise: hasElse ? [] : null };
  return { body, comparesAt: [], thenAt: [], otherwiseAt: [] };
}

/** An array grows by sixteen places at its first push, and most of these stay as they begin. */
function added<T>(list: T[], item: T): T[] {
  if (list.length === 0) return [item];
  list.push(item);
  return list;
}

function splitBranch(
  ops: readonly TxnOp[],
  map: ShardMap,
  add: (group: GroupId, op: TxnOp, at: number) => void,
): void {
  for (let at = 0; at < ops.length; at++) {
    const op = ops[at] as TxnOp;
    if (isKeyed(op)) add(map.groups[vshardOf(op.ref)] as GroupId, op, at);
    else for (const group of dataGroups(map)) add(group, op, at);
  }
}

function inOrder(parts: Map<GroupId, TxnPart>): Map<GroupId, TxnPart> {
  let last = 0;
  let isOrdered = true;
  for (const group of parts.keys()) {
    isOrdered &&= last < group;
    last = group;
  }
  return isOrdered ? parts : new Map([...parts].sort(([a], [b]) => a - b));
}
