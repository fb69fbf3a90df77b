import { area, assert, each, refused } from './suite.ts';
import { isRefused, isStatus, type World } from './world.ts';
import { elements, textOf, texts } from './xml.ts';

/** What both versions of the listing answer alike, each case run on both. */
interface Row {
  readonly what: string;
  readonly keys: readonly string[];
  readonly query: Readonly<Record<string, string>>;
  readonly shown: readonly string[];
  readonly prefixes?: readonly string[];
  readonly isTruncated?: boolean;
}

const FLAT = ['asdf', 'boo/bar', 'boo/baz/xyzzy', 'cquux/bla', 'cquux/thud'];

const ROWS: readonly Row[] = [
  { what: 'all of a few', keys: ['b', 'a', 'c'], query: {}, shown: ['a', 'b', 'c'] },
  {
    what: 'a delimiter rolls up what is below it',
    keys: ['foo/bar', 'foo/bar/xyzzy', 'quux/thud', 'asdf'],
    query: { delimiter: '/' },
    shown: ['asdf'],
    prefixes: ['foo/', 'quux/'],
  },
  {
    what: 'a delimiter and a prefix that ends with it',
    keys: FLAT,
    query: { delimiter: '/', prefix: 'boo/' },
    shown: ['boo/bar'],
    prefixes: ['boo/baz/'],
  },
  {
    what: 'a prefix that ends with the delimiter and is a key',
    keys: ['asdf/'],
    query: { delimiter: '/', prefix: 'asdf/' },
    shown: ['asdf/'],
  },
  {
    what: 'a delimiter that is a letter',
    keys: ['bar', 'baz', 'cab', 'foo'],
    query: { delimiter: 'a' },
    shown: ['foo'],
    prefixes: ['ba', 'ca'],
  },
  {
    what: 'a delimiter of more than one character',
    keys: ['a::b', 'a::c', 'a:d', 'e'],
    query: { delimiter: '::' },
    shown: ['a:d', 'e'],
    prefixes: ['a::'],
  },
  {
    what: 'a delimiter that is a percent sign',
    keys: ['b%ar', 'b%az', 'c%ab', 'foo'],
    query: { delimiter: '%' },
    shown: ['foo'],
    prefixes: ['b%', 'c%'],
  },
  {
    what: 'a delimiter that is a space',
    keys: ['b ar', 'b az', 'c ab', 'foo'],
    query: { delimiter: ' ' },
    shown: ['foo'],
    prefixes: ['b ', 'c '],
  },
  {
    what: 'a delimiter that is a dot',
    keys: ['b.ar', 'b.az', 'c.ab', 'foo'],
    query: { delimiter: '.' },
    shown: ['foo'],
    prefixes: ['b.', 'c.'],
  },
  {
    what: 'a delimiter that is beyond ASCII',
    keys: ['aéb', 'aéc', 'd'],
    query: { delimiter: 'é' },
    shown: ['d'],
    prefixes: ['aé'],
  },
  {
    what: 'a delimiter that no key has',
    keys: ['bar', 'baz'],
    query: { delimiter: '/' },
    shown: ['bar', 'baz'],
  },
  {
    what: 'an empty delimiter is none',
    keys: ['bar/a', 'baz'],
    query: { delimiter: '' },
    shown: ['bar/a', 'baz'],
  },
  {
    what: 'a delimiter first in keys',
    keys: ['/a', '/b', 'c'],
    query: { delimiter: '/' },
    shown: ['c'],
    prefixes: ['/'],
  },
  {
    what: 'keys that start with an underscore',
    keys: ['_obj1_', '_under1/bar', '_under1/baz/xyzzy', '_under2/thud'],
    query: { delimiter: '/', prefix: '_under1/' },
    shown: ['_under1/bar'],
    prefixes: ['_under1/baz/'],
  },
  {
    what: 'characters around the delimiter are not skipped',
    keys: ['0', '0/', '0/1', '0.', '00'],
    query: { delimiter: '/' },
    shown: ['0', '0.', '00'],
    prefixes: ['0/'],
  },
  {
    what: 'a prefix',
    keys: ['foo/bar', 'foo/baz', 'quux'],
    query: { prefix: 'foo/' },
    shown: ['foo/bar', 'foo/baz'],
  },
  {
    what: 'a prefix that is no folder',
    keys: ['bar', 'baz', 'foo'],
    query: { prefix: 'ba' },
    shown: ['bar', 'baz'],
  },
  { what: 'an empty prefix is none', keys: ['a', 'b'], query: { prefix: '' }, shown: ['a', 'b'] },
  { what: 'a prefix that no key has', keys: ['a', 'b'], query: { prefix: 'd' }, shown: [] },
  {
    what: 'a prefix that is a whole key',
    keys: ['a', 'ab', 'b'],
    query: { prefix: 'a' },
    shown: ['a', 'ab'],
  },
  {
    what: 'a prefix and a delimiter that comes in it',
    keys: ['b/a/c', 'b/a/g', 'b/a/r', 'g'],
    query: { delimiter: 'a', prefix: 'b/' },
    shown: [],
    prefixes: ['b/a'],
  },
  {
    what: 'a prefix that no key has, and a delimiter',
    keys: ['b/a/c', 'g'],
    query: { delimiter: '/', prefix: '/' },
    shown: [],
  },
  {
    what: 'max-keys 1',
    keys: ['a', 'b'],
    query: { 'max-keys': '1' },
    shown: ['a'],
    isTruncated: true,
  },
  {
    what: 'max-keys as many as there are',
    keys: ['a', 'b'],
    query: { 'max-keys': '2' },
    shown: ['a', 'b'],
  },
  { what: 'max-keys 0', keys: ['a', 'b'], query: { 'max-keys': '0' }, shown: [] },
  {
    what: 'max-keys counts common prefixes',
    keys: ['a/1', 'a/2', 'b', 'c/1'],
    query: { 'max-keys': '2', delimiter: '/' },
    shown: ['b'],
    prefixes: ['a/'],
    isTruncated: true,
  },
  {
    what: 'max-keys that ends with the last common prefix',
    keys: ['a/1', 'b/1', 'b/2', 'b/3'],
    query: { 'max-keys': '2', delimiter: '/' },
    shown: [],
    prefixes: ['a/', 'b/'],
  },
];

