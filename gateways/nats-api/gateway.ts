import { createHash } from 'node:crypto';
import type { Telemetry } from '../../observability/port.ts';
import { ByteBudget } from '../../protocol/answer-budget.ts';
import type { Clock } from '../../protocol/clock.ts';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { RequestContext } from '../../protocol/service.ts';
import { apiSubject } from '../../protocol/subjects.ts';
import { badIdempotencyKey } from '../http/context.ts';
import { appErrorOf, problemOf } from '../http/problem.ts';
import { guarded } from '../identity/guarded-store.ts';
import type { ClientRequest, RequestServer } from '../peer/request-server.ts';
import type { Admission } from './admission.ts';
import { type BodyType, bodyTypeOf, readBody, writeBody } from './body.ts';
import {
  type Admitted,
  type Answer,
  OPERATIONS,
  type Operation,
  type OperationName,
} from './operations.ts';

/**
 * The store for clients that speak NATS: a request on `minikv.api.<op>` gets one answer from one node.
 * Request headers: Authorization (as over HTTP), Content-Type, Idempotency-Key, Minikv-Deadline-Ms, traceparent. Answer headers:
 * Content-Type, Minikv-Status (as over HTTP), Minikv-Revision, Minikv-Durability, Minikv-Request-Id.
 * Requests beyond the bound are refused as `overloaded`, which is definite.
 */
export interface NatsApiPorts {
  readonly server: RequestServer;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  /** What an acknowledged write means, see NodeConfig. */
  readonly durability: 'quorum-fsync' | 'memory';
  /** A new id for each request. */
  readonly requestId: () => string;
  readonly admission: Admission;
}

/** Members share the requests of a cluster. */
export const API_QUEUE = 'minikv-api';
export const API_REQUESTS_MAX = 1024;
/** Those of them that may wait on purpose: others are answered while so many wait for locks. */
export const API_WAITS_MAX = API_REQUESTS_MAX / 2;
/** Results of batches held at once. */
const API_ANSWER_BYTES_HELD_MAX = 64 * 1024 * 1024;
/** Room for the headers of an answer. */
const ANSWER_HEADERS_BYTES_MAX = 1024;

const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

/** Starts serving; ends when the bus is drained. What is no operation is answered too. */
export function serveNatsApi(ports: NatsApiPorts): void {
  const gateway = new NatsApi(ports);
  const prefix = apiSubject('');
  ports.server.serveRequests(`${prefix}>`, API_QUEUE, (request) => {
    const name = request.subject.slice(prefix.length);
    if (Object.hasOwn(OPERATIONS, name)) void gateway.answer(name as OperationName, request);
    else gateway.refuseUnknown(name, request);
  });
}

/** How refusals of what is no operation are counted: names are whatever a client writes. */
const UNKNOWN = 'unknown';

class NatsApi {
  readonly #ports: NatsApiPorts;
  readonly #answers = new ByteBudget(API_ANSWER_BYTES_HELD_MAX);
  #running = 0;
  #waiting = 0;

  constructor(ports: NatsApiPorts) {
    this.#ports = ports;
  }

  /** Answers one request, whatever it holds; never rejects. */
  async answer(name: OperationName, request: ClientRequest): Promise<void> {
    const requestId = this.#ports.requestId();
    if (!isClientInbox(request.reply)) return this.#count(name, 'no_reply');
    let type: BodyType = 'application/json';
    try {
      type = bodyTypeOf(request.header('Content-Type'));
      const waits = (OPERATIONS[name] as Operation).waits === true ? 1 : 0;
      const isCrowded = this.#running >= API_REQUESTS_MAX || this.#waiting + waits > API_WAITS_MAX;
      if (isCrowded) throw new AppError('overloaded', 'too many requests');
      this.#running++;
      this.#waiting += waits;
      try {
        const admitted = await this.#ports.admission.admit(name, request);
        const answer = await this.#run(name, request, type, admitted);
        const bytes = this.#respond(name, request, type, requestId, answer);
        admitted.meters?.move('bytesOut', bytes);
      } finally {
        this.#running--;
        this.#waiting -= waits;
      }
    } catch (error) {
      this.#refuse(name, request, type, requestId, error);
    }
  }

  /** A request for what is no operation. */
  refuseUnknown(name: string, request: ClientRequest): void {
    if (!isClientInbox(request.reply)) return this.#count(UNKNOWN, 'no_reply');
    const known = Object.keys(OPERATIONS).join(', ');
    const shown = JSON.stringify(name.slice(0, 64));
    const error = new AppError('not_found', `there is no operation ${shown}; there are ${known}`);
    let type: BodyType = 'application/json';
    try {
      type = bodyTypeOf(request.header('Content-Type'));
    } catch {
      // It is refused as it is, in JSON.
    }
    this.#refuse(UNKNOWN, request, type, this.#ports.requestId(), error);
  }

