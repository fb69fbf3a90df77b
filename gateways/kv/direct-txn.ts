import type { Edge } from '../http/app.ts';
import type { DirectAnswers } from '../http/direct.ts';
import { DirectExchange } from '../http/direct-exchange.ts';
import type { EdgeRequest, EdgeResponse, OnSent } from '../http/exchange.ts';
import { parseJson } from '../http/strict-json.ts';
import { traceparentOf } from '../http/trace.ts';
import { txnAnswer, txnContext } from './txn-answers.ts';
import { runTxn, txnFromJson } from './txn-shapes.ts';

const PATH = '/v1/txn';
const EMPTY = Buffer.alloc(0);

/** `POST /v1/txn` in JSON without the framework, as DirectKeys is for single keys. */
export class DirectTxn {
  readonly #exchange: DirectExchange;

  constructor(edge: Edge, answers: DirectAnswers) {
    this.#exchange = new DirectExchange(edge, answers, PATH);
  }

  /** Whether this answers the request, once it is whole. Then it holds the body's share of the budget. */
  takes(req: EdgeRequest, res: EdgeResponse): boolean {
    const { url, method, headers } = req;
    if (url !== PATH || method !== 'POST' || headers.origin !== undefined) return false;
    if (headers['content-type'] !== 'application/json') return false;
    return this.#exchange.isPlain(req, res, null) && this.#exchange.holdBody(req);
  }

  run(req: EdgeRequest, res: EdgeResponse, sent: OnSent): void {
    if (!this.#exchange.begin(res, sent)) return;
    try {
      const raw = parseJson(req.wholeBody ?? EMPTY);
      const body = txnFromJson(raw);
      const ctx = txnContext(req.headers, traceparentOf(req.headers['traceparent']), body);
      runTxn(res.store, ctx, body, raw).then(
        (run) => this.#exchange.answer(res, run.clock, () => txnAnswer(run, false)),
        (error) => this.#exchange.fail(res, error),
      );
    } catch (error) {
      this.#exchange.fail(res, error);
    }
  }
}
