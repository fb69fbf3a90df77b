import type { Command, Condition, WriteCommand, WriteOp } from '../../protocol/commands.ts';
import { homeOfLease } from '../../protocol/lease.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { wallMsOfRevision } from '../../protocol/revision.ts';
import type { TxnOp } from '../../protocol/txn.ts';
import type { GroupId } from '../../protocol/types.ts';
import { type KeyRef, vshardOf } from '../../protocol/vshard.ts';
import { idOf } from '../check/object-model.ts';
import { type Change, nameOf } from '../check/truth.ts';
import type { CommittedEntry } from './committed-log.ts';
import type { ModelVersion as KeyVersion } from './model-compares.ts';
import { LeaseModel } from './model-leases.ts';
import { ObjectsModel } from './model-objects.ts';
import { type ModelKey, QuotasModel } from './model-quotas.ts';
import { type ModelKeys, TxnModel } from './model-txn.ts';
import { UniqueModel } from './model-unique.ts';

/** A key's current version in the model. */
interface Current {
  readonly value: string;
  readonly revision: number;
  readonly version: number;
  readonly expiresAtMs: number | null;
  /** 0: none. */
  readonly lease: number;
}

interface StoredAnswer {
  readonly requestHash: string;
  readonly atMs: number;
}

/** A write that took effect, found again by the unique value it wrote. */
export interface Effect {
  readonly group: GroupId;
  readonly index: number;
  readonly change: Change;
}

/**
 * The state machine as the documentation describes it, written a second time and as plainly as
 * possible, and fed with the committed log. What replicas answered is compared with it.
 */
export class StoreModel {
  readonly changes: Change[] = [];
  /** By value for puts; the values of a run are unique. */
  readonly effects = new Map<string, Effect[]>();
  readonly leases = new LeaseModel();
  readonly unique = new UniqueModel();
  readonly objects = new ObjectsModel();
  readonly txns = new TxnModel(this.unique);
  readonly quotas = new QuotasModel({
    keys: (group) => this.#keysOf(group),
    at: (ref) => this.#stored(ref),
    prepared: (group) => this.txns.branches(group),
  });
  readonly #current = new Map<string, Current>();
  readonly #answers = new Map<string, StoredAnswer>();
  readonly #owned = new Map<GroupId, ReadonlySet<number>>();

  /** `atMs`: virtual time at which the entry was first seen committed. */
  apply(group: GroupId, committed: CommittedEntry, atMs = 0): void {
    this.#apply(group, committed, atMs);
    this.quotas.check();
  }

