import {
  type Compare,
  isKeyed,
  type TxnBody,
  type TxnOp,
  type TxnPart,
} from '../../protocol/txn.ts';
import type { GroupId } from '../../protocol/types.ts';
import { type KeyRef, vshardOf } from '../../protocol/vshard.ts';
import { dataGroups } from '../router/scan.ts';
import type { ShardMap } from '../router/shard-map.ts';

interface Growing {
  readonly compares: Compare[];
  readonly comparesAt: number[];
  readonly then: TxnOp[];
  readonly thenAt: number[];
  readonly otherwise: TxnOp[];
  readonly otherwiseAt: number[];
}

/**
 * A transaction as its participants see it: each group gets what is about its keys, with the places in
 * the whole; a range goes to every group. In the order of the groups. Pure.
 */
export function splitTxn(body: TxnBody, map: ShardMap): Map<GroupId, TxnPart> {
  const growing = new Map<GroupId, Growing>();
  const of = (group: GroupId): Growing => {
    const known = growing.get(group) ?? {
      ...{ compares: [], comparesAt: [], then: [], thenAt: [], otherwise: [], otherwiseAt: [] },
    };
    growing.set(group, known);
    return known;
  };
  const groupOf = (ref: KeyRef): GroupId => map.groups[vshardOf(ref)] as GroupId;
  const groupsOf = (op: TxnOp): GroupId[] => (isKeyed(op) ? [groupOf(op.ref)] : dataGroups(map));
  for (const [at, compare] of body.compares.entries()) {
    const part = of(groupOf(compare.ref));
    part.compares.push(compare);
    part.comparesAt.push(at);
  }
  for (const [at, op] of body.then.entries()) {
    for (const group of groupsOf(op)) {
      of(group).then.push(op);
      of(group).thenAt.push(at);
    }
  }
  for (const [at, op] of (body.otherwise ?? []).entries()) {
    for (const group of groupsOf(op)) {
      of(group).otherwise.push(op);
      of(group).otherwiseAt.push(at);
    }
  }
  const hasElse = body.otherwise !== null;
  const parts = new Map<GroupId, TxnPart>();
  for (const group of [...growing.keys()].sort((a, b) => a - b)) {
    const { compares, then, otherwise, ...places } = growing.get(group) as Growing;
    const own: TxnBody = { compares, then, otherwise: hasElse ? otherwise : null };
    parts.set(group, { body: own, ...places });
  }
  return parts;
}
