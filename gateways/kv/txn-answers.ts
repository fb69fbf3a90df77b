import type { IncomingHttpHeaders } from 'node:http';
import { packBytes } from '../../protocol/codec.ts';
import type { TxnResult } from '../../protocol/messages/txn.ts';
import type { RequestContext } from '../../protocol/service.ts';
import type { TxnBody, TxnOp } from '../../protocol/txn.ts';
import { type Answer, JSON_TYPE, MSGPACK } from '../http/answer.ts';
import { contextFrom } from '../http/context.ts';
import { decimal } from '../http/decimal.ts';
import { writtenText } from './key-answers.ts';
import { resultToJson, type TxnRun, txnToJson } from './txn-shapes.ts';

/** Transactions over HTTP: headers to a context and outcomes to answers, for every way in. */

export function txnContext(
  headers: IncomingHttpHeaders,
  traceparent: string | null,
  body: TxnBody,
): RequestContext {
  return contextFrom(headers, traceparent, () => ['txn', packBytes(body)]);
}

export function txnAnswer(run: TxnRun, binary: boolean): Answer {
  const lines = `content-type: ${binary ? MSGPACK : JSON_TYPE}\r\n`;
  if (!binary) return { status: 200, lines, body: txnToText(run) };
  const bytes = packBytes(txnToJson(run, true));
  return {
    ...{ status: 200, lines },
    body: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength),
  };
}

/** txnToJson as text; what puts wrote without a shape of its own. */
function txnToText({ body, outcome }: TxnRun): string {
  const { succeeded, revision, results } = outcome;
  const ops = succeeded ? body.then : (body.otherwise ?? []);
  let shown = '';
  for (let i = 0; i < results.length; i++) {
    const op = ops[i] as TxnOp;
    const result = results[i] as TxnResult;
    if (i > 0) shown += ',';
    if (result.type === 'put' && op.type === 'put') {
      const { createRevision, version } = result;
      shown += writtenText(op.ref.key, { type: 'put', revision, createRevision, version });
    } else shown += JSON.stringify(resultToJson(op, result, revision, false));
  }
  return `{"succeeded":${succeeded},"revision":${decimal(revision)},"results":[${shown}]}`;
}