  #apply(group: GroupId, { entry, command }: CommittedEntry, atMs: number): void {
    if (command === null) return this.objects.config(group, entry);
    this.unique.see(group, command);
    switch (command.type) {
      case 'write':
        return this.#write(group, entry.index, command, atMs);
      case 'leaseGrant':
        // A group that does not own the lease's vshard, such as one that was formed just now, refuses it.
        if (this.#owned.get(group)?.has(homeOfLease(command.lease)) !== true) return;
        return this.leases.grant(command, atMs);
      case 'leaseEnd':
        return this.leases.end(command, atMs);
      case 'leaseForget':
        return this.leases.forget(command, atMs);
      case 'detach':
        return this.#detach(group, entry.index, command, atMs);
      case 'expire':
        return this.#expire(group, entry.index, command);
      case 'own':
        this.#owned.set(group, new Set(command.vshards));
        return;
      case 'txn':
        return this.txns.whole(group, command, this.#keysFor(group, entry.index, atMs));
      case 'txnPrepare':
        return this.txns.prepare(group, command, this.#keysFor(group, entry.index, atMs));
      case 'txnCommit':
        return this.txns.commit(group, command, this.#keysFor(group, entry.index, atMs));
      case 'txnDecide':
        return this.txns.decide(group, command, this.#keysFor(group, entry.index, atMs));
      case 'txnResolve':
        return this.txns.resolve(group, command, this.#keysFor(group, entry.index, atMs));
      case 'bucket': {
        const { tenant, name } = command.rule;
        if (this.txns.holdsRule(group, tenant, name)) return;
        return this.objects.bucket(group, command);
      }
      case 'bucketSweep':
        return this.objects.sweep(group, command);
      case 'object': {
        const { op } = command;
        const isPart = op.type === 'uploadPart' || op.type === 'uploadCreate';
        // It waits for the transaction that has the object.
        if (!isPart && this.txns.isLocked(group, [op.ref])) return;
        const made = this.objects.apply(group, entry.index, command);
        if (made !== null) this.changes.push(made);
        return;
      }
      case 'txnForget':
      case 'reserve':
      case 'compact':
      case 'metaPut':
        return;
      case 'quotaOrder':
        return this.quotas.order(group, command);
      case 'quotaCounted':
        return this.quotas.counted(group, command);
      case 'outboxTrim':
        return this.objects.notifications.trim(group, entry.index, command);
    }
  }

  #write(group: GroupId, index: number, command: WriteCommand, atMs: number): void {
    const owned = this.#owned.get(group);
    if (!command.ops.every((op) => owned?.has(vshardOf(op.ref)) === true)) return;
    if (this.#isRepeat(group, command)) return;
    if (command.ops.some((op, i) => isStale(op, command.revision + i))) return;
    const refs = command.ops.map((op) => op.ref);
    if (this.txns.isLocked(group, refs)) return;
    if (command.ops.some((op, i) => this.#begins(group, op, command.revision + i))) return;
    const isDone = (op: WriteOp, i: number): boolean => {
      const current = this.#alive(op.ref, command.revision + i);
      return holds(op.condition, current) && (op.type === 'put' || current !== null);
    };
    const doesOp = (i: number): boolean => isDone(command.ops[i] as WriteOp, i);
    const isLast = command.isLast === true;
    if (!isLast && !this.quotas.hasRoomForEach(group, asTxnOps(command.ops), doesOp)) return;
    let refused = 0;
    for (const [i, op] of command.ops.entries()) {
      const hasRoom = (): boolean => {
        return this.quotas.hasRoomForEach(group, asTxnOps([op]), () => isDone(op, i));
      };
      if (isLast && op.type === 'put' && !hasRoom()) refused++;
      else this.#writeOne(group, index, command.revision + i, op, atMs);
    }
    this.quotas.refused += refused;
    if (refused < command.ops.length) this.#remember(group, command);
  }

  *#keysOf(group: GroupId): Iterable<ModelKey> {
    const owned = this.#owned.get(group);
    for (const [name, { value, expiresAtMs }] of this.#current) {
      const ref = refOfName(name);
      if (owned?.has(vshardOf(ref)) !== true) continue;
      yield { ref, bytes: value.length, expires: expiresAtMs !== null };
    }
  }

  #stored(ref: KeyRef): ModelKey | null {
    const current = this.#current.get(nameOf(ref));
    if (current === undefined) return null;
    return { ref, bytes: current.value.length, expires: current.expiresAtMs !== null };
  }

  /** A put that begins a value of a unique index is done by a transaction only. */
  #begins(group: GroupId, op: WriteOp, revision: number): boolean {
    if (op.type !== 'put') return false;
    const before = this.#alive(op.ref, revision)?.value ?? null;
    return this.unique.begins(group, op.ref, Buffer.from(op.value).toString('latin1'), before);
  }

  /** Whether the request was answered before. */
  #isRepeat(group: GroupId, { ops, idempotency, revision }: WriteCommand): boolean {
    if (idempotency === null) return false;
    return this.#isAnswered(answerName(group, ops[0]?.ref, idempotency.key), revision);
  }

  #isAnswered(name: string, revision: number): boolean {
    const stored = this.#answers.get(name);
    const atMs = wallMsOfRevision(revision);
    return stored !== undefined && atMs - stored.atMs < LIMITS.idempotencyWindowMs;
  }

  #remember(group: GroupId, { ops, idempotency, revision }: WriteCommand): void {
    if (idempotency === null) return;
    const requestHash = Buffer.from(idempotency.requestHash).toString('hex');
    const atMs = wallMsOfRevision(revision);
    this.#answers.set(answerName(group, ops[0]?.ref, idempotency.key), { requestHash, atMs });
  }

  /** The store as transactions of one entry see it. */
  #keysFor(group: GroupId, index: number, atMs: number): ModelKeys {
    return {
      owns: (_, refs) => {
        const owned = this.#owned.get(group);
        return owned !== undefined && refs.every((ref) => owned.has(vshardOf(ref)));
      },
      at: (ref, revision) => this.#alive(ref, revision) ?? this.#objectAt(group, ref, revision),
      refuses: (op, revision) => this.objects.refuses(group, op, revision),
      change: (op, revision) => {
        const made = this.objects.change({ group, index, revision }, op);
        if (made !== null) this.changes.push(made);
      },
      object: (ref, revision) => {
        const version = this.objects.current(group, ref, revision);
        return version === null ? null : { etag: version.etag, versionId: idOf(version) };
      },
      put: (ref, revision, { value, contentType, ttlMs, attach = null }) =>
        this.#writeOne(
          ...([group, index, revision] as const),
          { type: 'put', ref, value, contentType, ttlMs, attach, condition: null },
          atMs,
        ),
      remove: (ref, revision) =>
        this.#writeOne(group, index, revision, { type: 'delete', ref, condition: null }, atMs),
      hasRoom: (branches, revision) =>
        this.quotas.hasRoom(group, branches, ({ ref, expires }) => {
          return revision === null ? !expires : this.#alive(ref, revision) !== null;
        }),
      isFirst: (_, scope, key, hash, revision) => {
        const name = answerName(group, scope, key);
        if (this.#isAnswered(name, revision)) return false;
        const requestHash = Buffer.from(hash).toString('hex');
        this.#answers.set(name, { requestHash, atMs: wallMsOfRevision(revision) });
        return true;
      },
    };
  }