  async #run(
    name: OperationName,
    request: ClientRequest,
    type: BodyType,
    admitted: Admitted,
  ): Promise<Answer> {
    const { store, guard } = admitted;
    const operation: Operation = OPERATIONS[name];
    const body = readBody(request.payload, type);
    return operation.run({
      ...{ ...admitted, service: guard === null ? store : guarded(store, guard) },
      clock: this.#ports.clock,
      context: contextOf(name, request),
      body: operation.isKeyOp === true ? { ...body, op: name } : body,
      binary: type === 'application/msgpack',
      answerBytesMax: this.#ports.server.payloadBytesMax - ANSWER_HEADERS_BYTES_MAX,
      answers: this.#answers,
    });
  }

  /** Returns the bytes of its body. */
  #respond(
    name: OperationName,
    request: ClientRequest,
    type: BodyType,
    requestId: string,
    answer: Answer,
  ): number {
    const payload = writeBody(answer.body, type);
    if (payload.length + ANSWER_HEADERS_BYTES_MAX > this.#ports.server.payloadBytesMax) {
      // What was written is written: only an answer to a read may say that nothing happened.
      throw new AppError('too_large', 'the answer does not fit one message', {
        definite: !OPERATIONS[name].writes,
      });
    }
    const revision = answer.revision === null ? {} : { 'Minikv-Revision': `${answer.revision}` };
    this.#send(name, request, requestId, 'ok', payload, {
      'Content-Type': type,
      'Minikv-Status': '200',
      'Minikv-Durability': this.#ports.durability,
      ...revision,
    });
    return payload.length;
  }

  #refuse(
    name: OperationName | typeof UNKNOWN,
    request: ClientRequest,
    type: BodyType,
    requestId: string,
    error: unknown,
  ): void {
    const shown = appErrorOf(error);
    if (shown.code === 'internal') {
      this.#ports.telemetry.log('error', 'a NATS request failed', { op: name, requestId, error });
    }
    const problem = problemOf(error, requestId);
    this.#send(name, request, requestId, shown.code, writeBody(problem.body, type), {
      'Content-Type': type === 'application/json' ? 'application/problem+json' : type,
      'Minikv-Status': String(problem.status),
    });
  }

  #send(
    name: OperationName | typeof UNKNOWN,
    request: ClientRequest,
    requestId: string,
    code: string,
    payload: Uint8Array,
    headers: Readonly<Record<string, string>>,
  ): void {
    const sent = request.respond(payload, { ...headers, 'Minikv-Request-Id': requestId });
    this.#count(name, sent ? code : 'not_sent');
    if (name === UNKNOWN) return;
    this.#ports.admission.answered(name, request, Number(headers['Minikv-Status']), requestId);
  }

  #count(name: OperationName | typeof UNKNOWN, code: string): void {
    this.#ports.telemetry.count('nats_requests', 1, { op: name, code });
  }
}

/**
 * Whether an answer may go there. A client that may not publish on peer subjects must not make a node do it
 * by naming one as its inbox.
 */
function isClientInbox(reply: string): boolean {
  return reply !== '' && !/^(minikv|\$[A-Z]+)\.|[\0-\x20*>\x7f]/.test(reply);
}

function contextOf(name: OperationName, request: ClientRequest): RequestContext {
  const traceparent = request.header('traceparent');
  return {
    deadlineMs: deadlineOf(request.header('Minikv-Deadline-Ms')),
    traceparent: traceparent !== null && TRACEPARENT.test(traceparent) ? traceparent : null,
    idempotency: idempotencyOf(name, request),
  };
}

function deadlineOf(header: string | null): number {
  if (header === null) return LIMITS.requestDeadlineMsDefault;
  const ms = /^[0-9]{1,9}$/.test(header) ? Number(header) : 0;
  if (ms < 1) throw new AppError('invalid_argument', 'Minikv-Deadline-Ms must be milliseconds');
  return Math.min(ms, LIMITS.requestDeadlineMsMax);
}

function idempotencyOf(name: OperationName, request: ClientRequest): RequestContext['idempotency'] {
  const key = request.header('Idempotency-Key');
  if (key === null) return null;
  if (key.length > LIMITS.idempotencyKeyBytesMax || !/^[\x20-\x7e]+$/.test(key)) {
    throw badIdempotencyKey();
  }
  const hash = createHash('sha256').update(`nats\0${name}\0`).update(request.payload);
  return { key, requestHash: hash.digest() };
}
