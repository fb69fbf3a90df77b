import { randomBytes } from 'node:crypto';
import { area, assert, each, refused } from './suite.ts';
import { isRefused, isStatus, md5Hex, type World } from './world.ts';
import { textOf } from './xml.ts';

export const MIB = 1 << 20;

export interface Upload {
  readonly Bucket: string;
  readonly Key: string;
  readonly UploadId: string;
}

export interface Part {
  readonly PartNumber: number;
  readonly ETag: string;
}

export async function begin(w: World, Bucket: string, Key = 'k', more = {}): Promise<Upload> {
  const { UploadId = '' } = await w.sdk.createMultipartUpload({ Bucket, Key, ...more });
  assert.ok(UploadId !== '');
  return { Bucket, Key, UploadId };
}

export async function addPart(
  w: World,
  upload: Upload,
  PartNumber: number,
  Body: Uint8Array | string,
): Promise<Part> {
  const { ETag = '' } = await w.sdk.uploadPart({ ...upload, PartNumber, Body });
  assert.equal(ETag, `"${md5Hex(Body)}"`);
  return { PartNumber, ETag };
}

export function complete(w: World, upload: Upload, parts: readonly Part[]) {
  const MultipartUpload = { Parts: parts.map((part) => ({ ...part })) };
  return w.sdk.completeMultipartUpload({ ...upload, MultipartUpload });
}

/** The ETag of an object of these parts. */
export function eTagOf(bodies: readonly (Uint8Array | string)[]): string {
  const joined = Buffer.concat(bodies.map((body) => Buffer.from(md5Hex(body), 'hex')));
  return `"${md5Hex(joined)}-${bodies.length}"`;
}

export async function uploaded(
  w: World,
  Bucket: string,
  bodies: readonly (Uint8Array | string)[],
  numbers = bodies.map((_, i) => i + 1),
): Promise<void> {
  const upload = await begin(w, Bucket);
  const parts: Part[] = [];
  for (const [i, body] of bodies.entries()) {
    parts.push(await addPart(w, upload, numbers[i] as number, body));
  }
  const done = await complete(w, upload, parts);
  assert.equal(done.ETag, eTagOf(bodies));
}

const SIZES: readonly (readonly number[])[] = [
  [1],
  [0],
  [5 * MIB],
  [5 * MIB, 1],
  [5 * MIB + 1, 5 * MIB],
  [6 * MIB, 5 * MIB, 3 * MIB],
];

const BAD_BODIES: readonly (readonly [string, string, string])[] = [
  ['no parts', '<CompleteMultipartUpload></CompleteMultipartUpload>', 'MalformedXML'],
  ['no XML', 'complete', 'MalformedXML'],
  ['nothing', '', 'MalformedXML'],
  [
    'a part without a number',
    '<CompleteMultipartUpload><Part><ETag>"a"</ETag></Part></CompleteMultipartUpload>',
    'MalformedXML',
  ],
  [
    'a number that is none',
    '<CompleteMultipartUpload><Part><PartNumber>x</PartNumber><ETag>"a"</ETag></Part></CompleteMultipartUpload>',
    'MalformedXML',
  ],
];