const BOTH: readonly (readonly [string, Record<string, string>])[] = [
  ['V1', {}],
  ['V2', { 'list-type': '2' }],
];
const TABLE = BOTH.flatMap(([version, kind]) => ROWS.map((row) => ({ version, kind, row })));

async function answers(w: World, kind: Record<string, string>, row: Row): Promise<void> {
  const bucket = await w.bucket();
  await w.putAll(bucket, row.keys);
  const reply = isStatus(
    await w.call('GET', bucket, '', { query: { ...kind, ...row.query } }),
    200,
  );
  const prefixes = elements(reply.text, 'CommonPrefixes').map((one) => textOf(one, 'Prefix'));
  assert.deepEqual(texts(reply.text, 'Key'), row.shown);
  assert.deepEqual(prefixes, row.prefixes ?? []);
  assert.equal(textOf(reply.text, 'IsTruncated'), String(row.isTruncated ?? false));
  assert.equal(textOf(reply.text, 'Name'), bucket);
  if (kind['list-type'] === '2') {
    const count = row.shown.length + prefixes.length;
    assert.equal(textOf(reply.text, 'KeyCount'), String(count));
  }
}

const BAD_QUERIES: readonly Record<string, string>[] = [
  { 'max-keys': 'blah' },
  { 'max-keys': '-1' },
  { 'max-keys': '1.5' },
  { 'max-keys': '2147483648' },
  { 'encoding-type': 'base64' },
];

