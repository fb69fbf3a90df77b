import { invalidArgument, s3Error } from './errors.ts';

/** Bytes [start, end) of an object. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** What was asked for: from `first` to `last` inclusive (null: to the end), or the last bytes. */
export type RangeRequest =
  | { readonly type: 'span'; readonly first: number; readonly last: number | null }
  | { readonly type: 'suffix'; readonly bytes: number };

/** Parts of one upload; also the largest part number. */
export const PART_NUMBER_MAX = 10_000;

const RANGE = /^bytes=(\d*)-(\d*)$/i;

/**
 * The header Range. Null is the whole object: no header, or one that S3 passes over: several ranges, another
 * unit, an end before the start (FAULTS I27).
 */
export function parseRange(header: string | null): RangeRequest | null {
  const match = RANGE.exec(header ?? '');
  if (match === null) return null;
  const [, first = '', last = ''] = match;
  if (first === '') return last === '' ? null : { type: 'suffix', bytes: Number(last) };
  if (last === '') return { type: 'span', first: Number(first), last: null };
  const isReversed = Number(last) < Number(first);
  return isReversed ? null : { type: 'span', first: Number(first), last: Number(last) };
}

/** Of an object of this size. Throws InvalidRange where it has no byte of the range. */
export function resolveRange(range: RangeRequest, objectBytes: number): ByteRange {
  const start = range.type === 'suffix' ? Math.max(0, objectBytes - range.bytes) : range.first;
  const last = range.type === 'suffix' ? null : range.last;
  const end = last === null ? objectBytes : Math.min(objectBytes, last + 1);
  if (start < end) return { start, end };
  throw s3Error('InvalidRange', undefined, {
    RangeRequested: rangeText(range),
    ActualObjectSize: objectBytes,
  });
}

function rangeText(range: RangeRequest): string {
  return range.type === 'suffix'
    ? `bytes=-${range.bytes}`
    : `bytes=${range.first}-${range.last ?? ''}`;
}

/** The header Content-Range of a 206 answer. */
export function contentRange({ start, end }: ByteRange, objectBytes: number): string {
  return `bytes ${start}-${end - 1}/${objectBytes}`;
}

/** The header Content-Range of a 416 answer. */
export function unsatisfiedRange(objectBytes: number): string {
  return `bytes */${objectBytes}`;
}

/** A query's or form's partNumber; null where it is absent. Throws InvalidArgument. */
export function parsePartNumber(given: string | null): number | null {
  if (given === null) return null;
  const number = /^[0-9]{1,5}$/.test(given) ? Number(given) : 0;
  if (number >= 1 && number <= PART_NUMBER_MAX) return number;
  throw invalidArgument(
    `Part number must be an integer between 1 and ${PART_NUMBER_MAX}, inclusive`,
    'partNumber',
    given.slice(0, 256),
  );
}

/** A read names a range or a part. Throws InvalidRequest. */
export function checkRangeOrPart(range: string | null, partNumber: number | null): void {
  if (range === null || partNumber === null) return;
  throw s3Error(
    'InvalidRequest',
    'Cannot specify both Range header and partNumber query parameter',
  );
}

/** Where a part is. An object that was put in one piece is its own part 1. Throws InvalidPartNumber. */
export function partRange(partBytes: readonly number[], partNumber: number): ByteRange {
  const bytes = partBytes[partNumber - 1];
  if (bytes === undefined) {
    throw s3Error('InvalidPartNumber', undefined, {
      PartNumberRequested: partNumber,
      ActualPartCount: partBytes.length,
    });
  }
  let start = 0;
  for (let at = 0; at < partNumber - 1; at++) start += partBytes[at] as number;
  return { start, end: start + bytes };
}

const COPY_RANGE = /^bytes=(\d+)-(\d+)$/;

/**
 * The header x-amz-copy-source-range of UploadPartCopy: both ends are given and are in the source. Throws
 * InvalidArgument where it cannot be read, InvalidRange where it is outside.
 */
export function copySourceRange(header: string, sourceBytes: number): ByteRange {
  const match = COPY_RANGE.exec(header);
  const [first, last] = [Number(match?.[1]), Number(match?.[2])];
  if (match === null || last < first) {
    throw invalidArgument(
      'The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy',
      'x-amz-copy-source-range',
      header.slice(0, 256),
    );
  }
  if (last < sourceBytes) return { start: first, end: last + 1 };
  throw s3Error(
    'InvalidRange',
    `Range specified is not valid for source object of size: ${sourceBytes}`,
    { RangeRequested: header, ActualObjectSize: sourceBytes },
  );
}
