import type { Command } from '../../protocol/commands.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { ObjectResult } from '../../protocol/object-ops.ts';
import { wallMsOfRevision } from '../../protocol/revision.ts';
import {
  changesObjects,
  isObjectOp,
  type ObjectTxnOp,
  refsOf,
  type TxnBody,
  type TxnId,
  type TxnOp,
  txnName,
} from '../../protocol/txn.ts';
import type { GroupId } from '../../protocol/types.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import { nameOf } from '../check/truth.ts';
import { type ComparedKeys, holdsAll } from './model-compares.ts';
import type { UniqueModel } from './model-unique.ts';

type CommandOf<T extends Command['type']> = Extract<Command, { type: T }>;

/** The store that the model of transactions reads and writes. */
export interface ModelKeys extends ComparedKeys {
  owns(group: GroupId, refs: readonly KeyRef[]): boolean;
  put(ref: KeyRef, revision: number, op: Extract<TxnOp, { type: 'put' }>): void;
  remove(ref: KeyRef, revision: number): void;
  /** What keeps it from being done to the object; null: nothing. */
  refuses(op: ObjectTxnOp, revision: number): ObjectResult | null;
  change(op: ObjectTxnOp, revision: number): void;
  /** Of the larger of these, in quotas; `revision` null: that is not known. */
  hasRoom(branches: readonly (readonly TxnOp[])[], revision: number | null): boolean;
  /** Writes down an idempotency key; false when the request was answered before. */
  isFirst(group: GroupId, scope: KeyRef, key: string, hash: Uint8Array, revision: number): boolean;
}

interface Prepared {
  readonly body: TxnBody;
  /** It cannot commit below this. */
  readonly revision: number;
  readonly names: ReadonlySet<string>;
  readonly writes: ReadonlySet<string>;
  readonly ranges: readonly NameRange[];
}

/** What a range reads, or removes. */
interface NameRange {
  readonly start: string;
  readonly end: string;
  readonly exclusive: boolean;
}

/**
 * Transactions as the documentation describes them, fed with the committed logs of all groups: who holds
 * what, and how each one ended. That every group ends it alike is checked on the way.
 */
export class TxnModel {
  readonly #prepared = new Map<GroupId, Map<string, Prepared>>();
  /** Decisions of home groups, the first of each. */
  readonly #decided = new Map<string, { commitRevision: number; succeeded: boolean }>();
  readonly #done = new Set<string>();
  readonly #unique: UniqueModel;
  /** Groups that have not ended what others have committed, by transaction. */
  readonly flaws: string[] = [];
  /**
   * Of at least two operations: `committed`, of them `overGroups` over several groups. `refused`: a compare of one in a
   * single group failed; `aborted`: attempts that were.
   */
  readonly counts = { committed: 0, overGroups: 0, refused: 0, aborted: 0 };

  constructor(unique: UniqueModel) {
    this.#unique = unique;
  }