/** Listings of objects, as both versions have them. */
export const lists = area('lists', {
  ...each(
    TABLE,
    ({ version, row }) => `${version}: ${row.what}`,
    (w, { kind, row }) => answers(w, kind, row),
  ),
  ...each(
    BOTH.flatMap(([version, kind]) => BAD_QUERIES.map((query) => ({ version, kind, query }))),
    ({ version, query }) => `${version}: ${JSON.stringify(query)} is InvalidArgument`,
    async (w, { kind, query }) => {
      const reply = await w.call('GET', await w.bucket(), '', { query: { ...kind, ...query } });
      isRefused(reply, 400, 'InvalidArgument');
    },
  ),
  ...each(
    BOTH,
    ([version]) => `${version}: an empty max-keys is the default`,
    async (w, [, kind]) => {
      const query = { ...kind, 'max-keys': '' };
      const reply = await w.call('GET', await w.bucket(), '', { query });
      assert.equal(textOf(isStatus(reply, 200).text, 'MaxKeys'), '1000');
    },
  ),
  ...each(
    BOTH,
    ([version]) => `${version}: max-keys above 1000 gives 1000`,
    async (w, [, kind]) => {
      const query = { ...kind, 'max-keys': '5000' };
      const reply = await w.call('GET', await w.bucket(), '', { query });
      assert.equal(textOf(isStatus(reply, 200).text, 'MaxKeys'), '1000');
    },
  ),
  ...each(
    BOTH,
    ([version]) => `${version}: an unknown list-type or field changes nothing`,
    async (w, [, kind]) => {
      const bucket = await w.bucket();
      await w.put(bucket, 'k');
      const reply = await w.call('GET', bucket, '', { query: { ...kind, 'x-unknown': '1' } });
      assert.deepEqual(texts(isStatus(reply, 200).text, 'Key'), ['k']);
    },
  ),
  ...each(
    BOTH,
    ([version]) => `${version}: an entry has key, time, ETag, size and storage class`,
    async (w, [, kind]) => {
      const bucket = await w.bucket();
      const etag = await w.put(bucket, 'k', 'four');
      const head = await w.call('HEAD', bucket, 'k');
      const { text } = await w.call('GET', bucket, '', { query: kind });
      const [entry = ''] = elements(text, 'Contents');
      assert.equal(textOf(entry, 'ETag'), etag);
      assert.equal(textOf(entry, 'Size'), '4');
      assert.equal(textOf(entry, 'StorageClass'), 'STANDARD');
      const modified = textOf(entry, 'LastModified') ?? '';
      assert.match(modified, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      const seconds = (date: string | undefined): number =>
        Math.floor(Date.parse(date ?? '') / 1000);
      assert.equal(seconds(modified), seconds(head.headers['last-modified']));
    },
  ),
  ...each(
    BOTH,
    ([version]) => `${version}: url encoding of keys, prefixes and fields`,
    async (w, [, kind]) => {
      const bucket = await w.bucket();
      await w.putAll(bucket, ['asdf+b', 'foo+1/bar', 'foo/bar/xyzzy', 'quux ab/thud', 'ü<>']);
      const query = { ...kind, 'encoding-type': 'url', delimiter: '/' };
      const { text } = isStatus(await w.call('GET', bucket, '', { query }), 200);
      assert.deepEqual(texts(text, 'Key'), ['asdf%2Bb', '%C3%BC%3C%3E']);
      const prefixes = elements(text, 'CommonPrefixes').map((one) => textOf(one, 'Prefix'));
      assert.deepEqual(prefixes, ['foo%2B1/', 'foo/', 'quux%20ab/']);
      assert.equal(textOf(text, 'EncodingType'), 'url');
      assert.equal(textOf(text, 'Delimiter'), '/');
    },
  ),
  ...each(
    BOTH,
    ([version]) => `${version}: url encoding shows what XML cannot`,
    async (w, [, kind]) => {
      const bucket = await w.bucket();
      await w.putAll(bucket, ['a\u0001b', 'a\nb']);
      const query = { ...kind, 'encoding-type': 'url', prefix: 'a\n' };
      const { text } = isStatus(await w.call('GET', bucket, '', { query }), 200);
      assert.deepEqual(texts(text, 'Key'), ['a%0Ab']);
      assert.equal(textOf(text.replace(/<Contents>[\s\S]*<\/Contents>/, ''), 'Prefix'), 'a%0A');
    },
  ),
  ...each(
    BOTH,
    ([version]) => `${version}: a put is seen at once, a delete too`,
    async (w, [, kind]) => {
      const bucket = await w.bucket();
      const shown = async (): Promise<string[]> =>
        texts((await w.call('GET', bucket, '', { query: kind })).text, 'Key');
      await w.put(bucket, 'k');
      assert.deepEqual(await shown(), ['k']);
      await w.sdk.deleteObject({ Bucket: bucket, Key: 'k' });
      assert.deepEqual(await shown(), []);
    },
  ),
  ...each(
    BOTH,
    ([version]) => `${version}: an older version and a deleted key are not shown`,
    async (w, [, kind]) => {
      const bucket = await w.versioned();
      await w.putVersion(bucket, 'a', '1');
      await w.putVersion(bucket, 'a', '22');
      await w.putVersion(bucket, 'b', '1');
      await w.sdk.deleteObject({ Bucket: bucket, Key: 'b' });
      const { text } = await w.call('GET', bucket, '', { query: kind });
      assert.deepEqual(texts(text, 'Key'), ['a']);
      assert.deepEqual(texts(text, 'Size'), ['2']);
    },
  ),
  'a list-type that is not 1 or 2 is InvalidArgument': async (w) => {
    const reply = await w.call('GET', await w.bucket(), '', { query: { 'list-type': '3' } });
    isRefused(reply, 400, 'InvalidArgument');
  },
  'two buckets do not see each other': async (w) => {
    const [a, b] = [await w.bucket(), await w.bucket()];
    await w.put(a, 'only-a');
    assert.equal((await w.sdk.listObjectsV2({ Bucket: b })).KeyCount, 0);
    await refused(w.sdk.getObject({ Bucket: b, Key: 'only-a' }), 404, 'NoSuchKey');
  },
});
