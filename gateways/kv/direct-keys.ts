import type { ReadAnswer, RequestContext, WriteResult } from '../../protocol/service.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import type { Edge } from '../http/app.ts';
import { contextFrom } from '../http/context.ts';
import type { DirectAnswers } from '../http/direct.ts';
import { DirectExchange } from '../http/direct-exchange.ts';
import { bodyLength, type EdgeRequest, type EdgeResponse, type OnSent } from '../http/exchange.ts';
import { traceparentOf } from '../http/trace.ts';
import { resourceOf } from '../identity/guard.ts';
import { itemAnswer, kvKeyOf, readDelete, readPut, writeAnswer } from './key-answers.ts';

const PREFIX = '/v1/kv/';
const EMPTY = Buffer.alloc(0);
const LATEST = { consistency: 'linearizable', revision: null } as const;

/**
 * The four plain requests for one key, without the framework, which costs as much as node:http itself.
 * What is unusual about a request in any way is left to the framework's route: both read operations and
 * make answers with key-answers.ts, and a test holds them to the same bytes.
 */
export class DirectKeys {
  readonly #edge: Edge;
  readonly #exchange: DirectExchange;

  constructor(edge: Edge, answers: DirectAnswers) {
    this.#edge = edge;
    this.#exchange = new DirectExchange(edge, answers, '/v1/kv/:key');
  }

  /** Whether this answers the request, once it is whole. Then it holds the body's share of the budget. */
  takes(req: EdgeRequest, res: EdgeResponse): boolean {
    const { url, method, headers } = req;
    if (url === undefined || !url.startsWith(PREFIX) || url.includes('?')) return false;
    if (!this.#exchange.isPlain(req, res, () => resourceOf(kvKeyOf(url, PREFIX)))) return false;
    if (method === 'PUT') return headers.origin === undefined && this.#exchange.holdBody(req);
    if (bodyLength(req) !== 0) return false;
    if (method === 'DELETE') return headers.origin === undefined;
    return method === 'GET' || method === 'HEAD';
  }

  run(req: EdgeRequest, res: EdgeResponse, sent: OnSent): void {
    if (!this.#exchange.begin(res, sent)) return;
    try {
      this.#start(res, kvKeyOf(req.url ?? '', PREFIX));
    } catch (error) {
      this.#exchange.fail(res, error);
    }
  }

  #start(res: EdgeResponse, ref: KeyRef): void {
    const { store: service } = res;
    const { method, headers, wholeBody } = res.req;
    const traceparent = traceparentOf(headers['traceparent']);
    if (method === 'PUT') {
      const { ctx, op } = readPut(headers, traceparent, ref, wholeBody ?? EMPTY);
      service.put(ctx, op).then(
        (written) => this.#wrote(res, ref.key, written),
        (error) => this.#exchange.fail(res, error),
      );
    } else if (method === 'DELETE') {
      const { ctx, condition } = readDelete(headers, traceparent, ref);
      service.delete(ctx, ref, condition).then(
        (written) => this.#wrote(res, ref.key, written),
        (error) => this.#exchange.fail(res, error),
      );
    } else {
      this.#get(res, ref, contextFrom(headers, traceparent, null));
    }
  }

  #get(res: EdgeResponse, ref: KeyRef, ctx: RequestContext): void {
    const { store: service } = res;
    const answer = service.getNow(ctx, ref);
    if (answer !== null) {
      this.#read(res, answer);
      return;
    }
    service.get(ctx, ref, LATEST).then(
      (found) => this.#read(res, found),
      (error) => this.#exchange.fail(res, error),
    );
  }

  #wrote(res: EdgeResponse, key: string, written: WriteResult): void {
    this.#exchange.answer(res, written.clock, () => writeAnswer(key, written, false));
  }

  #read(res: EdgeResponse, { item, clock }: ReadAnswer): void {
    this.#exchange.answer(res, clock, () => itemAnswer(res.req.headers, item, this.#edge.dates));
  }
}
