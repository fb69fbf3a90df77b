import type { FastifyRequest } from 'fastify';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { App, Edge } from './app.ts';
import { readBody } from './body.ts';
import { bodyLength } from './exchange.ts';
import { isMsgpack } from './respond.ts';
import { parseJson } from './strict-json.ts';
import { parseMsgpack } from './strict-msgpack.ts';

const EMPTY = Buffer.alloc(0);

/** Replaces the framework's body parsers: raw bytes or a strict document, as the route says. */
export function registerBodies(app: App, edge: Edge): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (request: FastifyRequest) => bodyOf(edge, request));
}

async function bodyOf(edge: Edge, request: FastifyRequest): Promise<unknown> {
  const { body: mode = 'raw', bodyBytesMax } = request.routeOptions.config;
  refuseEncoding(request);
  if (mode === 'raw') return bytesOf(edge, request, bodyBytesMax ?? LIMITS.valueBytesMax);
  const parse = documentParser(request.headers['content-type']);
  return parse(await bytesOf(edge, request, bodyBytesMax ?? LIMITS.batchBytesMax));
}

async function bytesOf(edge: Edge, request: FastifyRequest, bytesMax: number): Promise<Buffer> {
  const limit = bytesMax === LIMITS.valueBytesMax ? 'valueBytesMax' : 'batchBytesMax';
  const { bytes, release } = await readBody(edge, request.raw, { bytesMax, limit });
  request.edge.release = release;
  // Of a body whose length was told, it was counted before.
  if (bodyLength(request.raw) === 0) request.edge.meters?.move('bytesIn', bytes.length);
  return bytes;
}

/** The body of a raw route; absent is empty. */
export function rawBody(request: FastifyRequest): Buffer {
  return request.body instanceof Buffer ? request.body : EMPTY;
}

/** The document, which has to be an object. Absent it is none. */
export function objectBody({ body }: Pick<FastifyRequest, 'body'>): Record<string, unknown> {
  const isObject = typeof body === 'object' && body !== null && !Array.isArray(body);
  if (isObject && !(body instanceof Uint8Array)) return body as Record<string, unknown>;
  throw new AppError('invalid_argument', 'the body must be an object');
}

/** The list under `name` in a document that has nothing else. */
export function listBody(request: FastifyRequest, name: string, countMax: number): unknown[] {
  const body = request.body;
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new AppError('invalid_argument', `the body must be an object with ${name}`);
  }
  for (const field of Object.keys(body)) {
    if (field !== name) throw new AppError('invalid_argument', `the body has only ${name}`);
  }
  const list: unknown = Object.hasOwn(body, name) ? Reflect.get(body, name) : undefined;
  if (!Array.isArray(list)) throw new AppError('invalid_argument', `${name} must be a list`);
  if (list.length > countMax) {
    throw new AppError('too_large', `${name} has more than ${countMax} entries`, {
      details: { limit: 'batchOpsMax', max: countMax },
    });
  }
  return list;
}

/** Nothing is decompressed here (FAULTS I25): what is stored would not be what was sent. */
function refuseEncoding(request: FastifyRequest): void {
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && encoding.trim().toLowerCase() !== 'identity') {
    throw new AppError('unsupported_media_type', 'Content-Encoding is not taken here');
  }
}

const JSON_NAMES = /^application\/(?:json|[a-z0-9.!#$&^_-]+\+json)$/;

function documentParser(contentType: string | undefined): (bytes: Uint8Array) => unknown {
  const [type = '', ...parameters] = (contentType ?? '').toLowerCase().split(';');
  for (const parameter of parameters) {
    const [name = '', value = ''] = parameter.split('=').map((part) => part.trim());
    if (name === 'charset' && value.replaceAll('"', '') !== 'utf-8') {
      throw new AppError('unsupported_media_type', 'utf-8 is the only charset taken');
    }
  }
  const mediaType = type.trim();
  if (isMsgpack(mediaType)) return parseMsgpack;
  if (JSON_NAMES.test(mediaType)) return parseJson;
  throw new AppError('unsupported_media_type', 'send application/json or application/msgpack');
}
