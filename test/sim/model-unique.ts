import type { Command } from '../../protocol/commands.ts';
import { lastRevision } from '../../protocol/commands.ts';
import { encodeString } from '../../protocol/index-encoding.ts';
import type { TxnBody } from '../../protocol/txn.ts';
import type { GroupId, Revision } from '../../protocol/types.ts';
import type { KeyRef } from '../../protocol/vshard.ts';

type CommandOf<T extends Command['type']> = Extract<Command, { type: T }>;

/** A unique index from when on and until when no two live keys may have a value; by revisions of all groups. */
export interface Enforced {
  readonly id: number;
  readonly prefix: string;
  readonly fromRevision: Revision;
  /** Infinity while it is live. */
  toRevision: Revision;
}

interface Known {
  readonly epoch: number;
  /** Unique indexes by id: what they cover, and the epoch they were entered under. */
  readonly unique: ReadonlyMap<number, { readonly prefix: string; readonly epoch: number }>;
}

interface CatalogRow {
  readonly indexes: readonly {
    readonly id: number;
    readonly prefix: string;
    readonly unique?: boolean;
    readonly state: string;
  }[];
}

/** The values that are unique in this simulation: those of the field `u`. */
export function uniqueValues(value: string): string[] {
  let document: unknown;
  try {
    document = JSON.parse(value);
  } catch {
    return [];
  }
  if (typeof document !== 'object' || document === null || !('u' in document)) return [];
  const all: unknown[] = Array.isArray(document.u) ? document.u : [document.u];
  return [...new Set(all.filter((one) => typeof one === 'string'))];
}

/** As a reservation names it. */
export function encodedValue(value: string): string {
  return encodeString(value);
}

/**
 * What the model of the store knows of unique indexes, from the committed logs: which group enforces what, and from
 * when on an index promises that no two keys have the same value.
 */
export class UniqueModel {
  readonly #known = new Map<GroupId, Known>();
  readonly #clocks = new Map<GroupId, Revision>();
  readonly #metaRevisions = new Map<string, Revision>();
  readonly enforced: Enforced[] = [];

  /** Every command, before it is applied. */
  see(group: GroupId, command: Command): void {
    const clock = this.#clocks.get(group) ?? 0;
    if (group !== 0) this.#clocks.set(group, Math.max(clock, lastRevision(command)));
    if (command.type === 'indexes') this.#define(group, command);
    if (command.type === 'metaPut') this.#catalog(command);
  }

  #define(group: GroupId, { epoch, indexes }: CommandOf<'indexes'>): void {
    const known = this.#known.get(group);
    if (known !== undefined && epoch <= known.epoch) return;
    const unique = new Map<number, { prefix: string; epoch: number }>();
    for (const { id, prefix, unique: isUnique } of indexes) {
      if (isUnique === true) unique.set(id, known?.unique.get(id) ?? { prefix, epoch });
    }
    this.#known.set(group, { epoch, unique });
  }

  #catalog({ name, json, revision, ifRevision }: CommandOf<'metaPut'>): void {
    const before = this.#metaRevisions.get(name) ?? 0;
    if (ifRevision !== null && ifRevision !== before) return;
    this.#metaRevisions.set(name, revision);
    if (name !== 'indexes') return;
    const { indexes } = JSON.parse(json) as CatalogRow;
    const live = indexes.filter(({ unique, state }) => unique === true && state === 'live');
    const clocks = [...this.#clocks.values()];
    for (const one of this.enforced) {
      if (one.toRevision !== Number.POSITIVE_INFINITY) continue;
      if (!live.some(({ id }) => id === one.id)) one.toRevision = Math.min(...clocks);
    }
    for (const { id, prefix } of live) {
      if (this.enforced.some((one) => one.id === id)) continue;
      const fromRevision = Math.max(...clocks);
      this.enforced.push({ id, prefix, fromRevision, toRevision: Number.POSITIVE_INFINITY });
    }
  }

  /** Whether a put begins a value of a unique index: then only a transaction does it. */
  begins(group: GroupId, ref: KeyRef, value: string, before: string | null): boolean {
    for (const { prefix } of this.#known.get(group)?.unique.values() ?? []) {
      if (!ref.key.startsWith(prefix)) continue;
      const had = before === null ? [] : uniqueValues(before);
      if (uniqueValues(value).some((one) => !had.includes(one))) return true;
    }
    return false;
  }

  /** Whether a part was given its claims by other indexes than this group has. */
  hasOthers(group: GroupId, { then, otherwise }: TxnBody, indexEpoch: number): boolean {
    const known = this.#known.get(group);
    return [...then, ...(otherwise ?? [])].some((op) => {
      if (op.type !== 'claim' && op.type !== 'put') return false;
      if ((known?.epoch ?? 0) < indexEpoch) return true;
      if (op.type === 'claim') return false;
      return [...(known?.unique.values() ?? [])].some(
        ({ prefix, epoch }) => epoch > indexEpoch && op.ref.key.startsWith(prefix),
      );
    });
  }
}
