import { AppError } from '../../protocol/errors.ts';
import type { IndexFailure, IndexInfo } from '../../protocol/index-access.ts';
import type { EntryPosition } from '../../protocol/indexes.ts';
import type { ReplyOf } from '../../protocol/messages/request.ts';
import type { TxnBody, TxnOp } from '../../protocol/txn.ts';
import type { GroupId } from '../../protocol/types.ts';
import { documentOf } from '../apply/index-entries.ts';
import { claimsOf, isReserved, reservationRef } from '../apply/reservations.ts';
import type { Calls } from '../router/calls.ts';
import { expectation, holderRef } from '../txn/claims.ts';

/** Entries of one transaction; after a failure one at a time for a while. */
const TOGETHER = 64;
const CALL_MS = 2_000;
/** Above every encoding. */
const TOP = '\xff';

type Hit = ReplyOf<'IndexPage'>['hits'][number];

export interface ClaimHost {
  readonly calls: Calls;
  /** Of the shard map. */
  epoch(): number;
  groups(): readonly GroupId[];
}

/**
 * The last part of building a unique index: an entry that was there before the index was known to every group is
 * claimed for its key, in a transaction that holds the key as it was read. What begins later claims by itself
 * (U1 in apply/reservations.ts), so one walk through each group's entries meets all. Claiming again what is
 * claimed changes nothing, so a walk that was lost with its leader is begun again.
 */
export class ClaimPass {
  readonly #host: ClaimHost;
  readonly #info: IndexInfo;
  /** How far each group's entries are claimed; a group that is done is missing in `left`. */
  readonly #reached = new Map<GroupId, EntryPosition>();
  readonly #left: Set<GroupId>;
  #together = TOGETHER;

  constructor(host: ClaimHost, info: IndexInfo) {
    this.#host = host;
    this.#info = info;
    this.#left = new Set(host.groups());
  }

  get isDone(): boolean {
    return this.#left.size === 0;
  }

  /** Claims the next entries of some group; resolves with a failure when two keys have the same one. Rejects with AppErrors. */
  async step(): Promise<IndexFailure | null> {
    const [group] = this.#left;
    if (group === undefined) return null;
    const page = await this.#page(group);
    const hits = page.hits.filter(({ encoded }) => isReserved(encoded));
    const failure = hits.length === 0 ? null : await this.#claim(group, hits);
    if (failure !== null) return failure;
    if (page.reached === null) this.#left.delete(group);
    else this.#reached.set(group, page.reached);
    return null;
  }

  async #page(group: GroupId): Promise<ReplyOf<'IndexPage'>> {
    const { calls } = this.#host;
    const { clock: revision } = await calls.call(
      group,
      { type: 'ReadClock', snapshot: null },
      'Clock',
      READ,
    );
    const body = {
      ...({ type: 'IndexQuery', id: this.#info.id, revision, start: '', end: TOP } as const),
      ...{ after: this.#reached.get(group) ?? null, reverse: false },
      ...{ limit: this.#together, values: false },
    };
    return calls.call(group, body, 'IndexPage', READ);
  }

  /** Null: all are claimed. Rejects where a key has changed, or others were in the way: the page is read again. */
  async #claim(group: GroupId, hits: readonly Hit[]): Promise<IndexFailure | null> {
    const twice = hits.find(({ encoded }, i) => encoded === hits[i - 1]?.encoded);
    if (twice !== undefined) return this.#judge(group, keysOf(hits, twice.encoded), twice.encoded);
    const then: TxnOp[] = [];
    for (const { encoded, item } of hits) {
      then.push(expectation(item.ref, item.revision));
      const ref = reservationRef(this.#info.id, encoded);
      then.push({ type: 'claim', ref, holder: item.ref.key, over: null });
    }
    const reply = await this.#transact(group, { compares: [], then, otherwise: null });
    const { refused = null } = reply.outcome;
    if (refused === null) {
      this.#together = Math.min(TOGETHER, this.#together * 2);
      return null;
    }
    this.#together = 1;
    if (refused.type !== 'duplicate') throw new AppError('conflict', 'a key has changed');
    const { key, duplicate } = refused;
    const { encoded, holder } = duplicate;
    return this.#judge(group, [key, holder], encoded);
  }

  /** Two keys seem to have the same entry: they have, when both have it at one moment. */
  async #judge(group: GroupId, keys: readonly string[], encoded: string): Promise<IndexFailure> {
    const then: TxnOp[] = keys.map((key) => ({ type: 'get', ref: holderRef(this.#info, key) }));
    const { outcome } = await this.#transact(group, { compares: [], then, otherwise: null });
    const haveAll = outcome.results.every((result) => {
      if (result.type !== 'got' || result.item === null) return false;
      return claimsOf(this.#info, documentOf(result.item.value)).includes(encoded);
    });
    if (haveAll) return { encoded, keys };
    throw new AppError('conflict', 'a key has changed');
  }

  #transact(group: GroupId, body: TxnBody): Promise<ReplyOf<'TxnDone'>> {
    const request = { type: 'Txn', epoch: this.#host.epoch(), body, idempotency: null } as const;
    return this.#host.calls.call(group, request, 'TxnDone', WRITE);
  }
}

const READ = {
  deadlineMs: CALL_MS,
  traceparent: null,
  target: 'leader',
  repeatable: true,
} as const;
/** Claiming twice is harmless. */
const WRITE = READ;

/** The first two keys with an entry. */
function keysOf(hits: readonly Hit[], encoded: string): string[] {
  const own = hits.filter((hit) => hit.encoded === encoded);
  return own.slice(0, 2).map(({ item }) => item.ref.key);
}
