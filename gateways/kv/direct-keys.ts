import type { Item } from '../../protocol/messages/request.ts';
import type { WriteResult } from '../../protocol/service.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import { type Answer, problemAnswer } from '../http/answer.ts';
import type { Edge } from '../http/app.ts';
import { contextFrom } from '../http/context.ts';
import { DirectAnswers } from '../http/direct.ts';
import type { EdgeRequest, EdgeResponse } from '../http/exchange.ts';
import type { Direct, OnSent } from '../http/listener.ts';
import { requestIdOf } from '../http/raw-answer.ts';
import { traceparentOf } from '../http/trace.ts';
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

  constructor(edge: Edge) {
    this.#edge = edge;
    this.#answers = new DirectAnswers(edge);
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
    const call = new DirectCall(this.#edge, this.#answers, res, sent);
    try {
      call.start(kvKeyOf(req.url ?? '', PREFIX));
    } catch (error) {
      call.fail(error);
    }
  }
}

function bodyLength(header: string | undefined): number {
  return header === undefined ? 0 : Number(header);
}

class DirectCall {
  readonly #edge: Edge;
  readonly #answers: DirectAnswers;
  readonly #res: EdgeResponse;
  readonly #sent: OnSent;
  readonly #startedMs: number;
  readonly #requestId: string;

  constructor(edge: Edge, answers: DirectAnswers, res: EdgeResponse, sent: OnSent) {
    this.#edge = edge;
    this.#answers = answers;
    this.#res = res;
    this.#sent = sent;
    this.#startedMs = edge.traffic.begin();
    this.#requestId = requestIdOf(edge, res.req);
  }

  start(ref: KeyRef): void {
    const { service } = this.#edge;
    const { method, headers, wholeBody } = this.#res.req;
    const traceparent = traceparentOf(headers['traceparent']);
    if (method === 'PUT') {
      const { ctx, op } = readPut(headers, traceparent, ref, wholeBody ?? EMPTY);
      service.put(ctx, op).then(
        (written) => this.#wrote(ref.key, written),
        (error) => this.fail(error),
      );
    } else if (method === 'DELETE') {
      const { ctx, condition } = readDelete(headers, traceparent, ref);
      service.delete(ctx, ref, condition).then(
        (written) => this.#wrote(ref.key, written),
        (error) => this.fail(error),
      );
    } else {
      service.get(contextFrom(headers, traceparent, null), ref, LATEST).then(
        ({ item, clock }) => this.#read(item, clock),
        (error) => this.fail(error),
      );
    }
  }

  #wrote(key: string, written: WriteResult): void {
    let answer: Answer;
    try {
      answer = writeAnswer(key, written, false);
    } catch (error) {
      answer = this.#problem(error);
    }
    this.#send(written.clock, answer);
  }

  #read(item: Item | null, clock: number): void {
    let answer: Answer;
    try {
      answer = itemAnswer(this.#res.req.headers, item, this.#edge.dates);
    } catch (error) {
      answer = this.#problem(error);
    }
    this.#send(clock, answer);
  }

  fail(error: unknown): void {
    this.#send(null, this.#problem(error));
  }

  #problem(error: unknown): Answer {
    return problemAnswer(this.#edge, error, this.#requestId, false);
  }

  #send(revision: number | null, answer: Answer): void {
    const res = this.#res;
    const { req } = res;
    const isGone = req.socket.destroyed;
    const isOut = isGone || this.#answers.send(res, this.#requestId, revision, answer);
    if (req.method === 'PUT') this.#edge.bodies.give(bodyLength(req.headers['content-length']));
    if (isOut) this.#end(answer.status);
    else res.once('close', () => this.#end(answer.status));
    this.#sent(res, isOut);
  }

  #end(status: number): void {
    this.#edge.traffic.end(this.#startedMs, this.#res.req.method ?? '', ROUTE, status);
  }
}
