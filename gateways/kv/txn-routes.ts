import { packBytes } from '../../protocol/codec.ts';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { TxnOp } from '../../protocol/txn.ts';
import { replyWith } from '../http/answer.ts';
import type { App } from '../http/app.ts';
import { listBody } from '../http/content.ts';
import { contextOf } from '../http/context.ts';
import { answer, wantsMsgpack } from '../http/respond.ts';
import * as schemas from '../http/schemas.ts';
import * as txn from '../http/txn-schemas.ts';
import { opFromJson, type Shape } from './shapes.ts';
import { txnAnswer, txnContext } from './txn-answers.ts';
import { deleteRangeOf, runTxn, txnFromJson, txnToJson } from './txn-shapes.ts';

/** `/v1/txn`, the range delete of `/v1/kv`, and the seed's `/transaction`: all or nothing, over any keys. */
export function registerTxnRoutes(app: App): void {
  app.post('/v1/txn', {
    config: { body: 'document' },
    schema: {
      ...{ tags: ['transactions'], summary: 'Compares, then all of one branch, or nothing' },
      ...{ consumes: ['application/json', 'application/msgpack'], body: txn.TxnBody },
      querystring: schemas.NoQuery,
      response: schemas.answers({ 200: txn.TxnAnswer }),
    },
    handler: async (request, reply) => {
      const body = txnFromJson(request.body);
      const ctx = txnContext(request.headers, request.edge.traceparent, body);
      const run = await runTxn(request.edge.service, ctx, body, request.body);
      request.edge.revision = run.clock;
      return replyWith(reply, txnAnswer(run, wantsMsgpack(request.headers)));
    },
  });
  app.delete('/v1/kv', {
    config: { body: 'raw', bodyBytesMax: 0 },
    schema: {
      ...{ tags: ['keys'], summary: 'Removes every key with a prefix, all at one revision' },
      querystring: txn.PrefixQuery,
      response: schemas.answers({ 200: txn.RangeDeleted }),
    },
    handler: async (request, reply) => {
      const then = [deleteRangeOf(request.query.prefix)];
      const ctx = contextOf(request, () => ['deleteRange', packBytes(then)]);
      const body = { compares: [], then, otherwise: null };
      const { outcome, clock } = await request.edge.service.transact(ctx, body);
      const [result] = outcome.results;
      const deleted = result?.type === 'deleted' ? result.count : 0;
      const revision = deleted > 0 ? outcome.revision : 0;
      return answer(request, reply, 200, clock, () => ({ deleted, revision }));
    },
  });
  registerSeedTransaction(app);
}

function registerSeedTransaction(app: App): void {
  app.post('/transaction', {
    config: { body: 'document' },
    schema: {
      ...{ tags: ['seed'], summary: 'Puts and deletes, all or nothing' },
      ...{ consumes: ['application/json', 'application/msgpack'], body: txn.SeedTxnBody },
      querystring: schemas.NoQuery,
      response: schemas.answers({ 200: txn.SeedTxnAnswer }),
    },
    handler: async (request, reply) => {
      const then = listBody(request, 'operations', LIMITS.txnOpsMax).map(seedOp);
      const ctx = contextOf(request, () => ['transaction', packBytes(then)]);
      const body = { compares: [], then, otherwise: null };
      const { outcome, clock } = await request.edge.service.transact(ctx, body);
      const shapes = txnToJson({ body, outcome, clock }, false)['results'] as Shape[];
      return answer(request, reply, 200, clock, () => ({
        results: shapes.map(({ key = null, keyBase64 }) => ({
          ...{ ok: true, key, value: null, error: null },
          ...(keyBase64 === undefined ? {} : { keyBase64 }),
        })),
        total_operations: then.length,
        successful_operations: then.length,
      }));
    },
  });
}

function seedOp(raw: unknown, at: number): TxnOp {
  try {
    const op = opFromJson(raw);
    if (op.kind !== 'write') throw new AppError('invalid_argument', 'op must be put or delete');
    if (op.op.condition !== null) {
      throw new AppError('invalid_argument', 'an operation here has no condition');
    }
    if (op.op.type === 'delete') return { type: 'delete', ref: op.op.ref };
    const { ref, value, contentType, ttlMs, attach = null } = op.op;
    return { type: 'put', ref, value, contentType, ttlMs, attach };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const { code, message, details } = error;
    throw new AppError(code, `operations[${at}]: ${message}`, { details: { ...details, at } });
  }
}
