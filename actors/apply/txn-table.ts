import { assert } from '../../protocol/assert.ts';
import { encodeWith, unpackBytes } from '../../protocol/codec.ts';
import { LIMITS } from '../../protocol/limits.ts';
import {
  type Decision,
  decisionCodec,
  preparedCodec,
  type TxnId,
  type TxnPart,
} from '../../protocol/txn.ts';
import type { Revision } from '../../protocol/types.ts';
import { type Footprint, footprintOf, LockTable } from './txn-locks.ts';

/** A transaction that this group has voted for and whose end it does not know yet. */
export interface Prepared {
  readonly id: TxnId;
  readonly slot: number;
  /** It will not commit below this. */
  readonly revision: Revision;
  readonly part: TxnPart;
  readonly footprint: Footprint;
}

const BOUNDS = { bytesMax: LIMITS.entryBytesMax, itemsMax: LIMITS.txnOpsMax * 4, depthMax: 12 };

export function encodePrepared({ id, revision, part }: Prepared): Uint8Array {
  return encodeWith(preparedCodec, { id, revision, part });
}

export function encodeDecision(decision: Decision): Uint8Array {
  return encodeWith(decisionCodec, decision);
}

/** Throws DecodeError. */
export function decodeDecision(bytes: Uint8Array): Decision {
  return decisionCodec.unpack(unpackBytes(bytes, BOUNDS));
}

/**
 * The prepared transactions of one group and their locks, in memory as they are in rows. Each has a
 * slot, the lowest free one, so that opening a group looks at a handful of rows.
 */
export class TxnTable {
  readonly locks = new LockTable();
  readonly #slots: (Prepared | null)[] = [];
  /** Starts are unique but in the same millisecond of two home groups' clocks: then the first of them is here. */
  readonly #byStart = new Map<Revision, Prepared>();
  /** Those that are not, because another has their start. */
  #namesakes = 0;
  /** Null: to be looked for, since the one that had it has ended. */
  #lowest: Revision | null = Number.POSITIVE_INFINITY;
  /** Counts the transactions that have ended here since the group was opened. */
  ended = 0;
  /** The highest start revision of any transaction that may have a decision here (T6). */
  #decidedUpTo: Revision = 0;

  get decidedUpTo(): Revision {
    return this.#decidedUpTo;
  }

  /** A transaction that began at `start` is decided; at opening: any that began up to then may be. */
  decided(start: Revision): void {
    this.#decidedUpTo = Math.max(this.#decidedUpTo, start);
  }

  get size(): number {
    return this.#byStart.size + this.#namesakes;
  }

  /** The lowest revision of any prepared transaction; infinity when there is none. */
  get lowest(): Revision {
    this.#lowest ??= this.#findLowest();
    return this.#lowest;
  }

  /** Slots that were ever in use. */
  get slotCount(): number {
    return this.#slots.length;
  }

  get(id: TxnId): Prepared | null {
    const found = this.#byStart.get(id.start);
    if (found !== undefined && isSame(found.id, id)) return found;
    if (this.#namesakes === 0) return null;
    return this.#slots.find((one) => one !== null && isSame(one.id, id)) ?? null;
  }

  all(): Prepared[] {
    return this.#slots.filter((one) => one !== null);
  }

  /** Locks its keys, in the lowest free slot; null when there is none, or no room for more locks. */
  add(id: TxnId, revision: Revision, part: TxnPart, footprint: Footprint): Prepared | null {
    const free = this.#slots.indexOf(null);
    const slot = free < 0 ? this.#slots.length : free;
    if (slot >= LIMITS.txnPreparedMax || !this.locks.hasRoom(footprint)) return null;
    return this.#set({ id, slot, revision, part, footprint });
  }

  /** What a row holds; null leaves the slot free. Slots come in order. Throws DecodeError. */
  load(bytes: Uint8Array | null): void {
    if (bytes === null) {
      this.#slots.push(null);
      return;
    }
    const { id, revision, part } = preparedCodec.unpack(unpackBytes(bytes, BOUNDS));
    const footprint = footprintOf(part.body);
    this.#set({ id, slot: this.#slots.length, revision, part, footprint });
  }

  #set(prepared: Prepared): Prepared {
    this.#slots[prepared.slot] = prepared;
    const { start } = prepared.id;
    if (this.#byStart.has(start)) this.#namesakes++;
    else this.#byStart.set(start, prepared);
    this.locks.add(prepared.footprint);
    if (this.#lowest !== null) this.#lowest = Math.min(this.#lowest, prepared.revision);
    return prepared;
  }

  remove(prepared: Prepared): void {
    assert(this.#slots[prepared.slot] === prepared, 'a transaction is not in its slot');
    this.ended++;
    this.#slots[prepared.slot] = null;
    const { start } = prepared.id;
    if (this.#byStart.get(start) === prepared) this.#byStart.delete(start);
    else this.#namesakes--;
    this.locks.remove(prepared.footprint);
    if (this.#lowest === prepared.revision) this.#lowest = null;
  }

  #findLowest(): Revision {
    let lowest = Number.POSITIVE_INFINITY;
    for (const prepared of this.#slots) {
      if (prepared !== null) lowest = Math.min(lowest, prepared.revision);
    }
    return lowest;
  }
}

function isSame(a: TxnId, b: TxnId): boolean {
  return a.start === b.start && a.home === b.home && a.term === b.term;
}
