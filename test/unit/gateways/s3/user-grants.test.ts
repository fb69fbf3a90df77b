import type * as aws from '@aws-sdk/client-s3';
import { S3 } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ACCESS_KEY,
  refused,
  type S3Server,
  SECRET_KEY,
  startS3Server,
} from '../../../kit/s3-start.ts';
import { CTX, formOf, makeUser, type TestUser, urlOf } from '../../../kit/s3-users.ts';

/** What users give each other: by ACLs, policies, URLs and forms. */

let server: S3Server;
let root: S3;
let alice: TestUser;
let bob: TestUser;
let eve: TestUser;
let count = 0;

beforeAll(async () => {
  server = await startS3Server({ allowUnsigned: false });
  root = new S3({
    ...{ endpoint: server.url, region: 'us-east-1', forcePathStyle: true, maxAttempts: 1 },
    credentials: { accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY },
  });
  alice = await makeUser(server, 'alice', { email: 'alice@example.org' });
  bob = await makeUser(server, 'bob', { email: 'bob@example.org' });
  eve = await makeUser(server, 'eve');
});
afterAll(() => server.stop());

/** A bucket of alice's into which bob may write. */
async function shared(): Promise<string> {
  const Bucket = `shared-${++count}`;
  await alice.s3.createBucket({ Bucket, GrantWrite: `id=${bob.id}` });
  return Bucket;
}

function allow(Bucket: string, { arn }: TestUser, ...Action: string[]) {
  const Resource = [`arn:aws:s3:::${Bucket}`, `arn:aws:s3:::${Bucket}/*`];
  const Statement = Action.map((one) => ({
    ...{ Effect: 'Allow', Principal: { AWS: arn }, Action: one, Resource },
  }));
  return alice.s3.putBucketPolicy({ Bucket, Policy: JSON.stringify({ Statement }) });
}

const denied = { name: 'AccessDenied', status: 403 };

describe('ACLs', () => {
  it('name users by id and by address, and nobody who is not there', async () => {
    const Bucket = `acl-${++count}`;
    await alice.s3.createBucket({
      Bucket,
      GrantRead: `emailAddress="bob@example.org", id=${eve.id}`,
    });
    const { Grants = [] } = await alice.s3.getBucketAcl({ Bucket });
    expect(Grants.map(({ Grantee }) => Grantee)).toEqual([
      { ID: bob.id, DisplayName: 'the bob', Type: 'CanonicalUser' },
      { ID: eve.id, DisplayName: 'the eve', Type: 'CanonicalUser' },
    ]);
    for (const { s3 } of [bob, eve]) await s3.listObjects({ Bucket });
    const Grantee = { Type: 'AmazonCustomerByEmail', EmailAddress: 'nobody@example.org' } as const;
    const put = (Grants: aws.Grant[], id = alice.id) =>
      alice.s3.putBucketAcl({ Bucket, AccessControlPolicy: { Owner: { ID: id }, Grants } });
    expect(await refused(put([{ Grantee, Permission: 'READ' }]))).toEqual({
      ...{ name: 'UnresolvableGrantByEmailAddress', status: 400 },
    });
    const unknown = { Type: 'CanonicalUser', ID: 'f'.repeat(64) } as const;
    expect((await refused(put([{ Grantee: unknown, Permission: 'READ' }]))).name).toBe(
      'InvalidArgument',
    );
    const byMail = { ...Grantee, EmailAddress: 'bob@example.org' };
    await put([{ Grantee: byMail, Permission: 'READ' }]);
    expect((await alice.s3.getBucketAcl({ Bucket })).Grants?.[0]?.Grantee?.ID).toBe(bob.id);
    // Nobody gives a bucket away.
    expect(await refused(put([], bob.id))).toEqual(denied);
    // Her own access went with the ACL, and she keeps it as the owner.
    await alice.s3.listObjects({ Bucket });
    expect(await refused(eve.s3.listObjects({ Bucket }))).toEqual(denied);
  });

  it('give something to all who sign, or to all, unless public ones are ignored', async () => {
    const Bucket = `groups-${++count}`;
    await alice.s3.createBucket({ Bucket, ACL: 'authenticated-read' });
    const anonymous = async () => (await fetch(`${server.url}/${Bucket}`)).status;
    await eve.s3.listObjects({ Bucket });
    expect(await anonymous()).toBe(403);
    await alice.s3.putBucketAcl({ Bucket, ACL: 'public-read' });
    expect(await anonymous()).toBe(200);
    await alice.s3.putPublicAccessBlock({
      ...{ Bucket, PublicAccessBlockConfiguration: { IgnorePublicAcls: true } },
    });
    expect(await anonymous()).toBe(403);
    expect(await refused(eve.s3.listObjects({ Bucket }))).toEqual(denied);
    await alice.s3.putBucketAcl({ Bucket, GrantRead: `id=${eve.id}` });
    await eve.s3.listObjects({ Bucket });
  });

  it('of a user who was deleted give nothing to who has the name now', async () => {
    const first = await makeUser(server, 'again', { email: 'again@example.org' });
    const Bucket = `again-${++count}`;
    await alice.s3.createBucket({ Bucket, GrantRead: `id=${first.id}` });
    await first.s3.createBucket({ Bucket: `${Bucket}-own` });
    await server.users.deleteUser(CTX, 'again');
    const second = await makeUser(server, 'again', { email: 'again@example.org' });
    expect(await refused(second.s3.listObjects({ Bucket }))).toEqual(denied);
    expect(await refused(second.s3.listObjects({ Bucket: `${Bucket}-own` }))).toEqual(denied);
    const own = { BucketName: `${Bucket}-own` };
    expect((await root.getBucketAcl({ Bucket: own.BucketName })).Owner?.ID).toBe(first.id);
  });
});

