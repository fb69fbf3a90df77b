import type {
  Command,
  Condition,
  OpResult,
  WriteCommand,
  WriteOp,
} from '../../protocol/commands.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { ChangeEvent, Item } from '../../protocol/messages/request.ts';
import { wallMsOfRevision } from '../../protocol/revision.ts';
import { type KeyRef, vshardOf } from '../../protocol/vshard.ts';

/**
 * The state machine as a specification: every version of every key kept for ever, no rows, no
 * garbage. The real one is compared with it. Written apart from it on purpose: nothing is shared.
 */
interface ModelVersion {
  readonly revision: number;
  /** Null is a removal. */
  readonly item: Item | null;
}

interface ModelKey {
  readonly ref: KeyRef;
  readonly versions: ModelVersion[];
}

export interface ModelOutcome {
  readonly results: readonly OpResult[];
  readonly repeated: boolean;
  readonly rejection: 'idempotency_mismatch' | null;
  readonly events: readonly ChangeEvent[];
}

export class KvModel {
  clock = 0;
  floor = 0;
  epoch = 0;
  readonly events: ChangeEvent[] = [];
  readonly #keys = new Map<string, ModelKey>();
  readonly #requests = new Map<string, { revision: number; hash: string; results: OpResult[] }>();
  readonly #ownedSince = new Map<number, number>();

  apply(command: Command): ModelOutcome {
    const before = this.events.length;
    const outcome = this.#dispatch(command);
    return { ...outcome, events: this.events.slice(before) };
  }

  #dispatch(command: Command): Omit<ModelOutcome, 'events'> {
    const nothing = { results: [], repeated: false, rejection: null };
    switch (command.type) {
      case 'write':
        if (command.ops.length > 0) this.clock = command.revision + command.ops.length - 1;
        return this.#write(command);
      case 'expire':
        if (command.keys.length > 0) this.clock = command.revision + command.keys.length - 1;
        for (const [i, { ref, revision }] of command.keys.entries()) {
          const item = this.#newest(ref);
          if (item === null || item.revision !== revision || !this.#ownedSince.has(vshardOf(ref)))
            continue;
          if (isExpired(item, command.revision + i))
            this.#record('expire', ref, command.revision + i, null);
        }
        return nothing;
      case 'compact':
        this.floor = Math.max(this.floor, Math.min(command.floor, this.clock));
        return nothing;
      case 'own':
        if (command.epoch < this.epoch) return nothing;
        this.epoch = command.epoch;
        for (const v of [...this.#ownedSince.keys()])
          if (!command.vshards.includes(v)) this.#ownedSince.delete(v);
        for (const v of command.vshards)
          if (!this.#ownedSince.has(v)) this.#ownedSince.set(v, command.epoch);
        return nothing;
      default:
        return nothing;
    }
  }

  #write(command: WriteCommand): Omit<ModelOutcome, 'events'> {
    const owned = command.ops.every((op) => {
      const since = this.#ownedSince.get(vshardOf(op.ref));
      return since !== undefined && command.epoch >= since;
    });
    if (!owned) {
      const results = command.ops.map((): OpResult => ({ type: 'wrong_shard', epoch: this.epoch }));
      return { results, repeated: false, rejection: null };
    }
    const first = command.ops[0];
    const request = first === undefined ? null : command.idempotency;
    const name =
      request && first ? `${vshardOf(first.ref)}/${first.ref.tenant}/${request.key}` : '';
    const hash = request === null ? '' : Buffer.from(request.requestHash).toString('hex');
    const known = this.#requests.get(name);
    const age = known ? wallMsOfRevision(command.revision) - wallMsOfRevision(known.revision) : 0;
    if (known !== undefined && age < LIMITS.idempotencyWindowMs) {
      return known.hash === hash
        ? { results: known.results, repeated: true, rejection: null }
        : { results: [], repeated: false, rejection: 'idempotency_mismatch' };
    }
    const results = command.ops.map((op, i) => this.#op(op, command.revision + i));
    if (request !== null) this.#requests.set(name, { revision: command.revision, hash, results });
    return { results, repeated: false, rejection: null };
  }

  #op(op: WriteOp, revision: number): OpResult {
    const newest = this.#newest(op.ref);
    const present = newest !== null && isExpired(newest, revision) ? null : newest;
    const at = present?.revision ?? 0;
    if (op.condition !== null && !isMet(op.condition, at)) {
      return { type: 'precondition_failed', revision: at };
    }
    if (op.type === 'delete') {
      if (present === null) return { type: 'deleted', deleted: false, revision: 0 };
      this.#record('delete', op.ref, revision, null);
      return { type: 'deleted', deleted: true, revision };
    }
    const createRevision = present?.createRevision ?? revision;
    const version = (present?.version ?? 0) + 1;
    const expiresAtMs = op.ttlMs === null ? null : wallMsOfRevision(revision) + op.ttlMs;
    const { ref, value, contentType } = op;
    this.#record('put', ref, revision, {
      ref,
      value,
      revision,
      createRevision,
      version,
      contentType,
      expiresAtMs,
      lease: op.attach?.lease ?? 0,
    });
    return { type: 'put', revision, createRevision, version };
  }

