import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Roles } from '../../../../gateways/identity/roles.ts';
import { Tenants } from '../../../../gateways/identity/tenants.ts';
import { countCalls } from '../../../kit/count-calls.ts';
import { ModelBuckets } from '../../../kit/model-buckets.ts';
import { ModelObjects } from '../../../kit/model-objects.ts';
import { REAL_CLOCK } from '../../../kit/real-clock.ts';
import { type Ask, asks } from '../../../kit/s3-policies.ts';
import { refused, type S3Server, startS3Server } from '../../../kit/s3-start.ts';
import { CTX, formOf, makeUser, sendAs, type TestUser } from '../../../kit/s3-users.ts';

/** Tenants on S3: each has users and a namespace of buckets of its own. */

let server: S3Server;
let tenants: Tenants;
let [ann, ben, own] = [] as unknown as [TestUser, TestUser, TestUser];

function inTenant(tenant: string): S3Server {
  return { ...server, users: server.users.ofTenant(tenant) };
}

beforeAll(async () => {
  server = await startS3Server({ allowUnsigned: false });
  tenants = new Tenants({ identities: server.identities, clock: REAL_CLOCK });
  for (const name of ['a', 'b']) await tenants.create(CTX, name);
  ann = await makeUser(inTenant('a'), 'ann', { role: 'admin', email: 'x@example.org' });
  ben = await makeUser(inTenant('b'), 'ben', { role: 'admin', email: 'x@example.org' });
  own = await makeUser(server, 'own', { role: 'admin', email: 'x@example.org' });
  // What is asked about the bucket of-b is asked about no-b too, which nobody has.
  await ben.s3.createBucket({ Bucket: 'of-b', ObjectLockEnabledForBucket: true });
  for (const Key of ['k', 'source']) {
    await ben.s3.putObject({ Bucket: 'of-b', Key, Body: 'text' });
  }
  const Statement = [
    {
      ...{ Effect: 'Allow', Principal: '*', Action: 's3:*' },
      Resource: ['arn:aws:s3:::of-b', 'arn:aws:s3:::of-b/*'],
    },
  ];
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement });
  await ben.s3.putBucketPolicy({ Bucket: 'of-b', Policy });
});
afterAll(() => server.stop());

/** Without what differs between any two answers. */
function nameless({ status, text }: { status: number; text: string }) {
  const plain = text
    .replaceAll('of-b', 'NAME')
    .replaceAll('no-b', 'NAME')
    .replace(/<(RequestId|HostId)>[^<]*/g, '<$1>')
    .replace(/<(LastModified|CreationDate)>[^<]*/g, '<$1>');
  return { status, text: plain };
}

/** Those that would make the bucket come last: then there is one. */
function inOrder(bucket: string): Ask[] {
  const isMaking = ({ operation }: Ask) => (operation === 'CreateBucket' ? 1 : 0);
  return asks(bucket).sort((x, y) => isMaking(x) - isMaking(y));
}

describe('another tenant’s bucket', () => {
  it.each([
    ['a user of another tenant', () => ann],
    ['a user of the cluster’s own', () => own],
    ['nobody', () => null],
  ])('is to %s one that is not there, whatever its policy says', async (_, who) => {
    const credentials = who()?.credentials ?? null;
    const [theirs, nobodys] = [inOrder('of-b'), inOrder('no-b')];
    const work = countCalls(ModelObjects, ModelBuckets);
    for (const [i, one] of theirs.entries()) {
      const seen = nameless(await sendAs(server, credentials, one));
      const forTheirs = work.taken();
      const none = nameless(await sendAs(server, credentials, nobodys[i] as Ask));
      expect([one.operation, seen]).toEqual([one.operation, none]);
      // What it takes tells nothing either.
      expect([one.operation, forTheirs]).toEqual([one.operation, work.taken()]);
    }
    work.stop();
    expect(theirs.length).toBeGreaterThan(70);
  });

  it('is still there, as it was, and its names are free for others', async () => {
    const { Contents } = await ben.s3.listObjectsV2({ Bucket: 'of-b' });
    expect(Contents?.map(({ Key, Size }) => [Key, Size])).toEqual([
      ['k', 4],
      ['source', 4],
    ]);
    const namesOf = async ({ s3 }: TestUser) =>
      ((await s3.listBuckets({})).Buckets ?? []).map(({ Name }) => Name);
    expect(await namesOf(ben)).toEqual(['of-b']);
    // Made by the test above.
    expect(await namesOf(ann)).toEqual(['no-b', 'of-b']);
    await ann.s3.putObject({ Bucket: 'of-b', Key: 'k', Body: 'of another' });
    const read = await ben.s3.getObject({ Bucket: 'of-b', Key: 'k' });
    expect(await read.Body?.transformToString()).toBe('text');
  });

  it('is no source of a copy, and takes no form', async () => {
    await ann.s3.createBucket({ Bucket: 'mine' });
    await ben.s3.createBucket({ Bucket: 'forms' });
    for (const CopySource of ['forms/k', 'none/k']) {
      const copy = ann.s3.copyObject({ Bucket: 'mine', Key: 'c', CopySource });
      expect((await refused(copy)).name).toBe('NoSuchBucket');
    }
    const post = async (user: TestUser, bucket: string) => {
      const body = formOf(user.credentials, bucket, 'f', 'posted');
      return (await fetch(`${server.url}/${bucket}`, { method: 'POST', body })).status;
    };
    expect(await post(ben, 'forms')).toBe(204);
    expect([await post(ann, 'forms'), await post(ann, 'none')]).toEqual([404, 404]);
  });
});

