import { DEFAULT_TENANT } from '../../protocol/vshard.ts';
import { isTenantName } from '../identity/tenant.ts';
import { checkBucketName } from './bucket-name.ts';
import { s3Error } from './errors.ts';
import { objectKeyOf } from './object-key.ts';
import { percentDecoded } from './query.ts';

/** How buckets are addressed at one listener. */
export interface Endpoint {
  /** `bucket.<domain>` is that bucket; lower case, no port. Empty: path style only. */
  readonly baseDomains: readonly string[];
  /** In front of every path: empty, or such as `/s3`. */
  readonly pathPrefix: string;
}

/** Empty strings where there is none: the service, or a bucket. */
export interface Address {
  readonly bucket: string;
  readonly key: string;
  /** Whose bucket it is, where the path says so (`/tenant:bucket/key`). */
  readonly tenant?: string;
}

/**
 * Bucket and key of a request, in virtual-host or in path style. `rawPath` is as it came, without the query.
 * Throws InvalidURI, InvalidBucketName, KeyTooLongError.
 */
export function addressOf(host: string | null, rawPath: string, endpoint: Endpoint): Address {
  const path = withoutPrefix(rawPath, endpoint.pathPrefix);
  const bucket = bucketOfHost(host ?? '', endpoint.baseDomains);
  if (bucket !== null) {
    checkBucketName(bucket);
    return { bucket, key: objectKeyOf(path.slice(1)) };
  }
  const slash = path.indexOf('/', 1);
  const rawBucket = slash < 0 ? path.slice(1) : path.slice(1, slash);
  const key = slash < 0 ? '' : objectKeyOf(path.slice(slash + 1));
  if (rawBucket === '' && key === '' && slash < 0) return { bucket: '', key: '' };
  const text = percentDecoded(rawBucket);
  if (text === null) throw s3Error('InvalidURI');
  // No name of a bucket has a colon.
  const colon = text.indexOf(':');
  const [tenant, name] = [text.slice(0, Math.max(0, colon)), text.slice(colon + 1)];
  const isTenant = colon < 0 || tenant === DEFAULT_TENANT || isTenantName(tenant);
  checkBucketName(isTenant ? name : text);
  return { bucket: name, key, ...(colon < 0 ? {} : { tenant }) };
}

function withoutPrefix(rawPath: string, prefix: string): string {
  if (rawPath === prefix) return '/';
  if (!rawPath.startsWith(`${prefix}/`)) throw s3Error('InvalidURI');
  return rawPath.slice(prefix.length);
}

/** The bucket whose website a Host header names (`bucket.s3-website.<domain>`); null: it names none. */
export function websiteOf(host: string, { baseDomains, pathPrefix }: Endpoint): string | null {
  if (pathPrefix !== '' || !host.includes(WEBSITE)) return null;
  const sites = baseDomains.map((domain) => `${WEBSITE.slice(1)}.${domain}`);
  return bucketOfHost(host, sites);
}

const WEBSITE = '.s3-website';

/** The bucket in a Host header; null in path style. A bucket's name may have dots itself. */
function bucketOfHost(host: string, baseDomains: readonly string[]): string | null {
  const name = host.toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '');
  for (const domain of baseDomains) {
    if (name.endsWith(`.${domain}`)) return name.slice(0, -domain.length - 1);
  }
  return null;
}
