import { jittered, nowMs, sleep } from './ambient.ts';
import { type Key, keyFields, toBase64, toBytes, type Value, valueFields } from './bytes.ts';
import { MinikvError } from './errors.ts';
import { Item } from './item.ts';
import { callOf, JSON_BODY, type Keys } from './keys.ts';
import {
  isObjectOperation,
  type ObjectCompare,
  type ObjectOperation,
  type ObjectOperationResult,
  objectResultOf,
} from './objects.ts';
import {
  type Operation,
  type OperationResult,
  operationToJson,
  type RawResult,
  resultOf,
} from './operations.ts';
import type { CallOptions, Transport } from './transport.ts';

type Relation = '=' | '!=' | '<' | '>';

/** What must be true of a key; an absent key has revision 0 and version 0. `op` is `=` by default. */
export type Compare = ObjectCompare | KeyCompare;

export type KeyCompare = { readonly key: Key; readonly op?: Relation | undefined } & (
  | { readonly revision: number }
  | { readonly version: number }
  | { readonly value: Value }
  | { readonly exists: boolean }
  /** 0: attached to none. */
  | { readonly lease: number }
);

/** Of keys and of objects, all at one revision. */
export type TxnOperation = Operation | ObjectOperation;

export interface Txn {
  readonly compare?: readonly Compare[] | undefined;
  /** What is done when all compares are true: `then` over HTTP, which no object here should have. */
  readonly success?: readonly TxnOperation[] | undefined;
  /** What is done otherwise: `else` over HTTP. Without it, that is the error `compare_failed`. */
  readonly failure?: readonly TxnOperation[] | undefined;
}

export interface TxnResult {
  /** Whether all compares were true, so that `success` was done. */
  readonly succeeded: boolean;
  readonly revision: number;
  /** Of the branch that was done, in order. */
  readonly results: readonly (OperationResult | ObjectOperationResult)[];
}

export interface TransactionOptions extends CallOptions {
  /** What must hold besides everything that was read, such as a lock's `fence`. */
  readonly compare?: readonly Compare[] | undefined;
}

const TIMEOUT_MS = 10_000;
const PAUSE_MS_MIN = 2;
const PAUSE_MS_MAX = 100;

/** Compares, then all of one branch at one revision, or nothing. */
export async function runTxn(
  transport: Transport,
  { compare = [], success = [], failure }: Txn,
  options: CallOptions & { readonly idempotencyKey?: string | undefined },
): Promise<TxnResult> {
  const body: Record<string, unknown> = { compare: compare.map(compareToJson) };
  body['then'] = success.map(shapeOf);
  if (failure !== undefined) body['else'] = failure.map(shapeOf);
  const answer = await transport.json<{
    succeeded: boolean;
    revision: number;
    results: RawResult[];
  }>({
    ...callOf(options),
    ...{ method: 'POST', path: '/v1/txn', headers: JSON_BODY, repeat: 'keyed' },
    body: JSON.stringify(body),
    idempotencyKey: options.idempotencyKey,
  });
  const { succeeded, revision } = answer;
  const branch = succeeded ? success : (failure ?? []);
  const results = branch.map((operation, i) => {
    const raw = answer.results[i] as RawResult;
    if (isObjectOperation(operation)) return objectResultOf(operation, raw as object);
    return resultOf(operation, raw);
  });
  return { succeeded, revision, results };
}

function shapeOf(operation: TxnOperation): object {
  return isObjectOperation(operation) ? operation : operationToJson(operation);
}

function compareToJson(compare: Compare): object {
  if ('object' in compare) return compare;
  const { key, op, ...target } = compare;
  const shape: Record<string, unknown> = { ...keyFields(key), ...target };
  if ('value' in target) {
    delete shape['value'];
    Object.assign(shape, valueFields(target.value));
  }
  if (op !== undefined) shape['op'] = op;
  return shape;
}

export interface TransactionPutOptions {
  /** Seconds until the key expires. */
  readonly ttlSeconds?: number | undefined;
  /** The lease to attach the key to: with it, it goes. */
  readonly lease?: number | undefined;
  readonly contentType?: string | undefined;
}

interface Read {
  readonly key: Key;
  readonly item: Item | null;
}

/**
 * One attempt of a transaction: what it reads is remembered with its revision, what it writes waits for the commit. It
 * reads its own writes. Ranges are not offered: nothing could tell that a key has come into one since.
 */
export class Transaction {
  readonly #keys: Keys;
  readonly #options: CallOptions;
  readonly #reads = new Map<string, Read>();
  readonly #writes = new Map<string, Exclude<Operation, { op: 'get' }>>();

