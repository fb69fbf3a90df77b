import { readXml, type XmlElement } from '../../gateways/s3/xml-reader.ts';
import { CommandFailed } from '../failures.ts';

/** What S3 endpoints answer, read leniently in what is there and strictly in form. */

const DOCUMENT_BYTES_MAX = 32 * 1024 * 1024;

export interface ListedObject {
  readonly key: string;
  readonly size: number;
  /** Without quotes. */
  readonly etag: string;
}

export interface ObjectPage {
  readonly objects: readonly ListedObject[];
  /** Null on the last page. */
  readonly token: string | null;
}

export interface ListedVersion extends ListedObject {
  readonly versionId: string;
  readonly isMarker: boolean;
}

export interface VersionPage {
  /** By key, newest first. */
  readonly versions: readonly ListedVersion[];
  readonly next: { readonly key: string; readonly versionId: string } | null;
}

export interface ListedPart {
  readonly number: number;
  readonly etag: string;
  readonly size: number;
}

function rootOf(body: Uint8Array): XmlElement {
  try {
    return readXml(body, DOCUMENT_BYTES_MAX);
  } catch (error) {
    throw new CommandFailed('the answer is not XML: is this an S3 endpoint?', {}, error);
  }
}

function child(element: XmlElement, name: string): string | null {
  return element.children.find((one) => one.name === name)?.text ?? null;
}

function all(element: XmlElement, name: string): XmlElement[] {
  return element.children.filter((one) => one.name === name);
}

function unquoted(etag: string): string {
  return etag.replace(/^(?:W\/)?"|"$/g, '');
}

/** Keys come as they are, or percent-encoded with a plus for a space, whichever the document says. */
function keysOf(root: XmlElement): (text: string) => string {
  if (child(root, 'EncodingType') !== 'url') return (text) => text;
  return (text) => decodeURIComponent(text.replaceAll('+', ' '));
}

function sizeOf(element: XmlElement): number {
  const size = Number(child(element, 'Size') ?? Number.NaN);
  if (!Number.isSafeInteger(size))
    throw new CommandFailed('a listing has an object without a size');
  return size;
}

export function bucketsOf(body: Uint8Array): string[] {
  const list = all(rootOf(body), 'Buckets')[0];
  return list === undefined ? [] : all(list, 'Bucket').map((bucket) => child(bucket, 'Name') ?? '');
}

export function objectPageOf(body: Uint8Array): ObjectPage {
  const root = rootOf(body);
  const key = keysOf(root);
  const objects = all(root, 'Contents').map((element) => ({
    key: key(child(element, 'Key') ?? ''),
    size: sizeOf(element),
    etag: unquoted(child(element, 'ETag') ?? ''),
  }));
  const isTruncated = child(root, 'IsTruncated') === 'true';
  return { objects, token: isTruncated ? child(root, 'NextContinuationToken') : null };
}

export function versionPageOf(body: Uint8Array): VersionPage {
  const root = rootOf(body);
  const key = keysOf(root);
  const versions = root.children
    .filter(({ name }) => name === 'Version' || name === 'DeleteMarker')
    .map((element) => {
      const isMarker = element.name === 'DeleteMarker';
      return {
        key: key(child(element, 'Key') ?? ''),
        size: isMarker ? 0 : sizeOf(element),
        etag: unquoted(child(element, 'ETag') ?? ''),
        versionId: child(element, 'VersionId') ?? 'null',
        isMarker,
      };
    });
  if (child(root, 'IsTruncated') !== 'true') return { versions, next: null };
  const nextKey = key(child(root, 'NextKeyMarker') ?? '');
  return { versions, next: { key: nextKey, versionId: child(root, 'NextVersionIdMarker') ?? '' } };
}

export function partPageOf(body: Uint8Array): { parts: ListedPart[]; next: string | null } {
  const root = rootOf(body);
  const parts = all(root, 'Part').map((element) => ({
    number: Number(child(element, 'PartNumber')),
    etag: unquoted(child(element, 'ETag') ?? ''),
    size: sizeOf(element),
  }));
  const isTruncated = child(root, 'IsTruncated') === 'true';
  return { parts, next: isTruncated ? child(root, 'NextPartNumberMarker') : null };
}

/** Tags as the header of a put takes them. */
export function tagHeaderOf(body: Uint8Array): string {
  const set = all(rootOf(body), 'TagSet')[0];
  const tags = set === undefined ? [] : all(set, 'Tag');
  const encode = encodeURIComponent;
  return tags
    .map((tag) => `${encode(child(tag, 'Key') ?? '')}=${encode(child(tag, 'Value') ?? '')}`)
    .join('&');
}

/** The name of a document's root, and how many elements are in it. */
export function contentsOf(body: Uint8Array): { readonly name: string; readonly count: number } {
  const { name, children } = rootOf(body);
  return { name, count: children.length };
}

export function textIn(body: Uint8Array, name: string): string | null {
  return child(rootOf(body), name);
}

/** The ETag of a completion, which may be an error although its status is 200: then what it says. */
export function completionOf(body: Uint8Array): { etag: string } | { error: string } {
  const root = rootOf(body);
  if (root.name === 'Error') return { error: child(root, 'Code') ?? 'InternalError' };
  return { etag: unquoted(child(root, 'ETag') ?? '') };
}

/** What a refusal says; not every one has a body. */
export function errorOf(body: Uint8Array, status: number): { code: string; message: string } {
  const plain = { code: STATUS_CODES[status] ?? `http_${status}`, message: `status ${status}` };
  if (body.length === 0) return plain;
  try {
    const root = readXml(body, DOCUMENT_BYTES_MAX);
    const code = child(root, 'Code') ?? plain.code;
    return { code, message: child(root, 'Message') ?? code };
  } catch {
    return plain;
  }
}

/** Of answers to HEAD. */
const STATUS_CODES: Readonly<Record<number, string>> = {
  403: 'AccessDenied',
  404: 'NotFound',
  412: 'PreconditionFailed',
};

/** As answers carry them. */
export function etagOf(headers: { readonly etag?: string | undefined }): string {
  return unquoted(headers.etag ?? '');
}
