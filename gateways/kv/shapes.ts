import type { Attachment } from '../../protocol/attachment.ts';
import { fromLatin1, latin1, prefixEnd, textOrNull, utf8 } from '../../protocol/bytes.ts';
import type { Condition, OpResult, WriteOp } from '../../protocol/commands.ts';
import { duplicateError } from '../../protocol/duplicate.ts';
import { AppError, isErrorCode } from '../../protocol/errors.ts';
import { isLeaseId } from '../../protocol/lease.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { ChangeEvent, Item } from '../../protocol/messages/request.ts';
import { objectChange } from '../../protocol/object-change.ts';
import { isBucketName } from '../../protocol/objects.ts';
import type { BatchOp, BatchResult, ScanPage } from '../../protocol/service.ts';
import { DEFAULT_TENANT, type KeyRef, KV_SPACE } from '../../protocol/vshard.ts';

/**
 * The public shapes of keys, items, operations, results and events, used by every edge that
 * speaks JSON or MessagePack. With `binary` (MessagePack) values travel as binary under `value`; without
 * it they are `value` (UTF-8 text) or `base64`. Keys are text under `key`, or `keyBase64`.
 */
export type Shape = Record<string, unknown>;

export interface ShapeOptions {
  readonly values: boolean;
  /** The shape goes into MessagePack. */
  readonly binary?: boolean;
}

/** A range as an operation of a batch; `limit` is as it was asked for. */
export interface RangeOp {
  readonly kind: 'range';
  readonly start: string;
  readonly end: string | null;
  readonly reverse: boolean;
  readonly limit: number;
  readonly values: boolean;
}

/** What a client may put into a batch: the service's own operations, and ranges. */
export type EdgeOp = BatchOp | RangeOp;

// biome-ignore lint/suspicious/noControlCharactersInRegex: the class is all of ASCII.
const ASCII = /^[\x00-\x7f]*$/;
/** These never belong in a key (FAULTS I16): they break logs, headers and listings. */
const KEY_REFUSED = /[\0\r\n\x7f]/;
const LONE_SURROGATE = /\p{Surrogate}/u;

export function isAscii(text: string): boolean {
  return ASCII.test(text);
}

/** `{key}` or, where the bytes are not UTF-8, `{keyBase64}`. */
export function keyToJson(key: string, name = 'key'): Shape {
  if (ASCII.test(key)) return { [name]: key };
  const text = textOrNull(fromLatin1(key));
  return text === null
    ? { [`${name}Base64`]: Buffer.from(key, 'latin1').toString('base64') }
    : { [name]: text };
}

/** `{value}` or `{base64}`. */
export function valueToJson(value: Uint8Array, binary = false): Shape {
  if (binary) return { value };
  const text = textOrNull(value);
  if (text !== null) return { value: text };
  const view = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  return { base64: view.toString('base64') };
}

export function itemToJson(item: Item, options: ShapeOptions): Shape {
  const shape = keyToJson(item.ref.key);
  if (options.values) Object.assign(shape, valueToJson(item.value, options.binary));
  shape['revision'] = item.revision;
  shape['createRevision'] = item.createRevision;
  shape['version'] = item.version;
  if (item.contentType !== null) shape['contentType'] = item.contentType;
  if (item.expiresAtMs !== null) shape['expiresAt'] = new Date(item.expiresAtMs).toISOString();
  if (item.lease) shape['lease'] = item.lease;
  return shape;
}

export interface ShownPage {
  readonly page: ScanPage;
  readonly cursor: string | null;
  /** What the page says of a limit that it did not follow. */
  readonly lowered: { readonly limit?: number };
}

export function pageToJson({ page, cursor, lowered }: ShownPage, options: ShapeOptions): Shape {
  const items = page.items.map((item) => itemToJson(item, options));
  return cursor === null
    ? { items, revision: page.revision, ...lowered }
    : { items, cursor, revision: page.revision, ...lowered };
}

