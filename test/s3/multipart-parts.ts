import { randomBytes } from 'node:crypto';
import { addPart, begin, complete, eTagOf, MIB, uploaded } from './multipart.ts';
import { area, assert, each, refused } from './suite.ts';
import { isRefused, isStatus, md5Hex, type World } from './world.ts';

async function threeParts(w: World): Promise<{ Bucket: string; bodies: Buffer[] }> {
  const Bucket = await w.bucket();
  const bodies = [5 * MIB, 5 * MIB + 7, 1000].map((size) => randomBytes(size));
  await uploaded(w, Bucket, bodies);
  return { Bucket, bodies };
}

const BAD_RANGES: readonly (readonly [string, number, string])[] = [
  ['bytes=0-1000', 416, 'InvalidRange'],
  ['bytes=1000-2000', 416, 'InvalidRange'],
  ['bytes=5-3', 400, 'InvalidArgument'],
  ['bytes=0-', 400, 'InvalidArgument'],
  ['bytes=-5', 400, 'InvalidArgument'],
  ['0-4', 400, 'InvalidArgument'],
  ['bytes=a-b', 400, 'InvalidArgument'],
  ['bytes=0-1,3-4', 400, 'InvalidArgument'],
];

/** Parts: read by number, copied from objects, listed with uploads. */
export const multipartParts = area('multipart parts', {
  'each part by its number': async (w) => {
    const { Bucket, bodies } = await threeParts(w);
    for (const [i, body] of bodies.entries()) {
      const query = { partNumber: String(i + 1) };
      const got = isStatus(await w.call('GET', Bucket, 'k', { query }), 206);
      assert.ok(got.bytes.equals(body));
      assert.equal(got.headers['x-amz-mp-parts-count'], '3');
      assert.equal(got.headers['etag'], eTagOf(bodies));
      const head = isStatus(await w.call('HEAD', Bucket, 'k', { query }), 206);
      assert.equal(head.headers['content-length'], String(body.length));
      assert.equal(head.headers['x-amz-mp-parts-count'], '3');
    }
  },
  'a part has its place in Content-Range': async (w) => {
    const { Bucket } = await threeParts(w);
    const reply = await w.call('HEAD', Bucket, 'k', { query: { partNumber: '2' } });
    const [first, last, size] = [5 * MIB, 10 * MIB + 6, 10 * MIB + 1007];
    assert.equal(reply.headers['content-range'], `bytes ${first}-${last}/${size}`);
  },
  'the part behind the last is InvalidPartNumber': async (w) => {
    const Bucket = await w.bucket();
    await uploaded(w, Bucket, ['x']);
    const reply = await w.call('GET', Bucket, 'k', { query: { partNumber: '2' } });
    isRefused(reply, 416, 'InvalidPartNumber');
  },
  'ranges over the border of two parts': async (w) => {
    const { Bucket, bodies } = await threeParts(w);
    const whole = Buffer.concat(bodies);
    for (const first of [5 * MIB - 10, 10 * MIB, 10 * MIB + 6]) {
      const headers = { range: `bytes=${first}-${first + 99}` };
      const got = isStatus(await w.call('GET', Bucket, 'k', { headers }), 206);
      assert.ok(got.bytes.equals(whole.subarray(first, first + 100)));
    }
  },
  'a part copied from an object': async (w) => {
    const Bucket = await w.bucket();
    const body = randomBytes(200_000);
    await w.put(Bucket, 'source', body);
    const upload = await begin(w, Bucket);
    const copy = { ...upload, PartNumber: 1, CopySource: `/${Bucket}/source` };
    const { CopyPartResult } = await w.sdk.uploadPartCopy(copy);
    assert.equal(CopyPartResult?.ETag, `"${md5Hex(body)}"`);
    await complete(w, upload, [{ PartNumber: 1, ETag: CopyPartResult?.ETag ?? '' }]);
    assert.ok((await w.call('GET', Bucket, 'k')).bytes.equals(body));
  },
  'parts copied from ranges make the object again': async (w) => {
    const Bucket = await w.bucket();
    const body = randomBytes(11 * MIB);
    await w.put(Bucket, 'source', body);
    const upload = await begin(w, Bucket);
    const parts = [];
    for (const [i, first] of [0, 5 * MIB, 10 * MIB].entries()) {
      const last = Math.min(first + 5 * MIB, body.length) - 1;
      const copy = { ...upload, PartNumber: i + 1, CopySource: `/${Bucket}/source` };
      const CopySourceRange = `bytes=${first}-${last}`;
      const { CopyPartResult } = await w.sdk.uploadPartCopy({ ...copy, CopySourceRange });
      parts.push({ PartNumber: i + 1, ETag: CopyPartResult?.ETag ?? '' });
    }
    await complete(w, upload, parts);
    assert.ok((await w.call('GET', Bucket, 'k')).bytes.equals(body));
  },
  'a part copied from the last byte': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'source', 'abc');
    const upload = await begin(w, Bucket);
    const copy = { ...upload, PartNumber: 1, CopySource: `/${Bucket}/source` };
    const { CopyPartResult } = await w.sdk.uploadPartCopy({
      ...copy,
      CopySourceRange: 'bytes=2-2',
    });
    await complete(w, upload, [{ PartNumber: 1, ETag: CopyPartResult?.ETag ?? '' }]);
    assert.equal(await w.text(Bucket, 'k'), 'c');
  },
  ...each(
    BAD_RANGES,
    ([range, , code]) => `a part copied from ${range} is ${code}`,
    async (w, [range, status, code]) => {
      const bucket = await w.bucket();
      await w.put(bucket, 'source', 'hello');
      const { UploadId } = await begin(w, bucket);
      const query = { uploadId: UploadId, partNumber: '1' };
      const headers = {
        'x-amz-copy-source': `/${bucket}/source`,
        'x-amz-copy-source-range': range,
      };
      isRefused(await w.call('PUT', bucket, 'k', { query, headers }), status, code);
    },
  ),
  'a part copied from no object is NoSuchKey': async (w) => {
    const upload = await begin(w, await w.bucket());
    const CopySource = `/${upload.Bucket}/none`;
    const call = w.sdk.uploadPartCopy({ ...upload, PartNumber: 1, CopySource });
    await refused(call, 404, 'NoSuchKey');
  },
  'a part copied from a key with odd characters': async (w) => {
    const Bucket = await w.bucket();
    const upload = await begin(w, Bucket);
    for (const [i, key] of [' ', '_', '__', '?versionId', 'a+b é'].entries()) {
      await w.put(Bucket, key, `body ${i}`);
      const CopySource = `${Bucket}/${encodeURIComponent(key)}`;
      const { CopyPartResult } = await w.sdk.uploadPartCopy({
        ...upload,
        PartNumber: i + 1,
        CopySource,
      });
      assert.equal(CopyPartResult?.ETag, `"${md5Hex(`body ${i}`)}"`);
    }
  },
  'a part copied from an older version': async (w) => {
    const Bucket = await w.versioned();
    const old = await w.putVersion(Bucket, 'source', 'old');
    await w.putVersion(Bucket, 'source', 'new');
    const upload = await begin(w, Bucket);
    const CopySource = `/${Bucket}/source?versionId=${old}`;
    const { CopyPartResult, CopySourceVersionId } = await w.sdk.uploadPartCopy({
      ...upload,
      PartNumber: 1,
      CopySource,
    });
    assert.equal(CopySourceVersionId, old);
    assert.equal(CopyPartResult?.ETag, `"${md5Hex('old')}"`);
  },
  'a part copied on a condition that fails is PreconditionFailed': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'source', 'x');
    const upload = await begin(w, Bucket);
    const copy = { ...upload, PartNumber: 1, CopySource: `/${Bucket}/source` };
    const call = w.sdk.uploadPartCopy({ ...copy, CopySourceIfMatch: `"${md5Hex('y')}"` });
    await refused(call, 412, 'PreconditionFailed');
  },
  'ListParts has each part with size, ETag and time': async (w) => {
    const upload = await begin(w, await w.bucket());
    const second = await addPart(w, upload, 2, 'bb');
    const first = await addPart(w, upload, 1, 'a');
    const listed = await w.sdk.listParts(upload);
    assert.deepEqual(
      (listed.Parts ?? []).map(({ PartNumber, ETag, Size }) => [PartNumber, ETag, Size]),
      [
        [1, first.ETag, 1],
        [2, second.ETag, 2],
      ],
    );
    assert.ok(listed.Parts?.[0]?.LastModified !== undefined);
    assert.deepEqual([listed.Bucket, listed.Key, listed.IsTruncated], [upload.Bucket, 'k', false]);
    assert.deepEqual([listed.UploadId, listed.StorageClass], [upload.UploadId, 'STANDARD']);
    assert.equal(listed.Owner?.ID, (await w.sdk.listBuckets({})).Owner?.ID);
  },
  'ListParts in pages': async (w) => {
    const upload = await begin(w, await w.bucket());
    for (const number of [1, 2, 5]) await addPart(w, upload, number, String(number));
    const first = await w.sdk.listParts({ ...upload, MaxParts: 2 });
    assert.deepEqual([first.IsTruncated, first.NextPartNumberMarker], [true, '2']);
    const next = { MaxParts: 2, PartNumberMarker: first.NextPartNumberMarker };
    const second = await w.sdk.listParts({ ...upload, ...next });
    assert.deepEqual(
      [second.IsTruncated, second.Parts?.map(({ PartNumber }) => PartNumber)],
      [false, [5]],
    );
  },
  ...each(
    [{ 'max-parts': '-1' }, { 'max-parts': 'x' }, { 'part-number-marker': 'x' }] as const,
    (query) => `ListParts with ${JSON.stringify(query)} is InvalidArgument`,
    async (w, query) => {
      const { Bucket, UploadId } = await begin(w, await w.bucket());
      const reply = await w.call('GET', Bucket, 'k', { query: { uploadId: UploadId, ...query } });
      isRefused(reply, 400, 'InvalidArgument');
    },
  ),
  'ListMultipartUploads is by key, then by time': async (w) => {
    const Bucket = await w.bucket();
    const b1 = await begin(w, Bucket, 'b');
    const a = await begin(w, Bucket, 'a');
    const b2 = await begin(w, Bucket, 'b');
    const { Uploads = [], IsTruncated } = await w.sdk.listMultipartUploads({ Bucket });
    assert.deepEqual(
      Uploads.map(({ Key, UploadId }) => [Key, UploadId]),
      [
        ['a', a.UploadId],
        ['b', b1.UploadId],
        ['b', b2.UploadId],
      ],
    );
    assert.equal(IsTruncated, false);
    assert.ok(Uploads.every(({ Initiated, Owner }) => Initiated !== undefined && Owner?.ID));
  },
  'ListMultipartUploads by prefix and delimiter': async (w) => {
    const Bucket = await w.bucket();
    for (const key of ['a', 'b/1', 'b/c/2', 'd/3']) await begin(w, Bucket, key);
    const all = await w.sdk.listMultipartUploads({ Bucket, Delimiter: '/' });
    assert.deepEqual(
      [all.Uploads?.map(({ Key }) => Key), all.CommonPrefixes?.map(({ Prefix }) => Prefix)],
      [['a'], ['b/', 'd/']],
    );
    const below = await w.sdk.listMultipartUploads({ Bucket, Delimiter: '/', Prefix: 'b/' });
    assert.deepEqual(
      [below.Uploads?.map(({ Key }) => Key), below.CommonPrefixes?.map(({ Prefix }) => Prefix)],
      [['b/1'], ['b/c/']],
    );
  },
  'ListMultipartUploads in pages gives each once': async (w) => {
    const Bucket = await w.bucket();
    const wanted: string[] = [];
    for (const key of ['a', 'b', 'b', 'c']) wanted.push((await begin(w, Bucket, key)).UploadId);
    const seen: (string | undefined)[] = [];
    let markers = {};
    for (;;) {
      const page = await w.sdk.listMultipartUploads({ Bucket, MaxUploads: 1, ...markers });
      seen.push(...(page.Uploads ?? []).map(({ UploadId }) => UploadId));
      if (!page.IsTruncated) break;
      markers = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker };
    }
    assert.deepEqual(seen.length, 4);
    assert.deepEqual([...seen].sort(), [...wanted].sort());
  },
  'ListMultipartUploads with max-uploads that is no number is InvalidArgument': async (w) => {
    const query = { uploads: '', 'max-uploads': 'x' };
    isRefused(await w.call('GET', await w.bucket(), '', { query }), 400, 'InvalidArgument');
  },
  'ListMultipartUploads with url encoding': async (w) => {
    const bucket = await w.bucket();
    await begin(w, bucket, 'a b+c');
    const query = { uploads: '', 'encoding-type': 'url' };
    const { text } = isStatus(await w.call('GET', bucket, '', { query }), 200);
    assert.match(text, /<Key>a(%20|\+)b%2Bc<\/Key>/);
  },
});
