import { s3Error } from './errors.ts';

/**
 * The naming rules of general purpose buckets in the S3 user guide. A dot has a letter or digit on both sides:
 * the guide says so of two dots, DNS of `.-` and `-.`, and a name is a host name in virtual-host style.
 */
const NAME = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/;
const IPV4 = /^\d+\.\d+\.\d+\.\d+$/;
const PREFIXES = ['xn--', 'sthree-', 'amzn-s3-demo-'];
const SUFFIXES = ['-s3alias', '--ol-s3', '.mrap', '--x-s3', '--table-s3'];
const LENGTH_MIN = 3;
const LENGTH_MAX = 63;

export function isBucketName(name: string): boolean {
  if (name.length < LENGTH_MIN || name.length > LENGTH_MAX) return false;
  if (!NAME.test(name) || IPV4.test(name)) return false;
  const isReserved =
    PREFIXES.some((prefix) => name.startsWith(prefix)) ||
    SUFFIXES.some((suffix) => name.endsWith(suffix));
  return !isReserved;
}

/** Throws InvalidBucketName. */
export function checkBucketName(name: string): void {
  if (!isBucketName(name)) {
    throw s3Error('InvalidBucketName', undefined, { BucketName: name.slice(0, 256) });
  }
}