export function eventToJson(event: ChangeEvent, options: { binary?: boolean } = {}): Shape {
  if (event.ref.space !== KV_SPACE && isBucketName(event.ref.space))
    return objectEventToJson(event);
  const binary = options.binary ?? false;
  const shape: Shape = { type: event.kind, ...keyToJson(event.ref.key) };
  if (event.item !== null) Object.assign(shape, valueToJson(event.item.value, binary));
  shape['revision'] = event.revision;
  shape['prevRevision'] = event.prevRevision;
  if (event.prev !== null) shape['prev'] = itemToJson(event.prev, { values: true, binary });
  shape['tenant'] = event.ref.tenant;
  shape['space'] = event.ref.space;
  return shape;
}

/** An object's change: what is there now, without its bytes. */
function objectEventToJson({ kind, ref, item, prev, revision, prevRevision }: ChangeEvent): Shape {
  const shape: Shape = { type: kind, ...keyToJson(ref.key), bucket: ref.space };
  if (item !== null) shape['object'] = objectChange(item.value);
  Object.assign(shape, { revision, prevRevision });
  if (prev !== null) shape['prev'] = { ...objectChange(prev.value), revision: prev.revision };
  return Object.assign(shape, { tenant: ref.tenant, space: ref.space });
}

/** A write's outcome. Throws the refusal as an AppError: each edge shows it its own way. */
export function writeResultToJson(key: string, result: OpResult): Shape {
  switch (result.type) {
    case 'put': {
      const { revision, createRevision, version } = result;
      if (ASCII.test(key)) return { key, revision, createRevision, version };
      return { ...keyToJson(key), revision, createRevision, version };
    }
    case 'deleted':
      return { deleted: result.deleted, revision: result.revision };
    case 'precondition_failed':
      throw new AppError('precondition_failed', 'the key is at another revision', {
        details: { currentRevision: result.revision },
      });
    case 'wrong_shard':
      throw new AppError('wrong_shard', 'the shard map has changed', {
        details: { epoch: result.epoch },
      });
    case 'lease_stale':
      throw new AppError('lease_not_found', 'there is no such lease, or it has ended');
    case 'duplicate':
      throw duplicateError(key, result);
    case 'failed':
      throw new AppError(isErrorCode(result.code) ? result.code : 'internal', result.message);
  }
}

/** One result of a batch, in order: the shape of its operation, or `{key, code, definite, message}`. */
export function resultToJson(key: string, result: BatchResult, options: ShapeOptions): Shape {
  if (result.kind === 'error') {
    return failureToJson(key, new AppError(result.code, result.message, result));
  }
  try {
    if (result.kind === 'write') {
      const shape = writeResultToJson(key, result.result);
      return result.result.type === 'put' ? shape : { ...keyToJson(key), ...shape };
    }
    if (result.item !== null) return itemToJson(result.item, options);
    throw new AppError('key_not_found', 'there is no such key');
  } catch (error) {
    if (error instanceof AppError) return failureToJson(key, error);
    throw error;
  }
}

/** A failed item of a batch. */
export function failureToJson(key: string | null, error: AppError): Shape {
  return {
    ...(key === null ? {} : keyToJson(key)),
    code: error.code,
    definite: error.definite,
    message: error.message,
    ...error.details,
  };
}

/** The key an operation is about, null for a range. */
export function keyOfOp(op: EdgeOp): string | null {
  if (op.kind === 'write') return op.op.ref.key;
  return op.kind === 'get' ? op.ref.key : null;
}

/** A key's full name in the tenant and space of plain keys. Checks length and refused bytes. */
export function kvRef(key: string): KeyRef {
  if (key.length === 0) throw new AppError('invalid_argument', 'the key is empty');
  if (key.length > LIMITS.keyBytesMax) throw tooLarge('keyBytesMax', LIMITS.keyBytesMax);
  if (KEY_REFUSED.test(key)) {
    throw new AppError('invalid_argument', 'NUL, CR, LF and DEL cannot be part of a key');
  }
  return { tenant: DEFAULT_TENANT, space: KV_SPACE, key };
}