  #writeOne(group: GroupId, index: number, revision: number, op: WriteOp, atMs: number): void {
    const current = this.#alive(op.ref, revision);
    if (!holds(op.condition, current)) return;
    const attach = op.type === 'put' ? (op.attach ?? null) : null;
    if (attach?.until === 0) return;
    if (op.type === 'delete') {
      if (current === null) return;
      this.#current.delete(nameOf(op.ref));
      this.#note(group, index, change('delete', op.ref, revision, current.revision, null, null));
      return;
    }
    const value = Buffer.from(op.value).toString('latin1');
    const expiresAtMs = op.ttlMs === null ? null : wallMsOfRevision(revision) + op.ttlMs;
    const before = this.#current.get(nameOf(op.ref));
    const lease = attach?.lease ?? 0;
    const version = (current?.version ?? 0) + 1;
    this.#current.set(nameOf(op.ref), { value, revision, version, expiresAtMs, lease });
    if (lease !== 0) this.leases.attached.push({ lease, key: op.ref.key, revision, atMs });
    // A put over a version that has expired names it; there was no event for its end.
    const prev = before?.revision ?? 0;
    this.#note(group, index, change('put', op.ref, revision, prev, value, expiresAtMs));
  }

  #expire(group: GroupId, index: number, command: Extract<Command, { type: 'expire' }>): void {
    for (const [i, { ref, revision }] of command.keys.entries()) {
      const own = command.revision + i;
      const current = this.#current.get(nameOf(ref));
      if (current?.revision !== revision || current.expiresAtMs === null) continue;
      if (this.txns.isLocked(group, [ref])) continue;
      if (current.expiresAtMs > wallMsOfRevision(own)) continue;
      this.#current.delete(nameOf(ref));
      this.#note(group, index, change('expire', ref, own, revision, null, null));
    }
  }

  /** Removes what was attached to ended leases, where it still is what was seen. */
  #detach(
    group: GroupId,
    index: number,
    command: Extract<Command, { type: 'detach' }>,
    atMs: number,
  ): void {
    for (const [i, { ref, revision, why }] of command.keys.entries()) {
      const own = command.revision + i;
      const current = this.#current.get(nameOf(ref));
      if (current?.revision !== revision || this.txns.isLocked(group, [ref])) continue;
      this.#current.delete(nameOf(ref));
      const kind = why === 'revoked' ? 'delete' : 'expire';
      this.#note(group, index, change(kind, ref, own, revision, null, null));
      const { lease } = current;
      const at = { revision: own, attachedRevision: revision, atMs };
      this.leases.detached.push({ lease, key: ref.key, ...at });
    }
  }

  /** What is there and does not expire. */
  lastingValues(): { key: string; value: string }[] {
    return [...this.#current].flatMap(([name, { value, expiresAtMs }]) => {
      return expiresAtMs === null ? [{ key: name.slice(name.lastIndexOf('\0') + 1), value }] : [];
    });
  }

  /** Keys that are attached to a lease now. */
  attachedKeys(): string[] {
    return [...this.#current].filter(([, { lease }]) => lease !== 0).map(([name]) => name);
  }

  /** An object as a key: its value is its ETag. */
  #objectAt(group: GroupId, ref: KeyRef, revision: number): KeyVersion | null {
    const version = this.objects.current(group, ref, revision);
    if (version === null) return null;
    return { value: version.etag, revision: this.objects.rowRevision(ref), version: 1, lease: 0 };
  }

  /** The version a write at `revision` sees: an expired key is absent. */
  #alive(ref: KeyRef, revision: number): Current | null {
    const current = this.#current.get(nameOf(ref)) ?? null;
    if (current === null || current.expiresAtMs === null) return current;
    return current.expiresAtMs <= wallMsOfRevision(revision) ? null : current;
  }

  #note(group: GroupId, index: number, made: Change): void {
    this.changes.push(made);
    // Places in line hold nothing; what clients write is never empty.
    if (made.value === null || made.value === '') return;
    const known = this.effects.get(made.value);
    const effect = { group, index, change: made };
    if (known === undefined) this.effects.set(made.value, [effect]);
    else known.push(effect);
  }
}

