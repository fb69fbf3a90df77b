import type { IncomingMessage, ServerResponse } from 'node:http';
import { STATUS_CODES } from 'node:http';
import type { AppError } from '../../protocol/errors.ts';
import { refusalHeaders } from '../limits/headers.ts';
import type { Edge, ShownProblem } from './app.ts';
import { problemOf } from './problem.ts';

/** No page frames an answer of REST, or is told by a link where its reader was. */
const NO_PAGE = { 'x-frame-options': 'DENY', 'referrer-policy': 'no-referrer' };

/** The headers that every answer of REST carries. */
export function restHeaders(edge: Edge, requestId: string, revision: number | null) {
  return { ...commonHeaders(edge, requestId, revision), ...NO_PAGE };
}

/** The headers that every answer of every port carries: what S3 serves may be a page of somebody's. */
export function commonHeaders(edge: Edge, requestId: string, revision: number | null) {
  return {
    'x-request-id': requestId,
    'x-minikv-revision': String(revision ?? edge.service.status().clock),
    'x-minikv-durability': edge.durability,
    'x-content-type-options': 'nosniff',
  };
}

const REQUEST_ID = /^[A-Za-z0-9._:-]{1,128}$/;

/** The caller's X-Request-Id where it is one we would repeat, else one of ours. */
export function requestIdOf(edge: Edge, req: IncomingMessage): string {
  const given = req.headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : edge.nextRequestId();
}

interface Rendered {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: string;
}

/** A problem that ends its connection, for requests that never reach a route. */
function render(edge: Edge, error: AppError, requestId: string): Rendered {
  const { status, contentType, body, retryAfterMs } = edge.problem(error, requestId);
  const headers: Record<string, string> = {
    ...restHeaders(edge, requestId, null),
    'cache-control': 'no-store',
    'content-type': contentType,
    'content-length': String(Buffer.byteLength(body)),
    connection: 'close',
  };
  if (retryAfterMs !== null) {
    headers['retry-after'] = String(Math.ceil(retryAfterMs / 1000));
  }
  for (const [name, value] of refusalHeaders(error)) headers[name] = value;
  return { status, headers, body };
}

export function jsonProblem(error: AppError, requestId: string): ShownProblem {
  const { status, body, retryAfterMs } = problemOf(error, requestId);
  const contentType = 'application/problem+json';
  return { status, contentType, body: JSON.stringify(body), retryAfterMs };
}

/** As bytes, for a socket that has no response object. */
export function rawProblem(edge: Edge, error: AppError, requestId: string): Buffer {
  const { status, headers, body } = render(edge, error, requestId);
  const lines = [`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`];
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`, 'utf8');
}

/** Through the response object, so that it keeps its place behind earlier answers. */
export function endWithProblem(edge: Edge, res: ServerResponse, error: AppError): void {
  const rendered = render(edge, error, requestIdOf(edge, res.req));
  res.writeHead(rendered.status, rendered.headers);
  res.end(rendered.body);
}
