import { latin1 } from '../../protocol/bytes.ts';
import type { Item, TxnResult } from '../../protocol/messages/txn.ts';
import { objectChange } from '../../protocol/object-change.ts';
import { isSystemTag, isTagName, isTagValue, OBJECT_TAGS_MAX } from '../../protocol/object-tags.ts';
import { decodeRecord, isBucketName, parseVersionId } from '../../protocol/objects.ts';
import type { Compare, Relation, TxnOp } from '../../protocol/txn.ts';
import { DEFAULT_TENANT, type KeyRef, KV_SPACE } from '../../protocol/vshard.ts';
import { keyToJson, type Shape } from './shapes.ts';
import { invalid, objectOf, refuseOthers } from './txn-fields.ts';

/** The public shapes of objects in transactions: `{object: {bucket, key}, etag}`, `{op: "deleteObject", bucket, key}`. */

/** Longer keys are none that S3 takes. */
const OBJECT_KEY_BYTES_MAX = 1024;
const LONE_SURROGATE = /\p{Surrogate}/u;
const COMPARED = ['etag', 'versionId', 'exists', 'revision'];
const FIELDS: Readonly<Record<string, readonly string[]>> = {
  headObject: ['op', 'bucket', 'key'],
  deleteObject: ['op', 'bucket', 'key', 'versionId'],
  putObjectTags: ['op', 'bucket', 'key', 'versionId', 'tags'],
};

export function isObjectCompare(shape: Shape): boolean {
  return shape['object'] !== undefined;
}

export function isObjectShape({ op }: Shape): boolean {
  return typeof op === 'string' && Object.hasOwn(FIELDS, op);
}

/** `relation` and what exists and revision name are read as those of keys. */
export function objectCompare(
  shape: Shape,
  relation: Relation,
  targetOf: (shape: Shape) => Compare['target'],
): Compare {
  refuseOthers(shape, ['object', 'op', ...COMPARED], 'a compare of an object');
  const object = objectOf(shape['object'], 'object');
  refuseOthers(object, ['bucket', 'key'], 'object');
  const named = COMPARED.filter((name) => shape[name] !== undefined);
  if (named.length !== 1) throw invalid('exactly one of etag, versionId, exists and revision');
  const ref = objectRef(object);
  if (shape['etag'] === undefined && shape['versionId'] === undefined) {
    return { ref, relation, target: targetOf(shape) };
  }
  if (relation !== '=' && relation !== '!=') throw invalid('etag and versionId take only = and !=');
  const { etag } = shape;
  if (etag === undefined) {
    const versionId = versionIdOf(shape['versionId']);
    return { ref, relation, target: { type: 'versionId', versionId } };
  }
  if (typeof etag !== 'string' || etag === '' || Buffer.byteLength(etag) > 128) {
    throw invalid('etag must be the text of an ETag');
  }
  return { ref, relation, target: { type: 'etag', etag: etag.replace(/^"(.*)"$/, '$1') } };
}

export function objectOp(shape: Shape): TxnOp {
  const name = shape['op'] as string;
  refuseOthers(shape, FIELDS[name] as readonly string[], name);
  const ref = objectRef(shape);
  if (name === 'headObject') return { type: 'get', ref };
  const raw = shape['versionId'];
  const versionId = raw === undefined ? null : versionIdOf(raw);
  if (name === 'deleteObject') return { type: 'deleteObject', ref, bucket: 0, versionId };
  return { type: 'tagObject', ref, bucket: 0, versionId, tags: tagsOf(shape['tags']) };
}

function objectRef({ bucket, key }: Shape): KeyRef {
  if (typeof bucket !== 'string' || !isBucketName(bucket)) {
    throw invalid('bucket must be the name of a bucket');
  }
  if (typeof key !== 'string' || key === '' || LONE_SURROGATE.test(key)) {
    throw invalid('key must be the key of an object');
  }
  const bytes = Buffer.from(key);
  if (bytes.length > OBJECT_KEY_BYTES_MAX) throw invalid('the key of an object has 1024 bytes');
  return { tenant: DEFAULT_TENANT, space: bucket, key: latin1(bytes) };
}

function versionIdOf(raw: unknown): string {
  if (typeof raw === 'string' && parseVersionId(raw) !== null) return raw;
  throw invalid('versionId is not one of ours');
}

/** As S3 takes them. */
function tagsOf(raw: unknown): { name: string; value: string }[] {
  const tags = Object.entries(objectOf(raw, 'tags'));
  if (tags.length > OBJECT_TAGS_MAX) throw invalid(`an object has at most ${OBJECT_TAGS_MAX} tags`);
  return tags.map(([name, value]) => {
    if (typeof value !== 'string') throw invalid('the value of a tag must be text');
    if (!isTagName(name)) throw invalid(`a tag cannot be called ${JSON.stringify(name)}`);
    if (isSystemTag(name)) throw invalid('tags that begin with aws: are not for users');
    if (!isTagValue(value)) throw invalid(`the tag ${name} cannot have this value`);
    return { name, value };
  });
}

/** What an operation gave; its bucket and key stand in front. */
export function objectResult(op: TxnOp, result: TxnResult, revision: number): Shape | null {
  if (!('ref' in op) || op.ref.space === KV_SPACE) return null;
  const head = { bucket: op.ref.space, ...keyToJson(op.ref.key) };
  switch (result.type) {
    case 'objectDeleted': {
      const { gone, versionId, marker } = result;
      const deleteMarker = marker ? { deleteMarker: true } : {};
      const id = versionId === null ? {} : { versionId };
      return { ...head, deleted: gone, revision: gone ? revision : 0, ...id, ...deleteMarker };
    }
    case 'objectTagged': {
      const { versionId } = result;
      return { ...head, revision, ...(versionId === null ? {} : { versionId }) };
    }
    case 'got':
      return { ...head, ...headOf(result.item) };
    default:
      return null;
  }
}

function headOf(item: Item | null): Shape {
  if (item === null) return { revision: 0 };
  const { tags, metadata } = decodeRecord(item.value).head;
  const object = { ...objectChange(item.value), tags: asShape(tags), metadata: asShape(metadata) };
  return { revision: item.revision, object };
}

function asShape(pairs: readonly { readonly name: string; readonly value: string }[]): Shape {
  return Object.fromEntries(pairs.map(({ name, value }) => [name, value]));
}
