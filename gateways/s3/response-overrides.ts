import { invalidArgument, s3Error } from './errors.ts';

/** Fields of the query, and the headers of the answer that they take the place of. */
const OVERRIDES = new Map([
  ['response-cache-control', 'cache-control'],
  ['response-content-disposition', 'content-disposition'],
  ['response-content-encoding', 'content-encoding'],
  ['response-content-language', 'content-language'],
  ['response-content-type', 'content-type'],
  ['response-expires', 'expires'],
]);

/** What a header can carry: latin1 without control characters, so that no answer is split. */
const HEADER_TEXT = /^[\x20-\x7e\xa0-\xff]*$/;

/**
 * Headers of a GET's answer that the request chose. Only signed requests may: otherwise anybody could make a page of
 * an object in a public bucket. Throws InvalidRequest, InvalidArgument.
 */
export function responseOverrides(
  query: ReadonlyMap<string, string>,
  isAnonymous: boolean,
): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  for (const [field, header] of OVERRIDES) {
    const value = query.get(field);
    if (value === undefined) continue;
    if (isAnonymous) {
      throw s3Error(
        'InvalidRequest',
        'Request specific response headers cannot be used for anonymous GET requests.',
      );
    }
    if (!HEADER_TEXT.test(value)) {
      throw invalidArgument(
        'Header value cannot be represented using ISO-8859-1.',
        field,
        value.slice(0, 256),
      );
    }
    headers.set(header, value);
  }
  return headers;
}
