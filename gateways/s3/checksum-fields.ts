import { CHECKSUM_ALGORITHMS, type ChecksumAlgorithm } from './checksums.ts';
import { text } from './xml-scalars.ts';
import { maybe } from './xml-shape.ts';
import { leaf, type Markup, NOTHING } from './xml-writer.ts';

export interface Checksum {
  readonly algorithm: ChecksumAlgorithm;
  /** Base64; of a composite one with `-` and the number of parts behind it. */
  readonly value: string;
}

/** Elements of S3 for checksums that are not offered. */
export const CHECKSUMS_NOT_IMPLEMENTED: readonly string[] = [
  ...['ChecksumMD5', 'ChecksumSHA512'],
  ...['ChecksumXXHASH64', 'ChecksumXXHASH3', 'ChecksumXXHASH128'],
];

const value = text(0, 128);

/** Members of a struct, one for each algorithm. */
export const checksumFields = {
  checksumCrc32: maybe('ChecksumCRC32', value),
  checksumCrc32c: maybe('ChecksumCRC32C', value),
  checksumCrc64nvme: maybe('ChecksumCRC64NVME', value),
  checksumSha1: maybe('ChecksumSHA1', value),
  checksumSha256: maybe('ChecksumSHA256', value),
};

export type ChecksumMembers = { readonly [K in keyof typeof checksumFields]: string | null };

/** What a client gave, in the order of the algorithms; an empty element gives nothing. */
export function checksumsOf(members: ChecksumMembers): readonly Checksum[] {
  const values = [
    members.checksumCrc32,
    members.checksumCrc32c,
    members.checksumCrc64nvme,
    members.checksumSha1,
    members.checksumSha256,
  ];
  return CHECKSUM_ALGORITHMS.flatMap((algorithm, at) => {
    const given = values[at]?.trim();
    return given ? [{ algorithm, value: given }] : [];
  });
}

/** `<ChecksumCRC32>...</ChecksumCRC32>`; nothing where there is none. */
export function checksumLeaf(checksum: Checksum | null): Markup {
  return checksum === null ? NOTHING : leaf(`Checksum${checksum.algorithm}`, checksum.value);
}
