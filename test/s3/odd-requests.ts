import { area, assert, each } from './suite.ts';
import { isRefused, isStatus, md5Base64, type Query, type World } from './world.ts';
import { elements, texts } from './xml.ts';

const TREE = ['a', 'p/1', 'p/2', 'q--1', 'q--2', 'z'];

async function tree(w: World): Promise<string> {
  const bucket = await w.bucket();
  await w.putAll(bucket, TREE);
  return bucket;
}

/** Where a page begins, in each kind of listing, with what is on it of TREE by `/`. */
const BEGINNINGS: readonly (readonly [Query, readonly string[], readonly string[]])[] = [
  [{ 'list-type': '2', 'start-after': 'p/1' }, ['q--1', 'q--2', 'z'], ['p/']],
  [{ 'list-type': '2', 'start-after': 'p/2' }, ['q--1', 'q--2', 'z'], []],
  [{ 'list-type': '2', 'start-after': 'o' }, ['q--1', 'q--2', 'z'], ['p/']],
  [{ marker: 'p/1' }, ['q--1', 'q--2', 'z'], ['p/']],
  [{ marker: 'p/' }, ['q--1', 'q--2', 'z'], []],
  [{ versions: '', 'key-marker': 'p/' }, ['q--1', 'q--2', 'z'], []],
];

const BAD_TOKENS = ['abc', 'YWJj', '*', '', 'cA'];

const DELETE_MARKER_READS: readonly (readonly [string, Query, Record<string, string>])[] = [
  ['GET', {}, {}],
  ['HEAD', {}, {}],
  ['GET', { tagging: '' }, {}],
  ['GET', { acl: '' }, {}],
  ['GET', { attributes: '' }, { 'x-amz-object-attributes': 'ETag' }],
];

const past = new Date(Date.now() - 3_600_000).toUTCString();
const future = new Date(Date.now() + 3_600_000).toUTCString();
const IF = 'x-amz-copy-source-if';

/** Conditions of a copy together; the first of a pair decides, as RFC 9110 and S3 have it. */
const COPY_CONDITIONS: readonly (readonly [Record<string, string>, number])[] = [
  [{ [`${IF}-match`]: 'own', [`${IF}-unmodified-since`]: past }, 200],
  [{ [`${IF}-none-match`]: 'own', [`${IF}-modified-since`]: past }, 412],
  [{ [`${IF}-none-match`]: '"other"', [`${IF}-modified-since`]: past }, 200],
  [{ [`${IF}-match`]: '"other"', [`${IF}-unmodified-since`]: future }, 412],
  [{ [`${IF}-unmodified-since`]: past }, 412],
];

