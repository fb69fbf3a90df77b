import { LIMITS } from '../../protocol/limits.ts';
import { type AclRequest, aclOf } from './acl-headers.ts';
import { type EncryptionRequest, encryptionOf } from './encryption-headers.ts';
import { invalidArgument, s3Error } from './errors.ts';
import { type Headers, headerOf } from './headers.ts';
import { type UserMetadata, userMetadataOf } from './metadata.ts';
import { type LockHeaders, lockOf } from './object-lock-headers.ts';
import { type Tag, tagsOfHeader } from './tagging.ts';

/** Headers that an object is given and gives back; latin1 text, null where there is none. */
export interface ContentHeaders {
  readonly contentType: string;
  readonly cacheControl: string | null;
  readonly contentDisposition: string | null;
  /** Without `aws-chunked`, which is of the transfer. */
  readonly contentEncoding: string | null;
  readonly contentLanguage: string | null;
  readonly expires: string | null;
  readonly websiteRedirectLocation: string | null;
}

/** What the headers of a put, a copy or a new multipart upload say of the object. */
export interface PutHeaders {
  readonly content: ContentHeaders;
  readonly metadata: UserMetadata;
  readonly storageClass: StorageClass;
  readonly tags: readonly Tag[];
  /** Null leaves it to the bucket, as for the next two. */
  readonly acl: AclRequest | null;
  readonly lock: LockHeaders | null;
  readonly encryption: EncryptionRequest | null;
  /** X-Minikv-TTL; null never expires. */
  readonly ttlSeconds: number | null;
}

/** Classes whose objects can be read at once: all are kept alike, and archives are not offered. */
export const STORAGE_CLASSES = [
  'STANDARD',
  'REDUCED_REDUNDANCY',
  'STANDARD_IA',
  'ONEZONE_IA',
  'INTELLIGENT_TIERING',
  'GLACIER_IR',
] as const;
export type StorageClass = (typeof STORAGE_CLASSES)[number];

const CONTENT_TYPE_DEFAULT = 'binary/octet-stream';
/** They change what is written or where: passing over them would lose data. */
const REFUSED = ['x-amz-write-offset-bytes', 'x-amz-rename-source'];

/** Throws S3Error for what S3 refuses. `nowMs` is wall time. */
export function putHeadersOf(headers: Headers, nowMs: number): PutHeaders {
  for (const name of REFUSED) {
    if (headerOf(headers, name) !== null) {
      throw s3Error('NotImplemented', undefined, { Header: name });
    }
  }
  const tagging = headerOf(headers, 'x-amz-tagging');
  return {
    content: contentHeadersOf(headers),
    metadata: userMetadataOf(headers),
    storageClass: storageClassOf(headers),
    tags: tagging === null ? [] : tagsOfHeader(tagging),
    acl: aclOf(headers),
    lock: lockOf(headers, nowMs),
    encryption: encryptionOf(headers),
    ttlSeconds: ttlOf(headers),
  };
}

export function contentHeadersOf(headers: Headers): ContentHeaders {
  return {
    contentType: headerOf(headers, 'content-type') ?? CONTENT_TYPE_DEFAULT,
    cacheControl: headerOf(headers, 'cache-control'),
    contentDisposition: headerOf(headers, 'content-disposition'),
    contentEncoding: contentEncodingOf(headers),
    contentLanguage: headerOf(headers, 'content-language'),
    expires: headerOf(headers, 'expires'),
    websiteRedirectLocation: redirectOf(headers),
  };
}

function contentEncodingOf(headers: Headers): string | null {
  const codings = (headerOf(headers, 'content-encoding') ?? '')
    .split(',')
    .map((coding) => coding.trim())
    .filter((coding) => coding !== '' && coding.toLowerCase() !== 'aws-chunked');
  return codings.length === 0 ? null : codings.join(',');
}

function redirectOf(headers: Headers): string | null {
  const location = headerOf(headers, 'x-amz-website-redirect-location');
  if (location === null || /^(?:\/|https?:\/\/)/.test(location)) return location;
  throw s3Error('InvalidRedirectLocation');
}

function storageClassOf(headers: Headers): StorageClass {
  const given = headerOf(headers, 'x-amz-storage-class') ?? 'STANDARD';
  const storageClass = STORAGE_CLASSES.find((known) => known === given);
  if (storageClass !== undefined) return storageClass;
  throw s3Error('InvalidStorageClass', undefined, { StorageClassRequested: given.slice(0, 64) });
}

function ttlOf(headers: Headers): number | null {
  const name = 'x-minikv-ttl';
  const given = headerOf(headers, name);
  if (given === null) return null;
  const seconds = /^[0-9]{1,10}$/.test(given) ? Number(given) : 0;
  if (seconds >= 1 && seconds <= LIMITS.ttlSecondsMax) return seconds;
  const words = `${name} must be a number of seconds between 1 and ${LIMITS.ttlSecondsMax}`;
  throw invalidArgument(words, name, given.slice(0, 64));
}
