import type { Key, Value } from './bytes.ts';
import { Indexes } from './indexes.ts';
import type { Item } from './item.ts';
import { type GetOptions, Keys } from './keys.ts';
import { Leases } from './leases.ts';
import { Locks } from './locks.ts';
import type {
  DeleteOptions,
  DeleteResult,
  Operation,
  OperationResult,
  PutOptions,
  PutResult,
} from './operations.ts';
import { type Page, type PageOptions, readPage, type ScanOptions, scan } from './ranges.ts';
import {
  runTxn,
  type Transaction,
  type TransactionOptions,
  type Txn,
  type TxnResult,
  transact,
} from './transaction.ts';
import { type CallOptions, type ClientOptions, Transport } from './transport.ts';
import { type WatchMessage, type WatchOptions, watch } from './watch.ts';

export { MinikvError } from './errors.ts';
export type { ClientOptions } from './transport.ts';

/** A client of one cluster. It holds no connection of its own: nothing has to be closed. */
export function createClient(options: ClientOptions = {}): Minikv {
  return new Minikv(options);
}

/**
 * The store. Every method throws MinikvError, whose `definite` says whether the operation may have
 * happened. Writes carry an idempotency key, so that they can be repeated at another node when the
 * first one does not answer; each operation ends within its deadline.
 */
export class Minikv {
  readonly #transport: Transport;
  readonly #keys: Keys;
  readonly indexes: Indexes;
  readonly leases: Leases;
  readonly locks: Locks;

  constructor(options: ClientOptions) {
    this.#transport = new Transport(options);
    this.#keys = new Keys(this.#transport);
    this.indexes = new Indexes(this.#transport);
    this.leases = new Leases(this.#transport);
    this.locks = new Locks(this.#transport, this.leases);
  }

  /** Null when there is no such key. */
  get(key: Key, options: GetOptions = {}): Promise<Item | null> {
    return this.#keys.get(key, options);
  }

  put(key: Key, value: Value, options: PutOptions = {}): Promise<PutResult> {
    return this.#keys.put(key, value, options);
  }

  delete(key: Key, options: DeleteOptions = {}): Promise<DeleteResult> {
    return this.#keys.delete(key, options);
  }

  /** Independent operations; a result for each, in order. One that failed is a value, not an error. */
  batch(
    operations: readonly Operation[],
    options: CallOptions & { readonly idempotencyKey?: string } = {},
  ): Promise<OperationResult[]> {
    return this.#keys.batch(operations, options);
  }

  /** Compares, then all of one branch at one revision, or nothing; over any keys. */
  txn(
    txn: Txn,
    options: CallOptions & { readonly idempotencyKey?: string } = {},
  ): Promise<TxnResult> {
    return runTxn(this.#transport, txn, options);
  }

  /**
   * Runs `work` and commits what it wrote, if all it read is still so; otherwise runs it again, until the deadline.
   * With a lock's `fence` in `compare` it commits only while the lock is held.
   */
  transaction<T>(
    work: (tx: Transaction) => Promise<T>,
    options: TransactionOptions = {},
  ): Promise<T> {
    return transact({ transport: this.#transport, keys: this.#keys }, work, options);
  }

  /** Every item of a range, in order, all at one revision. */
  scan(options: ScanOptions = {}): AsyncGenerator<Item, void, void> {
    return scan(this.#transport, options);
  }

  /** One page of a range, and the cursor of the next. */
  page(options: PageOptions = {}): Promise<Page> {
    return readPage(this.#transport, options);
  }

  /** Changes in order, each once, also over lost connections and nodes. */
  watch(options: WatchOptions = {}): AsyncGenerator<WatchMessage, void, void> {
    return watch(this.#transport, options);
  }
}