/** Legal, and seldom sent. */
export const oddRequests = area('odd requests', {
  ...each(
    BEGINNINGS,
    ([query]) => `a listing by / that begins with ${JSON.stringify(query)}`,
    async (w, [query, keys, prefixes]) => {
      const reply = await w.call('GET', await tree(w), '', { query: { ...query, delimiter: '/' } });
      const { text } = isStatus(reply, 200);
      assert.deepEqual(texts(text, 'Key'), keys);
      const common = elements(text, 'CommonPrefixes').flatMap((each) => texts(each, 'Prefix'));
      assert.deepEqual(common, prefixes);
    },
  ),
  'a delimiter of two characters': async (w) => {
    const Bucket = await tree(w);
    const page = await w.sdk.listObjectsV2({ Bucket, Delimiter: '--' });
    assert.deepEqual(
      page.Contents?.map(({ Key }) => Key),
      ['a', 'p/1', 'p/2', 'z'],
    );
    assert.deepEqual(page.CommonPrefixes, [{ Prefix: 'q--' }]);
    const rest = await w.sdk.listObjectsV2({ Bucket, Delimiter: '--', Prefix: 'q--' });
    assert.equal(rest.KeyCount, 2);
  },
  ...each(
    BAD_TOKENS,
    (token) => `the continuation token "${token}", which was never given, is InvalidArgument`,
    async (w, token) => {
      const query = { 'list-type': '2', 'continuation-token': token };
      isRefused(await w.call('GET', await w.bucket(), '', { query }), 400, 'InvalidArgument');
    },
  ),
  'a quiet deletion of versions tells what failed only': async (w) => {
    const bucket = await w.versioned();
    const versions = [await w.putVersion(bucket, 'k', '1'), await w.putVersion(bucket, 'k', '2')];
    const object = (id: string) => `<Object><Key>k</Key><VersionId>${id}</VersionId></Object>`;
    const inside = [...versions, ...versions, 'none'].map(object).join('');
    const body = `<Delete><Quiet>true</Quiet>${inside}</Delete>`;
    const headers = { 'content-md5': md5Base64(body) };
    const reply = await w.call('POST', bucket, '', { query: { delete: '' }, body, headers });
    const { text } = isStatus(reply, 200);
    assert.deepEqual([texts(text, 'Key'), texts(text, 'VersionId')], [['k'], ['none']]);
    assert.ok(!text.includes('<Deleted>'));
    isStatus(await w.call('HEAD', bucket, 'k'), 404);
  },
  ...each(
    DELETE_MARKER_READS,
    ([method, query]) =>
      `${method} ${Object.keys(query).join()} of a delete marker by its id is 405`,
    async (w, [method, query, headers]) => {
      const Bucket = await w.versioned();
      await w.put(Bucket, 'k');
      const { VersionId: versionId = '' } = await w.sdk.deleteObject({ Bucket, Key: 'k' });
      const options = { query: { ...query, versionId }, headers };
      const reply = isStatus(await w.call(method, Bucket, 'k', options), 405);
      assert.equal(reply.headers['x-amz-delete-marker'], 'true');
      assert.equal(reply.headers['x-amz-version-id'], versionId);
      assert.equal(reply.headers['allow'], 'DELETE');
    },
  ),
  ...each(
    COPY_CONDITIONS,
    ([conditions, status]) => `a copy under ${Object.keys(conditions).join(' and ')} is ${status}`,
    async (w, [conditions, status]) => {
      const bucket = await w.bucket();
      const own = await w.put(bucket, 'source', 'x');
      const told = Object.entries(conditions).map(([name, value]) => [
        name,
        value === 'own' ? own : value,
      ]);
      const headers = { 'x-amz-copy-source': `${bucket}/source`, ...Object.fromEntries(told) };
      isStatus(await w.call('PUT', bucket, 'copy', { headers }), status);
    },
  ),
  'fields are signed in the order of their names, also where one begins another': async (w) => {
    const query = { prefix: 'p', 'prefix-of-nothing': 'x', 'prefix.': 'y' };
    isStatus(await w.call('GET', await w.bucket(), '', { query }), 200);
  },
  'an override of the answer that would end the header is refused': async (w) => {
    const bucket = await w.bucket();
    await w.put(bucket, 'k');
    for (const value of ['a\r\nb: c', 'a\nb', 'a\0']) {
      const query = { 'response-content-type': value };
      isRefused(await w.call('GET', bucket, 'k', { query }), 400, 'InvalidArgument');
    }
  },
  'an upload is that of its key': async (w) => {
    const Bucket = await w.bucket();
    const { UploadId: uploadId = '' } = await w.sdk.createMultipartUpload({ Bucket, Key: 'k' });
    const query = { uploadId, partNumber: '1' };
    const reply = await w.call('PUT', Bucket, 'other', { query, body: 'x' });
    isRefused(reply, 404, 'NoSuchUpload');
    isRefused(await w.call('GET', Bucket, 'other', { query: { uploadId } }), 404, 'NoSuchUpload');
    await w.sdk.abortMultipartUpload({ Bucket, Key: 'k', UploadId: uploadId });
  },
});
