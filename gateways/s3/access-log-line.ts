import type { Operation } from './operations.ts';
import { urlEncoded } from './xml-writer.ts';

/** One request to a bucket, once it is answered; null where there is nothing to say. */
export interface LoggedRequest {
  /** Canonical id of the bucket's. */
  readonly owner: string;
  readonly bucket: string;
  readonly atMs: number;
  readonly address: string | null;
  /** Canonical id of who asked; null: nobody signed. */
  readonly requester: string | null;
  readonly requestId: string;
  readonly operation: Operation | 'website';
  readonly method: string;
  /** The sub-resource that the query names. */
  readonly subResource: string | null;
  readonly key: string;
  readonly url: string;
  readonly status: number;
  readonly errorCode: string | null;
  readonly sentBytes: number | null;
  readonly objectBytes: number | null;
  /** From the request's head to the last byte of the answer, and to its first. */
  readonly totalMs: number;
  readonly turnAroundMs: number;
  readonly referer: string | null;
  readonly userAgent: string | null;
  readonly versionId: string | null;
  readonly signedBy: 'header' | 'query' | null;
  readonly host: string | null;
}

const MONTHS = [
  ...['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'],
];

const two = (value: number): string => String(value).padStart(2, '0');

/** `06/Feb/2026:00:00:38 +0000` */
function timeOf(ms: number): string {
  const at = new Date(ms);
  const day = `${two(at.getUTCDate())}/${MONTHS[at.getUTCMonth()]}/${at.getUTCFullYear()}`;
  return `${day}:${at.toISOString().slice(11, 19)} +0000`;
}

const RESOURCES: Readonly<Record<string, string>> = {
  policy: 'BUCKETPOLICY',
  policyStatus: 'BUCKETPOLICYSTATUS',
  logging: 'LOGGING_STATUS',
  versions: 'BUCKETVERSIONS',
  requestPayment: 'REQUEST_PAYMENT',
  delete: 'MULTI_OBJECT_DELETE',
  uploadId: 'UPLOAD',
};

function operationOf({ operation, method, subResource, key }: LoggedRequest): string {
  if (operation === 'website') return `WEBSITE.${method}.OBJECT`;
  if (operation === 'CopyObject') return 'REST.COPY.OBJECT';
  if (operation === 'UploadPartCopy') return 'REST.COPY.PART';
  if (operation === 'UploadPart') return 'REST.PUT.PART';
  const plain = key === '' ? 'BUCKET' : 'OBJECT';
  const named =
    subResource === null ? plain : (RESOURCES[subResource] ?? subResource.toUpperCase());
  return `REST.${method}.${named}`;
}

/** Nothing of it can end the quotation, or the line. */
function quoted(text: string | null): string {
  if (text === null || text === '') return '"-"';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must be escaped.
  return `"${text.replace(/["\x00-\x1f\x7f]/g, (c) => `%${hexOf(c.charCodeAt(0))}`)}"`;
}

/** One field: nothing of it ends it, or the line. Colons and brackets are of addresses. */
function word(text: string | null): string {
  const escaped = (found: string) =>
    [...Buffer.from(found)].map((byte) => `%${hexOf(byte)}`).join('');
  return shown(text === null ? null : text.replace(/[^\w.~:[\]/=+@,-]+/g, escaped));
}

function hexOf(byte: number): string {
  return byte.toString(16).toUpperCase().padStart(2, '0');
}

/** What signs a request does not belong where others read. */
const SECRETS = /([?&]X-Amz-(?:Signature|Security-Token)=)[^&]*/gi;

const shown = (value: string | number | null): string =>
  value === null || value === '' ? '-' : String(value);

/** A line of S3's server access logs, its fields in S3's order. */
export function accessLogLine(seen: LoggedRequest): string {
  const uri = `${seen.method} ${seen.url.replace(SECRETS, '$1-')} HTTP/1.1`;
  const fields = [
    ...[seen.owner, seen.bucket, `[${timeOf(seen.atMs)}]`, shown(seen.address)],
    ...[shown(seen.requester), seen.requestId, operationOf(seen)],
    ...[shown(urlEncoded(seen.key)), quoted(uri), String(seen.status), shown(seen.errorCode)],
    ...[shown(seen.sentBytes === 0 ? null : seen.sentBytes), shown(seen.objectBytes)],
    ...[String(Math.round(seen.totalMs)), String(Math.round(seen.turnAroundMs))],
    ...[quoted(seen.referer), quoted(seen.userAgent), word(seen.versionId), seen.requestId],
    ...(seen.signedBy === null ? ['-', '-'] : ['SigV4', '-']),
    seen.signedBy === null ? '-' : seen.signedBy === 'query' ? 'QueryString' : 'AuthHeader',
    ...[word(seen.host), '-', '-', '-'],
  ];
  return `${fields.join(' ')}\n`;
}
