/**
 * Entity tags as S3 knows them: strong, 32 hex digits and for multipart objects `-` and the number of parts.
 * In this gateway an ETag has no quotes; headers and documents show it with them.
 */
export function quoted(eTag: string): string {
  return `"${eTag}"`;
}

/** Clients send ETags with quotes and without. */
export function unquoted(text: string): string {
  const trimmed = text.trim();
  const match = /^"([^"]*)"$/.exec(trimmed);
  return match === null ? trimmed : (match[1] as string);
}

/** A list of entity tags, or any: what If-Match and If-None-Match hold. */
export type ETagList = '*' | readonly EntityTag[];

export interface EntityTag {
  readonly eTag: string;
  readonly isWeak: boolean;
}

const TAG = /[ \t]*(?:(W\/)?"([^"]*)"[ \t]*|([^", \t][^",]*))(?:,|$)/y;

/** Null where it is no such list. A tag without quotes is taken as S3 takes it. */
export function eTagList(header: string): ETagList | null {
  const text = header.trim();
  if (text === '*') return '*';
  if (text === '') return null;
  const tags: EntityTag[] = [];
  TAG.lastIndex = 0;
  while (TAG.lastIndex < text.length) {
    const match = TAG.exec(text);
    if (match === null) return null;
    tags.push({ eTag: (match[2] ?? match[3] ?? '').trim(), isWeak: match[1] !== undefined });
  }
  return tags;
}

/**
 * Whether the list names this ETag. Strong comparison never holds for a weak tag (RFC 9110 section 8.8.3.2); ours
 * are all strong.
 */
export function listHas(list: ETagList, eTag: string, comparison: 'strong' | 'weak'): boolean {
  if (list === '*') return true;
  return list.some((tag) => tag.eTag === eTag && (comparison === 'weak' || !tag.isWeak));
}
