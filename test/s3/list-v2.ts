import { area, assert, each } from './suite.ts';
import { isRefused, isStatus, type World } from './world.ts';
import { textOf, texts } from './xml.ts';

const KEYS = ['bar', 'baz', 'foo', 'quxx'];

const STARTS: readonly (readonly [string, string, readonly string[]])[] = [
  ['that is a key', 'baz', ['foo', 'quxx']],
  ['that is no key', 'blah', ['foo', 'quxx']],
  ['before all keys', 'aaa', KEYS],
  ['behind all keys', 'zzz', []],
  ['that cannot be read', '\u000a', KEYS],
];

async function allPages(
  w: World,
  Bucket: string,
  options: { Delimiter?: string; Prefix?: string; StartAfter?: string },
  MaxKeys: number,
): Promise<string[]> {
  const seen: string[] = [];
  let token: string | undefined;
  do {
    const more = token === undefined ? {} : { ContinuationToken: token };
    const page = await w.sdk.listObjectsV2({ Bucket, MaxKeys, ...options, ...more });
    const found = [...(page.Contents ?? []).map(({ Key = '' }) => Key)];
    found.push(...(page.CommonPrefixes ?? []).map(({ Prefix = '' }) => Prefix));
    assert.ok(found.length <= MaxKeys);
    assert.equal(page.KeyCount, found.length);
    assert.equal(page.ContinuationToken, token);
    assert.equal(page.IsTruncated, page.NextContinuationToken !== undefined);
    seen.push(...found.sort());
    token = page.NextContinuationToken;
  } while (token !== undefined);
  return seen;
}