  constructor(keys: Keys, options: CallOptions) {
    this.#keys = keys;
    this.#options = options;
  }

  /** Null when there is no such key. Reading again gives the same. */
  async get(key: Key): Promise<Item | null> {
    const name = nameOf(key);
    const written = this.#writes.get(name);
    if (written !== undefined) return written.op === 'put' ? itemOfPut(written) : null;
    const known = this.#reads.get(name);
    if (known !== undefined) return known.item;
    const item = await this.#keys.get(key, this.#options);
    this.#reads.set(name, { key, item });
    return item;
  }

  put(key: Key, value: Value, options: TransactionPutOptions = {}): void {
    this.#writes.set(nameOf(key), { op: 'put', key, value, ...options });
  }

  delete(key: Key): void {
    this.#writes.set(nameOf(key), { op: 'delete', key });
  }

  /** What has to hold for the commit, and what it does. */
  commit(): { compare: Compare[]; writes: Operation[] } {
    const compare: Compare[] = [];
    for (const { key, item } of this.#reads.values()) {
      compare.push({ key, revision: item?.revision ?? 0 });
    }
    return { compare, writes: [...this.#writes.values()] };
  }
}

function itemOfPut(put: Extract<Operation, { op: 'put' }>): Item {
  return new Item(toBytes(put.key), toBytes(put.value), { revision: 0 });
}

function nameOf(key: Key): string {
  return toBase64(toBytes(key));
}

/**
 * Runs `work` and commits what it wrote if everything it read is still so; otherwise again, from the beginning, with
 * a pause, until the deadline. `work` may run several times and must do nothing else that counts. Each of its reads is
 * the latest, so two of them may be of different moments; then nothing is committed, and an error that it throws is
 * not passed on.
 */
export async function transact<T>(
  parts: { readonly transport: Transport; readonly keys: Keys },
  work: (tx: Transaction) => Promise<T>,
  options: TransactionOptions,
): Promise<T> {
  const { signal, timeoutMs = TIMEOUT_MS, compare: fences = [] } = options;
  const endMs = nowMs() + timeoutMs;
  for (let attempt = 0; ; attempt++) {
    const call = { signal, timeoutMs: Math.max(1, endMs - nowMs()) };
    const tx = new Transaction(parts.keys, call);
    let result: T;
    try {
      result = await work(tx);
    } catch (error) {
      // It may have seen one key before another's change and one after it, which no commit would let pass.
      const leftMs = endMs - nowMs();
      if (signal?.aborted || leftMs <= 0) throw error;
      if (!(await isOutdated(parts.transport, tx, { signal, timeoutMs: leftMs }))) throw error;
      await pause(attempt, endMs, signal);
      continue;
    }
    const { compare, writes } = tx.commit();
    if (compare.length + writes.length + fences.length === 0) return result;
    const all = [...compare, ...fences];
    try {
      const left = { signal, timeoutMs: Math.max(1, endMs - nowMs()) };
      await runTxn(parts.transport, { compare: all, success: writes }, left);
      return result;
    } catch (error) {
      const isLost = error instanceof MinikvError && MAY_REPEAT.has(error.code) && error.definite;
      if (!isLost || nowMs() >= endMs || isFence(error, compare.length)) throw error;
    }
    await pause(attempt, endMs, signal);
  }
}

/** Whether something that was read is known to have changed since. */
async function isOutdated(
  transport: Transport,
  tx: Transaction,
  options: CallOptions,
): Promise<boolean> {
  const { compare } = tx.commit();
  if (compare.length === 0) return false;
  try {
    await runTxn(transport, { compare }, options);
    return false;
  } catch (error) {
    return error instanceof MinikvError && error.code === 'compare_failed';
  }
}

async function pause(
  attempt: number,
  endMs: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const pauseMs = Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** Math.min(attempt, 10));
  await sleep(Math.min(jittered(pauseMs / 2), Math.max(0, endMs - nowMs())), signal);
  if (signal?.aborted) {
    throw new MinikvError('aborted', 'the transaction was aborted', { definite: true });
  }
}

/** Somebody else was first, or in the way. */
const MAY_REPEAT: ReadonlySet<string> = new Set(['compare_failed', 'conflict']);

/** A fence that fails is lost for good; only what was read can be read anew. */
function isFence(error: MinikvError, readCount: number): boolean {
  const { failedCompare } = error.details as { failedCompare?: { index?: number } | number };
  const index = typeof failedCompare === 'number' ? failedCompare : failedCompare?.index;
  return error.code === 'compare_failed' && index !== undefined && index >= readCount;
}
