import { latin1, prefixEnd } from '../../protocol/bytes.ts';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { TxnOutcome, TxnResult } from '../../protocol/messages/txn.ts';
import type { KvService, RequestContext } from '../../protocol/service.ts';
import {
  type Compare,
  isKeyed,
  RELATIONS,
  type Relation,
  type TxnBody,
  type TxnOp,
} from '../../protocol/txn.ts';
import { DEFAULT_TENANT, KV_SPACE } from '../../protocol/vshard.ts';
import {
  bytesField,
  itemToJson,
  keyToJson,
  kvRef,
  opFromJson,
  type Shape,
  tooLarge,
  valueFromJson,
  valueToJson,
} from './shapes.ts';
import { invalid, objectOf, refuseOthers } from './txn-fields.ts';
import {
  isObjectCompare,
  isObjectShape,
  objectCompare,
  objectOp,
  objectResult,
} from './txn-objects.ts';

/** The public shapes of transactions: `{compare, then, else}` and what they answer. */

const SPACE = { tenant: DEFAULT_TENANT, space: KV_SPACE };
const BODY_FIELDS = ['compare', 'then', 'else'];
const TARGETS = ['value', 'base64', 'revision', 'version', 'exists', 'lease'];
const COMPARE_FIELDS = ['key', 'keyBase64', 'op', ...TARGETS];

/** Everything is read before anything is done; what is not valid is named. Throws AppError. */
export function txnFromJson(raw: unknown): TxnBody {
  const body = objectOf(raw, 'the body');
  refuseOthers(body, BODY_FIELDS, 'a transaction');
  const others = body['else'];
  return {
    compares: listOf(body['compare'] ?? [], 'compare', compareFromJson),
    then: listOf(body['then'] ?? [], 'then', txnOpFromJson),
    otherwise:
      others === undefined || others === null ? null : listOf(others, 'else', txnOpFromJson),
  };
}

function listOf<T>(raw: unknown, name: string, read: (item: unknown) => T): T[] {
  if (!Array.isArray(raw)) throw invalid(`${name} must be a list`);
  if (raw.length > LIMITS.txnOpsMax) throw tooLarge('txnOpsMax', LIMITS.txnOpsMax);
  const out = new Array<T>(raw.length);
  let at = 0;
  try {
    for (; at < raw.length; at++) out[at] = read(raw[at]);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const { code, message, details } = error;
    throw new AppError(code, `${name}[${at}]: ${message}`, { details: { ...details, at } });
  }
  return out;
}

function compareFromJson(raw: unknown): Compare {
  const shape = objectOf(raw, 'a compare');
  if (isObjectCompare(shape)) return objectCompare(shape, relationOf(shape), targetOf);
  refuseOthers(shape, COMPARE_FIELDS, 'a compare');
  const key = bytesField(shape, 'key');
  if (key === null) throw invalid('key or keyBase64 is missing');
  let named = 0;
  for (const name of TARGETS) if (shape[name] !== undefined) named++;
  if (named !== 1) throw invalid('exactly one of value, revision, version, exists and lease');
  return { ref: kvRef(key), relation: relationOf(shape), target: targetOf(shape) };
}

function relationOf(shape: Shape): Relation {
  const relation = (shape['op'] ?? '=') as Relation;
  if (!RELATIONS.includes(relation)) throw invalid('op must be =, !=, < or >');
  const ordered = relation === '<' || relation === '>';
  if (ordered && (shape['exists'] !== undefined || shape['lease'] !== undefined)) {
    throw invalid('exists and lease take only = and !=');
  }
  return relation;
}

function targetOf(shape: Shape): Compare['target'] {
  const { exists, revision, version, lease } = shape;
  if (exists !== undefined) {
    if (typeof exists !== 'boolean') throw invalid('exists must be true or false');
    return { type: 'exists', exists };
  }
  if (revision !== undefined) return { type: 'revision', revision: countOf(revision, 'revision') };
  if (lease !== undefined) return { type: 'lease', lease: countOf(lease, 'lease') };
  if (version !== undefined) return { type: 'version', version: countOf(version, 'version') };
  return { type: 'value', value: valueFromJson(shape) };
}

function countOf(raw: unknown, name: string): number {
  if (typeof raw === 'number' && Number.isSafeInteger(raw) && raw >= 0) return raw;
  throw invalid(`${name} must be a whole number`);
}

