import { httpDateMs } from '../http/http-date-reader.ts';
import { type ETagList, eTagList, listHas } from './entity-tags.ts';
import { invalidArgument, s3Error } from './errors.ts';
import { type Headers, headerOf } from './headers.ts';

/** What preconditions are judged by. The ETag is without quotes. */
export interface Validators {
  readonly eTag: string;
  readonly lastModifiedMs: number;
}

/** Preconditions of a read or of the source of a copy; null is not given. */
export interface ReadConditions {
  readonly ifMatch: ETagList | null;
  readonly ifNoneMatch: ETagList | null;
  readonly ifModifiedSinceMs: number | null;
  readonly ifUnmodifiedSinceMs: number | null;
}

type ConditionName = 'If-Match' | 'If-Unmodified-Since' | 'If-None-Match' | 'If-Modified-Since';

export function readConditions(headers: Headers, wallMs: number): ReadConditions {
  return conditionsOf(headers, '', wallMs);
}

/** The headers x-amz-copy-source-if-*. */
export function copySourceConditions(headers: Headers, wallMs: number): ReadConditions {
  return conditionsOf(headers, 'x-amz-copy-source-', wallMs);
}

/** A list that cannot be read names no ETag; a date that cannot be read is passed over (RFC 9110). */
function conditionsOf(headers: Headers, before: string, wallMs: number): ReadConditions {
  const list = (name: string): ETagList | null => {
    if (headers[before + name] === undefined) return null;
    return eTagList(headerOf(headers, before + name) ?? '') ?? [];
  };
  const date = (name: string): number | null =>
    httpDateMs(headerOf(headers, before + name) ?? '', wallMs);
  return {
    ifMatch: list('if-match'),
    ifNoneMatch: list('if-none-match'),
    ifModifiedSinceMs: date('if-modified-since'),
    ifUnmodifiedSinceMs: date('if-unmodified-since'),
  };
}

/**
 * The first condition that does not hold, in the order of RFC 9110 section 13.2.2; null where all do. The
 * conditions on ETags win over those on dates, which is what S3 documents for both pairs.
 */
function broken(conditions: ReadConditions, object: Validators): ConditionName | null {
  const { ifMatch, ifNoneMatch, ifModifiedSinceMs, ifUnmodifiedSinceMs } = conditions;
  // HTTP dates are whole seconds.
  const modifiedMs = Math.floor(object.lastModifiedMs / 1000) * 1000;
  if (ifMatch !== null) {
    if (!listHas(ifMatch, object.eTag, 'strong')) return 'If-Match';
  } else if (ifUnmodifiedSinceMs !== null && modifiedMs > ifUnmodifiedSinceMs) {
    return 'If-Unmodified-Since';
  }
  if (ifNoneMatch !== null) {
    return listHas(ifNoneMatch, object.eTag, 'weak') ? 'If-None-Match' : null;
  }
  const isOld = ifModifiedSinceMs !== null && modifiedMs <= ifModifiedSinceMs;
  return isOld ? 'If-Modified-Since' : null;
}

/** For GET and HEAD: throws PreconditionFailed, or NotModified (304, without a body). */
export function checkRead(conditions: ReadConditions, object: Validators): void {
  const name = broken(conditions, object);
  if (name === null) return;
  if (name === 'If-None-Match' || name === 'If-Modified-Since') throw s3Error('NotModified');
  throw s3Error('PreconditionFailed', undefined, { Condition: name });
}

/** For the source of a copy: whatever does not hold is PreconditionFailed. */
export function checkCopySource(conditions: ReadConditions, source: Validators): void {
  const name = broken(conditions, source);
  if (name === null) return;
  throw s3Error('PreconditionFailed', undefined, {
    Condition: `x-amz-copy-source-${name}`,
  });
}

/** Whether Range counts: with an If-Range that names another object the whole one is sent. */
export function ifRangeHolds(header: string | null, object: Validators, wallMs: number): boolean {
  if (header === null) return true;
  const date = httpDateMs(header, wallMs);
  if (date !== null) return Math.floor(object.lastModifiedMs / 1000) * 1000 === date;
  const list = eTagList(header);
  return list !== null && list !== '*' && listHas(list, object.eTag, 'strong');
}

/**
 * What must hold of the current object for a write: it is absent; it is there; it has one of these ETags; it is
 * absent or has none of them.
 */
export type WriteCondition =
  | { readonly type: 'absent' }
  | { readonly type: 'exists' }
  | { readonly type: 'matches'; readonly eTags: readonly string[] }
  | { readonly type: 'differs'; readonly eTags: readonly string[] };

/** S3 has no such conditions on writes. One that is not followed must not be passed over. */
const WRITE_REFUSED = [
  ...['if-modified-since', 'if-unmodified-since'],
  ...['x-amz-if-match-last-modified-time', 'x-amz-if-match-size'],
];

/**
 * If-Match and If-None-Match of put, copy, completion and delete; null where there is none. Throws
 * NotImplemented for both together, InvalidArgument for what cannot be read.
 */
export function writeCondition(headers: Headers): WriteCondition | null {
  for (const name of WRITE_REFUSED) {
    if (headerOf(headers, name) !== null) throw notImplemented(name);
  }
  const match = eTagsOf(headers, 'if-match');
  const noneMatch = eTagsOf(headers, 'if-none-match');
  if (match !== null && noneMatch !== null) throw notImplemented('If-Match, If-None-Match');
  if (match === '*') return { type: 'exists' };
  if (noneMatch === '*') return { type: 'absent' };
  if (match !== null) return { type: 'matches', eTags: match };
  return noneMatch === null ? null : { type: 'differs', eTags: noneMatch };
}

function eTagsOf(headers: Headers, name: string): '*' | readonly string[] | null {
  if (headers[name] === undefined) return null;
  const given = headerOf(headers, name) ?? '';
  const list = eTagList(given);
  if (list === '*') return list;
  if (list === null || list.some(({ isWeak }) => isWeak)) {
    throw invalidArgument(`${name} must be an entity tag or *`, name, given.slice(0, 256));
  }
  return list.map(({ eTag }) => eTag);
}

function notImplemented(header: string) {
  return s3Error('NotImplemented', undefined, { Header: header });
}
