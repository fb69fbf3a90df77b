import { area, assert, each } from './suite.ts';
import { isRefused, isStatus, type World } from './world.ts';

const NOBODY = { by: 'nobody' } as const;

interface Access {
  readonly bucket: string;
  readonly object: string;
  /** What someone unknown is answered: list, get, head, put, delete. */
  readonly answers: readonly [number, number, number, number, number];
}

const TABLE: readonly Access[] = [
  { bucket: 'private', object: 'private', answers: [403, 403, 403, 403, 403] },
  { bucket: 'private', object: 'public-read', answers: [403, 200, 200, 403, 403] },
  { bucket: 'public-read', object: 'private', answers: [200, 403, 403, 403, 403] },
  { bucket: 'public-read', object: 'public-read', answers: [200, 200, 200, 403, 403] },
  { bucket: 'public-read-write', object: 'private', answers: [200, 403, 403, 200, 204] },
  { bucket: 'public-read-write', object: 'public-read', answers: [200, 200, 200, 200, 204] },
  { bucket: 'authenticated-read', object: 'private', answers: [403, 403, 403, 403, 403] },
  { bucket: 'private', object: 'authenticated-read', answers: [403, 403, 403, 403, 403] },
];

async function made(w: World, bucketAcl: string, objectAcl: string): Promise<string> {
  const Bucket = await w.bucket({
    ACL: bucketAcl as 'private',
    ObjectOwnership: 'ObjectWriter',
  });
  await w.put(Bucket, 'k', 'x', { ACL: objectAcl as 'private' });
  return Bucket;
}

const CONFIGURATIONS = [
  ...['acl', 'cors', 'lifecycle', 'location', 'policy', 'tagging', 'versioning', 'versions'],
  ...['uploads', 'encryption', 'object-lock', 'publicAccessBlock', 'ownershipControls', 'logging'],
];

/** Requests that nobody signed. */
export const anonymous = area('anonymous', {
  ...each(
    TABLE,
    ({ bucket, object }) => `bucket ${bucket}, object ${object}`,
    async (w, { bucket: bucketAcl, object, answers }) => {
      const bucket = await made(w, bucketAcl, object);
      const seen = [
        await w.call('GET', bucket, '', NOBODY),
        await w.call('GET', bucket, 'k', NOBODY),
        await w.call('HEAD', bucket, 'k', NOBODY),
        await w.call('PUT', bucket, 'new', { ...NOBODY, body: 'y' }),
        await w.call('DELETE', bucket, 'k', NOBODY),
      ];
      assert.deepEqual(
        seen.map(({ status }) => status),
        answers,
      );
    },
  ),
  ...each(
    CONFIGURATIONS,
    (name) => `?${name} of a bucket that all may read is AccessDenied`,
    async (w, name) => {
      const bucket = await made(w, 'public-read', 'private');
      const reply = await w.call('GET', bucket, '', { ...NOBODY, query: { [name]: '' } });
      const mayList = ['versions', 'uploads', 'location'].includes(name);
      if (!mayList || reply.status !== 200) isRefused(reply, 403, 'AccessDenied');
    },
  ),
  'ListBuckets is AccessDenied': async (w) => {
    isRefused(await w.raw('GET', '/', NOBODY), 403, 'AccessDenied');
  },
  'a new bucket is AccessDenied': async (w) => {
    isRefused(await w.call('PUT', w.name(), '', NOBODY), 403, 'AccessDenied');
  },
  'a delete of a bucket is AccessDenied': async (w) => {
    const bucket = await w.bucket({ ACL: 'public-read-write', ObjectOwnership: 'ObjectWriter' });
    isRefused(await w.call('DELETE', bucket, '', NOBODY), 403, 'AccessDenied');
  },
  'a bucket that is not there is NoSuchBucket': async (w) => {
    isRefused(await w.call('GET', w.name(), 'k', NOBODY), 404, 'NoSuchBucket');
  },
  ...each(
    ['', ...CONFIGURATIONS],
    (name) => `${name === '' ? 'a listing' : `?${name}`} of no bucket is NoSuchBucket`,
    async (w, name) => {
      const query: Record<string, string> = name === '' ? {} : { [name]: '' };
      const reply = await w.call('GET', w.name(), '', { ...NOBODY, query });
      isRefused(reply, 404, 'NoSuchBucket');
    },
  ),
  'a write into no bucket is NoSuchBucket': async (w) => {
    const bucket = w.name();
    isRefused(await w.call('PUT', bucket, 'k', { ...NOBODY, body: 'x' }), 404, 'NoSuchBucket');
    isRefused(await w.call('DELETE', bucket, 'k', NOBODY), 404, 'NoSuchBucket');
    isStatus(await w.call('HEAD', bucket, '', NOBODY), 404);
  },
  'a key that is not there, in a bucket that all may list, is NoSuchKey': async (w) => {
    const bucket = await made(w, 'public-read', 'private');
    isRefused(await w.call('GET', bucket, 'none', NOBODY), 404, 'NoSuchKey');
  },
  'a key that is not there, in a private bucket, is AccessDenied': async (w) => {
    const bucket = await w.bucket();
    isRefused(await w.call('GET', bucket, 'none', NOBODY), 403, 'AccessDenied');
    isStatus(await w.call('HEAD', bucket, 'none', NOBODY), 403);
  },
  'a put into a bucket that all may write is there': async (w) => {
    const bucket = await made(w, 'public-read-write', 'private');
    isStatus(await w.call('PUT', bucket, 'new', { ...NOBODY, body: 'y' }), 200);
    isStatus(await w.call('HEAD', bucket, 'new'), 200);
  },
  'a copy of an object that all may read, by nobody, is AccessDenied': async (w) => {
    const bucket = await made(w, 'private', 'public-read');
    const headers = { 'x-amz-copy-source': `/${bucket}/k` };
    isRefused(await w.call('PUT', bucket, 'to', { ...NOBODY, headers }), 403, 'AccessDenied');
  },
  'an upload in parts is AccessDenied': async (w) => {
    const bucket = await made(w, 'public-read', 'private');
    const reply = await w.call('POST', bucket, 'up', { ...NOBODY, query: { uploads: '' } });
    isRefused(reply, 403, 'AccessDenied');
  },
  'an ACL that is taken back counts at once': async (w) => {
    const Bucket = await made(w, 'private', 'public-read');
    isStatus(await w.call('GET', Bucket, 'k', NOBODY), 200);
    await w.sdk.putObjectAcl({ Bucket, Key: 'k', ACL: 'private' });
    isRefused(await w.call('GET', Bucket, 'k', NOBODY), 403, 'AccessDenied');
  },
  'an older version that all may read, by its id': async (w) => {
    const Bucket = await w.bucket({ ObjectOwnership: 'ObjectWriter' });
    await w.versioning(Bucket, 'Enabled');
    const { VersionId = '' } = await w.sdk.putObject({
      Bucket,
      Key: 'k',
      Body: 'old',
      ACL: 'public-read',
    });
    await w.putVersion(Bucket, 'k', 'new');
    isRefused(await w.call('GET', Bucket, 'k', NOBODY), 403, 'AccessDenied');
    const query = { versionId: VersionId };
    assert.ok([200, 403].includes((await w.call('GET', Bucket, 'k', { ...NOBODY, query })).status));
  },
});
