import { fromLatin1, textOrNull } from '../../protocol/bytes.ts';
import { valueOfEntry } from '../../protocol/duplicate.ts';
import { AppError } from '../../protocol/errors.ts';
import type { IndexHits, IndexInfo, IndexProgress, NewIndex } from '../../protocol/index-access.ts';
import { decodeEntry } from '../../protocol/index-encoding.ts';
import { INDEX_NAME, type IndexField } from '../../protocol/indexes.ts';
import { parsePath } from '../../protocol/json-path.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { DEFAULT_TENANT, KV_SPACE } from '../../protocol/vshard.ts';
import { bytesField, itemToJson, keyToJson, type Shape, tooLarge } from './shapes.ts';

const FIELDS = ['name', 'prefix', 'prefixBase64', 'kind', 'fields', 'sparse', 'unique'];
const TYPES = ['string', 'number', 'time'] as const;

/** `{name, prefix?, fields: [{path, type?}], sparse?, kind?}` as a definition. Throws AppError. */
export function indexFromJson(raw: unknown): NewIndex {
  const shape = objectOf(raw, 'an index', FIELDS);
  const { name, kind = 'fields', sparse = false, unique = false } = shape;
  if (typeof name !== 'string' || !INDEX_NAME.test(name)) {
    throw invalid(
      'name must be 1 to 64 of letters, digits, dot, underscore and dash, and not . or ..',
    );
  }
  if (typeof sparse !== 'boolean' || typeof unique !== 'boolean') {
    throw invalid('sparse and unique must be true or false');
  }
  if (kind !== 'fields' && kind !== 'text') throw invalid('kind must be fields or text');
  const prefix = bytesField(shape, 'prefix') ?? '';
  if (prefix.length > LIMITS.keyBytesMax) throw tooLarge('keyBytesMax', LIMITS.keyBytesMax);
  if (kind === 'text' && (shape['fields'] !== undefined || sparse || unique)) {
    throw invalid('a text index is over whole values: it has no fields, is not sparse nor unique');
  }
  const fields = kind === 'text' ? [] : fieldsOf(shape['fields']);
  return { name, tenant: DEFAULT_TENANT, space: KV_SPACE, prefix, kind, fields, sparse, unique };
}

function fieldsOf(raw: unknown): IndexField[] {
  if (!Array.isArray(raw) || raw.length === 0) throw invalid('fields must be a list of fields');
  if (raw.length > LIMITS.indexFieldsMax) throw tooLarge('indexFieldsMax', LIMITS.indexFieldsMax);
  return raw.map((one): IndexField => {
    const shape =
      typeof one === 'string' ? { path: one } : objectOf(one, 'a field', ['path', 'type']);
    const { path, type = 'string' } = shape as Shape;
    if (typeof path !== 'string' || path.length > 1024) throw invalid('path must be text');
    const known = TYPES.find((candidate) => candidate === type);
    if (known === undefined) throw invalid('type must be string, number or time');
    return { path, steps: parsePath(path), type: known };
  });
}

function objectOf(raw: unknown, what: string, fields: readonly string[]): Shape {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw) || raw instanceof Uint8Array) {
    throw invalid(`${what} must be an object`);
  }
  for (const field of Object.keys(raw)) {
    if (!fields.includes(field)) {
      throw invalid(`${what} has no field ${JSON.stringify(field.slice(0, 64))}`);
    }
  }
  return raw as Shape;
}

export function indexToJson(info: IndexInfo, progress: IndexProgress | null): Shape {
  const { name, kind, fields, sparse, state } = info;
  const shape: Shape = { name, ...keyToJson(info.prefix, 'prefix'), kind };
  shape['fields'] = fields.map(({ path, type }) => ({ path, type }));
  Object.assign(shape, { sparse, unique: info.unique === true, state });
  if (info.failure !== undefined) {
    const { encoded, keys } = info.failure;
    shape['failure'] = { value: valueOfEntry(encoded), keys: keys.map((key) => keyToJson(key)) };
  }
  if (progress !== null) shape['progress'] = progress;
  return shape;
}

export interface HitOptions {
  readonly values: boolean;
  readonly explain: boolean;
  readonly binary: boolean;
}

/** A page of hits: items, each with the values by which the index holds it. */
export function hitsToJson(page: IndexHits, cursor: string | null, options: HitOptions): Shape {
  const { hits, revision, plan } = page;
  const items = hits.map(({ encoded, item }) => {
    return { ...itemToJson(item, options), entry: decodeEntry(encoded) };
  });
  const shape: Shape = { items, revision };
  if (cursor !== null) shape['cursor'] = cursor;
  if (options.explain) shape['explain'] = planToJson(plan);
  return shape;
}

function planToJson({ index, start, end, groups }: IndexHits['plan']): Shape {
  const bytes = (text: string): string => Buffer.from(text, 'latin1').toString('hex');
  const rows = groups.reduce((sum, group) => sum + group.rows, 0);
  return { index, startHex: bytes(start), endHex: bytes(end), rows, groups };
}

/** A query parameter's bytes as text; null where it is not given. */
export function textOfQuery(name: string, bytes: string | undefined): string | null {
  if (bytes === undefined) return null;
  const text = textOrNull(fromLatin1(bytes));
  if (text === null) throw invalid(`${name} is not valid UTF-8`);
  return text;
}

function invalid(message: string): AppError {
  return new AppError('invalid_argument', message);
}
