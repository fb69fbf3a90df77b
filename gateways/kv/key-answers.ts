import type { IncomingHttpHeaders } from 'node:http';
import { packBytes } from '../../protocol/codec.ts';
import type { Condition, OpResult, WriteOp } from '../../protocol/commands.ts';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Item } from '../../protocol/messages/request.ts';
import { wallMsOfRevision } from '../../protocol/revision.ts';
import type { RequestContext, WriteResult } from '../../protocol/service.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import { type Answer, JSON_TYPE, MSGPACK } from '../http/answer.ts';
import { contextFrom, wholeHeader } from '../http/context.ts';
import { decimal } from '../http/decimal.ts';
import type { HttpDates } from '../http/http-date.ts';
import { keyAfter } from '../http/url.ts';
import { eTagOf, readOutcome, writeCondition } from './conditions.ts';
import { attachmentOf, isContentType, kvRef, ttlMsOf, writeResultToJson } from './shapes.ts';

/** Single keys over HTTP: headers to operations and results to answers, for every way in. */

export interface PutCall {
  readonly ctx: RequestContext;
  readonly op: Extract<WriteOp, { type: 'put' }>;
}

export interface DeleteCall {
  readonly ctx: RequestContext;
  readonly condition: Condition | null;
}

/** The key of a URL path; one that is too long for any key is a URL that is too long. */
export function kvKeyOf(url: string, prefix: string): KeyRef {
  const key = keyAfter(url, prefix);
  if (key.length > LIMITS.keyBytesMax) {
    const details = { limit: 'keyBytesMax', max: LIMITS.keyBytesMax };
    const message = `the key is longer than keyBytesMax, ${LIMITS.keyBytesMax}`;
    throw new AppError('uri_too_long', message, { details });
  }
  return kvRef(key);
}

/** Throws AppError, as all of these do. */
export function readPut(
  headers: IncomingHttpHeaders,
  traceparent: string | null,
  ref: KeyRef,
  value: Buffer,
): PutCall {
  const contentType = headers['content-type'] ?? null;
  if (contentType !== null && !isContentType(contentType)) {
    throw new AppError('invalid_argument', 'Content-Type is not valid');
  }
  const ttlMs = ttlMsOf(
    wholeHeader(headers, 'x-minikv-ttl', LIMITS.ttlSecondsMax, 'ttlSecondsMax'),
  );
  const attach = attachmentOf(wholeHeader(headers, 'x-minikv-lease', Number.MAX_SAFE_INTEGER));
  const condition = writeCondition(headers);
  const ctx = contextFrom(headers, traceparent, () => [
    ...['put', ref.key, contentType ?? '', String(ttlMs), JSON.stringify(condition)],
    ...[attach === null ? '' : String(attach.lease), value],
  ]);
  return { ctx, op: { type: 'put', ref, value, contentType, ttlMs, condition, attach } };
}

export function readDelete(
  headers: IncomingHttpHeaders,
  traceparent: string | null,
  ref: KeyRef,
): DeleteCall {
  const condition = writeCondition(headers);
  const hashed = () => ['delete', ref.key, JSON.stringify(condition)];
  return { ctx: contextFrom(headers, traceparent, hashed), condition };
}

/** The answer to a write, or its refusal, thrown. `binary`: as MessagePack. */
export function writeAnswer(key: string, written: WriteResult, binary: boolean): Answer {
  const { result, repeated } = written;
  const body = binary ? packed(writeResultToJson(key, result)) : writtenText(key, result);
  const isPut = result.type === 'put';
  const replayed = repeated ? 'idempotency-replayed: true\r\n' : '';
  const eTag = isPut ? `etag: ${eTagOf(result.revision)}\r\n` : '';
  const lines = `${replayed}${eTag}content-type: ${binary ? MSGPACK : JSON_TYPE}\r\n`;
  return { status: isPut && result.version === 1 ? 201 : 200, lines, body };
}

function packed(shape: unknown): Buffer {
  const bytes = packBytes(shape);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Keys that JSON shows as they are. */
const PLAIN_KEY = /^[ !#-[\]-~]*$/;

/** writeResultToJson as text; the commonest shape without building it first. */
export function writtenText(key: string, result: OpResult): string {
  if (result.type !== 'put' || !PLAIN_KEY.test(key)) {
    return JSON.stringify(writeResultToJson(key, result));
  }
  const [revision, created] = [decimal(result.revision), decimal(result.createRevision)];
  return `{"key":"${key}","revision":${revision},"createRevision":${created},"version":${result.version}}`;
}

/** Made once: a missing key is a common answer, and an error's stack costs more than the rest of it. */
const NO_KEY = new AppError('key_not_found', 'there is no such key');
const NO_KEY_TO_MATCH = new AppError('precondition_failed', 'there is no such key');

const SANDBOX = "content-security-policy: default-src 'none'; sandbox\r\n";

/** The answer to a read of one key, or its refusal; null is an absent one. */
export function itemAnswer(
  headers: IncomingHttpHeaders,
  item: Item | null,
  dates: HttpDates,
): Answer | AppError {
  // RFC 9110: If-Match cannot hold for what is not there.
  if (item === null) return headers['if-match'] === undefined ? NO_KEY : NO_KEY_TO_MATCH;
  const outcome = readOutcome(headers, item.revision);
  if (outcome === 'failed') {
    const details = { currentRevision: item.revision };
    return new AppError('precondition_failed', 'the key is at another revision', { details });
  }
  const modified = dates.text(wallMsOfRevision(item.revision));
  let lines = `etag: ${eTagOf(item.revision)}\r\nlast-modified: ${modified}\r\ncache-control: no-cache\r\n`;
  if (item.expiresAtMs !== null) {
    lines += `x-minikv-expires-at: ${new Date(item.expiresAtMs).toISOString()}\r\n`;
  }
  if (item.lease) lines += `x-minikv-lease: ${item.lease}\r\n`;
  if (outcome === 'not_modified') return { status: 304, lines, body: null };
  const { contentType } = item;
  const isShown = contentType !== null && isContentType(contentType);
  // A stored page must not run as a page of this server.
  lines += `content-type: ${isShown ? contentType : 'application/octet-stream'}\r\n${SANDBOX}`;
  const { value } = item;
  const body = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  return { status: 200, lines, body };
}
