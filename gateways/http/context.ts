import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyRequest } from 'fastify';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { RequestContext } from '../../protocol/service.ts';
import { sha256 } from './digest.ts';

type HashParts = readonly (string | Uint8Array)[];

const WHOLE = /^[1-9][0-9]{0,15}$/;

/** A header that is a whole number above 0, up to a bound with a name; null when it is not there. */
export function wholeHeader(
  headers: IncomingHttpHeaders,
  name: string,
  max: number,
  limit: keyof typeof LIMITS | null = null,
): number | null {
  const text = headers[name];
  if (text === undefined) return null;
  const value = typeof text === 'string' && WHOLE.test(text) ? Number(text) : Number.NaN;
  if (!(value <= max)) {
    const bound = limit === null ? `${max}` : `${limit}, ${max}`;
    const message = `${name} must be a whole number from 1 to ${bound}`;
    const details = limit === null ? {} : { limit, max };
    throw new AppError('invalid_argument', message, { details });
  }
  return value;
}

/** What the service needs to know of a request. `hashed`: what makes it the same request again. */
export function contextFrom(
  headers: IncomingHttpHeaders,
  traceparent: string | null,
  hashed: (() => HashParts) | null,
): RequestContext {
  const timeoutMs = wholeHeader(
    headers,
    'x-minikv-timeout-ms',
    LIMITS.requestDeadlineMsMax,
    'requestDeadlineMsMax',
  );
  return {
    deadlineMs: timeoutMs ?? LIMITS.requestDeadlineMsDefault,
    traceparent,
    idempotency: hashed === null ? null : idempotencyOf(headers, hashed),
  };
}

export function contextOf(
  request: FastifyRequest,
  hashed: (() => HashParts) | null = null,
): RequestContext {
  return contextFrom(request.headers, request.edge.traceparent, hashed);
}

/** Longest key that is carried as it is. */
const KEY_CHARS_PLAIN = 96;

/**
 * A long key travels as its hash: the parts of a batch append their numbers to it, and an entry whose
 * key is over idempotencyKeyBytesMax could be written to the log but never read back.
 */
function carried(key: string): string {
  if (key.length <= KEY_CHARS_PLAIN) return key;
  return `sha256:${Buffer.from(sha256([key])).toString('hex')}`;
}

/** Names the bound, whichever way the key came. */
export function badIdempotencyKey(): AppError {
  const max = LIMITS.idempotencyKeyBytesMax;
  const limit = `1 to idempotencyKeyBytesMax, ${max}`;
  return new AppError(
    'invalid_argument',
    `Idempotency-Key must be ${limit} printable ASCII characters`,
    {
      details: { limit: 'idempotencyKeyBytesMax', max },
    },
  );
}

const IDEMPOTENCY_KEY = /^[\x21-\x7e]+$/;

function idempotencyOf(
  headers: IncomingHttpHeaders,
  hashed: () => HashParts,
): RequestContext['idempotency'] {
  const key = headers['idempotency-key'];
  if (key === undefined) return null;
  const max = LIMITS.idempotencyKeyBytesMax;
  if (typeof key !== 'string' || key.length > max || !IDEMPOTENCY_KEY.test(key)) {
    throw badIdempotencyKey();
  }
  return { key: carried(key), requestHash: sha256(hashed()) };
}