/** Larger than a limit of protocol/limits.ts, which it names. */
export function tooLarge(limit: keyof typeof LIMITS, max: number): AppError {
  return new AppError('too_large', `larger than ${limit}, ${max}`, { details: { limit, max } });
}

const OP_FIELDS: Readonly<Record<string, readonly string[]>> = {
  put: ['key', 'keyBase64', 'value', 'base64', 'ttl', 'contentType', 'ifRevision', 'lease'],
  get: ['key', 'keyBase64'],
  delete: ['key', 'keyBase64', 'ifRevision'],
  range: [
    ...['prefix', 'prefixBase64', 'start', 'startBase64', 'end', 'endBase64'],
    ...['limit', 'reverse', 'values'],
  ],
};

/**
 * An operation `{op: put|get|delete|range, key|prefix, value|base64, ttl?}`. Unknown fields are
 * refused: a misspelled precondition must not be a plain write. Throws AppError.
 */
export function opFromJson(raw: unknown): EdgeOp {
  const shape = objectOf(raw);
  const name = shape['op'];
  const fields = typeof name === 'string' && Object.hasOwn(OP_FIELDS, name) && OP_FIELDS[name];
  if (!fields) throw invalid('op must be put, get, delete or range');
  for (const field in shape) {
    if (field !== 'op' && !fields.includes(field)) {
      throw invalid(`${name} has no field ${JSON.stringify(field.slice(0, 64))}`);
    }
  }
  if (name === 'range') return rangeFromJson(shape);
  const key = bytesField(shape, 'key');
  if (key === null) throw invalid('key or keyBase64 is missing');
  const ref = kvRef(key);
  if (name === 'get') return { kind: 'get', ref };
  const condition = conditionFromJson(shape['ifRevision']);
  if (name === 'delete') return { kind: 'write', op: { type: 'delete', ref, condition } };
  return { kind: 'write', op: putFromJson(ref, shape, condition) };
}

function putFromJson(ref: KeyRef, shape: Shape, condition: Condition | null): WriteOp {
  const contentType = shape['contentType'] ?? null;
  if (contentType !== null && (typeof contentType !== 'string' || !isContentType(contentType))) {
    throw invalid('contentType is not valid');
  }
  return {
    type: 'put',
    ref,
    value: valueFromJson(shape),
    contentType,
    ttlMs: ttlMsOf(shape['ttl']),
    condition,
    attach: attachmentOf(shape['lease']),
  };
}

/** `{value}` (text, or binary in MessagePack) or `{base64}`; exactly one of them. */
export function valueFromJson(shape: Shape): Uint8Array {
  const { value, base64 } = shape;
  if ((value === undefined) === (base64 === undefined)) {
    throw invalid('exactly one of value and base64 must be given');
  }
  const bytes = value instanceof Uint8Array ? value : value === undefined ? base64Of(base64) : null;
  const out = bytes ?? utf8(textOf(value, 'value'));
  if (out.length > LIMITS.valueBytesMax) throw tooLarge('valueBytesMax', LIMITS.valueBytesMax);
  return out;
}

/** Seconds to milliseconds; undefined and null are no expiry. */
export function ttlMsOf(seconds: unknown): number | null {
  if (seconds === undefined || seconds === null) return null;
  const isCount = typeof seconds === 'number' && Number.isSafeInteger(seconds) && seconds >= 1;
  if (!isCount || seconds > LIMITS.ttlSecondsMax) {
    const max = LIMITS.ttlSecondsMax;
    const message = `a TTL is a whole number of seconds from 1 to ttlSecondsMax, ${max}`;
    throw new AppError('invalid_argument', message, { details: { limit: 'ttlSecondsMax', max } });
  }
  return seconds * 1000;
}

