import type { FastifyReply } from 'fastify';
import { packBytes } from '../../protocol/codec.ts';
import { AppError } from '../../protocol/errors.ts';
import { linesOf, refusalHeaders } from '../limits/headers.ts';
import type { Edge } from './app.ts';
import { problemOf } from './problem.ts';

export const MSGPACK = 'application/msgpack';
export const JSON_TYPE = 'application/json; charset=utf-8';
const PROBLEM_TYPE = 'application/problem+json; charset=utf-8';

/**
 * A whole answer, without what every answer carries. It leaves through the framework's reply or straight
 * to the socket, with the same bytes.
 */
export interface Answer {
  readonly status: number;
  /** Header lines as they are sent, each with its CRLF; names in lower case. Whoever makes one checks values. */
  readonly lines: string;
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
  let lines = '';
  if (problem.retryAfterMs !== null) {
    lines += `retry-after: ${Math.ceil(problem.retryAfterMs / 1000)}\r\n`;
  }
  lines += linesOf(refusalHeaders(error));
  if (error instanceof AppError && typeof error.details['allow'] === 'string') {
    lines += `allow: ${error.details['allow']}\r\n`;
  }
  lines += `cache-control: no-store\r\ncontent-type: ${binary ? MSGPACK : PROBLEM_TYPE}\r\n`;
  const body = binary ? Buffer.from(packBytes(problem.body)) : JSON.stringify(problem.body);
  return { status: problem.status, lines, body };
}

/** The lines of an answer, taken apart for whoever wants them so. */
export function headersOf(lines: string): [name: string, value: string][] {
  const split = (line: string): [string, string] => {
    const colon = line.indexOf(': ');
    return [line.slice(0, colon), line.slice(colon + 2)];
  };
  return lines.split('\r\n').slice(0, -1).map(split);
}

/** Through the framework; a handler returns what this returns. */
export function replyWith(reply: FastifyReply, answer: Answer): FastifyReply {
  const { status, lines, body } = answer;
  for (const [name, value] of headersOf(lines)) reply.header(name, value);
  reply.code(status);
  return body === null ? reply.send() : reply.send(body);
}
