import type { IncomingMessage } from 'node:http';
import type { Edge } from './app.ts';

/**
 * Cross-origin requests of browsers to REST (Fetch standard): pages of the origins that are configured (http-allowed-origins) read
 * answers and send requests; those of others do not. Nothing is sent along by itself (no credentials): a page says whose it is by a
 * header that it has. Under /s3 the CORS of buckets holds instead.
 */

const METHODS = 'GET, HEAD, PUT, POST, PATCH, DELETE';
const EXPOSED = [
  ...['etag', 'last-modified', 'retry-after', 'x-request-id', 'x-minikv-revision'],
  ...['x-ratelimit-limit', 'x-ratelimit-remaining', 'x-ratelimit-reset'],
  ...['x-minikv-durability', 'x-minikv-expires-at', 'x-minikv-lease', 'www-authenticate'],
].join(', ');
/** A browser asks again after it; a shorter list of origins holds by then. */
const MAX_AGE_SECONDS = '600';
/** Names of headers, as a preflight lists them. */
const NAMES = /^[\w!#$%&'*+.^`|~-]+(?:[ \t]*,[ \t]*[\w!#$%&'*+.^`|~-]+)*$/;
const NAMES_CHARS_MAX = 1_024;

export type HeaderPairs = Readonly<Record<string, string>>;

const NONE: HeaderPairs = {};

function allowedOrigin({ config }: Edge, { headers }: IncomingMessage): string | null {
  const { origin } = headers;
  const { allowedOrigins = [] } = config;
  return origin !== undefined && allowedOrigins.includes(origin) ? origin : null;
}

/** What an answer says to the page that asked; that it depends on the origin is told to caches either way. */
export function corsHeaders(edge: Edge, req: IncomingMessage): HeaderPairs {
  if ((edge.config.allowedOrigins ?? []).length === 0) return NONE;
  const origin = allowedOrigin(edge, req);
  if (origin === null) return { vary: 'origin' };
  return {
    vary: 'origin',
    'access-control-allow-origin': origin,
    'access-control-expose-headers': EXPOSED,
  };
}

/** The answer to a browser that asks first; null: it is no such question, or not of an origin that may. */
export function preflightHeaders(edge: Edge, req: IncomingMessage): HeaderPairs | null {
  const { [REQUEST_METHOD]: method, [REQUEST_HEADERS]: names } = req.headers;
  if (req.method !== 'OPTIONS' || method === undefined) return null;
  if (allowedOrigin(edge, req) === null) return null;
  const asked = typeof names === 'string' && names.length <= NAMES_CHARS_MAX && NAMES.test(names);
  return {
    ...corsHeaders(edge, req),
    'access-control-allow-methods': METHODS,
    ...(asked ? { 'access-control-allow-headers': names } : {}),
    'access-control-max-age': MAX_AGE_SECONDS,
  };
}

const REQUEST_METHOD = 'access-control-request-method';
const REQUEST_HEADERS = 'access-control-request-headers';
