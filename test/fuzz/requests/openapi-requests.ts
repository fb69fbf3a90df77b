import { packBytes } from '../../../protocol/codec.ts';
import type { Pick } from '../target.ts';
import { type FuzzedRequest, requestBytes } from './exchange.ts';
import { drawValue, type JsonSchema } from './schema-values.ts';

/** Requests of the operations that the OpenAPI document of a node describes: valid ones, and ones near them. */

interface Parameter {
  readonly in: 'path' | 'query' | 'header';
  readonly name: string;
  readonly required?: boolean;
  readonly schema?: JsonSchema;
}

interface Operation {
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: {
    readonly content?: Readonly<Record<string, { readonly schema?: JsonSchema }>>;
  };
}

export interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

export interface Route {
  readonly method: string;
  readonly path: string;
  readonly operation: Operation;
}

export function routesOf({ paths }: OpenApi): Route[] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      ...{ method: method.toUpperCase(), path, operation },
    })),
  );
}

/** `credentials`: of who may do everything, of others, and none. */
export function drawRequest(
  routes: readonly Route[],
  credentials: readonly string[],
  pick: Pick,
): FuzzedRequest {
  const { method, path, operation } = pick.one(routes);
  const parameters = operation.parameters ?? [];
  const drawn = (parameter: Parameter): string => textOf(drawValue(parameter.schema ?? {}, pick));
  const target = path.replace(/\{([^}]*)\}/g, (_all, name: string) => {
    const parameter = parameters.find((one) => one.in === 'path' && one.name === name);
    return escaped(drawn(parameter ?? { in: 'path', name }), pick);
  });
  const fields = parameters
    .filter((one) => one.in === 'query' && (one.required === true || pick.chance(0.35)))
    .map((one) => `${one.name}=${escaped(drawn(one), pick)}`);
  if (pick.chance(0.03)) fields.push(pick.one(['x', '%', 'limit=1&limit=2', '&&', 'a=%zz']));
  const headers: [string, string][] = [
    ['host', 'localhost'],
    ['x-minikv-timeout-ms', '1000'],
  ];
  for (const one of parameters) {
    if (one.in !== 'header' || one.name.toLowerCase() === 'x-minikv-timeout-ms') continue;
    if (pick.chance(0.3)) headers.push([one.name, inHeader(drawn(one))]);
  }
  if (credentials.length > 0) {
    const credential = pick.chance(0.8) ? (credentials[0] as string) : pick.one(credentials);
    if (credential !== '') headers.push(['authorization', credential]);
  }
  if (pick.chance(0.1)) headers.push(pick.one(ODD_HEADERS));
  const body = drawBody(operation, method, headers, pick);
  const query = fields.length === 0 ? '' : `?${fields.join('&')}`;
  const name = `${method} ${target}${query}`;
  return { name, method, bytes: requestBytes(method, target + query, headers, body) };
}

const ODD_HEADERS: readonly (readonly [string, string])[] & [string, string][] = [
  ['accept', 'application/msgpack'],
  ['accept', 'application/x-ndjson'],
  ['accept', '*/*;q=x'],
  ['x-request-id', 'mine-1'],
  ['x-request-id', 'not <one>'],
  ['traceparent', '00-zz'],
  ['range', 'bytes=1-'],
  ['if-none-match', '*'],
  ['if-match', '"abc'],
  ['origin', 'https://elsewhere.example'],
  ['expect', '100-continue'],
  ['idempotency-key', 'one'],
  ['content-encoding', 'gzip'],
  ['last-event-id', '!!'],
];

function drawBody(
  { requestBody }: Operation,
  method: string,
  headers: [string, string][],
  pick: Pick,
): Uint8Array | null {
  const contents = Object.entries(requestBody?.content ?? {});
  if (contents.length === 0) {
    if (method === 'GET' || method === 'HEAD' || pick.chance(0.7)) return null;
    return Buffer.from(pick.one(['', '{}', 'a value', '[1', '\0']));
  }
  if (pick.chance(0.03)) return null;
  const [type, { schema = {} }] = pick.one(contents);
  const isJson = /json/.test(type);
  const value = drawValue(schema, pick);
  if (!isJson) {
    headers.push(['content-type', pick.chance(0.9) ? type.replace('*/*', 'text/plain') : 'x']);
    return Buffer.from(typeof value === 'string' ? value : (JSON.stringify(value) ?? ''));
  }
  if (pick.chance(0.2)) {
    headers.push(['content-type', 'application/msgpack']);
    return packBytes(value);
  }
  headers.push(['content-type', pick.chance(0.95) ? type : 'text/html']);
  const text = Buffer.from(JSON.stringify(value) ?? '');
  if (pick.chance(0.9)) return text;
  const at = pick.below(text.length + 1);
  return Buffer.concat([text.subarray(0, at), pick.bytes(pick.below(3)), text.subarray(at + 1)]);
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
}

function escaped(text: string, pick: Pick): string {
  if (pick.chance(0.03)) return pick.one(['%', '%f', '%ff', '%00', '%2F..%2F', 'a//b', '%c3%28']);
  return encodeURIComponent(text).replaceAll('%2F', '/');
}

/** Latin1 without the characters that end a line: others reach the node as they are. */
function inHeader(text: string): string {
  return Buffer.from(text, 'utf8')
    .toString('latin1')
    .replace(/[\r\n\0]/g, ' ');
}