/** Uploads in parts. */
export const multipart = area('multipart', {
  ...each(
    SIZES,
    (sizes) => `parts of ${sizes.join(', ')} bytes`,
    async (w, sizes) => {
      const Bucket = await w.bucket();
      const bodies = sizes.map((size) => randomBytes(size));
      await uploaded(w, Bucket, bodies);
      const got = isStatus(await w.call('GET', Bucket, 'k'), 200);
      assert.ok(got.bytes.equals(Buffer.concat(bodies)));
      assert.equal(got.headers['etag'], eTagOf(bodies));
    },
  ),
  ...each(
    BAD_BODIES,
    ([what, , code]) => `completion with ${what} is ${code}`,
    async (w, [, body, code]) => {
      const upload = await begin(w, await w.bucket());
      const query = { uploadId: upload.UploadId };
      isRefused(await w.call('POST', upload.Bucket, 'k', { query, body }), 400, code);
    },
  ),
  ...each(
    ['0', '10001', '-1', 'one', ''],
    (number) => `part number ${number === '' ? '(empty)' : number} is InvalidArgument`,
    async (w, partNumber) => {
      const { Bucket, UploadId } = await begin(w, await w.bucket());
      const query = { uploadId: UploadId, partNumber };
      const reply = await w.call('PUT', Bucket, 'k', { query, body: 'x' });
      isRefused(reply, 400, 'InvalidArgument');
    },
  ),
  'the first answer names bucket, key and upload': async (w) => {
    const bucket = await w.bucket();
    const reply = await w.call('POST', bucket, 'a/b', { query: { uploads: '' } });
    const { text } = isStatus(reply, 200);
    assert.deepEqual([textOf(text, 'Bucket'), textOf(text, 'Key')], [bucket, 'a/b']);
    assert.match(text, /<InitiateMultipartUploadResult/);
    assert.ok((textOf(text, 'UploadId') ?? '') !== '');
  },
  'the completion names location, bucket, key and ETag': async (w) => {
    const upload = await begin(w, await w.bucket(), 'a/b');
    const done = await complete(w, upload, [await addPart(w, upload, 1, 'x')]);
    assert.deepEqual([done.Bucket, done.Key, done.ETag], [upload.Bucket, 'a/b', eTagOf(['x'])]);
    assert.match(done.Location ?? '', new RegExp(`${upload.Bucket}.*a(/|%2F)b$`));
  },
  'there is no object before the completion': async (w) => {
    const upload = await begin(w, await w.bucket());
    await addPart(w, upload, 1, 'x');
    isRefused(await w.call('GET', upload.Bucket, 'k'), 404, 'NoSuchKey');
    assert.equal((await w.sdk.listObjectsV2({ Bucket: upload.Bucket })).KeyCount, 0);
  },
  'metadata and headers come from the beginning': async (w) => {
    const Bucket = await w.bucket();
    const more = { Metadata: { a: '1' }, ContentType: 'text/css', Tagging: 't=1' };
    const upload = await begin(w, Bucket, 'k', more);
    await complete(w, upload, [await addPart(w, upload, 1, 'x')]);
    const head = await w.sdk.headObject({ Bucket, Key: 'k' });
    assert.deepEqual([head.ContentType, head.Metadata], ['text/css', { a: '1' }]);
    const { TagSet } = await w.sdk.getObjectTagging({ Bucket, Key: 'k' });
    assert.deepEqual(TagSet, [{ Key: 't', Value: '1' }]);
  },
  'numbers may have gaps': async (w) => {
    const Bucket = await w.bucket();
    await uploaded(w, Bucket, [randomBytes(5 * MIB), 'end'], [7, 10_000]);
  },
  'parts may come in any order': async (w) => {
    const Bucket = await w.bucket();
    const upload = await begin(w, Bucket);
    const first = randomBytes(5 * MIB);
    const second = await addPart(w, upload, 2, 'end');
    await complete(w, upload, [await addPart(w, upload, 1, first), second]);
    const head = await w.sdk.headObject({ Bucket, Key: 'k' });
    assert.deepEqual([head.ContentLength, head.ETag], [5 * MIB + 3, eTagOf([first, 'end'])]);
  },
  'a completion out of order is InvalidPartOrder': async (w) => {
    const upload = await begin(w, await w.bucket());
    const first = await addPart(w, upload, 1, randomBytes(5 * MIB));
    const second = await addPart(w, upload, 2, randomBytes(5 * MIB));
    await refused(complete(w, upload, [second, first]), 400, 'InvalidPartOrder');
  },
  'a completion with one part twice is InvalidPartOrder': async (w) => {
    const upload = await begin(w, await w.bucket());
    const part = await addPart(w, upload, 1, 'x');
    await refused(complete(w, upload, [part, part]), 400, 'InvalidPartOrder');
  },
  'a part that is too small is EntityTooSmall': async (w) => {
    const upload = await begin(w, await w.bucket());
    const parts = [await addPart(w, upload, 1, 'small'), await addPart(w, upload, 2, 'last')];
    await refused(complete(w, upload, parts), 400, 'EntityTooSmall');
  },
  'a part of one byte less than 5 MiB is EntityTooSmall': async (w) => {
    const upload = await begin(w, await w.bucket());
    const first = await addPart(w, upload, 1, randomBytes(5 * MIB - 1));
    const parts = [first, await addPart(w, upload, 2, 'last')];
    await refused(complete(w, upload, parts), 400, 'EntityTooSmall');
  },
  'a part that is not there is InvalidPart': async (w) => {
    const upload = await begin(w, await w.bucket());
    const part = await addPart(w, upload, 1, 'x');
    await refused(complete(w, upload, [{ ...part, PartNumber: 9 }]), 400, 'InvalidPart');
  },
  'a part with another ETag is InvalidPart': async (w) => {
    const upload = await begin(w, await w.bucket());
    const part = await addPart(w, upload, 1, 'x');
    const ETag = `"${md5Hex('y')}"`;
    await refused(complete(w, upload, [{ ...part, ETag }]), 400, 'InvalidPart');
  },
  'an ETag without quotes is taken': async (w) => {
    const upload = await begin(w, await w.bucket());
    const part = await addPart(w, upload, 1, 'x');
    await complete(w, upload, [{ ...part, ETag: part.ETag.slice(1, -1) }]);
  },
  'a part that is sent again replaces the first': async (w) => {
    const upload = await begin(w, await w.bucket());
    const first = await addPart(w, upload, 1, 'first');
    const second = await addPart(w, upload, 1, 'second');
    await refused(complete(w, upload, [first]), 400, 'InvalidPart');
    await complete(w, upload, [second]);
    assert.equal(await w.text(upload.Bucket, 'k'), 'second');
  },
  'parts that are left out are not in the object': async (w) => {
    const upload = await begin(w, await w.bucket());
    const first = await addPart(w, upload, 1, randomBytes(5 * MIB));
    await addPart(w, upload, 2, 'left out');
    await complete(w, upload, [first, await addPart(w, upload, 3, 'end')]);
    const { ContentLength } = await w.sdk.headObject({ Bucket: upload.Bucket, Key: 'k' });
    assert.equal(ContentLength, 5 * MIB + 3);
  },
  'a completion replaces the object that was there': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'k', 'before', { Metadata: { old: '1' } });
    await uploaded(w, Bucket, ['after']);
    const got = await w.sdk.getObject({ Bucket, Key: 'k' });
    assert.equal(await got.Body?.transformToString(), 'after');
    assert.deepEqual(got.Metadata, {});
  },
  'a completion that is sent again is answered alike': async (w) => {
    const upload = await begin(w, await w.bucket());
    const parts = [await addPart(w, upload, 1, 'x')];
    const first = await complete(w, upload, parts);
    const second = await complete(w, upload, parts);
    assert.equal(second.ETag, first.ETag);
  },
  'a part after the completion is NoSuchUpload': async (w) => {
    const upload = await begin(w, await w.bucket());
    await complete(w, upload, [await addPart(w, upload, 1, 'x')]);
    const call = w.sdk.uploadPart({ ...upload, PartNumber: 2, Body: 'y' });
    await refused(call, 404, 'NoSuchUpload');
  },
  'an abort takes the upload away': async (w) => {
    const upload = await begin(w, await w.bucket());
    const part = await addPart(w, upload, 1, 'x');
    const { $metadata } = await w.sdk.abortMultipartUpload(upload);
    assert.equal($metadata.httpStatusCode, 204);
    await refused(complete(w, upload, [part]), 404, 'NoSuchUpload');
    await refused(w.sdk.listParts(upload), 404, 'NoSuchUpload');
    const { Uploads } = await w.sdk.listMultipartUploads({ Bucket: upload.Bucket });
    assert.equal(Uploads, undefined);
  },
  'an abort leaves the object that was there': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'k', 'before');
    const upload = await begin(w, Bucket);
    await addPart(w, upload, 1, 'x');
    await w.sdk.abortMultipartUpload(upload);
    assert.equal(await w.text(Bucket, 'k'), 'before');
  },
  'an upload id that is none is NoSuchUpload everywhere': async (w) => {
    const upload = { Bucket: await w.bucket(), Key: 'k', UploadId: 'no-such-upload' };
    await refused(w.sdk.abortMultipartUpload(upload), 404, 'NoSuchUpload');
    await refused(w.sdk.listParts(upload), 404, 'NoSuchUpload');
    const part = { PartNumber: 1, ETag: `"${md5Hex('x')}"` };
    await refused(complete(w, upload, [part]), 404, 'NoSuchUpload');
    const put = w.sdk.uploadPart({ ...upload, PartNumber: 1, Body: 'x' });
    await refused(put, 404, 'NoSuchUpload');
  },
  'an upload belongs to its key': async (w) => {
    const upload = await begin(w, await w.bucket());
    const call = w.sdk.uploadPart({ ...upload, Key: 'other', PartNumber: 1, Body: 'x' });
    await refused(call, 404, 'NoSuchUpload');
  },
  'a wrong Content-MD5 of a part is BadDigest': async (w) => {
    const { Bucket, UploadId } = await begin(w, await w.bucket());
    const query = { uploadId: UploadId, partNumber: '1' };
    const headers = { 'content-md5': Buffer.from(md5Hex('y'), 'hex').toString('base64') };
    const reply = await w.call('PUT', Bucket, 'k', { query, headers, body: 'x' });
    isRefused(reply, 400, 'BadDigest');
    assert.equal((await w.sdk.listParts({ Bucket, Key: 'k', UploadId })).Parts, undefined);
  },
  'two uploads of one key do not see each other': async (w) => {
    const Bucket = await w.bucket();
    const [a, b] = [await begin(w, Bucket), await begin(w, Bucket)];
    assert.notEqual(a.UploadId, b.UploadId);
    const [ofA, ofB] = [await addPart(w, a, 1, 'a'), await addPart(w, b, 1, 'b')];
    await complete(w, b, [ofB]);
    await complete(w, a, [ofA]);
    assert.equal(await w.text(Bucket, 'k'), 'a');
  },
  'ten uploads of one key at once leave one of them whole': async (w) => {
    const Bucket = await w.bucket();
    const letters = [...'abcdefghij'];
    await Promise.all(
      letters.map(async (letter) => {
        const upload = await begin(w, Bucket);
        await complete(w, upload, [await addPart(w, upload, 1, letter.repeat(1000))]);
      }),
    );
    assert.match(await w.text(Bucket, 'k'), /^(.)\1{999}$/);
  },
  'a bucket with an upload under way can be deleted': async (w) => {
    const upload = await begin(w, await w.bucket());
    await addPart(w, upload, 1, 'x');
    await w.sdk.deleteBucket({ Bucket: upload.Bucket });
    await refused(w.sdk.listParts(upload), 404, 'NoSuchBucket');
  },
  'an object size that is said and right is taken': async (w) => {
    const upload = await begin(w, await w.bucket());
    const Parts = [await addPart(w, upload, 1, 'four')];
    const size = { MpuObjectSize: 4 };
    await w.sdk.completeMultipartUpload({ ...upload, ...size, MultipartUpload: { Parts } });
  },
  'an object size that is said and wrong is InvalidRequest': async (w) => {
    const upload = await begin(w, await w.bucket());
    const MultipartUpload = { Parts: [await addPart(w, upload, 1, 'four')] };
    const size = { MpuObjectSize: 5 };
    const call = w.sdk.completeMultipartUpload({ ...upload, ...size, MultipartUpload });
    await refused(call, 400, 'InvalidRequest');
  },
});
