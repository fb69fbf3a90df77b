import type { Owner } from './acl.ts';
import {
  CHECKSUMS_NOT_IMPLEMENTED,
  type Checksum,
  type ChecksumMembers,
  checksumFields,
  checksumLeaf,
  checksumsOf,
} from './checksum-fields.ts';
import type { ChecksumAlgorithm, ChecksumType } from './checksums.ts';
import { quoted, unquoted } from './entity-tags.ts';
import { s3Error } from './errors.ts';
import { ownerElement } from './owner-element.ts';
import { PART_NUMBER_MAX } from './ranges.ts';
import { integer, text } from './xml-scalars.ts';
import { document, many, maybe, one, type Shape, struct } from './xml-shape.ts';
import { isoTime, leaf, leafOr, type Markup, node, nodes, s3Document } from './xml-writer.ts';

export interface CompletedPart {
  readonly partNumber: number;
  /** Without quotes. */
  readonly eTag: string;
  readonly checksums: readonly Checksum[];
}

/** 10,000 parts with a SHA-256 each. */
export const COMPLETE_BODY_BYTES_MAX = 4 * 1024 * 1024;

interface PartMembers extends ChecksumMembers {
  readonly partNumber: number;
  readonly eTag: string;
  /** Clients that send back what ListParts showed them; both are known from the upload. */
  readonly size: string | null;
  readonly lastModified: string | null;
}

const part: Shape<PartMembers> = struct<PartMembers>(
  {
    partNumber: one('PartNumber', integer),
    eTag: one('ETag', text(1, 256)),
    size: maybe('Size', text(0, 64)),
    lastModified: maybe('LastModified', text(0, 64)),
    ...checksumFields,
  },
  CHECKSUMS_NOT_IMPLEMENTED,
);

const complete = document<{ readonly parts: readonly PartMembers[] }>(
  'CompleteMultipartUpload',
  struct({ parts: many('Part', part, 1, PART_NUMBER_MAX) }),
  { bytesMax: COMPLETE_BODY_BYTES_MAX, check: ({ parts }) => checkOrder(parts) },
);

/** The body of CompleteMultipartUpload: its parts, ascending. Throws MalformedXML, InvalidPartOrder. */
export function readComplete(body: Uint8Array): readonly CompletedPart[] {
  return complete.read(body).parts.map((members) => ({
    partNumber: members.partNumber,
    eTag: unquoted(members.eTag),
    checksums: checksumsOf(members),
  }));
}

function checkOrder(parts: readonly PartMembers[]): void {
  let last = 0;
  for (const { partNumber } of parts) {
    if (partNumber < 1 || partNumber > PART_NUMBER_MAX) {
      throw s3Error('InvalidArgument', `PartNumber must be between 1 and ${PART_NUMBER_MAX}`);
    }
    if (partNumber <= last) throw s3Error('InvalidPartOrder');
    last = partNumber;
  }
}

export interface UploadName {
  readonly bucket: string;
  readonly key: string;
  readonly uploadId: string;
}

export function renderInitiated({ bucket, key, uploadId }: UploadName): string {
  return s3Document('InitiateMultipartUploadResult', [
    leaf('Bucket', bucket),
    leaf('Key', key),
    leaf('UploadId', uploadId),
  ]);
}

export interface CompletedUpload {
  readonly location: string;
  readonly bucket: string;
  readonly key: string;
  readonly eTag: string;
  readonly checksum: Checksum | null;
  readonly checksumType: ChecksumType | null;
}

export function renderCompleted(upload: CompletedUpload): string {
  return s3Document('CompleteMultipartUploadResult', [
    leaf('Location', upload.location),
    leaf('Bucket', upload.bucket),
    leaf('Key', upload.key),
    leaf('ETag', quoted(upload.eTag)),
    checksumLeaf(upload.checksum),
    leafOr('ChecksumType', upload.checksumType),
  ]);
}

export interface ListedPart {
  readonly partNumber: number;
  readonly lastModifiedMs: number;
  readonly eTag: string;
  readonly bytes: number;
  readonly checksum: Checksum | null;
}

export interface ListPartsResult extends UploadName {
  readonly partNumberMarker: number;
  /** The last one of this page; null where there is none. */
  readonly nextPartNumberMarker: number | null;
  readonly maxParts: number;
  readonly isTruncated: boolean;
  readonly parts: readonly ListedPart[];
  readonly owner: Owner;
  readonly initiator: Owner;
  readonly storageClass: string;
  readonly checksumAlgorithm: ChecksumAlgorithm | null;
  readonly checksumType: ChecksumType | null;
}

export function renderListParts(result: ListPartsResult): string {
  return s3Document('ListPartsResult', [
    leaf('Bucket', result.bucket),
    leaf('Key', result.key),
    leaf('UploadId', result.uploadId),
    leaf('PartNumberMarker', result.partNumberMarker),
    leafOr('NextPartNumberMarker', result.nextPartNumberMarker),
    leaf('MaxParts', result.maxParts),
    leaf('IsTruncated', result.isTruncated),
    nodes(result.parts, partElement),
    ownerElement('Initiator', result.initiator),
    ownerElement('Owner', result.owner),
    leaf('StorageClass', result.storageClass),
    leafOr('ChecksumAlgorithm', result.checksumAlgorithm),
    leafOr('ChecksumType', result.checksumType),
  ]);
}

function partElement(listed: ListedPart): Markup {
  return node('Part', [
    leaf('PartNumber', listed.partNumber),
    leaf('LastModified', isoTime(listed.lastModifiedMs)),
    leaf('ETag', quoted(listed.eTag)),
    leaf('Size', listed.bytes),
    checksumLeaf(listed.checksum),
  ]);
}

export interface CopyResult {
  readonly eTag: string;
  readonly lastModifiedMs: number;
  readonly checksum: Checksum | null;
  readonly checksumType: ChecksumType | null;
}

/** Of CopyObject; UploadPartCopy has no type of checksum. */
export function renderCopyObject(result: CopyResult): string {
  return s3Document('CopyObjectResult', copyFields(result));
}

export function renderCopyPart(result: Omit<CopyResult, 'checksumType'>): string {
  return s3Document('CopyPartResult', copyFields({ ...result, checksumType: null }));
}

function copyFields(result: CopyResult): readonly Markup[] {
  return [
    leaf('ETag', quoted(result.eTag)),
    leaf('LastModified', isoTime(result.lastModifiedMs)),
    leafOr('ChecksumType', result.checksumType),
    checksumLeaf(result.checksum),
  ];
}
