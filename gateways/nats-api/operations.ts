import { AnswerBudget, type ByteBudget } from '../../protocol/answer-budget.ts';
import type { Clock } from '../../protocol/clock.ts';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type {
  BatchOp,
  Consistency,
  KvService,
  ReadOptions,
  RequestContext,
} from '../../protocol/service.ts';
import type { Revision } from '../../protocol/types.ts';
import type { Action } from '../identity/decision.ts';
import { type Guard, resourceOf } from '../identity/guard.ts';
import {
  fieldsOf,
  grantLease,
  keepLease,
  leaseIdOf,
  listLeases,
  revokeLease,
  type Shown,
  showLease,
} from '../kv/leases.ts';
import { readPage } from '../kv/listing.ts';
import {
  acquireFromJson,
  acquireLock,
  lockNameOf,
  lockRef,
  releaseLock,
  showLock,
} from '../kv/locks.ts';
import {
  type EdgeOp,
  itemToJson,
  keyOfOp,
  opFromJson,
  pageToJson,
  resultToJson,
  type Shape,
  writeResultToJson,
} from '../kv/shapes.ts';
import { runTxn, txnFromJson, txnToJson } from '../kv/txn-shapes.ts';
import type { Meters } from '../limits/rate-limits.ts';

/** The operations offered as `minikv.api.<op>`, in the shapes of the HTTP API. */

/** The store of a request's sender, and what they may of it. */
export interface Admitted {
  readonly store: KvService;
  /** Asked of each name; null: they may what they were admitted for of all of them. */
  readonly guard: Guard | null;
  /** What leaves is counted there; null: they have no limits. */
  readonly meters: Pick<Meters, 'move'> | null;
}

export interface Call extends Admitted {
  /** The store as its sender may use it. */
  readonly service: KvService;
  readonly clock: Clock;
  readonly context: RequestContext;
  readonly body: Shape;
  /** The answer goes into MessagePack: values travel as binary. */
  readonly binary: boolean;
  /** Bytes of one answer, and what the results of all batches hold. */
  readonly answerBytesMax: number;
  readonly answers: ByteBudget;
}

export interface Answer {
  readonly body: Shape;
  /** What the answer is true at; null where that means nothing. */
  readonly revision: Revision | null;
}

export interface Operation {
  /** What its sender needs the right to; what it names is asked for too (identity/guarded-store.ts). */
  readonly action: Action;
  /** Something may have been written when its answer cannot be given. */
  readonly writes: boolean;
  /** One key, named in the body beside the operation's own name. */
  readonly isKeyOp?: true;
  /** It may wait on purpose, for as long as its request says. */
  readonly waits?: true;
  run(call: Call): Promise<Answer>;
}

export const OPERATIONS = {
  get: { action: 'data:read', writes: false, run: get },
  put: { action: 'data:write', writes: true, isKeyOp: true, run: write },
  delete: { action: 'data:write', writes: true, isKeyOp: true, run: write },
  batch: { action: 'data:write', writes: true, run: batch },
  txn: { action: 'data:write', writes: true, run: txn },
  scan: { action: 'data:read', writes: false, run: scan },
  status: { action: 'status:read', writes: false, run: status },
  leaseGrant: { action: 'lease:write', writes: true, run: leaseGrant },
  leaseKeepAlive: { action: 'lease:write', writes: false, run: leaseKeepAlive },
  leaseRevoke: { action: 'lease:write', writes: true, run: leaseRevoke },
  leaseGet: { action: 'lease:read', writes: false, run: leaseGet },
  leaseList: { action: 'lease:read', writes: false, run: leaseList },
  lockAcquire: { action: 'lease:write', writes: true, waits: true, run: lockAcquire },
  lockRelease: { action: 'lease:write', writes: true, run: lockRelease },
  lockGet: { action: 'lease:read', writes: false, run: lockGet },
} as const satisfies Record<string, Operation>;

export type OperationName = keyof typeof OPERATIONS;

async function get({ service, context, body, binary }: Call): Promise<Answer> {
  const { consistency, revision, ...rest } = body;
  const op = opFromJson({ op: 'get', ...rest });
  if (op.kind !== 'get') throw new AppError('invalid_argument', 'not a get');
  const read = readOptions(consistency, revision);
  const { item, clock } = await service.get(context, op.ref, read);
  if (item === null) throw new AppError('key_not_found', 'there is no such key');
  return { body: itemToJson(item, { values: true, binary }), revision: clock };
}

/** `put` and `delete`: the name was put into the body as `op` by the gateway. */
async function write({ service, context, body }: Call): Promise<Answer> {
  const op = opFromJson(body);
  if (op.kind !== 'write') throw new AppError('invalid_argument', 'not a write');
  const { ref } = op.op;
  const { result, clock } =
    op.op.type === 'put'
      ? await service.put(context, op.op)
      : await service.delete(context, ref, op.op.condition);
  return { body: writeResultToJson(ref.key, result), revision: clock };
}