describe('policies', () => {
  it('see who asks', async () => {
    const Bucket = `who-${++count}`;
    await alice.s3.createBucket({ Bucket });
    const may = async (Condition: object) => {
      const Statement = {
        ...{ Effect: 'Allow', Principal: '*', Action: 's3:ListBucket' },
        ...{ Resource: `arn:aws:s3:::${Bucket}`, Condition },
      };
      await alice.s3.putBucketPolicy({ Bucket, Policy: JSON.stringify({ Statement }) });
      return bob.s3.listObjects({ Bucket }).then(
        () => true,
        () => false,
      );
    };
    expect(await may({ StringEquals: { 'aws:username': 'bob' } })).toBe(true);
    expect(await may({ StringEquals: { 'aws:username': 'eve' } })).toBe(false);
    expect(await may({ StringEquals: { 'aws:userid': bob.id } })).toBe(true);
    expect(await may({ StringEquals: { 'aws:PrincipalAccount': bob.id } })).toBe(true);
    expect(await may({ StringEquals: { 'aws:PrincipalType': 'User' } })).toBe(true);
    expect(await may({ ArnLike: { 'aws:PrincipalArn': 'arn:aws:iam::minikv:user/b*' } })).toBe(
      true,
    );
    expect(await may({ StringEquals: { 's3:ResourceAccount': alice.id } })).toBe(true);
    expect(await may({ StringEquals: { 's3:ResourceAccount': bob.id } })).toBe(false);
  });

  it('that are public are for the owner alone where that is restricted', async () => {
    const Bucket = `restricted-${++count}`;
    await alice.s3.createBucket({ Bucket });
    const Resource = `arn:aws:s3:::${Bucket}`;
    const Statement = { Effect: 'Allow', Principal: '*', Action: 's3:ListBucket', Resource };
    await alice.s3.putBucketPolicy({ Bucket, Policy: JSON.stringify({ Statement }) });
    await bob.s3.listObjects({ Bucket });
    await alice.s3.putPublicAccessBlock({
      ...{ Bucket, PublicAccessBlockConfiguration: { RestrictPublicBuckets: true } },
    });
    expect(await refused(bob.s3.listObjects({ Bucket }))).toEqual(denied);
    await alice.s3.listObjects({ Bucket });
  });

  it('give the bypass of governance by itself', async () => {
    const Bucket = `bypass-${++count}`;
    await alice.s3.createBucket({ Bucket, ObjectLockEnabledForBucket: true });
    const Retain = {
      ObjectLockMode: 'GOVERNANCE' as const,
      ObjectLockRetainUntilDate: new Date('2099-01-01'),
    };
    const { VersionId } = await alice.s3.putObject({ Bucket, Key: 'k', ...Retain });
    await allow(Bucket, bob, 's3:DeleteObjectVersion', 's3:DeleteObject');
    const remove = { Bucket, Key: 'k', VersionId, BypassGovernanceRetention: true };
    expect(await refused(bob.s3.deleteObject(remove))).toEqual(denied);
    await allow(Bucket, bob, 's3:DeleteObjectVersion', 's3:BypassGovernanceRetention');
    await bob.s3.deleteObject(remove);
  });

  it('and requesters who pay say so', async () => {
    const Bucket = `paid-${++count}`;
    await alice.s3.createBucket({ Bucket, GrantRead: `id=${bob.id}` });
    await alice.s3.putBucketRequestPayment({
      Bucket,
      RequestPaymentConfiguration: { Payer: 'Requester' },
    });
    expect(await refused(bob.s3.listObjects({ Bucket }))).toEqual(denied);
    await bob.s3.listObjects({ Bucket, RequestPayer: 'requester' });
    await alice.s3.listObjects({ Bucket });
  });
});

describe('signed elsewhere', () => {
  it('a URL is worth what its signer may, and nothing once the key is revoked', async () => {
    const Bucket = await shared();
    await alice.s3.putObject({ Bucket, Key: 'a', Body: 'text' });
    const carol = await makeUser(server, `url-${++count}`);
    const url = (who: TestUser) => urlOf(server, who.credentials, `/${Bucket}/a`);
    expect((await fetch(url(alice))).status).toBe(200);
    expect((await fetch(url(carol))).status).toBe(403);
    await alice.s3.putObjectAcl({ Bucket, Key: 'a', GrantRead: `id=${carol.id}` });
    const given = url(carol);
    expect((await fetch(given)).status).toBe(200);
    await server.users.revokeKey(CTX, carol.credentials.accessKeyId);
    const gone = await fetch(given);
    expect([gone.status, await gone.text()]).toEqual([
      403,
      expect.stringContaining('<Code>InvalidAccessKeyId</Code>'),
    ]);
  });

  it('a form is its signer’s', async () => {
    const Bucket = await shared();
    const send = async (who: TestUser, key: string) => {
      const body = formOf(who.credentials, Bucket, key, 'of a form');
      return (await fetch(`${server.url}/${Bucket}`, { method: 'POST', body })).status;
    };
    expect(await send(bob, 'b')).toBe(204);
    expect(await send(alice, 'a')).toBe(204);
    expect(await send(eve, 'e')).toBe(403);
    const reader = await makeUser(server, `form-${++count}`, { role: 'read_only' });
    await allow(Bucket, reader, 's3:PutObject');
    expect(await send(reader, 'r')).toBe(403);
    const { Contents } = await alice.s3.listObjects({ Bucket });
    expect(Contents?.map(({ Key, Owner }) => [Key, Owner?.ID])).toEqual([
      ['a', alice.id],
      ['b', bob.id],
    ]);
  });
});
