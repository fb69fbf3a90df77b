import { type Address, addressOf, type Endpoint } from './address.ts';
import { invalidArgument, type S3Error, s3Error } from './errors.ts';
import { type Headers, headerOf } from './headers.ts';
import {
  BY_HEADER,
  BY_ID,
  type Level,
  LIST_V2,
  NOT_OFFERED,
  OPERATIONS,
  type Operation,
  SUB_RESOURCES,
} from './operations.ts';
import { queryPairs } from './query.ts';

export interface RequestLine {
  readonly method: string;
  /** The path and query as they came, undecoded. */
  readonly url: string;
  readonly headers: Headers;
}

export interface Route {
  readonly operation: Operation;
  /** Empty where the operation is about no bucket, or about no object. */
  readonly bucket: string;
  readonly key: string;
  /** Whose bucket it is, where the path says so. */
  readonly tenant?: string;
  /** Fields of the query, decoded. */
  readonly query: ReadonlyMap<string, string>;
  /** The version that is asked for; null is the current one. `null` as text is a version's id. */
  readonly versionId: string | null;
}

/**
 * The operation that a request asks for. Throws S3Error and nothing else: InvalidURI, InvalidBucketName,
 * KeyTooLongError, InvalidArgument, MethodNotAllowed, NotImplemented.
 */
export function routeOf(request: RequestLine, endpoint: Endpoint): Route {
  const mark = request.url.indexOf('?');
  const rawPath = mark < 0 ? request.url : request.url.slice(0, mark);
  const address = addressOf(headerOf(request.headers, 'host'), rawPath, endpoint);
  const query = queryOf(mark < 0 ? '' : request.url.slice(mark + 1));
  const level = levelOf(address);
  const operation = operationOf(request, level, query);
  return { operation, ...address, query, versionId: versionOf(level, query) };
}

function levelOf({ bucket, key }: Address): Level {
  if (bucket === '') return 'service';
  return key === '' ? 'bucket' : 'object';
}

/** A field given twice could mean one thing to us and another to a signer or proxy. */
function queryOf(raw: string): ReadonlyMap<string, string> {
  const pairs = queryPairs(raw);
  if (pairs === null) throw s3Error('InvalidURI');
  const query = new Map<string, string>();
  for (const [name, value] of pairs) {
    if (query.has(name)) {
      throw invalidArgument('A query parameter is given twice', name.slice(0, 256), '');
    }
    query.set(name, value);
  }
  return query;
}

function versionOf(level: Level, query: ReadonlyMap<string, string>): string | null {
  const versionId = level === 'object' ? query.get('versionId') : undefined;
  if (versionId === '') {
    throw invalidArgument('Version id cannot be the empty string', 'versionId', '');
  }
  return versionId ?? null;
}

interface MethodRow {
  readonly plain: Operation | null;
  readonly by: Readonly<Record<string, Operation>>;
}

function operationOf(
  request: RequestLine,
  level: Level,
  query: ReadonlyMap<string, string>,
): Operation {
  const { method } = request;
  const methods: Readonly<Record<string, MethodRow>> = OPERATIONS[level];
  const row = Object.hasOwn(methods, method) ? methods[method] : undefined;
  const subResource = subResourceOf(level, query);
  if (subResource !== null && NOT_OFFERED[level].has(subResource)) {
    throw s3Error('NotImplemented', `The sub-resource ${subResource} is not implemented`);
  }
  if (row === undefined) throw methodNotAllowed(method, level);
  if (subResource === null) return plainOf(request, level, row, query);
  const operation = Object.hasOwn(row.by, subResource) ? row.by[subResource] : undefined;
  if (operation === undefined) throw methodNotAllowed(method, level);
  if (operation === 'UploadPart') return partOf(request, query);
  return query.has('id') ? (configurationOf(operation) ?? operation) : operation;
}

function configurationOf(operation: Operation): Operation | undefined {
  const byId: Readonly<Partial<Record<Operation, Operation>>> = BY_ID;
  return byId[operation];
}

/** Null is the bucket or object itself. */
function subResourceOf(level: Level, query: ReadonlyMap<string, string>): string | null {
  const found = [...query.keys()].filter((name) => SUB_RESOURCES[level].has(name));
  if (found.length <= 1) return found[0] ?? null;
  const names = found.join(', ');
  throw invalidArgument(`Conflicting query string parameters: ${names}`, 'ResourceType', names);
}

function plainOf(
  request: RequestLine,
  level: Level,
  row: MethodRow,
  query: ReadonlyMap<string, string>,
): Operation {
  switch (row.plain) {
    case null:
      throw methodNotAllowed(request.method, level);
    case 'ListObjects':
      return listingOf(query.get('list-type'));
    case 'PostObject':
      checkForm(request.headers);
      return row.plain;
    case 'PutObject':
      if (query.has('partNumber')) throw partWithoutUpload();
      return isCopy(request) ? BY_HEADER.PutObject : row.plain;
    default:
      return row.plain;
  }
}

function listingOf(listType: string | undefined): Operation {
  if (listType === '2') return LIST_V2;
  if (listType === undefined || listType === '1') return 'ListObjects';
  throw invalidArgument(
    'Invalid List Type specified in Request',
    'list-type',
    listType.slice(0, 64),
  );
}

function checkForm(headers: Headers): void {
  const type = headerOf(headers, 'content-type') ?? '';
  if (!/^multipart\/form-data(?:$|[ \t;])/i.test(type)) {
    throw s3Error('RequestIsNotMultiPartContent');
  }
}

function partOf(request: RequestLine, query: ReadonlyMap<string, string>): Operation {
  if (!query.has('partNumber')) {
    throw s3Error('InvalidArgument', 'This operation does not accept a request without partNumber');
  }
  return isCopy(request) ? BY_HEADER.UploadPart : 'UploadPart';
}

function partWithoutUpload(): S3Error {
  return s3Error('InvalidArgument', 'This operation does not accept partNumber without uploadId');
}

function isCopy({ headers }: RequestLine): boolean {
  return headers['x-amz-copy-source'] !== undefined;
}

function methodNotAllowed(method: string, level: Level): S3Error {
  return s3Error('MethodNotAllowed', undefined, {
    Method: method.slice(0, 32),
    ResourceType: level.toUpperCase(),
  });
}
