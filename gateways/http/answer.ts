import type { FastifyReply } from 'fastify';
import { packBytes } from '../../protocol/codec.ts';
import { AppError } from '../../protocol/errors.ts';
import { problemOf } from '../kv/shapes.ts';
import type { Edge } from './app.ts';

export const MSGPACK = 'application/msgpack';
export const JSON_TYPE = 'application/json; charset=utf-8';

/**
 * A whole answer, without what every answer carries. It leaves through the framework's reply or straight
 * to the socket, with the same bytes.
 */
export interface Answer {
  readonly status: number;
  /** Names and values in turn. */
  readonly headers: readonly string[];
  /** Null: none, and no Content-Length either (304). */
  readonly body: string | Buffer | null;
}

/** Any error as its answer. Logs what broke, under the request's id. */
export function problemAnswer(
  edge: Edge,
  error: unknown,
  requestId: string,
  binary: boolean,
): Answer {
  const problem = problemOf(error, requestId);
  if (problem.status >= 500 && problem.body['code'] === 'internal') {
    const stack = error instanceof Error ? error.stack : String(error);
    edge.telemetry.log('error', 'a request failed', { requestId, stack });
  }
  const headers: string[] = [];
  if (problem.retryAfterMs !== null) {
    headers.push('retry-after', String(Math.ceil(problem.retryAfterMs / 1000)));
  }
  if (error instanceof AppError && typeof error.details['allow'] === 'string') {
    headers.push('allow', error.details['allow']);
  }
  const type = binary ? MSGPACK : 'application/problem+json; charset=utf-8';
  headers.push('content-type', type);
  const body = binary ? Buffer.from(packBytes(problem.body)) : JSON.stringify(problem.body);
  return { status: problem.status, headers, body };
}

/** Through the framework; a handler returns what this returns. */
export function replyWith(reply: FastifyReply, answer: Answer): FastifyReply {
  const { status, headers, body } = answer;
  for (let i = 0; i < headers.length; i += 2) reply.header(headers[i] ?? '', headers[i + 1]);
  reply.code(status);
  return body === null ? reply.send() : reply.send(body);
}
