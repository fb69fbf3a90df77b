import type { Bucket, ObjectVersion } from '../../protocol/object-access.ts';
import { parseVersionId, versionIdOf } from '../../protocol/objects.ts';
import { wallMsOfRevision } from '../../protocol/revision.ts';
import { HttpDates } from '../http/http-date.ts';
import type { HeaderPair } from './answer.ts';
import type { Call } from './call.ts';
import { invalidArgument, S3Error, s3Error, withHeaders } from './errors.ts';
import { checkMayRead } from './permissions.ts';

const dates = new HttpDates();

export function httpDate(ms: number): string {
  return dates.text(ms);
}

/** Throws InvalidArgument for what is no version's id. */
export function checkVersionId(versionId: string | null): string | null {
  if (versionId !== null && parseVersionId(versionId) === null) {
    throw invalidArgument('Invalid version id specified', 'versionId', versionId.slice(0, 256));
  }
  return versionId;
}

export function lastModifiedMs({ record }: ObjectVersion): number {
  return wallMsOfRevision(record.putAt);
}

/** Where the bucket has, or had, versions. */
export function versionHeader(bucket: Bucket, versionId: string | null): HeaderPair[] {
  if (bucket.rule.versioning === 'off' || versionId === null) return [];
  return [['x-amz-version-id', versionId]];
}

/**
 * The version that a request asks for, where its sender may read it. Throws NoSuchKey, NoSuchVersion, and
 * MethodNotAllowed for a delete marker.
 */
export async function versionOf(call: Call): Promise<{ bucket: Bucket; version: ObjectVersion }> {
  const bucket = await call.bucket();
  const version = await readVersion(call, bucket, call.route);
  return { bucket, version };
}

/** The same of another object, as the source of a copy. */
export async function sourceOf(
  call: Call,
  source: { bucket: string; key: string; versionId: string | null },
): Promise<{ bucket: Bucket; version: ObjectVersion }> {
  const found = await call.sourceBucket(source.bucket);
  const version = await readSourceVersion(call, found, source);
  return { bucket: found, version };
}

/** Throws InvalidRequest for a delete marker, which a read of it answers otherwise. */
async function readSourceVersion(
  ...[call, bucket, name]: Parameters<typeof readVersion>
): Promise<ObjectVersion> {
  try {
    return await readVersion(call, bucket, name);
  } catch (error) {
    if (!(error instanceof S3Error) || error.code !== 'MethodNotAllowed') throw error;
    throw s3Error(
      'InvalidRequest',
      'The source of a copy request may not specifically refer to a delete marker by version id.',
    );
  }
}

async function readVersion(
  call: Call,
  bucket: Bucket,
  name: { readonly bucket: string; readonly key: string; readonly versionId: string | null },
): Promise<ObjectVersion> {
  const versionId = checkVersionId(name.versionId);
  const read = await call.objects.read(call.context(), call.refOf(name.bucket, name.key), {
    ...{ versionId, revision: null },
  });
  checkMayRead(call, bucket, name, read.type === 'none' ? null : read.version);
  if (read.type === 'none') {
    if (versionId !== null) {
      throw s3Error('NoSuchVersion', undefined, { Key: name.key, VersionId: versionId });
    }
    const missing = s3Error('NoSuchKey', undefined, { Key: name.key });
    throw read.marker === null ? missing : withHeaders(missing, markerHeaders(bucket, read.marker));
  }
  const { version } = read;
  if (!version.record.isMarker) return version;
  const marker = s3Error('MethodNotAllowed', undefined, {
    ...{ Method: 'GET', ResourceType: 'DeleteMarker' },
  });
  throw withHeaders(marker, [
    ...markerHeaders(bucket, versionIdOf(version.record)),
    ['allow', 'DELETE'],
    ['last-modified', httpDate(lastModifiedMs(version))],
  ]);
}

function markerHeaders(bucket: Bucket, versionId: string): HeaderPair[] {
  return [['x-amz-delete-marker', 'true'], ...versionHeader(bucket, versionId)];
}