describe('a bucket whose tenant the path names', () => {
  const get = (path: string, init: RequestInit = {}) => fetch(server.url + path, init);
  const origin = { origin: 'https://a.example', 'access-control-request-method': 'GET' };
  const preflight = async (path: string) => {
    const answer = await get(path, { method: 'OPTIONS', headers: origin });
    const allowed = answer.headers.get('access-control-allow-origin');
    return { status: answer.status, text: await answer.text(), allowed };
  };

  beforeAll(async () => {
    await ben.s3.createBucket({ Bucket: 'private-b', ObjectLockEnabledForBucket: true });
    for (const Key of ['k', 'source']) {
      await ben.s3.putObject({ Bucket: 'private-b', Key, Body: 'text' });
    }
    const CORSRules = [{ AllowedOrigins: ['https://a.example'], AllowedMethods: ['GET'] }];
    const CORSConfiguration = { CORSRules };
    await ben.s3.putBucketCors({ Bucket: 'of-b', CORSConfiguration });
  });

  it('gives to who has not signed what is public, and tells browsers what they may ask', async () => {
    const read = await get('/b:of-b/k', { headers: { origin: origin.origin } });
    expect([read.status, await read.text()]).toEqual([200, 'text']);
    expect(read.headers.get('access-control-allow-origin')).toBe('https://a.example');
    expect((await get('/b%3Aof-b?list-type=2')).status).toBe(200);
    expect(await preflight('/b:of-b/k')).toMatchObject({ status: 200, allowed: origin.origin });
    // Without the tenant, it is a bucket of the cluster's own.
    expect(await (await get('/of-b/k')).text()).not.toBe('text');
    expect((await preflight('/of-b/k')).allowed).toBeNull();
  });

  it('W1 is to who has not signed one that is not there, where it gives them nothing', async () => {
    const places = ['b:private-b', 'b:nobodys-b', 'b:private-c', 'c:private-b'];
    const plain = (text: string) => {
      let same = nameless({ status: 0, text }).text;
      const names = places.flatMap((place) => place.split(':').slice(1));
      for (const name of [...places, ...names]) same = same.replaceAll(name, 'N');
      return same;
    };
    const [taken, ...free] = places.map((place) => asks(place));
    for (const [i, one] of (taken ?? []).entries()) {
      const seen = await sendAs(server, null, one);
      for (const other of free) {
        const none = await sendAs(server, null, other[i] as Ask);
        const cell = one.operation;
        expect([cell, seen.status, plain(seen.text)]).toEqual([
          cell,
          none.status,
          plain(none.text),
        ]);
      }
      expect([400, 404]).toContain(seen.status);
    }
    const [there, ...not] = await Promise.all(places.map((place) => preflight(`/${place}/k`)));
    for (const one of not) {
      expect({ ...one, text: plain(one.text) }).toEqual({
        ...there,
        text: plain(there?.text ?? ''),
      });
    }
    expect(there).toMatchObject({ status: 404, allowed: null });
    const listed = await ben.s3.listObjectsV2({ Bucket: 'private-b' });
    expect(listed.KeyCount).toBe(2);
  });

  it('may be named by who signs, if it is their own tenant', async () => {
    const path = '/b:of-b/k';
    const asked = { operation: 'GetObject', method: 'GET', path, headers: {}, body: '' };
    expect((await sendAs(server, ben.credentials, asked)).text).toBe('text');
    for (const user of [ann, own]) {
      const { status, text } = await sendAs(server, user.credentials, asked);
      expect([status, text.includes('<Code>NoSuchBucket')]).toEqual([404, true]);
    }
    const put = { ...asked, operation: 'PutObject', method: 'PUT', path: '/default:mine-too/k' };
    await own.s3.createBucket({ Bucket: 'mine-too' });
    expect((await sendAs(server, own.credentials, { ...put, body: 'x' })).status).toBe(200);
    expect((await sendAs(server, ben.credentials, { ...put, body: 'x' })).status).toBe(404);
  });

  it('is gone while its tenant is suspended, and no tenant’s where the name is none', async () => {
    await tenants.suspend(CTX, 'b');
    expect((await get('/b:of-b/k')).status).toBe(404);
    expect((await preflight('/b:of-b/k')).status).toBe(404);
    await tenants.resume(CTX, 'b');
    expect((await get('/b:of-b/k')).status).toBe(200);
    for (const path of ['/B:of-b/k', '/:of-b/k', '/b:b:of-b/k', '/b:/k']) {
      const answer = await get(path);
      expect([path, answer.status, (await answer.text()).includes('InvalidBucketName')]).toEqual([
        ...[path, 400, true],
      ]);
    }
  });
});