/** Listings of version 2. */
export const listV2 = area('list V2', {
  ...each(
    STARTS,
    ([what]) => `start-after ${what}`,
    async (w, [, StartAfter, wanted]) => {
      const Bucket = await w.bucket();
      await w.putAll(Bucket, KEYS);
      const page = await w.sdk.listObjectsV2({ Bucket, StartAfter });
      assert.deepEqual(
        (page.Contents ?? []).map(({ Key }) => Key),
        wanted,
      );
      // The SDK reads text that is only white space as empty.
      assert.equal(page.StartAfter, StartAfter.trim());
    },
  ),
  ...each(
    [1, 2, 3, 4],
    (size) => `all in pages of ${size}`,
    async (w, size) => {
      const Bucket = await w.bucket();
      await w.putAll(Bucket, KEYS);
      assert.deepEqual(await allPages(w, Bucket, {}, size), KEYS);
    },
  ),
  ...each(
    [1, 2, 5],
    (size) => `common prefixes in pages of ${size}`,
    async (w, size) => {
      const Bucket = await w.bucket();
      await w.putAll(Bucket, ['a', 'b/1', 'b/2', 'b/c/3', 'd/4', 'e', 'f/5']);
      const seen = await allPages(w, Bucket, { Delimiter: '/' }, size);
      assert.deepEqual(seen, ['a', 'b/', 'd/', 'e', 'f/']);
    },
  ),
  'pages with a prefix': async (w) => {
    const Bucket = await w.bucket();
    await w.putAll(Bucket, ['a', 'b/1', 'b/2', 'b/3', 'c']);
    assert.deepEqual(await allPages(w, Bucket, { Prefix: 'b/' }, 2), ['b/1', 'b/2', 'b/3']);
  },
  'pages that begin with start-after': async (w) => {
    const Bucket = await w.bucket();
    await w.putAll(Bucket, KEYS);
    assert.deepEqual(await allPages(w, Bucket, { StartAfter: 'bar' }, 1), ['baz', 'foo', 'quxx']);
  },
  'pages over keys of all kinds': async (w) => {
    const Bucket = await w.bucket();
    const odd = ['a b', 'a%', 'a&b', 'a+b', 'aé', 'a文', 'a\u{1f600}'];
    await w.putAll(Bucket, odd);
    assert.deepEqual(await allPages(w, Bucket, {}, 1), odd);
  },
  'a key that is put behind the token is seen by the next page or not, none twice': async (w) => {
    const Bucket = await w.bucket();
    await w.putAll(Bucket, KEYS);
    const first = await w.sdk.listObjectsV2({ Bucket, MaxKeys: 2 });
    await w.put(Bucket, 'aaa');
    await w.sdk.deleteObject({ Bucket, Key: 'bar' });
    const ContinuationToken = first.NextContinuationToken;
    const second = await w.sdk.listObjectsV2({ Bucket, ContinuationToken });
    assert.deepEqual(
      (second.Contents ?? []).map(({ Key }) => Key),
      ['foo', 'quxx'],
    );
  },
  'an empty token is refused': async (w) => {
    const query = { 'list-type': '2', 'continuation-token': '' };
    isRefused(await w.call('GET', await w.bucket(), '', { query }), 400, 'InvalidArgument');
  },
  'a token that was made up is refused': async (w) => {
    const query = { 'list-type': '2', 'continuation-token': 'bm8gdG9rZW4=' };
    isRefused(await w.call('GET', await w.bucket(), '', { query }), 400, 'InvalidArgument');
  },
  'an empty start-after is none': async (w) => {
    const bucket = await w.bucket();
    await w.putAll(bucket, KEYS);
    const query = { 'list-type': '2', 'start-after': '' };
    const { text } = isStatus(await w.call('GET', bucket, '', { query }), 200);
    assert.deepEqual(texts(text, 'Key'), KEYS);
  },
  'there is no owner unless it is asked for': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'k');
    for (const FetchOwner of [undefined, false]) {
      const { Contents = [] } = await w.sdk.listObjectsV2({
        Bucket,
        ...(FetchOwner === undefined ? {} : { FetchOwner }),
      });
      assert.equal(Contents[0]?.Owner, undefined);
    }
  },
  'fetch-owner shows the owner': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'k');
    const { Contents = [] } = await w.sdk.listObjectsV2({ Bucket, FetchOwner: true });
    const { Owner } = await w.sdk.listBuckets({});
    assert.equal(Contents[0]?.Owner?.ID, Owner?.ID);
  },
  'the answer has KeyCount and no Marker': async (w) => {
    const query = { 'list-type': '2' };
    const { text } = await w.call('GET', await w.bucket(), '', { query });
    assert.deepEqual(
      [textOf(text, 'KeyCount'), textOf(text, 'Marker'), textOf(text, 'MaxKeys')],
      ['0', null, '1000'],
    );
  },
  'a listing names the checksum of an object that has one': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'k', 'x', { ChecksumAlgorithm: 'SHA256' });
    const { Contents = [] } = await w.sdk.listObjectsV2({ Bucket });
    assert.deepEqual(Contents[0]?.ChecksumAlgorithm, ['SHA256']);
    assert.equal(Contents[0]?.ChecksumType, 'FULL_OBJECT');
  },
  'start-after inside a common prefix leaves the rest of it': async (w) => {
    const Bucket = await w.bucket();
    await w.putAll(Bucket, ['a/1', 'a/2', 'b/1']);
    const options = { Bucket, Delimiter: '/', StartAfter: 'a/1' };
    const { CommonPrefixes = [] } = await w.sdk.listObjectsV2(options);
    assert.deepEqual(
      CommonPrefixes.map(({ Prefix }) => Prefix),
      ['a/', 'b/'],
    );
  },
  '1001 objects are two pages': async (w) => {
    const Bucket = await w.bucket();
    const keys = Array.from({ length: 1001 }, (_, i) => `k${String(i).padStart(4, '0')}`);
    for (let at = 0; at < keys.length; at += 50) await w.putAll(Bucket, keys.slice(at, at + 50));
    const first = await w.sdk.listObjectsV2({ Bucket });
    assert.deepEqual([first.KeyCount, first.IsTruncated], [1000, true]);
    const ContinuationToken = first.NextContinuationToken;
    const second = await w.sdk.listObjectsV2({ Bucket, ContinuationToken });
    assert.deepEqual([second.KeyCount, second.IsTruncated], [1, false]);
    assert.equal(second.Contents?.[0]?.Key, 'k1000');
  },
});
