import type { ListObjectsCommandOutput } from '@aws-sdk/client-s3';
import { area, assert, each } from './suite.ts';
import type { World } from './world.ts';
import { textOf } from './xml.ts';

const KEYS = ['bar', 'baz', 'foo', 'quxx'];

async function after(w: World, marker: string): Promise<string[]> {
  const Bucket = await w.bucket();
  await w.putAll(Bucket, KEYS);
  const page = await w.sdk.listObjects({ Bucket, Marker: marker });
  assert.equal(page.IsTruncated, false);
  // The SDK reads text that is only white space as empty.
  assert.equal(page.Marker, marker.trim());
  return (page.Contents ?? []).map(({ Key }) => Key ?? '');
}

const MARKERS: readonly (readonly [string, string, readonly string[]])[] = [
  ['that is a key', 'baz', ['foo', 'quxx']],
  ['that is no key', 'blah', ['foo', 'quxx']],
  ['before all keys', 'aaa', KEYS],
  ['behind all keys', 'zzz', []],
  ['that is the last key', 'quxx', []],
  ['that cannot be read', '\u000a', KEYS],
];

/** Listings of version 1. */
export const listV1 = area('list V1', {
  ...each(
    MARKERS,
    ([what]) => `a marker ${what}`,
    async (w, [, marker, wanted]) => assert.deepEqual(await after(w, marker), wanted),
  ),
  'an empty marker is none': async (w) => {
    const Bucket = await w.bucket();
    await w.putAll(Bucket, KEYS);
    const { Contents = [], Marker } = await w.sdk.listObjects({ Bucket, Marker: '' });
    assert.equal(Contents.length, 4);
    assert.equal(Marker, '');
  },
  'the answer has an empty Marker and no KeyCount': async (w) => {
    const { text } = await w.call('GET', await w.bucket(), '');
    assert.equal(textOf(text, 'Marker'), '');
    assert.equal(textOf(text, 'KeyCount'), null);
    assert.equal(textOf(text, 'MaxKeys'), '1000');
  },
  'an entry has its owner': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'k');
    const { Contents = [] } = await w.sdk.listObjects({ Bucket });
    const { Owner } = await w.sdk.listBuckets({});
    assert.equal(Contents[0]?.Owner?.ID, Owner?.ID);
  },
  'pages by the last key': async (w) => {
    const Bucket = await w.bucket();
    await w.putAll(Bucket, KEYS);
    const first = await w.sdk.listObjects({ Bucket, MaxKeys: 2 });
    assert.equal(first.IsTruncated, true);
    assert.equal(first.NextMarker, undefined);
    const Marker = first.Contents?.at(-1)?.Key;
    const second = await w.sdk.listObjects({ Bucket, MaxKeys: 2, Marker });
    assert.deepEqual(
      [...(first.Contents ?? []), ...(second.Contents ?? [])].map(({ Key }) => Key),
      KEYS,
    );
    assert.equal(second.IsTruncated, false);
  },
  'pages with a delimiter by NextMarker': async (w) => {
    const Bucket = await w.bucket();
    await w.putAll(Bucket, ['asdf', 'boo/bar', 'boo/baz/xyzzy', 'cquux/thud', 'cquux/bla']);
    const seen: string[] = [];
    let Marker: string | undefined = '';
    do {
      const page: ListObjectsCommandOutput = await w.sdk.listObjects({
        Bucket,
        Delimiter: '/',
        MaxKeys: 1,
        Marker,
      });
      seen.push(...(page.Contents ?? []).map(({ Key = '' }) => Key));
      seen.push(...(page.CommonPrefixes ?? []).map(({ Prefix = '' }) => Prefix));
      Marker = page.IsTruncated ? page.NextMarker : undefined;
    } while (Marker !== undefined);
    assert.deepEqual(seen, ['asdf', 'boo/', 'cquux/']);
  },
  'a marker inside a common prefix skips the prefix no more': async (w) => {
    const Bucket = await w.bucket();
    await w.putAll(Bucket, ['a/1', 'a/2', 'b/1']);
    const options = { Bucket, Delimiter: '/' };
    const { CommonPrefixes = [] } = await w.sdk.listObjects({ ...options, Marker: 'a/1' });
    assert.deepEqual(
      CommonPrefixes.map(({ Prefix }) => Prefix),
      ['a/', 'b/'],
    );
  },
  'a marker that is a common prefix is behind all of it': async (w) => {
    const Bucket = await w.bucket();
    await w.putAll(Bucket, ['a/1', 'a/2', 'b/1']);
    const options = { Bucket, Delimiter: '/' };
    const { CommonPrefixes = [] } = await w.sdk.listObjects({ ...options, Marker: 'a/' });
    assert.deepEqual(
      CommonPrefixes.map(({ Prefix }) => Prefix),
      ['b/'],
    );
  },
  'a prefix, a delimiter and pages': async (w) => {
    const Bucket = await w.bucket();
    await w.putAll(Bucket, ['asdf', 'boo/bar', 'boo/baz/xyzzy', 'cquux/thud']);
    const options = { Bucket, Delimiter: '/', Prefix: 'boo/', MaxKeys: 1 };
    const first = await w.sdk.listObjects(options);
    assert.deepEqual([first.Contents?.[0]?.Key, first.IsTruncated], ['boo/bar', true]);
    assert.equal(first.NextMarker, 'boo/bar');
    const second = await w.sdk.listObjects({ ...options, Marker: first.NextMarker });
    assert.deepEqual([second.CommonPrefixes?.[0]?.Prefix, second.IsTruncated], ['boo/baz/', false]);
  },
});