describe('users of a tenant', () => {
  it('have what their roles, policies and ACLs give them there', async () => {
    const writer = await makeUser(inTenant('a'), 'writer');
    const reader = await makeUser(inTenant('a'), 'reader', { role: 'read_only' });
    await writer.s3.createBucket({ Bucket: 'written' });
    await writer.s3.putObject({ Bucket: 'written', Key: 'k', Body: 'x' });
    const listed = await writer.s3.listObjectsV2({ Bucket: 'written' });
    expect(listed.KeyCount).toBe(1);
    const copy = { Bucket: 'written', Key: 'c', CopySource: 'written/k' };
    await writer.s3.copyObject(copy);
    await writer.s3.deleteObject({ Bucket: 'written', Key: 'c' });
    expect((await refused(reader.s3.getObject({ Bucket: 'written', Key: 'k' }))).name).toBe(
      'AccessDenied',
    );
    const Statement = [
      {
        ...{ Effect: 'Allow', Principal: { AWS: 'arn:aws:iam::minikv:user/a/reader' } },
        ...{ Action: 's3:*', Resource: ['arn:aws:s3:::written', 'arn:aws:s3:::written/*'] },
      },
    ];
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement });
    await writer.s3.putBucketPolicy({ Bucket: 'written', Policy });
    const read = await reader.s3.getObject({ Bucket: 'written', Key: 'k' });
    expect(await read.Body?.transformToString()).toBe('x');
    expect((await reader.s3.listObjectsV2({ Bucket: 'written' })).KeyCount).toBe(1);
    const put = reader.s3.putObject({ Bucket: 'written', Key: 'k', Body: 'y' });
    expect((await refused(put)).name).toBe('AccessDenied');
  });

  it('may have roles of one’s own', async () => {
    const roles = new Roles({ identities: server.identities, clock: REAL_CLOCK });
    const resources = [{ bucket: 'written' }];
    const rules = [{ effect: 'allow' as const, actions: ['data:read'], resources }];
    await roles.put(CTX, 'reads-written', { description: '', rules });
    const one = await makeUser(inTenant('a'), 'one', { role: 'reads-written' });
    const read = await one.s3.getObject({ Bucket: 'written', Key: 'k' });
    expect(await read.Body?.transformToString()).toBe('x');
    const put = one.s3.putObject({ Bucket: 'written', Key: 'k', Body: 'y' });
    expect((await refused(put)).name).toBe('AccessDenied');
    const other = await makeUser(inTenant('b'), 'one', { role: 'reads-written' });
    const none = other.s3.getObject({ Bucket: 'written', Key: 'k' });
    expect((await refused(none)).name).toBe('NoSuchBucket');
  });

  it('are named, addressed and given something within it only', async () => {
    const listed = await server.users.ofTenant('a').listUsers(CTX);
    expect(listed.map(({ name }) => name)).toEqual(['ann', 'one', 'reader', 'writer']);
    await expect(server.users.ofTenant('a').getUser(CTX, 'ben')).rejects.toMatchObject({
      code: 'not_found',
    });
    const benKey = ben.credentials.accessKeyId;
    await expect(server.users.ofTenant('a').getKey(CTX, benKey)).rejects.toMatchObject({
      code: 'not_found',
    });
    // One of the same name and address, in each.
    const again = await makeUser(inTenant('a'), 'ben', { email: 'y@example.org' });
    expect(again.id).not.toBe(ben.id);
    const give = (id: string) =>
      ann.s3
        .putBucketAcl({ Bucket: 'mine', GrantRead: `id="${id}"` })
        .catch((error: Error) => error.message);
    expect(await give(ben.id)).toBe(await give('0'.repeat(64)));
    expect(await give(again.id)).not.toBeInstanceOf(Error);
  });

  it('are refused while it is suspended, and gone with it', async () => {
    await tenants.suspend(CTX, 'b');
    expect((await refused(ben.s3.listBuckets({}))).name).toBe('InvalidAccessKeyId');
    await tenants.resume(CTX, 'b');
    expect((await ben.s3.listBuckets({})).Buckets?.length).toBe(3);
    await tenants.delete(CTX, 'b');
    expect((await refused(ben.s3.listBuckets({}))).name).toBe('InvalidAccessKeyId');
  });
});