function txnOpFromJson(raw: unknown): TxnOp {
  const shape = objectOf(raw, 'an operation');
  if (isObjectShape(shape)) return objectOp(shape);
  if (shape['ifRevision'] !== undefined) {
    throw invalid('conditions of a transaction are compares, not ifRevision');
  }
  const hasPrefix = shape['prefix'] !== undefined || shape['prefixBase64'] !== undefined;
  if (shape['op'] === 'delete' && hasPrefix) return deletePrefix(shape);
  const op = opFromJson(raw);
  if (op.kind === 'get') return { type: 'get', ref: op.ref };
  if (op.kind === 'range') {
    const { start, end, reverse, limit, values } = op;
    const items = Math.min(limit, LIMITS.pageItemsMax);
    return { type: 'range', ...SPACE, start, end, reverse, limit: items, values };
  }
  if (op.op.type === 'delete') return { type: 'delete', ref: op.op.ref };
  const { ref, value, contentType, ttlMs, attach = null } = op.op;
  return { type: 'put', ref, value, contentType, ttlMs, attach };
}

function deletePrefix(shape: Shape): TxnOp {
  refuseOthers(shape, ['op', 'prefix', 'prefixBase64'], 'a delete of a prefix');
  return deleteRangeOf(bytesField(shape, 'prefix') ?? '');
}

/** Removes every key with a prefix, which has to be one: nobody empties a store by leaving it out. */
export function deleteRangeOf(prefix: string): TxnOp {
  if (prefix === '') throw invalid('the prefix is empty');
  if (prefix.length > LIMITS.keyBytesMax) throw tooLarge('keyBytesMax', LIMITS.keyBytesMax);
  return { type: 'deleteRange', ...SPACE, start: prefix, end: prefixEnd(prefix) };
}

export interface TxnRun {
  readonly body: TxnBody;
  readonly outcome: TxnOutcome;
  readonly clock: number;
}

/**
 * Runs a transaction for an edge. Compares that fail where there is no other branch are `compare_failed`,
 * with the compare as it was sent.
 */
export function runTxn(
  service: Pick<KvService, 'transact'>,
  ctx: RequestContext,
  body: TxnBody,
  raw: unknown,
): Promise<TxnRun> {
  return service.transact(ctx, body).then(({ outcome, clock }) => {
    if (!outcome.succeeded && body.otherwise === null) throw compareFailed(outcome, raw);
    return { body, outcome, clock };
  });
}

function compareFailed({ failedCompare }: TxnOutcome, raw: unknown): AppError {
  const index = failedCompare ?? 0;
  const sent: unknown = (raw as { compare?: unknown[] }).compare?.[index];
  return new AppError('compare_failed', `compare[${index}] does not hold`, {
    details: { failedCompare: { index, ...compareToJson(objectOf(sent, 'a compare')) } },
  });
}

/** As it was sent; what MessagePack has as bytes is text, or base64. */
function compareToJson(sent: Shape): Shape {
  let out: Shape = {};
  for (const [name, value] of Object.entries(sent)) {
    if (!(value instanceof Uint8Array)) out = { ...out, [name]: value };
    else if (name === 'key') out = { ...out, ...keyToJson(latin1(value)) };
    else out = { ...out, ...valueToJson(value) };
  }
  return out;
}

/** `{succeeded, revision, results}`. */
export function txnToJson({ body, outcome }: TxnRun, binary: boolean): Shape {
  const { succeeded, revision, results } = outcome;
  const ops = succeeded ? body.then : (body.otherwise ?? []);
  return {
    succeeded,
    revision,
    results: results.map((result, i) => resultToJson(ops[i] as TxnOp, result, revision, binary)),
  };
}

/** An absent key has revision 0; a range has its items, and `more` where there are others. */
export function resultToJson(
  op: TxnOp,
  result: TxnResult,
  revision: number,
  binary: boolean,
): Shape {
  const ofObject = objectResult(op, result, revision);
  if (ofObject !== null) return ofObject;
  const key = isKeyed(op) ? keyToJson(op.ref.key) : {};
  switch (result.type) {
    case 'put': {
      const { createRevision, version } = result;
      return { ...key, revision, createRevision, version };
    }
    case 'deleted': {
      const at = result.count > 0 ? revision : 0;
      if (isKeyed(op)) return { ...key, deleted: result.count > 0, revision: at };
      return { deleted: result.count, revision: at };
    }
    case 'got':
      if (result.item === null) return { ...key, revision: 0 };
      return itemToJson(result.item, { values: true, binary });
    case 'page': {
      const values = op.type === 'range' && op.values;
      const items = result.items.map((item) => itemToJson(item, { values, binary }));
      return { items, more: result.more, revision };
    }
    case 'held':
    case 'refused':
    case 'objectDeleted':
    case 'objectTagged':
    case 'objectRefused':
      throw new AppError('internal', 'a result that no client asks for');
  }
}
