/** Tags of objects and buckets, as S3 takes them. Lengths are in UTF-16 units, as it counts. */

/** Of one object, as S3 counts; buckets have more. */
export const OBJECT_TAGS_MAX = 10;
const TAG_NAME_MAX = 128;
const TAG_VALUE_MAX = 256;
/** Letters, digits and spaces of any script, and these signs. */
const ALLOWED = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;

export function isTagName(text: string): boolean {
  return text.length >= 1 && text.length <= TAG_NAME_MAX && ALLOWED.test(text);
}

export function isTagValue(text: string): boolean {
  return text.length <= TAG_VALUE_MAX && ALLOWED.test(text);
}

/** Nobody who asks may set those. */
export function isSystemTag(name: string): boolean {
  return /^aws:/i.test(name);
}
