import { AppError } from '../../protocol/errors.ts';
import { percentDecode } from '../http/url.ts';
import { s3Error } from './errors.ts';

/** A request as it came in, for everything that has to see what the client signed. */
export interface RawRequest {
  readonly method: string;
  /** Path and query as received: nothing decoded, nothing normalised. */
  readonly target: string;
  /** Name, value, name, value, as received; one char per byte. */
  readonly rawHeaders: readonly string[];
}

/**
 * Headers by lower-case name; values of a name that came more than once are joined by commas in their order.
 * Whoever acts on a signed request reads this and not Node's own view, which drops what comes twice.
 */
export type Headers = ReadonlyMap<string, string>;

export function headersOf(rawHeaders: readonly string[]): Headers {
  const headers = new Map<string, string>();
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] as string).toLowerCase();
    const value = trimmed(rawHeaders[i + 1] as string);
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before},${value}`);
  }
  return headers;
}

/** Spaces and tabs only: other characters that JavaScript trims are bytes like any other. */
function trimmed(value: string): string {
  let [start, end] = [0, value.length];
  while (start < end && isBlank(value.charCodeAt(start))) start++;
  while (end > start && isBlank(value.charCodeAt(end - 1))) end--;
  return value.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** A field of the query, decoded to one char per byte. */
export interface QueryField {
  readonly name: string;
  readonly value: string;
}

/** The fields in their order. `+` is a space, `?a` is `?a=`; empty ones are left out. */
export function queryFieldsOf(target: string): QueryField[] {
  const at = target.indexOf('?');
  if (at < 0 || at === target.length - 1) return [];
  const fields: QueryField[] = [];
  for (const part of target.slice(at + 1).split('&')) {
    if (part === '') continue;
    const equals = part.indexOf('=');
    const name = equals < 0 ? part : part.slice(0, equals);
    const value = equals < 0 ? '' : part.slice(equals + 1);
    fields.push({ name: decodedField(name), value: decodedField(value) });
  }
  return fields;
}

function decodedField(text: string): string {
  return decoded(text.includes('+') ? text.replaceAll('+', ' ') : text);
}

/** Throws `InvalidURI` where an escape is not one. */
export function decoded(text: string): string {
  try {
    return percentDecode(text);
  } catch (error) {
    if (error instanceof AppError) throw s3Error('InvalidURI');
    throw error;
  }
}

/** Fields that belong to the signature, and checksums' values. */
const NOT_HOISTED =
  /^x-amz-(?:sdk-checksum-algorithm|checksum-(?:crc32|crc32c|crc64nvme|sha1|sha256)|algorithm|credential|date|expires|signedheaders|signature|security-token|content-sha256)$/;

/**
 * SDKs move headers of a presigned request into its URL (`x-amz-acl`, `x-amz-meta-a`): there they mean what the
 * header means. Not the checksums' values: at that time the SDK had no body, so they are those of nothing; S3
 * wants them signed and does not look at them.
 */
export function hoistedHeaders(fields: readonly QueryField[]): Headers {
  const headers = new Map<string, string>();
  for (const { name, value } of fields) {
    const lower = name.toLowerCase();
    if (!lower.startsWith('x-amz-') || NOT_HOISTED.test(lower)) continue;
    const before = headers.get(lower);
    headers.set(lower, before === undefined ? value : `${before},${value}`);
  }
  return headers;
}
