import { AppError } from '../../protocol/errors.ts';
import type { ReadAnswer, RequestContext, WriteResult } from '../../protocol/service.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import { type Answer, problemAnswer } from '../http/answer.ts';
import type { Edge } from '../http/app.ts';
import { contextFrom } from '../http/context.ts';
import { DirectAnswers } from '../http/direct.ts';
import type { EdgeRequest, EdgeResponse, OnSent } from '../http/exchange.ts';
import type { Direct } from '../http/listener.ts';
import { requestIdOf } from '../http/raw-answer.ts';
import { traceparentOf } from '../http/trace.ts';
import type { RouteTraffic } from '../http/traffic.ts';
import { itemAnswer, kvKeyOf, readDelete, readPut, writeAnswer } from './key-answers.ts';

const PREFIX = '/v1/kv/';
/** The name these requests are counted under, as the framework's route has it. */
const ROUTE = '/v1/kv/:key';
/** A body that can come in one read of the socket; a longer one is better streamed. */
const BODY_BYTES_MAX = 48 * 1024;

const EMPTY = Buffer.alloc(0);
const LATEST = { consistency: 'linearizable', revision: null } as const;

/**
 * The four plain requests for one key, without the framework, which costs as much as node:http itself.
 * What is unusual about a request in any way is left to the framework's route: both read operations and
 * make answers with key-answers.ts, and a test holds them to the same bytes.
 */
export class DirectKeys implements Direct {
  readonly #edge: Edge;
  readonly #answers: DirectAnswers;
  readonly #route: RouteTraffic;

  constructor(edge: Edge) {
    this.#edge = edge;
    this.#answers = new DirectAnswers(edge);
    this.#route = edge.traffic.route(ROUTE);
  }

  /** Whether this answers the request, once it is whole. Then it holds the body's share of the budget. */
  takes(req: EdgeRequest, res: EdgeResponse): boolean {
    const { url, method, headers } = req;
    if (url === undefined || !url.startsWith(PREFIX) || url.includes('?')) return false;
    const { telemetry, config, bodies } = this.#edge;
    if (telemetry.tracing || !config.allowUnsigned || this.#edge.isDraining()) return false;
    if (!res.shouldKeepAlive || req.httpVersion !== '1.1') return false;
    if (headers['transfer-encoding'] !== undefined || headers.expect !== undefined) return false;
    if (headers['content-encoding'] !== undefined || headers.upgrade !== undefined) return false;
    if (headers.accept?.includes('msgpack')) return false;
    const length = bodyLength(headers['content-length']);
    if (method === 'GET' || method === 'HEAD') return length === 0;
    if (headers.origin !== undefined) return false;
    if (method === 'DELETE') return length === 0;
    return method === 'PUT' && length <= BODY_BYTES_MAX && bodies.take(length);
  }

  /** Gives back what `takes` took: the request goes another way. */
  leave(req: EdgeRequest): void {
    this.#edge.bodies.give(bodyLength(req.headers['content-length']));
  }

  run(req: EdgeRequest, res: EdgeResponse, sent: OnSent): void {
    res.startedMs = this.#edge.traffic.begin();
    res.requestId = requestIdOf(this.#edge, req);
    res.onSent = sent;
    try {
      this.#start(res, kvKeyOf(req.url ?? '', PREFIX));
    } catch (error) {
      this.#fail(res, error);
    }
  }

  #start(res: EdgeResponse, ref: KeyRef): void {
    const { service } = this.#edge;
    const { method, headers, wholeBody } = res.req;
    const traceparent = traceparentOf(headers['traceparent']);
    if (method === 'PUT') {
      const { ctx, op } = readPut(headers, traceparent, ref, wholeBody ?? EMPTY);
      service.put(ctx, op).then(
        (written) => this.#wrote(res, ref.key, written),
        (error) => this.#fail(res, error),
      );
    } else if (method === 'DELETE') {
      const { ctx, condition } = readDelete(headers, traceparent, ref);
      service.delete(ctx, ref, condition).then(
        (written) => this.#wrote(res, ref.key, written),
        (error) => this.#fail(res, error),
      );
    } else {
      this.#get(res, ref, contextFrom(headers, traceparent, null));
    }
  }

  #get(res: EdgeResponse, ref: KeyRef, ctx: RequestContext): void {
    const { service } = this.#edge;
    const answer = service.getNow(ctx, ref);
    if (answer !== null) {
      this.#read(res, answer);
      return;
    }
    service.get(ctx, ref, LATEST).then(
      (found) => this.#read(res, found),
      (error) => this.#fail(res, error),
    );
  }

  #wrote(res: EdgeResponse, key: string, written: WriteResult): void {
    let answer: Answer;
    try {
      answer = writeAnswer(key, written, false);
    } catch (error) {
      answer = problemAnswer(this.#edge, error, res.requestId, false);
    }
    this.#send(res, written.clock, answer);
  }

  #read(res: EdgeResponse, { item, clock }: ReadAnswer): void {
    let answer: Answer;
    try {
      const made = itemAnswer(res.req.headers, item, this.#edge.dates);
      const isRefusal = made instanceof AppError;
      answer = isRefusal ? problemAnswer(this.#edge, made, res.requestId, false) : made;
    } catch (error) {
      answer = problemAnswer(this.#edge, error, res.requestId, false);
    }
    this.#send(res, clock, answer);
  }

  #fail(res: EdgeResponse, error: unknown): void {
    this.#send(res, null, problemAnswer(this.#edge, error, res.requestId, false));
  }

  /** Never throws: nobody above would catch it. */
  #send(res: EdgeResponse, revision: number | null, answer: Answer): void {
    const { req } = res;
    let isOut = true;
    try {
      if (!req.socket.destroyed) {
        isOut = this.#answers.send(res, res.requestId, revision, answer);
      }
    } catch (error) {
      this.#edge.telemetry.log('error', 'an answer could not be sent', { error });
      req.socket.destroy();
    }
    if (req.method === 'PUT') this.#edge.bodies.give(bodyLength(req.headers['content-length']));
    if (isOut) this.#end(res, answer.status);
    else res.once('close', () => this.#end(res, answer.status));
    res.onSent?.(res, isOut);
  }

  #end(res: EdgeResponse, status: number): void {
    this.#edge.traffic.end(res.startedMs, res.req.method ?? '', this.#route, status);
  }
}

function bodyLength(header: string | undefined): number {
  return header === undefined ? 0 : Number(header);
}
