import { isDenial } from '../../protocol/audit.ts';
import { AppError } from '../../protocol/errors.ts';
import { credentialOf } from '../identity/client-certificate.ts';
import type { Resource } from '../identity/decision.ts';
import { linesOf, standingHeaders } from '../limits/headers.ts';
import type { Meters } from '../limits/rate-limits.ts';
import { type Answer, problemAnswer } from './answer.ts';
import type { Edge } from './app.ts';
import { audit } from './audit.ts';
import type { DirectAnswers } from './direct.ts';
import { bodyLength, type EdgeRequest, type EdgeResponse, type OnSent } from './exchange.ts';
import { lengthOf, metersOf, storeFor } from './rate-limit.ts';
import { requestIdOf } from './raw-answer.ts';
import { ruleOf } from './route-actions.ts';
import type { RouteTraffic } from './traffic.ts';

/** A body that can come in one read of the socket; a longer one is better streamed. */
const BODY_BYTES_MAX = 48 * 1024;

/**
 * What all requests that skip the framework have in common: which are plain enough for it, the body's share
 * of the budget, the answer, and its place in the counts.
 */
export class DirectExchange {
  readonly #edge: Edge;
  readonly #answers: DirectAnswers;
  readonly #route: RouteTraffic;
  readonly #url: string;

  /** `route`: the name these requests are counted under, as the framework's route has it. */
  constructor(edge: Edge, answers: DirectAnswers, route: string) {
    this.#edge = edge;
    this.#answers = answers;
    this.#url = route;
    this.#route = edge.traffic.route(route);
  }

  /**
   * Whether nothing about the request is unusual, and its sender is known to be allowed it. `nameOf`: the key that it is about,
   * null where that is in its body. What it says of the body is left to the caller.
   */
  isPlain(
    { headers, httpVersion, method, socket }: EdgeRequest,
    res: EdgeResponse,
    nameOf: (() => Resource) | null,
  ): boolean {
    const { telemetry, config, access, audit } = this.#edge;
    if (telemetry.tracing || audit?.hasData || this.#edge.isDraining()) return false;
    let grant: Parameters<typeof metersOf>[1] = null;
    if (access === null) {
      if (!config.allowUnsigned) return false;
      res.store = storeFor(this.#edge, null);
    } else {
      const rule = ruleOf(method ?? '', this.#url);
      const action = rule === null || rule === 'public' || rule === 'known' ? 'admin:write' : rule;
      grant = access.admittedNow(credentialOf(headers.authorization, socket), action, nameOf);
      if (grant === null) return false;
      res.store = storeFor(this.#edge, grant);
    }
    if (headers.origin !== undefined && (config.allowedOrigins ?? []).length > 0) return false;
    if (!res.shouldKeepAlive || httpVersion !== '1.1') return false;
    if (headers['transfer-encoding'] !== undefined || headers.expect !== undefined) return false;
    if (headers['content-encoding'] !== undefined || headers.upgrade !== undefined) return false;
    if (headers.accept?.includes('msgpack')) return false;
    res.meters = metersOf(this.#edge, grant, res.req.socket.remoteAddress);
    return true;
  }

  /** Holds the body's share of the budget from here until the answer; false: it is too long, or there is none left. */
  holdBody(req: EdgeRequest): boolean {
    const length = bodyLength(req);
    return length <= BODY_BYTES_MAX && this.#edge.bodies.take(length);
  }

  /** False: it is refused for a limit, and was answered so. */
  begin(res: EdgeResponse, sent: OnSent): boolean {
    res.startedMs = this.#edge.traffic.begin();
    res.requestId = requestIdOf(this.#edge, res.req);
    res.onSent = sent;
    if (res.meters === null) return true;
    const { refusedLinks } = this.#edge;
    const refusal = res.meters.admit(bodyLength(res.req));
    if (refusal === null) {
      refusedLinks.served(res.req.socket);
      return true;
    }
    refusedLinks.refused(res.req.socket, res.meters.standing());
    res.meters = null;
    this.fail(res, refusal);
    return false;
  }

  /** The answer that `make` gives, or the refusal that it returns or throws. */
  answer(res: EdgeResponse, revision: number, make: () => Answer | AppError): void {
    let answer: Answer;
    try {
      const made = make();
      const isRefusal = made instanceof AppError;
      answer = isRefusal ? problemAnswer(this.#edge, made, res.requestId, false) : made;
    } catch (error) {
      answer = problemAnswer(this.#edge, error, res.requestId, false);
    }
    this.#send(res, revision, answer);
  }

  fail(res: EdgeResponse, error: unknown): void {
    this.#send(res, null, problemAnswer(this.#edge, error, res.requestId, false));
  }

  /** `revision` null shows the node's clock. Never throws: nobody above would catch it. */
  #send(res: EdgeResponse, revision: number | null, made: Answer): void {
    const { req, meters } = res;
    const answer = meters === null ? made : counted(meters, made);
    let isOut = true;
    try {
      if (!req.socket.destroyed) {
        isOut = this.#answers.send(res, res.requestId, revision, answer);
      }
    } catch (error) {
      this.#edge.telemetry.log('error', 'an answer could not be sent', { error });
      req.socket.destroy();
    }
    this.#edge.bodies.give(bodyLength(req));
    if (isOut) this.#end(res, answer.status);
    else res.once('close', () => this.#end(res, answer.status));
    res.onSent?.(res, isOut);
  }

  #end(res: EdgeResponse, status: number): void {
    const { req, requestId } = res;
    this.#edge.traffic.end(res.startedMs, req.method ?? '', this.#route, status);
    // Who sent it may do this; what it is about may still be kept from them, as by the policy of a bucket.
    if (!isDenial(status)) return;
    audit(this.#edge, {
      req,
      rule: ruleOf(req.method ?? '', this.#url),
      who: null,
      status,
      requestId,
    });
  }
}

function counted(meters: Meters, answer: Answer): Answer {
  if (answer.body !== null) meters.move('bytesOut', lengthOf(answer.body));
  const standing = meters.standing();
  if (standing === null) return answer;
  return { ...answer, lines: answer.lines + linesOf(standingHeaders(standing)) };
}