  #record(kind: ChangeEvent['kind'], ref: KeyRef, revision: number, item: Item | null): void {
    const prev = this.#newest(ref);
    const name = nameOf(ref);
    const key = this.#keys.get(name) ?? { ref, versions: [] };
    key.versions.push({ revision, item });
    this.#keys.set(name, key);
    const sequence = this.events.length + 1;
    const prevRevision = prev?.revision ?? 0;
    this.events.push({
      kind,
      ref,
      vshard: vshardOf(ref),
      revision,
      prevRevision,
      sequence,
      item,
      prev,
    });
  }

  #newest(ref: KeyRef): Item | null {
    return this.#keys.get(nameOf(ref))?.versions.at(-1)?.item ?? null;
  }

  get keyCount(): number {
    return [...this.#keys.values()].filter((key) => key.versions.at(-1)?.item != null).length;
  }

  /** The newest item of every key, expired or not. */
  get stored(): Item[] {
    return this.refs.map((ref) => this.#newest(ref)).filter((item) => item !== null);
  }

  get refs(): KeyRef[] {
    return [...this.#keys.values()].map((key) => key.ref);
  }

  /** Owned keys whose newest version has expired at `wallMs`, soonest first. */
  due(wallMs: number): Item[] {
    const items = this.refs.map((ref) => this.#newest(ref));
    return items
      .filter((item): item is Item => item?.expiresAtMs != null && item.expiresAtMs <= wallMs)
      .filter((item) => this.#ownedSince.has(vshardOf(item.ref)))
      .sort(
        (a, b) =>
          (a.expiresAtMs as number) - (b.expiresAtMs as number) ||
          (nameOf(a.ref) < nameOf(b.ref) ? -1 : 1),
      );
  }

  readAt(ref: KeyRef, revision: number): Item | null {
    const versions = this.#keys.get(nameOf(ref))?.versions ?? [];
    const item = versions.findLast((version) => version.revision <= revision)?.item ?? null;
    return item !== null && isExpired(item, revision) ? null : item;
  }

  /** All items of a space with keys in [start, end) at a revision, in key order. */
  range(
    tenant: string,
    space: string,
    start: string,
    end: string | null,
    revision: number,
  ): Item[] {
    return this.refs
      .filter((ref) => ref.tenant === tenant && ref.space === space)
      .filter((ref) => ref.key >= start && (end === null || ref.key < end))
      .sort((a, b) => (a.key < b.key ? -1 : 1))
      .map((ref) => this.readAt(ref, revision))
      .filter((item): item is Item => item !== null);
  }
}

function nameOf(ref: KeyRef): string {
  return `${ref.tenant}\x00${ref.space}\x00${ref.key}`;
}

function isExpired(item: Item, revision: number): boolean {
  return item.expiresAtMs !== null && item.expiresAtMs <= wallMsOfRevision(revision);
}

function isMet(condition: Condition, revision: number): boolean {
  if (condition.type === 'revision') return condition.revision === revision;
  return (condition.type === 'exists') === (revision !== 0);
}
