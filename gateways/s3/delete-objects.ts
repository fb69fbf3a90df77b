import { unquoted } from './entity-tags.ts';
import { type S3Error, s3Error } from './errors.ts';
import { flag, text } from './xml-scalars.ts';
import { document, many, maybe, one, otherwise, type Shape, struct } from './xml-shape.ts';
import { leaf, leafOr, type Markup, node, s3Document } from './xml-writer.ts';

export interface ObjectIdentifier {
  readonly key: string;
  /** Null names the current version. */
  readonly versionId: string | null;
  /** The object is deleted only while it has this ETag (without quotes), or, for `*`, while it exists. */
  readonly eTag: string | null;
}

export interface DeleteRequest {
  readonly objects: readonly ObjectIdentifier[];
  /** Only errors are answered. */
  readonly quiet: boolean;
}

/** 1000 keys of 1024 bytes, and what is around them; the limit of S3 too. */
export const DELETE_BODY_BYTES_MAX = 2 * 1024 * 1024;
const OBJECTS_MAX = 1000;

const shape: Shape<DeleteRequest> = struct({
  objects: many(
    'Object',
    struct<ObjectIdentifier>(
      {
        key: one('Key', text(0, 65_536)),
        versionId: maybe('VersionId', text(0, 1024)),
        eTag: maybe('ETag', text(0, 1024)),
      },
      // Conditions of directory buckets: one that is not followed must not be passed over.
      ['LastModifiedTime', 'Size'],
    ),
    1,
    OBJECTS_MAX,
  ),
  quiet: otherwise(maybe('Quiet', flag), false),
});

const inner = document('Delete', shape, {
  bytesMax: DELETE_BODY_BYTES_MAX,
  check({ objects }) {
    if (objects.some(({ key }) => key === '')) throw s3Error('UserKeyMustBeSpecified');
  },
});

/** The body of DeleteObjects. A key that is too long is that object's error, not the request's. */
export function readDelete(body: Uint8Array): DeleteRequest {
  const { objects, quiet } = inner.read(body);
  return {
    quiet,
    objects: objects.map(({ key, versionId, eTag }) => ({
      key,
      versionId: versionId === '' ? null : versionId,
      eTag: eTag === null || eTag === '' ? null : unquoted(eTag),
    })),
  };
}

export interface DeletedObject {
  readonly key: string;
  /** The version that was asked for. */
  readonly versionId: string | null;
  /** A marker was made, or removed. */
  readonly deleteMarker: boolean;
  readonly deleteMarkerVersionId: string | null;
}

export interface DeleteFailure {
  readonly key: string;
  readonly versionId: string | null;
  readonly error: S3Error;
}

export interface DeleteResult {
  readonly deleted: readonly DeletedObject[];
  readonly failures: readonly DeleteFailure[];
}

/** With `quiet` the deleted ones are left out. */
export function renderDeleteResult({ deleted, failures }: DeleteResult, quiet: boolean): string {
  const shown = quiet ? [] : deleted.map(deletedElement);
  return s3Document('DeleteResult', [...shown, ...failures.map(failureElement)]);
}

function deletedElement(object: DeletedObject): Markup {
  return node('Deleted', [
    leaf('Key', object.key),
    leafOr('VersionId', object.versionId),
    leafOr('DeleteMarker', object.deleteMarker ? true : null),
    leafOr('DeleteMarkerVersionId', object.deleteMarkerVersionId),
  ]);
}

function failureElement({ key, versionId, error }: DeleteFailure): Markup {
  return node('Error', [
    leaf('Key', key),
    leafOr('VersionId', versionId),
    leaf('Code', error.code),
    leaf('Message', error.message),
  ]);
}
