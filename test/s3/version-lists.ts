import { area, assert, each } from './suite.ts';
import { isRefused, isStatus, type World } from './world.ts';
import { texts } from './xml.ts';

interface Made {
  readonly Bucket: string;
  /** `key/id`, in the order of the listing. */
  readonly wanted: readonly string[];
}

/** Keys a, b/1, b/2 with three versions each, and a marker on top of a. */
async function made(w: World): Promise<Made> {
  const Bucket = await w.versioned();
  const wanted: string[] = [];
  for (const key of ['a', 'b/1', 'b/2']) {
    const ids: string[] = [];
    for (const text of ['1', '2', '3']) ids.unshift(await w.putVersion(Bucket, key, text));
    if (key === 'a') {
      ids.unshift((await w.sdk.deleteObject({ Bucket, Key: key })).VersionId ?? '');
    }
    wanted.push(...ids.map((id) => `${key}/${id}`));
  }
  return { Bucket, wanted };
}

/** Versions and markers as they stand in the document. */
function rowsOf(xml: string): string[] {
  const rows = xml.match(/<(Version|DeleteMarker)>[\s\S]*?<\/\1>/g) ?? [];
  return rows.map((row) => `${texts(row, 'Key')[0]}/${texts(row, 'VersionId')[0]}`);
}

/** Listings of versions. */
export const versionLists = area('version lists', {
  'by key, the newest first, markers among versions': async (w) => {
    const { Bucket, wanted } = await made(w);
    const { text } = isStatus(await w.call('GET', Bucket, '', { query: { versions: '' } }), 200);
    assert.deepEqual(rowsOf(text), wanted);
  },
  'the newest of each key is the latest, and no other': async (w) => {
    const { Bucket } = await made(w);
    const { Versions = [], DeleteMarkers = [] } = await w.sdk.listObjectVersions({ Bucket });
    assert.deepEqual(
      Versions.filter(({ IsLatest }) => IsLatest).map(({ Key }) => Key),
      ['b/1', 'b/2'],
    );
    assert.deepEqual(
      DeleteMarkers.map(({ Key, IsLatest }) => [Key, IsLatest]),
      [['a', true]],
    );
  },
  'an entry has ETag, size, time, owner and storage class': async (w) => {
    const Bucket = await w.versioned();
    const etag = await w.put(Bucket, 'k', 'four');
    const { Versions = [] } = await w.sdk.listObjectVersions({ Bucket });
    const [version] = Versions;
    assert.deepEqual([version?.ETag, version?.Size, version?.StorageClass], [etag, 4, 'STANDARD']);
    assert.ok(version?.LastModified !== undefined);
    assert.equal(version?.Owner?.ID, (await w.sdk.listBuckets({})).Owner?.ID);
  },
  'a marker has no size and no ETag': async (w) => {
    const { Bucket } = await made(w);
    const { text } = await w.call('GET', Bucket, '', { query: { versions: '' } });
    const [marker = ''] = text.match(/<DeleteMarker>[\s\S]*?<\/DeleteMarker>/) ?? [];
    assert.ok(marker.includes('<Owner>'));
    assert.ok(!marker.includes('<Size>') && !marker.includes('<ETag>'));
  },
  'a prefix': async (w) => {
    const { Bucket, wanted } = await made(w);
    const query = { versions: '', prefix: 'b/2' };
    const { text } = await w.call('GET', Bucket, '', { query });
    assert.deepEqual(rowsOf(text), wanted.slice(7));
  },
  'a delimiter': async (w) => {
    const { Bucket } = await made(w);
    const page = await w.sdk.listObjectVersions({ Bucket, Delimiter: '/' });
    assert.equal(page.Versions?.length, 3);
    assert.deepEqual(
      page.CommonPrefixes?.map(({ Prefix }) => Prefix),
      ['b/'],
    );
  },
  ...each(
    [1, 2, 3, 7, 10],
    (size) => `pages of ${size} give each once, in order`,
    async (w, MaxKeys) => {
      const { Bucket, wanted } = await made(w);
      const seen: string[] = [];
      let markers: Record<string, string> = {};
      for (;;) {
        const query = { versions: '', 'max-keys': String(MaxKeys), ...markers };
        const { text } = isStatus(await w.call('GET', Bucket, '', { query }), 200);
        const rows = rowsOf(text);
        assert.ok(rows.length <= MaxKeys);
        seen.push(...rows);
        if (texts(text, 'IsTruncated')[0] !== 'true') break;
        markers = {
          'key-marker': texts(text, 'NextKeyMarker')[0] ?? '',
          'version-id-marker': texts(text, 'NextVersionIdMarker')[0] ?? '',
        };
      }
      assert.deepEqual(seen, wanted);
    },
  ),
  'a key marker alone is behind all versions of the key': async (w) => {
    const { Bucket, wanted } = await made(w);
    const query = { versions: '', 'key-marker': 'a' };
    const { text } = await w.call('GET', Bucket, '', { query });
    assert.deepEqual(rowsOf(text), wanted.slice(4));
  },
  'a version marker without a key marker is InvalidArgument': async (w) => {
    const { Bucket, wanted } = await made(w);
    const id = wanted[0]?.slice(2) ?? '';
    const query = { versions: '', 'version-id-marker': id };
    isRefused(await w.call('GET', Bucket, '', { query }), 400, 'InvalidArgument');
  },
  'max-keys 0 gives none': async (w) => {
    const { Bucket } = await made(w);
    const page = await w.sdk.listObjectVersions({ Bucket, MaxKeys: 0 });
    assert.deepEqual([page.Versions, page.IsTruncated], [undefined, false]);
  },
  'max-keys that is no number is InvalidArgument': async (w) => {
    const query = { versions: '', 'max-keys': 'x' };
    isRefused(await w.call('GET', await w.bucket(), '', { query }), 400, 'InvalidArgument');
  },
  'url encoding': async (w) => {
    const Bucket = await w.versioned();
    await w.putVersion(Bucket, 'a+b é', '1');
    const query = { versions: '', 'encoding-type': 'url' };
    const { text } = await w.call('GET', Bucket, '', { query });
    assert.deepEqual(texts(text, 'Key'), ['a%2Bb%20%C3%A9']);
  },
  'a version that is deleted is listed no more': async (w) => {
    const { Bucket, wanted } = await made(w);
    const VersionId = wanted[5]?.slice(4) ?? '';
    await w.sdk.deleteObject({ Bucket, Key: 'b/1', VersionId });
    const { text } = await w.call('GET', Bucket, '', { query: { versions: '' } });
    assert.deepEqual(
      rowsOf(text),
      wanted.filter((row) => row !== `b/1/${VersionId}`),
    );
  },
  'the version null has its place by time': async (w) => {
    const Bucket = await w.versioned();
    const first = await w.putVersion(Bucket, 'k', '1');
    await w.versioning(Bucket, 'Suspended');
    await w.put(Bucket, 'k', '2');
    await w.versioning(Bucket, 'Enabled');
    const third = await w.putVersion(Bucket, 'k', '3');
    const { text } = await w.call('GET', Bucket, '', { query: { versions: '' } });
    assert.deepEqual(rowsOf(text), [`k/${third}`, 'k/null', `k/${first}`]);
  },
});
