import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { packBytes } from '../../protocol/codec.ts';
import { AppError, type ErrorCode } from '../../protocol/errors.ts';
import { JSON_TYPE, MSGPACK, problemAnswer, replyWith } from './answer.ts';
import type { Edge } from './app.ts';
import { dropBody } from './body.ts';

/** How answers leave: JSON, or MessagePack where it is asked for; errors as problem details. */
const MSGPACK_NAMES = /^application\/(?:vnd\.|x-)?msgpack$/;

export function isMsgpack(mediaType: string): boolean {
  return MSGPACK_NAMES.test(mediaType);
}

/** The weight the Accept header gives to the first type that `matches`; 0 where it names none. */
export function weightOf(accept: string | undefined, matches: (type: string) => boolean): number {
  if (accept === undefined) return 0;
  for (const part of accept.split(',')) {
    const [type = '', ...parameters] = part.split(';');
    if (!matches(type.trim().toLowerCase())) continue;
    const q = parameters.find((parameter) => /^\s*q=/i.test(parameter));
    const weight = q === undefined ? 1 : Number(q.slice(q.indexOf('=') + 1));
    return weight >= 0 && weight <= 1 ? weight : 0;
  }
  return 0;
}

export function wantsMsgpack({ accept }: IncomingHttpHeaders): boolean {
  if (accept === undefined || !accept.includes('msgpack')) return false;
  const weight = weightOf(accept, isMsgpack);
  return weight > 0 && weight >= weightOf(accept, (type) => type === 'application/json');
}

/** A document. `shape` gets whether it is for MessagePack. `clock` is what X-Minikv-Revision shows. */
export function answer(
  request: FastifyRequest,
  reply: FastifyReply,
  status: number,
  clock: number | null,
  shape: (binary: boolean) => unknown,
): string | Buffer {
  request.edge.revision = clock ?? request.edge.revision;
  const binary = wantsMsgpack(request.headers);
  reply.code(status).header('content-type', binary ? MSGPACK : JSON_TYPE);
  if (!binary) return JSON.stringify(shape(false));
  const bytes = packBytes(shape(true));
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A document that is MessagePack already, for whom `wantsMsgpack`. */
export function answerPacked(
  request: FastifyRequest,
  reply: FastifyReply,
  status: number,
  clock: number | null,
  bytes: Uint8Array,
): Buffer {
  request.edge.revision = clock ?? request.edge.revision;
  reply.code(status).header('content-type', MSGPACK);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A document that is JSON already. */
export function answerText(
  request: FastifyRequest,
  reply: FastifyReply,
  status: number,
  clock: number | null,
  text: string,
): string {
  request.edge.revision = clock ?? request.edge.revision;
  reply.code(status).header('content-type', JSON_TYPE);
  return text;
}

/** Any error as its answer. */
export function sendProblem(
  edge: Edge,
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const shown = fromFramework(error);
  // A body nobody read is dropped within bounds, so that the client sees this answer and not a reset.
  if (!dropBody(edge, request.raw)) reply.header('connection', 'close');
  else if (reply.hasHeader('connection')) reply.removeHeader('connection');
  replyWith(reply, problemAnswer(edge, shown, request.id, wantsMsgpack(request.headers)));
}

const FRAMEWORK_CODES: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_VALIDATION: 'invalid_argument',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_CTP_BODY_TOO_LARGE: 'too_large',
  FST_ERR_BAD_URL: 'malformed',
  FST_ERR_ROUTE_METHOD_NOT_SUPPORTED: 'method_not_allowed',
};

/** The framework's own errors; whatever it calls the client's fault is malformed. */
function fromFramework(error: unknown): unknown {
  if (error instanceof AppError || !(error instanceof Error)) return error;
  const { code, statusCode, validation } = error as FastifyError;
  if (validation !== undefined) return new AppError('invalid_argument', error.message);
  const known = code === undefined ? undefined : FRAMEWORK_CODES[code];
  if (known !== undefined) return new AppError(known, 'the request is not valid');
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return new AppError('malformed', 'the request is not valid');
  }
  return error;
}