async function batch(call: Call): Promise<Answer> {
  const { service, context, body, binary } = call;
  const raw = body['ops'];
  if (!Array.isArray(raw)) throw new AppError('invalid_argument', 'ops must be a list');
  if (raw.length > LIMITS.batchOpsMax) {
    throw new AppError('too_large', `a batch has at most ${LIMITS.batchOpsMax} operations`);
  }
  const ops: BatchOp[] = [];
  for (const item of raw) {
    const op: EdgeOp = opFromJson(item);
    if (op.kind === 'range') throw new AppError('invalid_argument', 'a batch holds no ranges here');
    ops.push(op);
  }
  const { answerBytesMax: bytesMax, answers: shared } = call;
  const budget = new AnswerBudget({ bytesMax, shared, isText: !binary });
  try {
    const { results, clock } = await service.batch(context, ops, budget);
    const shapes = results.map((result, i) => {
      const key = keyOfOp(ops[i] as BatchOp) as string;
      return resultToJson(key, result, { values: true, binary });
    });
    return { body: { results: shapes }, revision: clock };
  } finally {
    // From here to the bus nothing waits.
    budget.release();
  }
}

async function txn({ service, context, body, binary }: Call): Promise<Answer> {
  const run = await runTxn(service, context, txnFromJson(body), body);
  return { body: txnToJson(run, binary), revision: run.clock };
}

async function scan({ service, context, body, binary }: Call): Promise<Answer> {
  const { consistency, revision, cursor: raw, ...rest } = body;
  const op = opFromJson({ op: 'range', ...rest });
  if (op.kind !== 'range') throw new AppError('invalid_argument', 'not a range');
  const cursor = raw ?? null;
  if (cursor !== null && typeof cursor !== 'string') {
    throw new AppError('invalid_argument', 'cursor must be text');
  }
  const listing = { ...op, cursor, ...readOptions(consistency, revision) };
  const read = await readPage({ service }, context, listing);
  return { body: pageToJson(read, { values: op.values, binary }), revision: read.page.revision };
}

async function status({ service }: Call): Promise<Answer> {
  const found = service.status();
  return { body: { ...found }, revision: found.clock };
}

async function leaseGrant({ service, context, body }: Call): Promise<Answer> {
  return answerOf(await grantLease(service, context, without(body, 'op')));
}

async function leaseKeepAlive({ service, context, body }: Call): Promise<Answer> {
  return answerOf(await keepLease(service, context, leaseIdOf(fieldsOf(body, ['id'])['id'])));
}

async function leaseRevoke({ service, context, body }: Call): Promise<Answer> {
  const { id } = fieldsOf(without(body, 'op'), ['id']);
  return answerOf(await revokeLease(service, context, leaseIdOf(id)));
}

async function leaseGet({ service, context, body }: Call): Promise<Answer> {
  const { id, keys = false } = fieldsOf(body, ['id', 'keys']);
  return answerOf(await showLease(service, context, leaseIdOf(id), keys === true));
}

async function leaseList({ service, context, body }: Call): Promise<Answer> {
  const { limit, cursor } = fieldsOf(body, ['limit', 'cursor']);
  return answerOf(await listLeases(service, context, limit, cursor));
}

/** A lock is named by `name`, or `nameBase64`. Its sender needs a right to it; places in its line are the store's own. */
function storeOfLock({ store, guard }: Call, action: Action, name: string): KvService {
  guard?.check({ action, on: resourceOf(lockRef(name)) });
  return store;
}

async function lockAcquire(call: Call): Promise<Answer> {
  const { clock, context, body } = call;
  const fields = ['name', 'nameBase64', 'lease', 'value', 'base64', 'waitMs'];
  const shape = fieldsOf(without(body, 'op'), fields);
  const wanted = acquireFromJson(lockNameOf(shape), shape);
  const service = storeOfLock(call, 'lease:write', wanted.name);
  return answerOf(await acquireLock({ service, clock, gone: null }, context, wanted));
}

async function lockRelease(call: Call): Promise<Answer> {
  const shape = fieldsOf(without(call.body, 'op'), ['name', 'nameBase64', 'token']);
  const name = lockNameOf(shape);
  const service = storeOfLock(call, 'lease:write', name);
  return answerOf(await releaseLock(service, call.context, name, shape['token']));
}

async function lockGet(call: Call): Promise<Answer> {
  const name = lockNameOf(fieldsOf(call.body, ['name', 'nameBase64']));
  return answerOf(await showLock(storeOfLock(call, 'lease:read', name), call.context, name));
}

function answerOf({ body, clock }: Shown): Answer {
  return { body, revision: clock };
}

function without(body: Shape, field: string): Shape {
  const { [field]: _, ...rest } = body;
  return rest;
}

function readOptions(consistency: unknown, revision: unknown): ReadOptions {
  const known = consistency ?? 'linearizable';
  if (known !== 'linearizable' && known !== 'stale') {
    throw new AppError('invalid_argument', 'consistency must be linearizable or stale');
  }
  const past = revision ?? null;
  const isRevision = typeof past === 'number' && Number.isSafeInteger(past) && past >= 0;
  if (past !== null && !isRevision) {
    throw new AppError('invalid_argument', 'revision must be a revision');
  }
  return { consistency: known as Consistency, revision: past as Revision | null };
}
