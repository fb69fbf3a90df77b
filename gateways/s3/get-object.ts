import type { Bucket, ObjectVersion } from '../../protocol/object-access.ts';
import { versionIdOf } from '../../protocol/objects.ts';
import type { ObjectKey } from '../encryption/object-key.ts';
import type { Answer, HeaderPair } from './answer.ts';
import type { Call } from './call.ts';
import { checkRead, ifRangeHolds, readConditions, type Validators } from './conditions.ts';
import { quoted } from './entity-tags.ts';
import { S3Error, withHeaders } from './errors.ts';
import { expirationHeader } from './lifecycle-handlers.ts';
import { bytesOf, inlineBytes, partCount, partSizes } from './object-bytes.ts';
import { readingOf } from './object-encryption.ts';
import { headHeaders } from './object-head.ts';
import {
  type ByteRange,
  checkRangeOrPart,
  contentRange,
  parsePartNumber,
  parseRange,
  partRange,
  resolveRange,
  unsatisfiedRange,
} from './ranges.ts';
import { responseOverrides } from './response-overrides.ts';
import { checksumHeaders } from './stored-checksum.ts';
import { httpDate, lastModifiedMs, versionHeader, versionOf } from './versions.ts';

export async function getObject(call: Call): Promise<Answer> {
  const { version, head, range, key } = await found(call);
  const { objects } = call;
  const inline = inlineBytes(version, range, key);
  const context = () => call.longContext();
  const body = inline ?? bytesOf(objects, context, call.ref, { version, range, key });
  return { ...head, body };
}

export async function headObject(call: Call): Promise<Answer> {
  const { head } = await found(call);
  return { ...head, body: null };
}

interface Found {
  readonly version: ObjectVersion;
  readonly range: ByteRange;
  /** Null: it is not encrypted. */
  readonly key: ObjectKey | null;
  readonly head: {
    readonly status: number;
    readonly headers: HeaderPair[];
    readonly bytes: number;
  };
}

async function found(call: Call): Promise<Found> {
  const overrides = responseOverrides(call.route.query, call.sender.isAnonymous);
  const partNumber = parsePartNumber(call.route.query.get('partNumber') ?? null);
  checkRangeOrPart(call.header('range'), partNumber);
  const { bucket, version } = await versionOf(call);
  const validators = { eTag: version.record.etag, lastModifiedMs: lastModifiedMs(version) };
  const { key, headers: encryption } = await readingOf(call, version.record);
  const identity = identityHeaders(bucket, version);
  const expiration = version.isLatest ? currentExpiration(call, bucket, version) : [];
  try {
    checkRead(readConditions(call.headers, call.nowMs), validators);
  } catch (error) {
    throw error instanceof S3Error ? withHeaders(error, identity) : error;
  }
  const part = rangeOf(call, version, validators, partNumber);
  const { size } = version.record;
  const isPartial = part !== null;
  const range = part ?? { start: 0, end: size };
  const shown = headHeaders(version.record, overrides);
  const headers = [...identity, ...encryption, ...shown, ...expiration];
  if (isPartial && range.end > range.start) {
    headers.push(['content-range', contentRange(range, size)]);
  }
  const parts = partCount(version);
  if (partNumber !== null && parts > 0) headers.push(['x-amz-mp-parts-count', String(parts)]);
  const isWhole = range.start === 0 && range.end === size;
  if (isWhole && call.header('x-amz-checksum-mode')?.toUpperCase() === 'ENABLED') {
    headers.push(...checksumHeaders(version.record.checksum, parts));
  }
  const status = isPartial ? 206 : 200;
  return { version, range, key, head: { status, headers, bytes: range.end - range.start } };
}

/** Null is all of it. */
function rangeOf(
  call: Call,
  version: ObjectVersion,
  validators: Validators,
  partNumber: number | null,
): ByteRange | null {
  if (partNumber !== null) return partRange(partSizes(version), partNumber);
  const requested = parseRange(call.header('range'));
  if (requested === null) return null;
  if (!ifRangeHolds(call.header('if-range'), validators, call.nowMs)) return null;
  const { size } = version.record;
  try {
    return resolveRange(requested, size);
  } catch (error) {
    if (!(error instanceof S3Error)) throw error;
    throw withHeaders(error, [['content-range', unsatisfiedRange(size)]]);
  }
}

function currentExpiration(call: Call, bucket: Bucket, version: ObjectVersion): HeaderPair[] {
  const { size, head } = version.record;
  const at = lastModifiedMs(version);
  return expirationHeader(call, bucket, { key: call.ref.key, size, head, lastModifiedMs: at });
}

/** What says which version it is; answers without a body have it too. */
function identityHeaders(bucket: Bucket, version: ObjectVersion): HeaderPair[] {
  return [
    ['etag', quoted(version.record.etag)],
    ['last-modified', httpDate(lastModifiedMs(version))],
    ['accept-ranges', 'bytes'],
    ...versionHeader(bucket, versionIdOf(version.record)),
  ];
}
