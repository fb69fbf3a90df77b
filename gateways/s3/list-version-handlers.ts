import type { VersionPosition } from '../../protocol/object-access.ts';
import { parseVersionId } from '../../protocol/objects.ts';
import { wallMsOfRevision } from '../../protocol/revision.ts';
import { type Answer, xmlAnswer } from './answer.ts';
import type { Call } from './call.ts';
import { invalidArgument } from './errors.ts';
import {
  type ListedDeleteMarker,
  type ListedObjectVersion,
  type ListVersionsResult,
  renderListUploads,
  renderListVersions,
} from './list-documents.ts';
import { type ListFields, listFieldsOf } from './list-fields.ts';
import {
  afterStart,
  frameOf,
  listedObject,
  nameOf,
  objectQuery,
  prefixesOf,
} from './list-handlers.ts';
import { storageClassOf } from './object-head.ts';
import { engineKeyOf, keyOfEngine } from './object-key.ts';
import { initiatorIdOf, ownerIdOf } from './object-owner.ts';
import { ownerNamed } from './principals.ts';
import { shownAlgorithm, shownKind } from './stored-checksum.ts';

export async function listObjectVersions(call: Call): Promise<Answer> {
  const { query, bucket } = call.route;
  const fields = listFieldsOf(query, 'max-keys');
  const keyMarker = query.get('key-marker') ?? '';
  const versionIdMarker = query.get('version-id-marker') ?? '';
  if (versionIdMarker !== '' && keyMarker === '') {
    throw invalidArgument(
      'A version-id marker cannot be specified without a key marker.',
      'version-id-marker',
      versionIdMarker.slice(0, 256),
    );
  }
  const found = await call.bucket();
  const start = await positionOf(call, fields, keyMarker, versionIdMarker);
  const { entries, next } =
    fields.maxItems === 0
      ? { entries: [], next: null }
      : await call.objects.listVersions(call.context(), {
          ...objectQuery(call, fields, start.key),
          below: start.below,
        });
  const versions: ListVersionsResult['versions'] = entries.flatMap(
    (entry): (ListedObjectVersion | ListedDeleteMarker)[] => {
      if (entry.type === 'prefix') return [];
      const { versionId, isLatest } = entry;
      const owner = ownerNamed(call, found.owner);
      return listedObject(call, entry, found).map((object) =>
        entry.isMarker
          ? {
              ...{ type: 'marker', key: object.key, versionId, isLatest, owner },
              lastModifiedMs: object.lastModifiedMs,
            }
          : { type: 'version', ...object, versionId, isLatest },
      );
    },
  );
  const last = next === null ? undefined : entries[entries.length - 1];
  return xmlAnswer(
    renderListVersions({
      ...{ bucket, ...frameOf(fields), keyMarker, versionIdMarker, versions },
      ...{ isTruncated: next !== null, maxKeys: fields.maxItems },
      commonPrefixes: prefixesOf({ entries }),
      nextKeyMarker: last === undefined ? null : nameOf(last),
      nextVersionIdMarker: last?.type === 'version' ? last.versionId : null,
    }),
  );
}

/** Behind the version that the markers name; without a version, behind all of its key. */
async function positionOf(
  call: Call,
  fields: ListFields,
  keyMarker: string,
  versionIdMarker: string,
): Promise<VersionPosition> {
  if (versionIdMarker === '') return { key: afterStart(keyMarker, fields), below: 0 };
  const parsed = parseVersionId(versionIdMarker);
  if (parsed === null) {
    throw invalidArgument(
      'Invalid version id specified',
      'version-id-marker',
      versionIdMarker.slice(0, 256),
    );
  }
  const key = engineKeyOf(keyMarker);
  if (parsed !== 'null') return { key, below: parsed };
  const read = await call.objects.read(call.context(), call.refOf(call.route.bucket, keyMarker), {
    ...{ versionId: 'null', revision: null },
  });
  // It is gone since: what follows cannot be told from what was shown.
  if (read.type === 'none') return { key: `${key}\0`, below: 0 };
  return { key, below: read.version.record.putAt };
}

export async function listMultipartUploads(call: Call): Promise<Answer> {
  const { query, bucket } = call.route;
  const fields = listFieldsOf(query, 'max-uploads');
  const keyMarker = query.get('key-marker') ?? '';
  const uploadIdMarker = keyMarker === '' ? '' : (query.get('upload-id-marker') ?? '');
  const found = await call.bucket();
  const start = uploadIdMarker === '' ? afterStart(keyMarker, fields) : engineKeyOf(keyMarker);
  const { entries, next } =
    fields.maxItems === 0
      ? { entries: [], next: null }
      : await call.objects.listUploads(call.context(), found, {
          ...objectQuery(call, fields, start),
          after: uploadIdMarker,
        });
  const uploads = entries.flatMap((entry) => {
    const key = entry.type === 'prefix' ? null : keyOfEngine(entry.key);
    if (entry.type === 'prefix' || key === null) return [];
    const { checksum } = entry;
    return [
      {
        ...{ key, uploadId: entry.upload, initiatedMs: wallMsOfRevision(entry.at) },
        owner: ownerNamed(call, ownerIdOf(found, entry.head)),
        initiator: ownerNamed(call, initiatorIdOf(found, entry.head)),
        storageClass: storageClassOf(entry.head.headers),
        checksumAlgorithm: checksum === null ? null : shownAlgorithm(checksum.algorithm),
        checksumType: checksum === null ? null : shownKind(checksum.kind),
      },
    ];
  });
  const last = next === null ? undefined : entries[entries.length - 1];
  return xmlAnswer(
    renderListUploads({
      ...{ bucket, ...frameOf(fields), keyMarker, uploadIdMarker, uploads },
      ...{ isTruncated: next !== null, maxUploads: fields.maxItems },
      commonPrefixes: prefixesOf({ entries }),
      nextKeyMarker: last === undefined ? null : nameOf(last),
      nextUploadIdMarker: last?.type === 'upload' ? last.upload : null,
    }),
  );
}
