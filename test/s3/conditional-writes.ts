import { area, assert, each, refused } from './suite.ts';
import { isRefused, isStatus, md5Hex, type World } from './world.ts';

const OTHER = `"${md5Hex('other')}"`;

type Write = (w: World, bucket: string, headers: Record<string, string>) => Promise<number>;

/** Every way to write the object `k`, from what `source` and a prepared upload hold. */
const WRITES: Readonly<Record<string, Write>> = {
  put: async (w, bucket, headers) =>
    (await w.call('PUT', bucket, 'k', { body: 'written', headers })).status,
  copy: async (w, bucket, headers) => {
    await w.put(bucket, 'source', 'written');
    const source = { 'x-amz-copy-source': `/${bucket}/source` };
    return (await w.call('PUT', bucket, 'k', { headers: { ...source, ...headers } })).status;
  },
  completion: async (w, Bucket, headers) => {
    const { UploadId = '' } = await w.sdk.createMultipartUpload({ Bucket, Key: 'k' });
    const part = { Bucket, Key: 'k', UploadId, PartNumber: 1, Body: 'written' };
    const { ETag } = await w.sdk.uploadPart(part);
    const body =
      `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${ETag}</ETag></Part>` +
      '</CompleteMultipartUpload>';
    const query = { uploadId: UploadId };
    return (await w.call('POST', Bucket, 'k', { query, body, headers })).status;
  },
};

interface Row {
  readonly what: string;
  readonly headers: (etag: string) => Record<string, string>;
  /** Where the object is, and where there is none. */
  readonly there: number;
  readonly absent: number;
}

const ROWS: readonly Row[] = [
  { what: 'If-None-Match: *', headers: () => ({ 'if-none-match': '*' }), there: 412, absent: 200 },
  {
    what: 'If-Match with its ETag',
    headers: (etag) => ({ 'if-match': etag }),
    there: 200,
    absent: 404,
  },
  {
    what: 'If-Match with its ETag without quotes',
    headers: (etag) => ({ 'if-match': etag.slice(1, -1) }),
    there: 200,
    absent: 404,
  },
  {
    what: 'If-Match with another ETag',
    headers: () => ({ 'if-match': OTHER }),
    there: 412,
    absent: 404,
  },
  { what: 'If-Match: *', headers: () => ({ 'if-match': '*' }), there: 200, absent: 404 },
];

const TABLE = Object.entries(WRITES).flatMap(([name, write]) =>
  ROWS.flatMap((row) => [
    { name, write, row, isThere: true },
    { name, write, row, isThere: false },
  ]),
);