function asTxnOps(ops: readonly WriteOp[]): TxnOp[] {
  return ops.map((op) =>
    op.type === 'put' ? { ...op, attach: null } : { type: 'delete', ref: op.ref },
  );
}

function refOfName(name: string): KeyRef {
  const [tenant = '', space = ''] = name.split('\0', 2);
  return { tenant, space, key: name.slice(tenant.length + space.length + 2) };
}

/** A promise about a lease that has run out; 0 is a lease that is not there. */
function isStale(op: WriteOp, revision: number): boolean {
  const until = op.type === 'put' ? (op.attach?.until ?? 0) : 0;
  return until !== 0 && revision > until;
}

function answerName(group: GroupId, scope: KeyRef | undefined, key: string): string {
  return `${group}\0${scope === undefined ? '' : `${scope.tenant}\0`}${key}`;
}

function holds(condition: Condition | null, current: Current | null): boolean {
  if (condition === null) return true;
  if (condition.type === 'exists') return current !== null;
  if (condition.type === 'absent') return current === null;
  return (current?.revision ?? 0) === condition.revision;
}

function change(
  kind: Change['kind'],
  ref: KeyRef,
  revision: number,
  prevRevision: number,
  value: string | null,
  expiresAtMs: number | null,
): Change {
  return { kind, ref, vshard: vshardOf(ref), revision, prevRevision, value, expiresAtMs };
}
