import { randomBytes } from 'node:crypto';
import { area, assert, each, refused } from './suite.ts';
import { isRefused, isStatus } from './world.ts';
import { elements, textOf } from './xml.ts';

const BAD_BODIES: readonly (readonly [string, string, string])[] = [
  ['an unknown status', '<Status>On</Status>', 'MalformedXML'],
  ['a status in lower case', '<Status>enabled</Status>', 'MalformedXML'],
  ['an empty status', '<Status></Status>', 'MalformedXML'],
  ['no status', '', 'IllegalVersioningConfigurationException'],
];

/** Versions of objects. */
export const versioning = area('versioning', {
  'a new bucket has none': async (w) => {
    const reply = await w.call('GET', await w.bucket(), '', { query: { versioning: '' } });
    const { text } = isStatus(reply, 200);
    assert.match(text, /<VersioningConfiguration/);
    assert.deepEqual([textOf(text, 'Status'), textOf(text, 'MfaDelete')], [null, null]);
  },
  'on, suspended and on again': async (w) => {
    const Bucket = await w.bucket();
    for (const status of ['Enabled', 'Suspended', 'Suspended', 'Enabled', 'Enabled'] as const) {
      await w.versioning(Bucket, status);
      assert.equal((await w.sdk.getBucketVersioning({ Bucket })).Status, status);
    }
  },
  ...each(
    BAD_BODIES,
    ([what, , code]) => `${what} is ${code}`,
    async (w, [, inside, code]) => {
      const body = `<VersioningConfiguration>${inside}</VersioningConfiguration>`;
      const reply = await w.call('PUT', await w.bucket(), '', { query: { versioning: '' }, body });
      isRefused(reply, 400, code);
    },
  ),
  'of no bucket is NoSuchBucket': async (w) => {
    await refused(w.sdk.getBucketVersioning({ Bucket: w.name() }), 404, 'NoSuchBucket');
    await refused(w.versioning(w.name(), 'Enabled'), 404, 'NoSuchBucket');
  },
  'each put is a version of its own': async (w) => {
    const Bucket = await w.versioned();
    const ids = [];
    for (const text of ['1', '2', '3']) ids.push(await w.putVersion(Bucket, 'k', text));
    assert.equal(new Set(ids).size, 3);
    assert.ok(!ids.includes('null'));
    assert.equal(await w.text(Bucket, 'k'), '3');
    for (const [i, id] of ids.entries()) assert.equal(await w.text(Bucket, 'k', id), String(i + 1));
  },
  'GET and HEAD tell the version id': async (w) => {
    const Bucket = await w.versioned();
    const id = await w.putVersion(Bucket, 'k', '1');
    assert.equal((await w.sdk.getObject({ Bucket, Key: 'k' })).VersionId, id);
    assert.equal((await w.sdk.headObject({ Bucket, Key: 'k' })).VersionId, id);
  },
  'versions keep their own headers and metadata': async (w) => {
    const Bucket = await w.versioned();
    const put = (more: object) => w.sdk.putObject({ Bucket, Key: 'k', Body: 'x', ...more });
    const { VersionId } = await put({ ContentType: 'text/css', Metadata: { a: '1' } });
    await put({ Metadata: { b: '2' } });
    const old = await w.sdk.headObject({ Bucket, Key: 'k', VersionId });
    assert.deepEqual([old.ContentType, old.Metadata], ['text/css', { a: '1' }]);
  },
  'large versions come back each': async (w) => {
    const Bucket = await w.versioned();
    const bodies = [randomBytes(300_000), randomBytes(300_001)];
    const ids = [];
    for (const body of bodies) ids.push(await w.putVersion(Bucket, 'k', body));
    for (const [i, versionId] of ids.entries()) {
      const got = await w.call('GET', Bucket, 'k', { query: { versionId } });
      assert.ok(got.bytes.equals(bodies[i] as Buffer));
    }
  },
  'a delete adds a marker': async (w) => {
    const Bucket = await w.versioned();
    const id = await w.putVersion(Bucket, 'k', '1');
    const done = await w.sdk.deleteObject({ Bucket, Key: 'k' });
    assert.equal(done.DeleteMarker, true);
    assert.ok(done.VersionId !== undefined && done.VersionId !== id);
    assert.equal(await w.text(Bucket, 'k', id), '1');
  },
  'a get under a marker is NoSuchKey, and says so': async (w) => {
    const bucket = await w.versioned();
    await w.putVersion(bucket, 'k', '1');
    const { VersionId } = await w.sdk.deleteObject({ Bucket: bucket, Key: 'k' });
    const got = await w.call('GET', bucket, 'k');
    isRefused(got, 404, 'NoSuchKey');
    assert.equal(got.headers['x-amz-delete-marker'], 'true');
    assert.equal(got.headers['x-amz-version-id'], VersionId);
    const head = isStatus(await w.call('HEAD', bucket, 'k'), 404);
    assert.equal(head.headers['x-amz-delete-marker'], 'true');
  },
  'a get of a marker by its id is MethodNotAllowed': async (w) => {
    const bucket = await w.versioned();
    const { VersionId = '' } = await w.sdk.deleteObject({ Bucket: bucket, Key: 'k' });
    const query = { versionId: VersionId };
    const got = await w.call('GET', bucket, 'k', { query });
    isRefused(got, 405, 'MethodNotAllowed');
    assert.equal(got.headers['x-amz-delete-marker'], 'true');
    assert.ok(got.headers['last-modified'] !== undefined);
    isStatus(await w.call('HEAD', bucket, 'k', { query }), 405);
  },
  'a delete of a key that never was adds a marker': async (w) => {
    const Bucket = await w.versioned();
    const { DeleteMarker, VersionId } = await w.sdk.deleteObject({ Bucket, Key: 'none' });
    assert.equal(DeleteMarker, true);
    const { DeleteMarkers = [] } = await w.sdk.listObjectVersions({ Bucket });
    assert.deepEqual(
      DeleteMarkers.map((marker) => marker.VersionId),
      [VersionId],
    );
  },
  'deletes add a marker each': async (w) => {
    const Bucket = await w.versioned();
    await w.putVersion(Bucket, 'k', '1');
    for (let i = 0; i < 3; i++) await w.sdk.deleteObject({ Bucket, Key: 'k' });
    assert.equal((await w.sdk.listObjectVersions({ Bucket })).DeleteMarkers?.length, 3);
  },
  'a marker that is deleted brings the object back': async (w) => {
    const Bucket = await w.versioned();
    await w.putVersion(Bucket, 'k', '1');
    const { VersionId } = await w.sdk.deleteObject({ Bucket, Key: 'k' });
    const done = await w.sdk.deleteObject({ Bucket, Key: 'k', VersionId });
    assert.deepEqual([done.DeleteMarker, done.VersionId], [true, VersionId]);
    assert.equal(await w.text(Bucket, 'k'), '1');
  },
  'a marker under another leaves the object deleted': async (w) => {
    const Bucket = await w.versioned();
    await w.putVersion(Bucket, 'k', '1');
    const { VersionId } = await w.sdk.deleteObject({ Bucket, Key: 'k' });
    await w.sdk.deleteObject({ Bucket, Key: 'k' });
    await w.sdk.deleteObject({ Bucket, Key: 'k', VersionId });
    await refused(w.sdk.getObject({ Bucket, Key: 'k' }), 404, 'NoSuchKey');
  },
  'the newest deleted by its id: the one before is current': async (w) => {
    const Bucket = await w.versioned();
    await w.putVersion(Bucket, 'k', '1');
    const VersionId = await w.putVersion(Bucket, 'k', '2');
    const done = await w.sdk.deleteObject({ Bucket, Key: 'k', VersionId });
    assert.deepEqual([done.DeleteMarker, done.VersionId], [undefined, VersionId]);
    assert.equal(await w.text(Bucket, 'k'), '1');
  },
  'all versions deleted by their ids: nothing is left': async (w) => {
    const Bucket = await w.versioned();
    const ids = [];
    for (const text of ['1', '2', '3']) ids.push(await w.putVersion(Bucket, 'k', text));
    for (const VersionId of ids) await w.sdk.deleteObject({ Bucket, Key: 'k', VersionId });
    const { Versions, DeleteMarkers } = await w.sdk.listObjectVersions({ Bucket });
    assert.deepEqual([Versions, DeleteMarkers], [undefined, undefined]);
    await refused(w.sdk.getObject({ Bucket, Key: 'k' }), 404, 'NoSuchKey');
  },
  'a version that was deleted is NoSuchVersion': async (w) => {
    const Bucket = await w.versioned();
    const VersionId = await w.putVersion(Bucket, 'k', '1');
    await w.putVersion(Bucket, 'k', '2');
    await w.sdk.deleteObject({ Bucket, Key: 'k', VersionId });
    await refused(w.sdk.getObject({ Bucket, Key: 'k', VersionId }), 404, 'NoSuchVersion');
  },
  'a version that is deleted twice is 204 twice': async (w) => {
    const Bucket = await w.versioned();
    const VersionId = await w.putVersion(Bucket, 'k', '1');
    await w.sdk.deleteObject({ Bucket, Key: 'k', VersionId });
    const { $metadata } = await w.sdk.deleteObject({ Bucket, Key: 'k', VersionId });
    assert.equal($metadata.httpStatusCode, 204);
  },
  'an object from before versioning is the version null': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'k', 'before');
    await w.versioning(Bucket, 'Enabled');
    assert.equal((await w.sdk.headObject({ Bucket, Key: 'k' })).VersionId, 'null');
    await w.putVersion(Bucket, 'k', 'after');
    assert.equal(await w.text(Bucket, 'k', 'null'), 'before');
    const { Versions = [] } = await w.sdk.listObjectVersions({ Bucket });
    assert.deepEqual(Versions.map(({ VersionId }) => VersionId).at(-1), 'null');
  },
  'the version null can be deleted by its id': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'k', 'before');
    await w.versioning(Bucket, 'Enabled');
    await w.sdk.deleteObject({ Bucket, Key: 'k', VersionId: 'null' });
    const { Versions, DeleteMarkers } = await w.sdk.listObjectVersions({ Bucket });
    assert.deepEqual([Versions, DeleteMarkers], [undefined, undefined]);
  },
  'suspended: a put makes the version null': async (w) => {
    const Bucket = await w.versioned();
    const id = await w.putVersion(Bucket, 'k', 'kept');
    await w.versioning(Bucket, 'Suspended');
    const { VersionId } = await w.sdk.putObject({ Bucket, Key: 'k', Body: 'null one' });
    assert.ok(VersionId === undefined || VersionId === 'null');
    assert.equal(await w.text(Bucket, 'k', id), 'kept');
    assert.equal(await w.text(Bucket, 'k', 'null'), 'null one');
  },
  'suspended: the version null is replaced by the next put': async (w) => {
    const Bucket = await w.versioned();
    await w.putVersion(Bucket, 'k', 'kept');
    await w.versioning(Bucket, 'Suspended');
    for (const text of ['1', '2', '3']) await w.put(Bucket, 'k', text);
    const { Versions = [] } = await w.sdk.listObjectVersions({ Bucket });
    assert.equal(Versions.length, 2);
    assert.equal(await w.text(Bucket, 'k'), '3');
  },
  'suspended: a delete puts a marker in place of the version null': async (w) => {
    const Bucket = await w.versioned();
    const id = await w.putVersion(Bucket, 'k', 'kept');
    await w.versioning(Bucket, 'Suspended');
    await w.put(Bucket, 'k', 'null one');
    const done = await w.sdk.deleteObject({ Bucket, Key: 'k' });
    assert.deepEqual([done.DeleteMarker, done.VersionId], [true, 'null']);
    const { Versions = [], DeleteMarkers = [] } = await w.sdk.listObjectVersions({ Bucket });
    assert.deepEqual(
      [Versions.map(({ VersionId }) => VersionId), DeleteMarkers.map((m) => m.VersionId)],
      [[id], ['null']],
    );
  },
  'suspended: a put above a marker null takes its place': async (w) => {
    const Bucket = await w.bucket();
    await w.versioning(Bucket, 'Suspended');
    await w.sdk.deleteObject({ Bucket, Key: 'k' });
    await w.put(Bucket, 'k', 'back');
    const { Versions = [], DeleteMarkers } = await w.sdk.listObjectVersions({ Bucket });
    assert.deepEqual([Versions.length, DeleteMarkers], [1, undefined]);
  },
  'suspended: the marker null deleted brings the version below back': async (w) => {
    const Bucket = await w.versioned();
    await w.putVersion(Bucket, 'k', 'kept');
    await w.versioning(Bucket, 'Suspended');
    await w.sdk.deleteObject({ Bucket, Key: 'k' });
    await w.sdk.deleteObject({ Bucket, Key: 'k', VersionId: 'null' });
    assert.equal(await w.text(Bucket, 'k'), 'kept');
  },
  'suspended: older versions can be read and deleted': async (w) => {
    const Bucket = await w.versioned();
    const ids = [await w.putVersion(Bucket, 'k', '1'), await w.putVersion(Bucket, 'k', '2')];
    await w.versioning(Bucket, 'Suspended');
    assert.equal(await w.text(Bucket, 'k', ids[0]), '1');
    await w.sdk.deleteObject({ Bucket, Key: 'k', VersionId: ids[1] });
    assert.equal(await w.text(Bucket, 'k'), '1');
  },
  'on again: the version null stays below new ones': async (w) => {
    const Bucket = await w.versioned();
    await w.versioning(Bucket, 'Suspended');
    await w.put(Bucket, 'k', 'null one');
    await w.versioning(Bucket, 'Enabled');
    await w.putVersion(Bucket, 'k', 'new');
    assert.equal(await w.text(Bucket, 'k', 'null'), 'null one');
    assert.equal(await w.text(Bucket, 'k'), 'new');
  },
  'an upload in parts is a version': async (w) => {
    const Bucket = await w.versioned();
    const old = await w.putVersion(Bucket, 'k', 'old');
    const { UploadId } = await w.sdk.createMultipartUpload({ Bucket, Key: 'k' });
    const part = { Bucket, Key: 'k', UploadId, PartNumber: 1 };
    const { ETag } = await w.sdk.uploadPart({ ...part, Body: 'new' });
    const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] };
    const upload = { Bucket, Key: 'k', UploadId };
    const done = await w.sdk.completeMultipartUpload({ ...upload, MultipartUpload });
    assert.ok(done.VersionId !== undefined && done.VersionId !== old);
    assert.equal(await w.text(Bucket, 'k', old), 'old');
    assert.equal(await w.text(Bucket, 'k'), 'new');
  },
  'many puts of one key at once are versions each': async (w) => {
    const Bucket = await w.versioned();
    const texts = Array.from({ length: 10 }, (_, i) => `text ${i}`);
    const ids = await Promise.all(texts.map((text) => w.putVersion(Bucket, 'k', text)));
    assert.equal(new Set(ids).size, 10);
    for (const [i, id] of ids.entries()) assert.equal(await w.text(Bucket, 'k', id), texts[i]);
    const { Versions = [] } = await w.sdk.listObjectVersions({ Bucket });
    assert.equal(Versions.filter(({ IsLatest }) => IsLatest).length, 1);
  },
  'an empty version id is InvalidArgument': async (w) => {
    const bucket = await w.versioned();
    await w.putVersion(bucket, 'k', '1');
    const reply = await w.call('GET', bucket, 'k', { query: { versionId: '' } });
    isRefused(reply, 400, 'InvalidArgument');
  },
  'a put answers with x-amz-version-id, a plain bucket without': async (w) => {
    const [plain, versioned] = [await w.bucket(), await w.versioned()];
    const put = (bucket: string) => w.call('PUT', bucket, 'k', { body: 'x' });
    assert.equal((await put(plain)).headers['x-amz-version-id'], undefined);
    assert.ok(((await put(versioned)).headers['x-amz-version-id'] ?? '') !== '');
  },
  'ListObjectVersions of a plain bucket has the version null': async (w) => {
    const bucket = await w.bucket();
    await w.put(bucket, 'k');
    const { text } = await w.call('GET', bucket, '', { query: { versions: '' } });
    const [version = ''] = elements(text, 'Version');
    assert.deepEqual([textOf(version, 'VersionId'), textOf(version, 'IsLatest')], ['null', 'true']);
  },
});
