import { type Checksum, checksumLeaf } from './checksum-fields.ts';
import type { ChecksumType } from './checksums.ts';
import { invalidArgument, s3Error } from './errors.ts';
import { leaf, leafOr, type Markup, NOTHING, node, nodes, s3Document } from './xml-writer.ts';

export const OBJECT_ATTRIBUTES = [
  'ETag',
  'Checksum',
  'ObjectParts',
  'StorageClass',
  'ObjectSize',
] as const;
export type ObjectAttribute = (typeof OBJECT_ATTRIBUTES)[number];

/** The header x-amz-object-attributes: which ones the answer has. Throws InvalidArgument. */
export function attributesOfHeader(header: string | undefined): ReadonlySet<ObjectAttribute> {
  const name = 'x-amz-object-attributes';
  const words = (header ?? '').split(',').map((word) => word.trim());
  if (words.length === 1 && words[0] === '') {
    throw s3Error('InvalidRequest', `The ${name} header is missing`, { ArgumentName: name });
  }
  return new Set(
    words.map((word) => {
      const attribute = OBJECT_ATTRIBUTES.find((known) => known === word);
      if (attribute !== undefined) return attribute;
      throw invalidArgument('Invalid attribute name specified.', name, word.slice(0, 256));
    }),
  );
}

export interface AttributesPart {
  readonly partNumber: number;
  readonly bytes: number;
  readonly checksum: Checksum | null;
}

/** Of an object that was uploaded in parts. `parts` is empty where they have no checksums of their own. */
export interface ObjectParts {
  readonly partsCount: number;
  readonly partNumberMarker: number;
  readonly nextPartNumberMarker: number | null;
  readonly maxParts: number;
  readonly isTruncated: boolean;
  readonly parts: readonly AttributesPart[];
}

/** Null is what was not asked for, or is not there. */
export interface ObjectAttributes {
  readonly eTag: string | null;
  readonly checksum: Checksum | null;
  readonly checksumType: ChecksumType | null;
  readonly objectParts: ObjectParts | null;
  readonly storageClass: string | null;
  readonly objectBytes: number | null;
}

/** Its ETag is without quotes: so the API has it here, and only here. */
export function renderObjectAttributes(attributes: ObjectAttributes): string {
  const { checksum, checksumType, objectParts } = attributes;
  return s3Document('GetObjectAttributesResponse', [
    leafOr('ETag', attributes.eTag),
    checksum === null
      ? NOTHING
      : node('Checksum', [checksumLeaf(checksum), leafOr('ChecksumType', checksumType)]),
    objectParts === null ? NOTHING : partsElement(objectParts),
    leafOr('StorageClass', attributes.storageClass),
    leafOr('ObjectSize', attributes.objectBytes),
  ]);
}

function partsElement(objectParts: ObjectParts): Markup {
  return node('ObjectParts', [
    leaf('PartsCount', objectParts.partsCount),
    leaf('PartNumberMarker', objectParts.partNumberMarker),
    leafOr('NextPartNumberMarker', objectParts.nextPartNumberMarker),
    leaf('MaxParts', objectParts.maxParts),
    leaf('IsTruncated', objectParts.isTruncated),
    nodes(objectParts.parts, ({ partNumber, bytes, checksum }) =>
      node('Part', [leaf('PartNumber', partNumber), leaf('Size', bytes), checksumLeaf(checksum)]),
    ),
  ]);
}
