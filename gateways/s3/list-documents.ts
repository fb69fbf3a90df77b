import type { Owner } from './acl.ts';
import type { ChecksumAlgorithm, ChecksumType } from './checksums.ts';
import { quoted } from './entity-tags.ts';
import { ownerElement } from './owner-element.ts';
import {
  isoTime,
  leaf,
  leafOr,
  type Markup,
  node,
  nodes,
  s3Document,
  urlEncoded,
} from './xml-writer.ts';

/** What all listings of a bucket say of the request. `isUrlEncoded`: the client asked for `encoding-type=url`. */
export interface ListingFrame {
  readonly bucket: string;
  readonly prefix: string;
  readonly delimiter: string | null;
  readonly isUrlEncoded: boolean;
  readonly isTruncated: boolean;
  readonly commonPrefixes: readonly string[];
}

export interface ListedObject {
  readonly key: string;
  readonly lastModifiedMs: number;
  readonly eTag: string;
  readonly bytes: number;
  readonly storageClass: string;
  readonly checksumAlgorithm: ChecksumAlgorithm | null;
  readonly checksumType: ChecksumType | null;
  /** Null where the client did not ask for it. */
  readonly owner: Owner | null;
}

export interface ListObjectsResult extends ListingFrame {
  readonly marker: string;
  readonly nextMarker: string | null;
  readonly maxKeys: number;
  readonly contents: readonly ListedObject[];
}

export interface ListObjectsV2Result extends ListingFrame {
  readonly maxKeys: number;
  /** Contents and common prefixes together. */
  readonly keyCount: number;
  readonly continuationToken: string | null;
  readonly nextContinuationToken: string | null;
  readonly startAfter: string | null;
  readonly contents: readonly ListedObject[];
}

/** Shows keys and prefixes as the client asked for them. */
type Show = (text: string) => string;

function showFor(frame: ListingFrame): Show {
  return frame.isUrlEncoded ? urlEncoded : (text) => text;
}

function shownOr(name: string, text: string | null, show: Show): Markup {
  return leafOr(name, text === null ? null : show(text));
}

function prefixes(frame: ListingFrame, show: Show): Markup {
  return nodes(frame.commonPrefixes, (prefix) =>
    node('CommonPrefixes', [leaf('Prefix', show(prefix))]),
  );
}

const encodingType = (frame: ListingFrame) =>
  leafOr('EncodingType', frame.isUrlEncoded ? 'url' : null);

/** ListObjects, which S3 calls version 1. */
export function renderListObjects(result: ListObjectsResult): string {
  const show = showFor(result);
  return s3Document('ListBucketResult', [
    leaf('Name', result.bucket),
    leaf('Prefix', show(result.prefix)),
    leaf('Marker', show(result.marker)),
    shownOr('NextMarker', result.nextMarker, show),
    leaf('MaxKeys', result.maxKeys),
    shownOr('Delimiter', result.delimiter, show),
    encodingType(result),
    leaf('IsTruncated', result.isTruncated),
    nodes(result.contents, (object) => objectElement(object, show)),
    prefixes(result, show),
  ]);
}

export function renderListObjectsV2(result: ListObjectsV2Result): string {
  const show = showFor(result);
  return s3Document('ListBucketResult', [
    leaf('Name', result.bucket),
    leaf('Prefix', show(result.prefix)),
    leafOr('ContinuationToken', result.continuationToken),
    leafOr('NextContinuationToken', result.nextContinuationToken),
    shownOr('StartAfter', result.startAfter, show),
    leaf('KeyCount', result.keyCount),
    leaf('MaxKeys', result.maxKeys),
    shownOr('Delimiter', result.delimiter, show),
    encodingType(result),
    leaf('IsTruncated', result.isTruncated),
    nodes(result.contents, (object) => objectElement(object, show)),
    prefixes(result, show),
  ]);
}

function objectElement(object: ListedObject, show: Show): Markup {
  return node('Contents', [
    leaf('Key', show(object.key)),
    leaf('LastModified', isoTime(object.lastModifiedMs)),
    leaf('ETag', quoted(object.eTag)),
    leafOr('ChecksumAlgorithm', object.checksumAlgorithm),
    leafOr('ChecksumType', object.checksumType),
    leaf('Size', object.bytes),
    ownerElement('Owner', object.owner),
    leaf('StorageClass', object.storageClass),
  ]);
}

