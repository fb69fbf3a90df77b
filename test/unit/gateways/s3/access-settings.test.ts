import * as aws from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { govern, statement } from '../../../kit/s3-policies.ts';
import { refused, type S3Server, startS3Server } from '../../../kit/s3-start.ts';

let closed: S3Server;
let s3: aws.S3Client;

beforeAll(async () => {
  closed = await startS3Server({ allowUnsigned: false });
  s3 = closed.client();
});
afterAll(() => closed.stop());

const make = (Bucket: string) => s3.send(new aws.CreateBucketCommand({ Bucket }));
const status = async (path: string, init: RequestInit = {}): Promise<number> =>
  (await fetch(closed.url + path, init)).status;
const own = (Bucket: string, ObjectOwnership: aws.ObjectOwnership) =>
  s3.send(
    new aws.PutBucketOwnershipControlsCommand({
      ...{ Bucket, OwnershipControls: { Rules: [{ ObjectOwnership }] } },
    }),
  );
const isPublic = async (Bucket: string) => {
  const { Grants } = await s3.send(new aws.GetBucketAclCommand({ Bucket }));
  return Grants?.some(({ Grantee }) => Grantee?.URI?.endsWith('/AllUsers')) ?? false;
};

it('objects that an ACL made public are private once ACLs are switched off', async () => {
  const Bucket = 'switched-off';
  await make(Bucket);
  await s3.send(new aws.PutObjectCommand({ Bucket, Key: 'k', Body: 'x', ACL: 'public-read' }));
  expect(await status(`/${Bucket}/k`)).toBe(200);
  await own(Bucket, 'BucketOwnerEnforced');
  expect(await status(`/${Bucket}/k`)).toBe(403);
  await own(Bucket, 'BucketOwnerPreferred');
  expect(await status(`/${Bucket}/k`)).toBe(200);
});

it('ACLs are not switched off while the one of the bucket gives something to others', async () => {
  const Bucket = 'shared';
  await make(Bucket);
  for (const ACL of ['public-read-write', 'log-delivery-write', 'authenticated-read'] as const) {
    await s3.send(new aws.PutBucketAclCommand({ Bucket, ACL: ACL as aws.BucketCannedACL }));
    expect(await refused(own(Bucket, 'BucketOwnerEnforced'))).toEqual({
      ...{ name: 'InvalidBucketAclWithObjectOwnership', status: 400 },
    });
  }
  await s3.send(new aws.PutBucketAclCommand({ Bucket, ACL: 'private' }));
  await own(Bucket, 'BucketOwnerEnforced');
  expect(await status(`/${Bucket}`)).toBe(403);
});

it('a bucket that is made again takes no ACL that it would not take otherwise', async () => {
  const Bucket = 'made-again';
  await make(Bucket);
  const again = () => s3.send(new aws.CreateBucketCommand({ Bucket, ACL: 'public-read' }));
  const block = (PublicAccessBlockConfiguration: object) =>
    s3.send(new aws.PutPublicAccessBlockCommand({ Bucket, PublicAccessBlockConfiguration }));
  await block({ BlockPublicAcls: true });
  expect(await refused(again())).toEqual({ name: 'AccessDenied', status: 403 });
  expect(await isPublic(Bucket)).toBe(false);
  await block({});
  await own(Bucket, 'BucketOwnerEnforced');
  expect((await refused(again())).name).toBe('AccessControlListNotSupported');
  await own(Bucket, 'BucketOwnerPreferred');
  const [Action, Resource] = ['s3:PutBucketAcl', `arn:aws:s3:::${Bucket}`];
  await govern(closed, Bucket, statement(Bucket, 'Deny', { Action, Resource }));
  expect(await refused(again())).toEqual({ name: 'AccessDenied', status: 403 });
  expect(await isPublic(Bucket)).toBe(false);
  await s3.send(new aws.DeleteBucketPolicyCommand({ Bucket }));
  await again();
  expect(await isPublic(Bucket)).toBe(true);
});