/** What attaches a put to a lease; undefined and null attach to none. */
export function attachmentOf(lease: unknown): Attachment | null {
  if (lease === undefined || lease === null) return null;
  if (!isLeaseId(lease)) throw invalid('a lease is a whole number above 0');
  return { lease, until: 0 };
}

export function isContentType(text: string): boolean {
  return text.length <= LIMITS.contentTypeBytesMax && /^[\x20-\x7e]+$/.test(text);
}

function conditionFromJson(raw: unknown): Condition | null {
  if (raw === undefined || raw === null) return null;
  if (typeof raw !== 'number' || !Number.isSafeInteger(raw) || raw < 0) {
    throw invalid('ifRevision must be a revision (0: the key must be absent)');
  }
  return raw === 0 ? { type: 'absent' } : { type: 'revision', revision: raw };
}

function rangeFromJson(shape: Shape): RangeOp {
  const prefix = bytesField(shape, 'prefix');
  const { start, end } = rangeOf(prefix, bytesField(shape, 'start'), bytesField(shape, 'end'));
  const { limit = LIMITS.pageItemsDefault, reverse = false, values = true } = shape;
  if (typeof limit !== 'number' || !Number.isSafeInteger(limit) || limit < 1) {
    throw invalid('limit must be a whole number above 0');
  }
  if (typeof reverse !== 'boolean' || typeof values !== 'boolean') {
    throw invalid('reverse and values must be true or false');
  }
  return { kind: 'range', start, end, reverse, values, limit };
}

/** The half-open range of a prefix, cut to [start, end) where those are given. */
export function rangeOf(
  prefix: string | null,
  start: string | null,
  end: string | null,
): { start: string; end: string | null } {
  for (const bound of [prefix, start, end]) {
    if (bound !== null && bound.length > LIMITS.keyBytesMax) {
      throw tooLarge('keyBytesMax', LIMITS.keyBytesMax);
    }
  }
  const low = prefix ?? '';
  const high = prefix === null || prefix === '' ? null : prefixEnd(prefix);
  const from = start !== null && start > low ? start : low;
  const to = high === null || (end !== null && end < high) ? end : high;
  // A range that ends before it begins is an empty one.
  return { start: from, end: to !== null && to < from ? from : to };
}

/** `name` as text (or binary), or `nameBase64`, as latin1 bytes; null when neither is there. */
export function bytesField(shape: Shape, name: string): string | null {
  const plain = shape[name];
  const encoded = shape[`${name}Base64`];
  if (plain !== undefined && encoded !== undefined) {
    throw invalid(`only one of ${name} and ${name}Base64 can be given`);
  }
  if (encoded !== undefined) return latin1(base64Of(encoded));
  if (plain === undefined) return null;
  // Its bytes as latin1 are the text itself.
  if (typeof plain === 'string' && ASCII.test(plain)) return plain;
  return latin1(plain instanceof Uint8Array ? plain : utf8(textOf(plain, name)));
}

function textOf(raw: unknown, name: string): string {
  if (typeof raw !== 'string') throw invalid(`${name} must be text`);
  if (LONE_SURROGATE.test(raw)) throw invalid(`${name} is not valid Unicode`);
  return raw;
}

function base64Of(raw: unknown): Uint8Array {
  const bytes = typeof raw === 'string' ? Buffer.from(raw, 'base64') : null;
  if (bytes === null || bytes.toString('base64') !== raw) {
    throw invalid('base64 must be standard, padded base64');
  }
  return bytes;
}

function objectOf(raw: unknown): Shape {
  const isObject = typeof raw === 'object' && raw !== null;
  if (!isObject || Array.isArray(raw) || raw instanceof Uint8Array) {
    throw invalid('an operation must be an object');
  }
  return raw as Shape;
}

function invalid(message: string): AppError {
  return new AppError('invalid_argument', message);
}