/** If-* of put, copy, completion and delete. */
export const conditionalWrites = area('conditional writes', {
  ...each(
    TABLE,
    ({ name, row, isThere }) =>
      `${name}, ${row.what}, ${isThere ? 'object there' : 'no object'}: ` +
      `${isThere ? row.there : row.absent}`,
    async (w, { write, row, isThere }) => {
      const bucket = await w.bucket();
      const etag = isThere ? await w.put(bucket, 'k', 'before') : OTHER;
      const status = await write(w, bucket, row.headers(etag));
      assert.equal(status, isThere ? row.there : row.absent);
      const after = await w.call('GET', bucket, 'k');
      const wanted = status === 200 ? 'written' : 'before';
      if (status === 200 || isThere) assert.equal(isStatus(after, 200).text, wanted);
      else isStatus(after, 404);
    },
  ),
  'put: 412 is PreconditionFailed and names the condition': async (w) => {
    const bucket = await w.bucket();
    await w.put(bucket, 'k');
    const reply = await w.call('PUT', bucket, 'k', {
      body: 'x',
      headers: { 'if-none-match': '*' },
    });
    isRefused(reply, 412, 'PreconditionFailed');
    assert.match(reply.text, /<Condition>If-None-Match<\/Condition>/);
  },
  'put: If-Match on none is NoSuchKey': async (w) => {
    const Bucket = await w.bucket();
    const put = w.sdk.putObject({ Bucket, Key: 'k', Body: 'x', IfMatch: OTHER });
    await refused(put, 404, 'NoSuchKey');
  },
  'put: If-None-Match after a delete is done': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'k');
    await w.sdk.deleteObject({ Bucket, Key: 'k' });
    await w.put(Bucket, 'k', 'again', { IfNoneMatch: '*' });
  },
  'put: If-None-Match above a delete marker is done': async (w) => {
    const Bucket = await w.versioned();
    await w.putVersion(Bucket, 'k', '1');
    await w.sdk.deleteObject({ Bucket, Key: 'k' });
    await w.put(Bucket, 'k', 'again', { IfNoneMatch: '*' });
    assert.equal(await w.text(Bucket, 'k'), 'again');
  },
  'put: If-Match above a delete marker is NoSuchKey': async (w) => {
    const Bucket = await w.versioned();
    const IfMatch = await w.put(Bucket, 'k', '1');
    await w.sdk.deleteObject({ Bucket, Key: 'k' });
    await refused(w.sdk.putObject({ Bucket, Key: 'k', Body: '2', IfMatch }), 404, 'NoSuchKey');
  },
  'put: with versions the condition is about the current one': async (w) => {
    const Bucket = await w.versioned();
    const first = await w.put(Bucket, 'k', '1');
    const second = await w.put(Bucket, 'k', '2');
    const put = (IfMatch: string) => w.sdk.putObject({ Bucket, Key: 'k', Body: '3', IfMatch });
    await refused(put(first), 412, 'PreconditionFailed');
    await put(second);
    const { Versions = [] } = await w.sdk.listObjectVersions({ Bucket });
    assert.equal(Versions.length, 3);
  },
  'put: of twenty with If-None-Match one wins': async (w) => {
    const Bucket = await w.bucket();
    const bodies = Array.from({ length: 20 }, (_, i) => `writer ${i}`);
    const statuses = await Promise.all(
      bodies.map(async (body) => {
        const headers = { 'if-none-match': '*' };
        const { status } = await w.call('PUT', Bucket, 'k', { body, headers });
        return { body, status };
      }),
    );
    const winners = statuses.filter(({ status }) => status === 200);
    assert.equal(winners.length, 1);
    assert.ok(statuses.every(({ status }) => [200, 409, 412].includes(status)));
    assert.equal(await w.text(Bucket, 'k'), winners[0]?.body);
  },
  'put: of twenty with one ETag one wins': async (w) => {
    const Bucket = await w.bucket();
    const IfMatch = await w.put(Bucket, 'k', 'before');
    const results = await Promise.allSettled(
      Array.from({ length: 20 }, (_, i) => w.put(Bucket, 'k', `writer ${i}`, { IfMatch })),
    );
    assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
  },
  'put: both conditions at once are NotImplemented': async (w) => {
    const headers = { 'if-match': OTHER, 'if-none-match': '*' };
    const reply = await w.call('PUT', await w.bucket(), 'k', { body: 'x', headers });
    isRefused(reply, 501, 'NotImplemented');
  },
  'completion: a failed condition keeps the upload': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'k', 'before');
    assert.equal(await WRITES['completion']?.(w, Bucket, { 'if-none-match': '*' }), 412);
    const { Uploads = [] } = await w.sdk.listMultipartUploads({ Bucket });
    assert.equal(Uploads.length, 1);
  },
  'delete: If-Match with its ETag is 204': async (w) => {
    const Bucket = await w.bucket();
    const IfMatch = await w.put(Bucket, 'k');
    await w.sdk.deleteObject({ Bucket, Key: 'k', IfMatch });
    await refused(w.sdk.getObject({ Bucket, Key: 'k' }), 404, 'NoSuchKey');
  },
  'delete: If-Match with another ETag is PreconditionFailed': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'k');
    const call = w.sdk.deleteObject({ Bucket, Key: 'k', IfMatch: OTHER });
    await refused(call, 412, 'PreconditionFailed');
    assert.equal(await w.text(Bucket, 'k'), 'k');
  },
  'delete: If-Match: * with an object is 204': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'k');
    await w.sdk.deleteObject({ Bucket, Key: 'k', IfMatch: '*' });
    await refused(w.sdk.getObject({ Bucket, Key: 'k' }), 404, 'NoSuchKey');
  },
  'delete: If-Match on none is 204': async (w) => {
    const reply = await w.call('DELETE', await w.bucket(), 'k', { headers: { 'if-match': OTHER } });
    isStatus(reply, 204);
  },
  'delete: with versions a failed condition adds no marker': async (w) => {
    const Bucket = await w.versioned();
    await w.putVersion(Bucket, 'k', '1');
    const call = w.sdk.deleteObject({ Bucket, Key: 'k', IfMatch: OTHER });
    await refused(call, 412, 'PreconditionFailed');
    assert.equal((await w.sdk.listObjectVersions({ Bucket })).DeleteMarkers, undefined);
  },
  'delete of many: each ETag is judged for its key': async (w) => {
    const Bucket = await w.bucket();
    const ETag = await w.put(Bucket, 'a');
    await w.put(Bucket, 'b');
    const Objects = [
      { Key: 'a', ETag },
      { Key: 'b', ETag: OTHER },
    ];
    const { Deleted = [], Errors = [] } = await w.sdk.deleteObjects({
      Bucket,
      Delete: { Objects },
    });
    assert.deepEqual(
      Deleted.map(({ Key }) => Key),
      ['a'],
    );
    assert.deepEqual(
      Errors.map(({ Key, Code }) => [Key, Code]),
      [['b', 'PreconditionFailed']],
    );
  },
});