  /** Names of what is prepared in any group. */
  open(): string[] {
    return [...this.#prepared.values()].flatMap((prepared) => [...prepared.keys()]);
  }

  /** Of what is prepared in a group. */
  branches(group: GroupId): (readonly TxnOp[])[][] {
    return [...this.#of(group).values()].map(({ body }) => [body.then, body.otherwise ?? []]);
  }

  /** Whether a change of a bucket's rule has to stay away. */
  holdsRule(group: GroupId, tenant: string, bucket: string): boolean {
    return this.isLocked(group, [{ tenant, space: bucket, key: '' }]);
  }

  /** Whether a plain write of these keys has to stay away. */
  isLocked(group: GroupId, refs: readonly KeyRef[]): boolean {
    for (const { names, ranges } of this.#of(group).values()) {
      for (const ref of refs) {
        const name = nameOf(ref);
        if (names.has(name) || ranges.some((range) => covers(range, name))) return true;
      }
    }
    return false;
  }

  whole(group: GroupId, command: CommandOf<'txn'>, keys: ModelKeys): void {
    const { body, revision, idempotency } = command;
    if (!keys.owns(group, refsOf(body))) return;
    const scope = firstRef(body);
    // What finds a lock, a lease beyond its promise, or a value to be claimed is not remembered: it is tried again.
    if (this.#conflicts(group, body, revision, keys)) return;
    const succeeded = holdsAll(body.compares, revision, keys);
    const ops = succeeded ? body.then : (body.otherwise ?? []);
    // A lease that is not there is an answer.
    const isGone = ops.some((op) => op.type === 'put' && op.attach?.until === 0);
    if (!isGone) {
      if (!ops.every((op) => isPromised(op, revision))) return;
      if (this.#beginsAny(group, ops, revision, keys)) return;
      if (!keys.hasRoom([ops], revision)) return;
    }
    const refusal = firstRefusal(ops, revision, keys);
    // The group has to hear of the bucket first.
    if (!isGone && refusal !== null && OF_BUCKETS.has(refusal.type)) return;
    if (idempotency !== null && scope !== null) {
      const { key, requestHash } = idempotency;
      if (!keys.isFirst(group, scope, key, requestHash, revision)) return;
    }
    if (isGone || refusal !== null || !ops.every((op) => isExpected(op, revision, keys))) return;
    if (!succeeded && body.otherwise === null) this.counts.refused++;
    else if (body.compares.length + body.then.length > 1) this.counts.committed++;
    perform(ops, revision, keys);
  }

  /** Whether a put begins a value of a unique index: not in one entry. */
  #beginsAny(group: GroupId, ops: readonly TxnOp[], revision: number, keys: ModelKeys): boolean {
    return ops.some((op) => {
      if (op.type !== 'put') return false;
      const value = Buffer.from(op.value).toString('latin1');
      return this.#unique.begins(group, op.ref, value, keys.at(op.ref, revision)?.value ?? null);
    });
  }

  prepare(group: GroupId, command: CommandOf<'txnPrepare'>, keys: ModelKeys): void {
    const name = txnName(command.id);
    const { body } = command.part;
    if (this.#of(group).has(name) || this.#done.has(`${group}/${name}`)) return;
    if (this.#decided.has(name) && command.id.home === group) return;
    if (isLate(command.id, command.revision)) return;
    if (!keys.owns(group, refsOf(body))) return;
    if (this.#conflicts(group, body, command.revision, keys)) return;
    if (this.#unique.hasOthers(group, body, command.indexEpoch)) return;
    if (body.otherwise === null && !holdsAll(body.compares, command.revision, keys)) return;
    if (!keys.hasRoom([body.then, body.otherwise ?? [], []], null)) return;
    this.#of(group).set(name, footprintOf(body, command.revision));
  }

  decide(group: GroupId, command: CommandOf<'txnDecide'>, keys: ModelKeys): void {
    const { id, request, removed } = command;
    const name = txnName(id);
    if (this.#decided.has(name)) return;
    let { fate } = command;
    if (!this.#of(group).has(name)) fate = { commitRevision: 0, succeeded: false };
    if (request !== null && (fate.commitRevision > 0 || command.fate.commitRevision === 0)) {
      const { key, requestHash } = request.idempotency;
      const at = Math.max(fate.commitRevision, id.start);
      if (!keys.isFirst(group, request.anchor, key, requestHash, at)) {
        fate = { commitRevision: 0, succeeded: false };
      }
    }
    this.#decided.set(name, fate);
    if (fate.commitRevision === 0) this.counts.aborted++;
    else {
      this.counts.committed++;
      if (command.participants.length > 0) this.counts.overGroups++;
    }
    this.#end(group, name, fate, removed, keys);
  }

  /** The decision and the home group's part in one: nothing of it was locked before. */
  commit(group: GroupId, command: CommandOf<'txnCommit'>, keys: ModelKeys): void {
    const { id, part, revision } = command;
    const { body } = part;
    const name = txnName(id);
    if (id.home !== group) this.flaws.push(`group ${group} decides ${name}`);
    if (this.#decided.has(name)) return;
    const isFree = keys.owns(group, refsOf(body)) && !this.#conflicts(group, body, revision, keys);
    const isHeld = isFree && holdsAll(body.compares, revision, keys);
    const succeeded = isHeld && command.failedCompare === null;
    const ops = succeeded ? body.then : (body.otherwise ?? []);
    if (changesObjects(body)) this.flaws.push(`${name} changes objects with its decision`);
    if ([...body.then, ...(body.otherwise ?? [])].some(isReservation)) {
      this.flaws.push(`${name} does what unique indexes add with its decision`);
    }
    const isUnclaimed = isFree && this.#beginsAny(group, ops, revision, keys);
    const isShort = isHeld && !isUnclaimed && !keys.hasRoom([ops], revision);
    if (
      isShort ||
      isLate(id, revision) ||
      !isFree ||
      isUnclaimed ||
      (!isHeld && body.otherwise === null)
    ) {
      this.#decided.set(name, { commitRevision: 0, succeeded: false });
      this.counts.aborted++;
      return;
    }
    for (const other of command.participants) {
      const prepared = this.#prepared.get(other as GroupId)?.get(name);
      if (prepared === undefined) this.flaws.push(`group ${other} has not prepared ${name}`);
      else if (prepared.revision > revision)
        this.flaws.push(`${name} commits before it is prepared`);
    }
    this.#decided.set(name, { commitRevision: revision, succeeded });
    this.counts.committed++;
    this.counts.overGroups++;
    if (!ops.every((op) => isPromised(op, revision))) {
      this.flaws.push(`group ${group} commits ${name} beyond what was promised about a lease`);
    }
    perform(ops, revision, keys);
  }

  resolve(group: GroupId, command: CommandOf<'txnResolve'>, keys: ModelKeys): void {
    for (const end of command.ends) this.#resolveOne(group, end, keys);
  }

  #resolveOne(
    group: GroupId,
    { id, fate, removed }: CommandOf<'txnResolve'>['ends'][number],
    keys: ModelKeys,
  ): void {
    const name = txnName(id);
    const decided = this.#decided.get(name);
    const { commitRevision } = fate;
    if (commitRevision > 0 && decided?.commitRevision !== commitRevision) {
      this.flaws.push(`group ${group} commits ${name} at ${commitRevision}, which was not decided`);
    }
    if (commitRevision === 0 && decided !== undefined && decided.commitRevision > 0) {
      if (this.#of(group).has(name)) this.flaws.push(`group ${group} aborts ${name}, a commit`);
    }
    this.#end(group, name, fate, removed, keys);
  }

  #end(
    group: GroupId,
    name: string,
    fate: { commitRevision: number; succeeded: boolean },
    removed: readonly KeyRef[],
    keys: ModelKeys,
  ): void {
    const prepared = this.#of(group).get(name);
    if (prepared === undefined) return;
    this.#of(group).delete(name);
    if (fate.commitRevision === 0) return;
    this.#done.add(`${group}/${name}`);
    const { then, otherwise } = prepared.body;
    const ops = fate.succeeded ? then : (otherwise ?? []);
    if (!ops.every((op) => isPromised(op, fate.commitRevision))) {
      this.flaws.push(`group ${group} commits ${name} beyond what was promised about a lease`);
    }
    const refusal = firstRefusal(ops, fate.commitRevision, keys);
    if (refusal !== null) {
      this.flaws.push(`group ${group} commits ${name}, which an object refuses: ${refusal.type}`);
    }
    perform(ops, fate.commitRevision, keys);
    for (const ref of removed) keys.remove(ref, fate.commitRevision);
  }

  /** Locks in the way, or the end of a key that a prepared one may have read alive. */
  #conflicts(group: GroupId, body: TxnBody, revision: number, keys: ModelKeys): boolean {
    const all = this.#of(group);
    if (all.size === 0) return false;
    const own = footprintOf(body, 0);
    for (const held of all.values()) if (areInTheWay(held, own)) return true;
    const lowest = Math.min(...[...all.values()].map((held) => held.revision));
    return readsOf(body).some((ref) => {
      if (!this.isLocked(group, [ref])) return false;
      return keys.at(ref, revision) === null && keys.at(ref, lowest) !== null;
    });
  }

  #of(group: GroupId): Map<string, Prepared> {
    const known = this.#prepared.get(group) ?? new Map<string, Prepared>();
    this.#prepared.set(group, known);
    return known;
  }
}

const OF_BUCKETS: ReadonlySet<ObjectResult['type']> = new Set(['bucket_unknown', 'no_such_bucket']);

/** What the first object says that an operation cannot be done to. */
function firstRefusal(
  ops: readonly TxnOp[],
  revision: number,
  keys: ModelKeys,
): ObjectResult | null {
  for (const op of ops) {
    const refusal = isObjectOp(op) ? keys.refuses(op, revision) : null;
    if (refusal !== null) return refusal;
  }
  return null;
}

/** Whether it began longer ago than ends are remembered: another group's clock may be far behind. */
function isLate({ start }: TxnId, revision: number): boolean {
  return wallMsOfRevision(revision) - wallMsOfRevision(start) >= LIMITS.txnMemoryMs;
}

/** Judged and held by a prepare: what other groups have found against it has to be known. */
function isReservation({ type }: TxnOp): boolean {
  return type === 'claim' || type === 'release' || type === 'expect';
}

/** Whether nothing is expected that is not so; else nothing is done, and that is the answer. */
function isExpected(op: TxnOp, revision: number, keys: ModelKeys): boolean {
  if (op.type !== 'expect') return true;
  const present = keys.at(op.ref, revision)?.revision ?? 0;
  if (op.condition.type === 'revision') return op.condition.revision === present;
  return (op.condition.type === 'exists') === present > 0;
}

/** Whether what it attaches to a lease will be looked for when the lease ends. */
function isPromised(op: TxnOp, revision: number): boolean {
  const attach = op.type === 'put' ? (op.attach ?? null) : null;
  return attach === null || revision <= attach.until;
}

function footprintOf(body: TxnBody, revision: number): Prepared {
  const writes = new Set<string>();
  const ranges: NameRange[] = [];
  const rules: string[] = [];
  for (const op of [...body.then, ...(body.otherwise ?? [])]) {
    if ('ref' in op) {
      if (op.type !== 'get' && op.type !== 'expect') writes.add(nameOf(op.ref));
      if (isObjectOp(op)) rules.push(ruleName(op.ref));
      continue;
    }
    const { tenant, space, end } = op;
    const start = nameOf({ tenant, space, key: op.start });
    const last = end === null ? `${tenant}\0${space}\x01` : nameOf({ tenant, space, key: end });
    ranges.push({ start, end: last, exclusive: op.type === 'deleteRange' });
  }
  return {
    body,
    revision,
    names: new Set([...refsOf(body).map(nameOf), ...rules]),
    writes,
    ranges,
  };
}

/** The rule of a bucket stays as it is while something of it is to be changed. */
function ruleName({ tenant, space }: Pick<KeyRef, 'tenant' | 'space'>): string {
  return nameOf({ tenant, space, key: '' });
}

function areInTheWay(a: Prepared, b: Prepared): boolean {
  for (const name of b.names) {
    if (a.writes.has(name) || (a.names.has(name) && b.writes.has(name))) return true;
  }
  if (a.ranges.some((range) => isTouched(range, b))) return true;
  return b.ranges.some((range) => isTouched(range, a));
}

function isTouched(range: NameRange, { names, writes, ranges }: Prepared): boolean {
  for (const name of range.exclusive ? names : writes) if (covers(range, name)) return true;
  return ranges.some(
    (other) =>
      (range.exclusive || other.exclusive) && other.start < range.end && range.start < other.end,
  );
}

function covers(range: NameRange, name: string): boolean {
  return name >= range.start && name < range.end;
}

function readsOf({ compares, then, otherwise }: TxnBody): KeyRef[] {
  const ops = [...then, ...(otherwise ?? [])];
  const read = ops.flatMap((op) => (op.type === 'get' || op.type === 'expect' ? [op.ref] : []));
  return [...compares.map(({ ref }) => ref), ...read];
}

function firstRef(body: TxnBody): KeyRef | null {
  return refsOf(body)[0] ?? null;
}

function perform(ops: readonly TxnOp[], revision: number, keys: ModelKeys): void {
  for (const op of ops) {
    if (op.type === 'put') keys.put(op.ref, revision, op);
    else if (op.type === 'delete') keys.remove(op.ref, revision);
    else if (isObjectOp(op)) keys.change(op, revision);
  }
}
