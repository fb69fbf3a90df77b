import { fromBase64, type Key, keyFields, type Value, valueFields } from './bytes.ts';
import { MinikvError } from './errors.ts';
import { type Item, itemOf, type RawItem } from './item.ts';
import type { CallOptions } from './transport.ts';

/** Where a key has to be for a write to happen; otherwise it fails with `precondition_failed`. */
export interface Condition {
  /** The revision the key must be at; 0: it must be absent. */
  readonly ifRevision?: number | undefined;
}

export interface PutOptions extends Condition, CallOptions {
  /** Seconds until the key expires. */
  readonly ttlSeconds?: number | undefined;
  /** The lease to attach the key to: with it, it goes. */
  readonly lease?: number | undefined;
  readonly contentType?: string | undefined;
  /** True: the key must be there, at whatever revision. */
  readonly ifExists?: boolean | undefined;
  /** The same write again, also from another process. */
  readonly idempotencyKey?: string | undefined;
}

export interface DeleteOptions extends Condition, CallOptions {
  readonly ifExists?: boolean | undefined;
  readonly idempotencyKey?: string | undefined;
}

export interface PutResult {
  readonly revision: number;
  readonly createRevision: number;
  readonly version: number;
}

export interface DeleteResult {
  readonly deleted: boolean;
  /** Of the removal; 0 where there was no key. */
  readonly revision: number;
}

/** One operation of a batch or of a transaction's branch. */
export type Operation =
  | {
      readonly op: 'put';
      readonly key: Key;
      readonly value: Value;
      readonly ttlSeconds?: number | undefined;
      readonly lease?: number | undefined;
      readonly contentType?: string | undefined;
      readonly ifRevision?: number | undefined;
    }
  | { readonly op: 'get'; readonly key: Key }
  | { readonly op: 'delete'; readonly key: Key; readonly ifRevision?: number | undefined };

/** What became of one operation; a failure is a value here, since the others have happened. */
export type OperationResult =
  | ({ readonly op: 'put' } & PutResult)
  | ({ readonly op: 'delete' } & DeleteResult)
  | { readonly op: 'get'; readonly item: Item | null }
  | { readonly op: 'failed'; readonly error: MinikvError };

/** As the store reads it. */
export function operationToJson(operation: Operation): Record<string, unknown> {
  const shape: Record<string, unknown> = { op: operation.op, ...keyFields(operation.key) };
  if (operation.op === 'get') return shape;
  if (operation.ifRevision !== undefined) shape['ifRevision'] = operation.ifRevision;
  if (operation.op === 'delete') return shape;
  Object.assign(shape, valueFields(operation.value));
  if (operation.ttlSeconds !== undefined) shape['ttl'] = operation.ttlSeconds;
  if (operation.lease !== undefined) shape['lease'] = operation.lease;
  if (operation.contentType !== undefined) shape['contentType'] = operation.contentType;
  return shape;
}

/** A result as it comes: an item, a write's outcome, or a failure. */
export type RawResult = Partial<RawItem> & {
  readonly deleted?: boolean;
  readonly code?: string;
  readonly definite?: boolean;
  readonly message?: string;
};

export function resultOf(operation: Operation, raw: RawResult): OperationResult {
  const { code, definite, message, ...details } = raw;
  // A batch says so with a code, a transaction with revision 0.
  const isAbsent = code === 'key_not_found' || (code === undefined && raw.revision === 0);
  if (operation.op === 'get' && isAbsent) return { op: 'get', item: null };
  if (code !== undefined) {
    const error = new MinikvError(code, message ?? code, { definite: definite === true, details });
    return { op: 'failed', error };
  }
  if (operation.op === 'get') return { op: 'get', item: itemOf(raw as RawItem) };
  const { revision = 0, createRevision = 0, version = 0, deleted = false } = raw;
  if (operation.op === 'delete') return { op: 'delete', deleted, revision };
  return { op: 'put', revision, createRevision, version };
}

/** The value of a document that carries bytes. */
export function bytesOf(raw: { readonly value?: string; readonly base64?: string }): Uint8Array {
  return raw.base64 === undefined ? new TextEncoder().encode(raw.value) : fromBase64(raw.base64);
}
