import { decodeRecord, versionIdOf } from './objects.ts';
import { wallMsOfRevision } from './revision.ts';

/** What a change event says of an object: that of its current version, never its bytes. */
export interface ObjectChange {
  readonly size: number;
  readonly etag: string;
  /** `null`, as text, where the bucket has no versions. */
  readonly versionId: string;
  /** ISO 8601. */
  readonly lastModified: string;
  readonly contentType?: string;
}

/** `value`: of the object's row, as an event of a bucket's space has it. Throws DecodeError. */
export function objectChange(value: Uint8Array): ObjectChange {
  const record = decodeRecord(value);
  const { size, etag, putAt } = record;
  const { contentType } = record.head;
  return {
    ...{ size, etag, versionId: versionIdOf(record) },
    lastModified: new Date(wallMsOfRevision(putAt)).toISOString(),
    ...(contentType === null ? {} : { contentType }),
  };
}
