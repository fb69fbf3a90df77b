import { prefixEnd } from '../../protocol/bytes.ts';
import type {
  Bucket,
  ListedPrefix,
  ListedVersion,
  ObjectQuery,
  Page,
} from '../../protocol/object-access.ts';
import { wallMsOfRevision } from '../../protocol/revision.ts';
import { type Answer, xmlAnswer } from './answer.ts';
import type { Call } from './call.ts';
import { invalidArgument } from './errors.ts';
import { type ListedObject, renderListObjects, renderListObjectsV2 } from './list-documents.ts';
import { booleanOf, type ListFields, listFieldsOf } from './list-fields.ts';
import { storageClassOf } from './object-head.ts';
import { engineKeyOf, keyOfEngine } from './object-key.ts';
import { ownerIdOf } from './object-owner.ts';
import { ownerNamed } from './principals.ts';
import { shownAlgorithm, shownKind } from './stored-checksum.ts';

type ObjectPage = Page<ListedVersion, string>;

export async function listObjectsV2(call: Call): Promise<Answer> {
  const { query, bucket } = call.route;
  const fields = listFieldsOf(query, 'max-keys');
  const token = query.get('continuation-token') ?? null;
  const startAfter = query.get('start-after') || null;
  const withOwner = booleanOf(query, 'fetch-owner');
  const start = token === null ? afterStart(startAfter ?? '', fields) : startOfToken(token);
  const found = await call.bucket();
  const page = await pageFrom(call, fields, start);
  const contents = contentsOf(call, page, withOwner ? found : null);
  const prefixes = prefixesOf(page);
  return xmlAnswer(
    renderListObjectsV2({
      ...{ bucket, ...frameOf(fields), contents, startAfter },
      ...{ commonPrefixes: prefixes, keyCount: contents.length + prefixes.length },
      ...{ maxKeys: fields.maxItems, continuationToken: token, isTruncated: page.next !== null },
      nextContinuationToken: page.next === null ? null : tokenOf(page.next),
    }),
  );
}

export async function listObjects(call: Call): Promise<Answer> {
  const { query, bucket } = call.route;
  const fields = listFieldsOf(query, 'max-keys');
  const marker = query.get('marker') ?? '';
  const found = await call.bucket();
  const page = await pageFrom(call, fields, afterStart(marker, fields));
  const last = page.entries[page.entries.length - 1];
  const isTruncated = page.next !== null;
  // S3 tells it only with a delimiter: else it is the last key.
  const isTold = isTruncated && fields.delimiter !== null;
  const nextMarker = isTold && last !== undefined ? nameOf(last) : null;
  return xmlAnswer(
    renderListObjects({
      ...{ bucket, ...frameOf(fields), marker, nextMarker, isTruncated },
      ...{ maxKeys: fields.maxItems, commonPrefixes: prefixesOf(page) },
      contents: contentsOf(call, page, found),
    }),
  );
}

export function frameOf({ prefix, delimiter, isUrlEncoded }: ListFields) {
  return { prefix, delimiter, isUrlEncoded };
}

async function pageFrom(call: Call, fields: ListFields, start: string): Promise<ObjectPage> {
  if (fields.maxItems === 0) return { entries: [], next: null };
  const query = objectQuery(call, fields, start);
  return call.objects.list(call.context(), { ...query, revision: null });
}

export function objectQuery(call: Call, fields: ListFields, start: string): ObjectQuery {
  const { prefix, delimiter, maxItems } = fields;
  return {
    ...{ tenant: call.tenant, space: call.route.bucket, prefix: engineKeyOf(prefix), start },
    ...{ delimiter: delimiter === null ? null : engineKeyOf(delimiter), limit: maxItems },
  };
}

/**
 * Where the keys behind a marker begin. A marker that is a common prefix, as an earlier page named it, leaves all
 * that is rolled up in it behind.
 */
export function afterStart(marker: string, { prefix, delimiter }: ListFields): string {
  if (marker === '') return '';
  if (delimiter !== null && marker.startsWith(prefix)) {
    const at = marker.indexOf(delimiter, prefix.length);
    if (at >= 0 && at + delimiter.length === marker.length) {
      // Null: nothing is behind it. No key of UTF-8 is above 0xff either.
      return prefixEnd(engineKeyOf(marker)) ?? '\xff';
    }
  }
  return `${engineKeyOf(marker)}\0`;
}

/** No text begins with this byte, so that what a client makes up is hardly ever one. */
const TOKEN_MARK = '\xfe';

function tokenOf(start: string): string {
  return Buffer.from(TOKEN_MARK + start, 'latin1').toString('base64url');
}

function startOfToken(token: string): string {
  const bytes = Buffer.from(token, 'base64url');
  const text = bytes.toString('latin1');
  const isOurs = text.startsWith(TOKEN_MARK) && bytes.toString('base64url') === token;
  if (isOurs) return text.slice(TOKEN_MARK.length);
  throw invalidArgument(
    'The continuation token provided is incorrect',
    'continuation-token',
    token.slice(0, 256),
  );
}

export function nameOf(entry: { readonly key: string } | ListedPrefix): string {
  return keyOfEngine('prefix' in entry ? entry.prefix : entry.key) ?? '';
}

export function prefixesOf(page: { readonly entries: readonly (object | ListedPrefix)[] }) {
  return page.entries.flatMap((entry) => {
    const prefix = 'prefix' in entry ? keyOfEngine(entry.prefix) : null;
    return prefix === null ? [] : [prefix];
  });
}

/** `ownedIn`: the bucket, where owners are to be shown. */
function contentsOf(call: Call, page: ObjectPage, ownedIn: Bucket | null): ListedObject[] {
  return page.entries.flatMap((entry) =>
    entry.type === 'prefix' ? [] : listedObject(call, entry, ownedIn),
  );
}

/** None for a key that is not UTF-8, which no client of S3 can have put. */
export function listedObject(
  call: Call,
  entry: ListedVersion,
  ownedIn: Bucket | null,
): ListedObject[] {
  const key = keyOfEngine(entry.key);
  if (key === null) return [];
  const { checksum } = entry;
  return [
    {
      ...{ key, lastModifiedMs: wallMsOfRevision(entry.putAt), eTag: entry.etag },
      ...{ bytes: entry.size, storageClass: storageClassOf(entry.headers) },
      checksumAlgorithm: checksum === null ? null : shownAlgorithm(checksum.algorithm),
      checksumType: checksum === null ? null : shownKind(checksum.kind),
      owner:
        ownedIn === null
          ? null
          : ownerNamed(call, ownerIdOf(ownedIn, { owner: entry.owner ?? null })),
    },
  ];
}
