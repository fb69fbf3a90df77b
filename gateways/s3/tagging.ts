import { isSystemTag, isTagName, isTagValue, OBJECT_TAGS_MAX } from '../../protocol/object-tags.ts';
import { s3Error } from './errors.ts';
import { queryPairs } from './query.ts';
import { text } from './xml-scalars.ts';
import { type Document, document, listOf, many, one, type Shape, struct } from './xml-shape.ts';

export interface Tag {
  readonly key: string;
  readonly value: string;
}

export const BUCKET_TAGS_MAX = 50;

/** Lengths are checked below: a tag that is too long is InvalidTag, not MalformedXML. */
export const tagShape: Shape<Tag> = struct({
  key: one('Key', text(0, 65_536)),
  value: one('Value', text(0, 65_536)),
});

interface Tagging {
  readonly tagSet: readonly Tag[];
}

const taggingShape: Shape<Tagging> = struct({
  tagSet: one('TagSet', listOf(many('Tag', tagShape, 0, 1000))),
});

/** Of an object, or of one of its versions. */
export const objectTagging = taggingDocument(OBJECT_TAGS_MAX);
export const bucketTagging = taggingDocument(BUCKET_TAGS_MAX);

function taggingDocument(tagsMax: number): Document<readonly Tag[]> {
  const check = ({ tagSet }: Tagging) => checkTags(tagSet, tagsMax);
  const inner = document('Tagging', taggingShape, { check });
  return {
    read: (body) => inner.read(body).tagSet,
    write: (tagSet) => inner.write({ tagSet }),
  };
}

/** Throws InvalidTag. */
export function checkTags(tags: readonly Tag[], tagsMax: number): void {
  if (tags.length > tagsMax) throw invalidTag(`There may be at most ${tagsMax} tags`);
  const seen = new Set<string>();
  for (const tag of tags) {
    checkTag(tag);
    if (seen.has(tag.key)) {
      throw invalidTag('Cannot provide multiple Tags with the same key', { TagKey: tag.key });
    }
    seen.add(tag.key);
  }
}

function checkTag({ key, value }: Tag): void {
  if (!isTagName(key)) {
    throw invalidTag('The TagKey you have provided is invalid', { TagKey: key.slice(0, 256) });
  }
  if (!isTagValue(value)) {
    throw invalidTag('The TagValue you have provided is invalid', {
      TagKey: key,
      TagValue: value.slice(0, 512),
    });
  }
  if (isSystemTag(key)) {
    throw invalidTag('System tags cannot be added/updated by requester', { TagKey: key });
  }
}

function invalidTag(message: string, extra: Record<string, string> = {}) {
  return s3Error('InvalidTag', message, extra);
}

/** The header x-amz-tagging: tags as a query string. Throws InvalidArgument, InvalidTag. */
export function tagsOfHeader(header: string): readonly Tag[] {
  const pairs = queryPairs(header);
  if (pairs === null) {
    throw s3Error('InvalidArgument', 'The header x-amz-tagging must be URL-encoded tags', {
      ArgumentName: 'x-amz-tagging',
    });
  }
  const tags = pairs.map(([key, value]) => ({ key, value }));
  if (new Set(tags.map(({ key }) => key)).size !== tags.length) {
    throw s3Error('InvalidArgument', 'The header x-amz-tagging names a tag twice', {
      ArgumentName: 'x-amz-tagging',
    });
  }
  checkTags(tags, OBJECT_TAGS_MAX);
  return tags;
}
