import { isBucketName } from './bucket-name.ts';
import { copySourceConditions, type ReadConditions } from './conditions.ts';
import { type CustomerKey, copySourceCustomerKeyOf } from './encryption-headers.ts';
import { invalidArgument, s3Error } from './errors.ts';
import { type Headers, headerOf } from './headers.ts';
import { checkObjectKey } from './object-key.ts';
import { percentDecoded } from './query.ts';

export interface CopySource {
  readonly bucket: string;
  readonly key: string;
  /** Null is the current version. */
  readonly versionId: string | null;
}

/** Whether the copy takes something from its source or from its own headers. */
export type Directive = 'COPY' | 'REPLACE';

export interface CopyHeaders {
  readonly source: CopySource;
  readonly conditions: ReadConditions;
  readonly metadataDirective: Directive;
  readonly taggingDirective: Directive;
  readonly customerKey: CustomerKey | null;
}

/** Of CopyObject and UploadPartCopy. Throws InvalidArgument, InvalidBucketName, KeyTooLongError. */
export function copyHeadersOf(headers: Headers, wallMs: number): CopyHeaders {
  return {
    source: copySourceOf(headerOf(headers, 'x-amz-copy-source') ?? ''),
    conditions: copySourceConditions(headers, wallMs),
    metadataDirective: directiveOf(headers, 'metadata'),
    taggingDirective: directiveOf(headers, 'tagging'),
    customerKey: copySourceCustomerKeyOf(headers),
  };
}

const VERSION = '?versionId=';

/** `bucket/key` or `/bucket/key`, percent-encoded, with `?versionId=` behind it where one is meant. */
export function copySourceOf(header: string): CopySource {
  const mark = header.indexOf(VERSION);
  const path = mark < 0 ? header : header.slice(0, mark);
  const decoded = percentDecoded(path);
  const versionId = mark < 0 ? null : percentDecoded(header.slice(mark + VERSION.length));
  const [, bucket = '', key = ''] = /^\/?([^/]*)\/([\s\S]*)$/.exec(decoded ?? '') ?? [];
  if (bucket === '' || key === '' || (mark >= 0 && !versionId)) {
    throw invalidArgument(
      'Copy Source must mention the source bucket and key: sourcebucket/sourcekey',
      'x-amz-copy-source',
      header.slice(0, 256),
    );
  }
  if (!isBucketName(bucket)) {
    throw s3Error('InvalidBucketName', undefined, { BucketName: bucket.slice(0, 256) });
  }
  checkObjectKey(key);
  return { bucket, key, versionId };
}

function directiveOf(headers: Headers, what: 'metadata' | 'tagging'): Directive {
  const name = `x-amz-${what}-directive`;
  const given = headerOf(headers, name) ?? 'COPY';
  if (given === 'COPY' || given === 'REPLACE') return given;
  throw invalidArgument(`Unknown ${what} directive.`, name, given.slice(0, 64));
}
