import { encodedEnd } from '../../protocol/index-encoding.ts';
import type { ReplyBody } from '../../protocol/messages/request.ts';
import type { TxnBody, TxnOp } from '../../protocol/txn.ts';
import { INDEX_BODY_OFFSET, indexHead, indexOfRow } from '../../storage/kv/keyspace.ts';
import { type GroupIndex, indexById } from '../apply/index-codec.ts';
import { documentOf } from '../apply/index-entries.ts';
import { claimsOf, reservationRef } from '../apply/reservations.ts';
import { presentRow } from '../apply/txn-eval.ts';
import type { ReplicaContext, Reply } from '../replica/context.ts';
import { expectation, holderRef } from './claims.ts';

const EVERY_MS = 50;
const AGAIN_MS = 500;
/** Owed rows of one transaction; after a failure one at a time, so that one busy key holds up no other. */
const TOGETHER = 32;
const RELEASE_MS = 2_000;

interface Owed {
  readonly row: string;
  readonly index: GroupIndex;
  readonly encoded: string;
  readonly key: string;
}

/**
 * Works off what this group owes (U2 in apply/reservations.ts): ends the reservations of entries that its keys
 * have no more, beside the group's leader. Each is a transaction that holds the key as it was
 * looked at, ends the reservation where it is still that key's, and forgets the owed row.
 */
export class Releases {
  readonly #context: ReplicaContext;
  readonly #transact: (body: TxnBody, deadlineMs: number, reply: Reply) => void;
  #dueMs = 0;
  #isBusy = false;
  #together = TOGETHER;
  /** Where the last failure was: goes on behind it, and from the start again at the end. */
  #after = '';

  constructor(
    context: ReplicaContext,
    transact: (body: TxnBody, deadlineMs: number, reply: Reply) => void,
  ) {
    this.#context = context;
    this.#transact = transact;
  }

  isDue(nowMs: number): boolean {
    const { state } = this.#context;
    if (!state.mayOwe || state.indexes.unique.length === 0) return false;
    return nowMs >= this.#dueMs && !this.#isBusy && this.#context.isLeader();
  }

  tick(nowMs: number): void {
    if (!this.isDue(nowMs)) return;
    this.#isBusy = true;
    this.#dueMs = nowMs + EVERY_MS;
    const { state, ports } = this.#context;
    // What is owed from now on says so; what the view holds is looked at.
    state.mayOwe = false;
    this.#find().then(
      (owed) => this.#release(owed),
      (error: unknown) => ports.fatal('the applied state could not be read', error),
    );
  }

  async #find(): Promise<Owed[]> {
    const view = this.#context.state.view();
    const found: Owed[] = [];
    try {
      for (const index of view.indexes.unique) {
        const { id, fields } = index.definition;
        const head = indexHead(view.prefix, 'o', id);
        const start = this.#after > head ? `${this.#after}\0` : head;
        const cursor = view.cursor({
          start,
          end: indexHead(view.prefix, 'o', id + 1),
          reverse: false,
        });
        try {
          for (const [row] of await cursor.next(this.#together - found.length)) {
            const end = encodedEnd(row, INDEX_BODY_OFFSET, fields.length);
            const encoded = row.slice(INDEX_BODY_OFFSET, end);
            found.push({ row, index, encoded, key: row.slice(end) });
          }
        } finally {
          await cursor.close();
        }
        if (found.length >= this.#together) break;
      }
    } finally {
      await view.close();
    }
    return found;
  }

  #release(owed: readonly Owed[]): void {
    const { state } = this.#context;
    const [first] = owed;
    if (first === undefined) {
      this.#isBusy = false;
      if (this.#after !== '') state.mayOwe = true;
      this.#after = '';
      return;
    }
    state.mayOwe = true;
    const then = owed.flatMap((one) => this.#opsOf(one));
    this.#transact({ compares: [], then, otherwise: null }, RELEASE_MS, (reply) => {
      this.#isBusy = false;
      if (isDone(reply)) {
        this.#together = Math.min(TOGETHER, this.#together * 2);
        return;
      }
      if (this.#together === 1) this.#after = first.row;
      this.#together = 1;
      this.#dueMs = this.#context.ports.clock.monotonicMs() + AGAIN_MS;
    });
  }

  #opsOf({ row, index, encoded, key }: Owed): TxnOp[] {
    const { state } = this.#context;
    const { definition } = index;
    const id = indexOfRow(row);
    const ref = holderRef(definition, key);
    // As it is at the group's clock: the transaction's own revision is above it.
    const present = presentRow(state, ref, state.clock);
    const expect = expectation(ref, present?.revision ?? 0, { id, encoded });
    const hasIt =
      present !== null && claimsOf(definition, documentOf(present.value)).includes(encoded);
    // It has the entry again: nothing is owed.
    if (hasIt || indexById(state.indexes, id) === null) return [expect];
    return [expect, { type: 'release', ref: reservationRef(id, encoded), holder: key }];
  }
}

function isDone(reply: ReplyBody): boolean {
  return reply.type === 'TxnDone' && !reply.outcome.refused && reply.outcome.succeeded;
}
