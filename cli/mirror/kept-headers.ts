import type { IncomingHttpHeaders } from 'node:http';
import { etagOf } from './answers.ts';

const KEPT = [
  ...['content-type', 'content-encoding', 'content-disposition', 'content-language'],
  ...['cache-control', 'expires', 'x-amz-website-redirect-location'],
];
const META = 'x-amz-meta-';

/** Where the copy's ETag cannot be the original's, this tells which one it is a copy of. */
export const ORIGIN = `${META}minikv-mirror-etag`;

/** Headers of an object that its copy is put with, byte for byte. */
export function keptHeaders(headers: IncomingHttpHeaders): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value !== 'string' || name === ORIGIN) continue;
    if (KEPT.includes(name) || name.startsWith(META)) kept[name] = value;
  }
  return kept;
}

const LOCK = 'x-amz-object-lock-';

/** Retention that has not ended yet, and a legal hold, as the source tells them. */
export function lockHeaders(headers: IncomingHttpHeaders, nowMs: number): Record<string, string> {
  const mode = headers[`${LOCK}mode`];
  const until = headers[`${LOCK}retain-until-date`];
  const isHeld = String(headers[`${LOCK}legal-hold`]).toUpperCase() === 'ON';
  const hold: Record<string, string> = isHeld ? { [`${LOCK}legal-hold`]: 'ON' } : {};
  if (typeof mode !== 'string' || typeof until !== 'string') return hold;
  if (!(Date.parse(until) > nowMs)) return hold;
  return { ...hold, [`${LOCK}mode`]: mode, [`${LOCK}retain-until-date`]: until };
}

export function tagCountOf(headers: IncomingHttpHeaders): number {
  return Number(headers['x-amz-tagging-count'] ?? 0);
}

/** Bytes of the whole object, or of what an answer has of it. Throws where it does not say. */
export function lengthOf(headers: IncomingHttpHeaders): number {
  const length = Number(headers['content-length'] ?? Number.NaN);
  if (Number.isSafeInteger(length)) return length;
  throw new Error('the source does not say how long the object is');
}

/** The MD5 of the bytes in hex, where the ETag is that; null for parts and for what the source has encrypted. */
export function md5Of(headers: IncomingHttpHeaders): string | null {
  const etag = etagOf(headers);
  const kind = headers['x-amz-server-side-encryption'];
  const isHidden =
    (kind !== undefined && kind !== 'AES256') ||
    headers['x-amz-server-side-encryption-customer-algorithm'] !== undefined;
  return /^[0-9a-f]{32}$/.test(etag) && !isHidden ? etag : null;
}

/** Of how many parts an ETag is made; null: of none. */
export function partCountOf(etag: string): number | null {
  const count = Number(/^[0-9a-f]{32}-([1-9][0-9]{0,4})$/.exec(etag)?.[1] ?? Number.NaN);
  return Number.isNaN(count) ? null : count;
}
