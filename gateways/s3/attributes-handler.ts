import type { ObjectVersion } from '../../protocol/object-access.ts';
import { versionIdOf } from '../../protocol/objects.ts';
import { type Answer, xmlAnswer } from './answer.ts';
import type { Call } from './call.ts';
import { s3Error } from './errors.ts';
import {
  attributesOfHeader,
  type ObjectParts,
  renderObjectAttributes,
} from './object-attributes.ts';
import { partCount } from './object-bytes.ts';
import { readingOf } from './object-encryption.ts';
import { storageClassOf } from './object-head.ts';
import { shownAlgorithm, shownChecksum, shownKind } from './stored-checksum.ts';
import { httpDate, lastModifiedMs, versionHeader, versionOf } from './versions.ts';

const PAGE_MAX = 1000;

export async function getObjectAttributes(call: Call): Promise<Answer> {
  const wanted = attributesOfHeader(call.header('x-amz-object-attributes') ?? undefined);
  const maxParts = Math.min(PAGE_MAX, wholeOf(call, 'x-amz-max-parts') ?? PAGE_MAX);
  const marker = wholeOf(call, 'x-amz-part-number-marker') ?? 0;
  const { bucket, version } = await versionOf(call);
  const { record } = version;
  // Who does not have the key is told nothing of what it locks.
  await readingOf(call, record);
  const isParted = partCount(version) > 0;
  const checksum = wanted.has('Checksum') ? record.checksum : null;
  const isWhole = wanted.has('ObjectParts') && isParted;
  return xmlAnswer(
    renderObjectAttributes({
      eTag: wanted.has('ETag') ? record.etag : null,
      checksum: checksum === null ? null : shownChecksum(checksum, record.pieces.length),
      checksumType: checksum === null ? null : shownKind(checksum.kind),
      objectParts: isWhole ? partsOf(version, marker, maxParts) : null,
      storageClass: wanted.has('StorageClass') ? storageClassOf(record.head.headers) : null,
      objectBytes: wanted.has('ObjectSize') ? record.size : null,
    }),
    [
      ['last-modified', httpDate(lastModifiedMs(version))],
      ...versionHeader(bucket, versionIdOf(record)),
    ],
  );
}

function wholeOf(call: Call, name: string): number | null {
  const given = call.header(name);
  if (given === null) return null;
  if (/^\d{1,9}$/.test(given)) return Number(given);
  throw s3Error('InvalidArgument', `${name} must be a number`, {
    ...{ ArgumentName: name, ArgumentValue: given.slice(0, 64) },
  });
}

/** Parts are shown where they have checksums of their own, as in S3. */
function partsOf({ record }: ObjectVersion, marker: number, maxParts: number): ObjectParts {
  const { pieces, checksum } = record;
  const behind = pieces.filter(({ number }) => number > marker);
  const page = behind.slice(0, maxParts);
  const last = page[page.length - 1];
  const algorithm = checksum === null ? null : shownAlgorithm(checksum.algorithm);
  return {
    ...{ partsCount: pieces.length, partNumberMarker: marker, maxParts },
    nextPartNumberMarker: last?.number ?? null,
    isTruncated: page.length < behind.length,
    parts:
      algorithm === null
        ? []
        : page.map(({ number, size, checksum: own }) => ({
            ...{ partNumber: number, bytes: size },
            checksum:
              own === null ? null : { algorithm, value: Buffer.from(own).toString('base64') },
          })),
  };
}
