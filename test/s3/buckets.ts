import { area, assert, refused } from './suite.ts';
import { isRefused, isStatus } from './world.ts';
import { elements, texts } from './xml.ts';

/** Buckets: made, looked at, listed, deleted. */
export const buckets = area('buckets', {
  'a new bucket answers 200 with its location': async (w) => {
    const Bucket = w.name();
    const { Location, $metadata } = await w.sdk.createBucket({ Bucket });
    assert.equal($metadata.httpStatusCode, 200);
    assert.equal(Location, `/${Bucket}`);
  },
  'a new bucket is empty': async (w) => {
    const Bucket = await w.bucket();
    const { Contents, IsTruncated, KeyCount } = await w.sdk.listObjectsV2({ Bucket });
    assert.deepEqual([Contents, IsTruncated, KeyCount], [undefined, false, 0]);
  },
  'creating it again is no error in us-east-1 and keeps its objects': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'kept', 'text');
    if (w.target.region === 'us-east-1') await w.sdk.createBucket({ Bucket });
    else await refused(w.sdk.createBucket({ Bucket }), 409, 'BucketAlreadyOwnedByYou');
    assert.equal(await w.text(Bucket, 'kept'), 'text');
  },
  'creating it again with another ACL resets its ACL': async (w) => {
    const Bucket = await w.bucket({ ACL: 'public-read', ObjectOwnership: 'ObjectWriter' });
    await w.sdk.createBucket({ Bucket });
    assert.equal((await w.sdk.getBucketAcl({ Bucket })).Grants?.length, 1);
  },
  'HEAD answers 200 without a body and names the region': async (w) => {
    const reply = isStatus(await w.call('HEAD', await w.bucket(), ''), 200);
    assert.equal(reply.headers['x-amz-bucket-region'], w.target.region);
    assert.equal(reply.bytes.length, 0);
  },
  'HEAD of none is 404 without a body': async (w) => {
    const reply = isStatus(await w.call('HEAD', w.name(), ''), 404);
    assert.equal(reply.bytes.length, 0);
  },
  'DELETE answers 204 without a body': async (w) => {
    const reply = isStatus(await w.call('DELETE', await w.bucket(), ''), 204);
    assert.equal(reply.bytes.length, 0);
  },
  'DELETE of none is NoSuchBucket': async (w) => {
    await refused(w.sdk.deleteBucket({ Bucket: w.name() }), 404, 'NoSuchBucket');
  },
  'DELETE twice is NoSuchBucket': async (w) => {
    const Bucket = await w.bucket();
    await w.sdk.deleteBucket({ Bucket });
    await refused(w.sdk.deleteBucket({ Bucket }), 404, 'NoSuchBucket');
  },
  'DELETE with an object in it is BucketNotEmpty': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'k');
    await refused(w.sdk.deleteBucket({ Bucket }), 409, 'BucketNotEmpty');
    assert.equal(await w.text(Bucket, 'k'), 'k');
  },
  'DELETE with a delete marker in it is BucketNotEmpty': async (w) => {
    const Bucket = await w.versioned();
    await w.sdk.deleteObject({ Bucket, Key: 'k' });
    await refused(w.sdk.deleteBucket({ Bucket }), 409, 'BucketNotEmpty');
  },
  'DELETE works after its last object is deleted': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'k');
    await w.sdk.deleteObject({ Bucket, Key: 'k' });
    await w.sdk.deleteBucket({ Bucket });
  },
  'a bucket made again under its name is empty': async (w) => {
    const Bucket = await w.versioned();
    const VersionId = await w.putVersion(Bucket, 'k', 'x');
    await w.sdk.deleteObject({ Bucket, Key: 'k', VersionId });
    await w.sdk.deleteBucket({ Bucket });
    await w.sdk.createBucket({ Bucket });
    assert.equal((await w.sdk.getBucketVersioning({ Bucket })).Status, undefined);
    await refused(w.sdk.getObject({ Bucket, Key: 'k' }), 404, 'NoSuchKey');
  },
  'a put into none is NoSuchBucket': async (w) => {
    const Bucket = w.name();
    await refused(w.sdk.putObject({ Bucket, Key: 'k', Body: 'x' }), 404, 'NoSuchBucket');
  },
  'a get from none is NoSuchBucket': async (w) => {
    await refused(w.sdk.getObject({ Bucket: w.name(), Key: 'k' }), 404, 'NoSuchBucket');
  },
  'a delete from none is NoSuchBucket': async (w) => {
    await refused(w.sdk.deleteObject({ Bucket: w.name(), Key: 'k' }), 404, 'NoSuchBucket');
  },
  'a listing of none is NoSuchBucket': async (w) => {
    await refused(w.sdk.listObjects({ Bucket: w.name() }), 404, 'NoSuchBucket');
    await refused(w.sdk.listObjectsV2({ Bucket: w.name() }), 404, 'NoSuchBucket');
    await refused(w.sdk.listObjectVersions({ Bucket: w.name() }), 404, 'NoSuchBucket');
    await refused(w.sdk.listMultipartUploads({ Bucket: w.name() }), 404, 'NoSuchBucket');
  },
  'NoSuchBucket names the bucket': async (w) => {
    const bucket = w.name();
    const reply = await w.call('GET', bucket, '');
    isRefused(reply, 404, 'NoSuchBucket');
    assert.deepEqual(texts(reply.text, 'BucketName'), [bucket]);
    assert.deepEqual(elements(reply.text, 'RequestId'), [reply.headers['x-amz-request-id']]);
  },
  'the location of the first region is empty': async (w) => {
    const Bucket = await w.bucket();
    const { LocationConstraint } = await w.sdk.getBucketLocation({ Bucket });
    const { region } = w.target;
    assert.equal(LocationConstraint, region === 'us-east-1' ? undefined : region);
  },
  'the location of none is NoSuchBucket': async (w) => {
    await refused(w.sdk.getBucketLocation({ Bucket: w.name() }), 404, 'NoSuchBucket');
  },
  'the location document has one element and the namespace of S3': async (w) => {
    const reply = await w.call('GET', await w.bucket(), '', { query: { location: '' } });
    assert.match(
      isStatus(reply, 200).text,
      /<LocationConstraint xmlns="http:\/\/s3[^"]*doc\/2006-03-01\/"/,
    );
  },
  'a location constraint that is not a region is refused': async (w) => {
    const LocationConstraint = 'no-such-region-9' as 'eu-west-1';
    const call = w.sdk.createBucket({
      Bucket: w.name(),
      CreateBucketConfiguration: { LocationConstraint },
    });
    await refused(call, 400, 'InvalidLocationConstraint');
  },
  'a configuration that is no XML is MalformedXML': async (w) => {
    const reply = await w.call('PUT', w.name(), '', { body: '<CreateBucketConfiguration>' });
    isRefused(reply, 400, 'MalformedXML');
  },
  'a trailing slash in the path is the bucket too': async (w) => {
    const bucket = w.name();
    isStatus(await w.raw('PUT', `/${bucket}/`), 200);
    isStatus(await w.raw('HEAD', `/${bucket}/`), 200);
    isStatus(await w.raw('GET', `/${bucket}/`), 200);
  },
  'an unknown method on a bucket is MethodNotAllowed': async (w) => {
    isRefused(await w.call('PATCH', await w.bucket(), ''), 405, 'MethodNotAllowed');
  },
  'the account has no DELETE': async (w) => {
    isRefused(await w.raw('DELETE', '/'), 405, 'MethodNotAllowed');
  },
  'ListBuckets has a new bucket with its date, and its owner': async (w) => {
    const started = Date.now();
    const bucket = await w.bucket();
    const { Buckets = [], Owner } = await w.sdk.listBuckets({});
    const found = Buckets.find(({ Name }) => Name === bucket);
    assert.ok(found?.CreationDate !== undefined);
    assert.ok(Math.abs(found.CreationDate.getTime() - started) < 60_000);
    assert.ok((Owner?.ID ?? '') !== '');
  },
  'ListBuckets has no bucket that was deleted': async (w) => {
    const Bucket = await w.bucket();
    await w.sdk.deleteBucket({ Bucket });
    const { Buckets = [] } = await w.sdk.listBuckets({});
    assert.ok(Buckets.every(({ Name }) => Name !== Bucket));
  },
  'ListBuckets is in the order of names': async (w) => {
    await w.bucket();
    await w.bucket();
    const { Buckets = [] } = await w.sdk.listBuckets({});
    const names = Buckets.map(({ Name }) => Name ?? '');
    assert.deepEqual(names, [...names].sort());
  },
  'ListBuckets by prefix': async (w) => {
    const bucket = await w.bucket();
    const Prefix = bucket.slice(0, -1);
    const { Buckets = [], Prefix: said } = await w.sdk.listBuckets({ Prefix });
    assert.equal(said, Prefix);
    assert.ok(Buckets.some(({ Name }) => Name === bucket));
    assert.ok(Buckets.every(({ Name }) => Name?.startsWith(Prefix)));
  },
  'ListBuckets in pages gives each once': async (w) => {
    const base = w.name();
    const wanted = ['-a', '-b', '-c', '-d', '-e'].map((end) => base + end);
    for (const Bucket of wanted) await w.sdk.createBucket({ Bucket });
    const seen: string[] = [];
    let token: string | undefined;
    do {
      const page = await w.sdk.listBuckets({
        Prefix: `${base}-`,
        MaxBuckets: 2,
        ...(token === undefined ? {} : { ContinuationToken: token }),
      });
      assert.ok((page.Buckets ?? []).length <= 2);
      seen.push(...(page.Buckets ?? []).map(({ Name }) => Name ?? ''));
      token = page.ContinuationToken;
    } while (token !== undefined);
    for (const Bucket of wanted) await w.sdk.deleteBucket({ Bucket });
    assert.deepEqual(seen, wanted);
  },
  'ListBuckets with max-buckets 0 is InvalidArgument': async (w) => {
    isRefused(await w.raw('GET', '/', { query: { 'max-buckets': '0' } }), 400, 'InvalidArgument');
  },
  'ListBuckets with max-buckets that is no number is InvalidArgument': async (w) => {
    const reply = await w.raw('GET', '/', { query: { 'max-buckets': 'many' } });
    isRefused(reply, 400, 'InvalidArgument');
  },
  'a create without Content-Length is done': async (w) => {
    const bucket = w.name();
    const reply = await w.call('PUT', bucket, '', {
      tamper: (sent) => ({ ...sent, headers: { ...sent.headers, 'content-length': '0' } }),
    });
    isStatus(reply, 200);
    isStatus(await w.call('HEAD', bucket, ''), 200);
  },
  'an expected owner that is another is AccessDenied': async (w) => {
    const Bucket = await w.bucket();
    const ExpectedBucketOwner = '999999999999';
    await refused(w.sdk.listObjectsV2({ Bucket, ExpectedBucketOwner }), 403, 'AccessDenied');
    const put = w.sdk.putObject({ Bucket, Key: 'k', Body: 'x', ExpectedBucketOwner });
    await refused(put, 403, 'AccessDenied');
  },
});
