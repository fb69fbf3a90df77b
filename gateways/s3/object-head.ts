import { LIMITS } from '../../protocol/limits.ts';
import type { ObjectHead, ObjectRecord } from '../../protocol/objects.ts';
import type { HeaderPair } from './answer.ts';
import { invalidArgument } from './errors.ts';
import { metadataHeaders } from './metadata.ts';
import type { LockHeaders } from './object-lock-headers.ts';
import type { ContentHeaders, PutHeaders } from './put-headers.ts';
import { storedAcl } from './stored-acl.ts';
import { isoTime } from './xml-writer.ts';

const STORAGE_CLASS = 'x-amz-storage-class';
const HEADER_BYTES_MAX = 2048;

/** What is kept of a put's headers, without its encryption. */
export function objectHeadOf(put: PutHeaders): ObjectHead {
  return {
    contentType: contentTypeOf(put.content),
    headers: keptHeaders(put),
    metadata: [...put.metadata].map(([name, value]) => ({ name, value })),
    tags: put.tags.map(({ key, value }) => ({ name: key, value })),
    acl: put.acl === null ? null : storedAcl(put.acl),
    encryption: null,
    retention: retentionOf(put.lock),
    legalHold: put.lock?.legalHold == null ? null : put.lock.legalHold === 'ON',
  };
}

function contentTypeOf({ contentType }: ContentHeaders): string {
  if (Buffer.byteLength(contentType) <= LIMITS.contentTypeBytesMax) return contentType;
  throw invalidArgument('The header is too long', 'Content-Type', contentType.slice(0, 256));
}

function keptHeaders({ content, storageClass }: PutHeaders): ObjectHead['headers'] {
  const given: readonly (readonly [string, string | null])[] = [
    ['cache-control', content.cacheControl],
    ['content-disposition', content.contentDisposition],
    ['content-encoding', content.contentEncoding],
    ['content-language', content.contentLanguage],
    ['expires', content.expires],
    ['x-amz-website-redirect-location', content.websiteRedirectLocation],
    [STORAGE_CLASS, storageClass === 'STANDARD' ? null : storageClass],
  ];
  return given.flatMap(([name, value]) => {
    if (value === null) return [];
    if (Buffer.byteLength(value) > HEADER_BYTES_MAX) {
      throw invalidArgument('The header is too long', name, value.slice(0, 256));
    }
    return [{ name, value }];
  });
}

function retentionOf(lock: LockHeaders | null): ObjectHead['retention'] {
  if (lock === null || lock.retention === null) return null;
  const { mode, retainUntilMs } = lock.retention;
  return { mode: mode === 'COMPLIANCE' ? 'compliance' : 'governance', untilMs: retainUntilMs };
}

export function storageClassOf(headers: ObjectHead['headers']): string {
  return headers.find(({ name }) => name === STORAGE_CLASS)?.value ?? 'STANDARD';
}

/** What a read says of an object beside its bytes. `overrides` take the place of what is kept. */
export function headHeaders(
  { head }: ObjectRecord,
  overrides: ReadonlyMap<string, string>,
): HeaderPair[] {
  const headers: HeaderPair[] = [];
  const kept = head.headers.map(({ name, value }): HeaderPair => [name, value]);
  if (head.contentType !== null) kept.push(['content-type', head.contentType]);
  for (const [name, value] of kept) if (!overrides.has(name)) headers.push([name, value]);
  headers.push(...overrides);
  const metadata = new Map(head.metadata.map(({ name, value }) => [name, value]));
  headers.push(...metadataHeaders(metadata));
  if (head.tags.length > 0) headers.push(['x-amz-tagging-count', String(head.tags.length)]);
  return [...headers, ...lockHeaders(head)];
}

export function lockHeaders({ retention, legalHold }: ObjectHead): HeaderPair[] {
  const headers: HeaderPair[] = [];
  if (retention !== null) {
    headers.push(['x-amz-object-lock-mode', retention.mode.toUpperCase()]);
    headers.push(['x-amz-object-lock-retain-until-date', isoTime(retention.untilMs)]);
  }
  if (legalHold !== null) headers.push(['x-amz-object-lock-legal-hold', legalHold ? 'ON' : 'OFF']);
  return headers;
}