/** `null` is the id of a version that was put while the bucket had no versioning. */
interface ListedVersion {
  readonly versionId: string;
  readonly isLatest: boolean;
}

export interface ListedObjectVersion extends ListedObject, ListedVersion {
  readonly type: 'version';
}

export interface ListedDeleteMarker extends ListedVersion {
  readonly type: 'marker';
  readonly key: string;
  readonly lastModifiedMs: number;
  readonly owner: Owner | null;
}

export interface ListVersionsResult extends ListingFrame {
  readonly keyMarker: string;
  readonly versionIdMarker: string;
  readonly nextKeyMarker: string | null;
  readonly nextVersionIdMarker: string | null;
  readonly maxKeys: number;
  /** In the order of keys, and newest first of each. */
  readonly versions: readonly (ListedObjectVersion | ListedDeleteMarker)[];
}

export function renderListVersions(result: ListVersionsResult): string {
  const show = showFor(result);
  return s3Document('ListVersionsResult', [
    leaf('Name', result.bucket),
    leaf('Prefix', show(result.prefix)),
    leaf('KeyMarker', show(result.keyMarker)),
    leaf('VersionIdMarker', result.versionIdMarker),
    shownOr('NextKeyMarker', result.nextKeyMarker, show),
    leafOr('NextVersionIdMarker', result.nextVersionIdMarker),
    leaf('MaxKeys', result.maxKeys),
    shownOr('Delimiter', result.delimiter, show),
    encodingType(result),
    leaf('IsTruncated', result.isTruncated),
    nodes(result.versions, (version) => versionElement(version, show)),
    prefixes(result, show),
  ]);
}

function versionElement(version: ListedObjectVersion | ListedDeleteMarker, show: Show): Markup {
  const common = [
    leaf('Key', show(version.key)),
    leaf('VersionId', version.versionId),
    leaf('IsLatest', version.isLatest),
    leaf('LastModified', isoTime(version.lastModifiedMs)),
  ];
  const owner = ownerElement('Owner', version.owner);
  if (version.type === 'marker') return node('DeleteMarker', [...common, owner]);
  return node('Version', [
    ...common,
    leaf('ETag', quoted(version.eTag)),
    leafOr('ChecksumAlgorithm', version.checksumAlgorithm),
    leafOr('ChecksumType', version.checksumType),
    leaf('Size', version.bytes),
    owner,
    leaf('StorageClass', version.storageClass),
  ]);
}

export interface ListedUpload {
  readonly key: string;
  readonly uploadId: string;
  readonly initiatedMs: number;
  readonly storageClass: string;
  readonly owner: Owner;
  readonly initiator: Owner;
  readonly checksumAlgorithm: ChecksumAlgorithm | null;
  readonly checksumType: ChecksumType | null;
}

export interface ListMultipartUploadsResult extends ListingFrame {
  readonly keyMarker: string;
  readonly uploadIdMarker: string;
  readonly nextKeyMarker: string | null;
  readonly nextUploadIdMarker: string | null;
  readonly maxUploads: number;
  readonly uploads: readonly ListedUpload[];
}

export function renderListUploads(result: ListMultipartUploadsResult): string {
  const show = showFor(result);
  return s3Document('ListMultipartUploadsResult', [
    leaf('Bucket', result.bucket),
    leaf('KeyMarker', show(result.keyMarker)),
    leaf('UploadIdMarker', result.uploadIdMarker),
    shownOr('NextKeyMarker', result.nextKeyMarker, show),
    leafOr('NextUploadIdMarker', result.nextUploadIdMarker),
    shownOr('Delimiter', result.delimiter, show),
    leaf('Prefix', show(result.prefix)),
    leaf('MaxUploads', result.maxUploads),
    encodingType(result),
    leaf('IsTruncated', result.isTruncated),
    nodes(result.uploads, (upload) => uploadElement(upload, show)),
    prefixes(result, show),
  ]);
}

function uploadElement(upload: ListedUpload, show: Show): Markup {
  return node('Upload', [
    leaf('Key', show(upload.key)),
    leaf('UploadId', upload.uploadId),
    ownerElement('Initiator', upload.initiator),
    ownerElement('Owner', upload.owner),
    leaf('StorageClass', upload.storageClass),
    leaf('Initiated', isoTime(upload.initiatedMs)),
    leafOr('ChecksumAlgorithm', upload.checksumAlgorithm),
    leafOr('ChecksumType', upload.checksumType),
  ]);
}
